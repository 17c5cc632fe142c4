"""Replaces a file that another program reads, so that it is always whole: the old one or the new one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hub.errors import HubError

MODE = 0o640
"""The user who runs the command writes, one group reads."""


class FileError(HubError):
    """The file was not written; the old one is unchanged."""


def write_atomically(file: Path, text: str, group: str) -> bool:
    """Replace the contents of a file.

    :param group: may read it, besides the user who runs this.
    :returns: whether the contents changed.
    """
    try:
        is_new = not file.is_file() or file.read_bytes() != text.encode()
        _replace(file, text, group)
    except LookupError:
        raise FileError(
            f"There is no group '{group}'. Nothing was written. Name another with --group."
        ) from None
    except FileNotFoundError:
        raise FileError(
            f"{file.parent}: there is no such folder. Nothing was written. Make it, or correct --out."
        ) from None
    except OSError as error:
        raise FileError(
            f"{file}: {error.strerror}. Nothing was written. Run this as a user who may write there and give "
            f"a file to the group '{group}', for example as root."
        ) from None
    return is_new


def _replace(file: Path, text: str, group: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(handle)
        shutil.chown(new, group=group)
        new.chmod(MODE)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)

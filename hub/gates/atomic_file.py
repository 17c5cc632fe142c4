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
        replace_file(file, text.encode(), MODE, group=group)
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


def replace_file(
    file: Path, content: bytes, mode: int, user: str | None = None, group: str | None = None
) -> None:
    """Replace a file at once, and only when its new content is on the disk, with its owner and its mode.

    :param user: owns it; None: whoever runs this. `group` likewise.
    :raises OSError, LookupError: it was not replaced; `LookupError`: there is no such user or group.
    """
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(handle)
        give_to(new, user, group)
        new.chmod(mode)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def give_to(path: Path, user: str | None, group: str | None) -> None:
    """Change owner and group; None: unchanged. Raises `LookupError`: there is none, and `OSError`."""
    if user is not None:
        shutil.chown(path, user=user)
    if group is not None:
        shutil.chown(path, group=group)

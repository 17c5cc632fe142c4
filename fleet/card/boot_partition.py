"""Writes the files of the first boot to a boot partition, and nothing over what somebody else wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fleet.card.first_boot import MARK
from fleet.errors import FleetError

_SIGNS = ("config.txt", "cmdline.txt")
"""Every boot partition of a Raspberry Pi has them."""
_LARGEST = 64 * 1024


def write_first_boot(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write what is not there already.

    :returns: the files that changed; none if all were there.
    :raises FleetError: it is no boot partition, has files of somebody else, or cannot be written.
    """
    missing = [name for name in _SIGNS if not (folder / name).is_file()]
    if missing:
        raise FleetError(
            f"{folder}: no boot partition of a Raspberry Pi: it has no {' and no '.join(missing)}. Nothing "
            "was written. Write Raspberry Pi OS to it first, put it in again, and name its boot partition."
        )
    try:
        foreign = [name for name, text in files.items() if not _may_replace(folder / name, text)]
        if foreign:
            raise FleetError(
                f"{folder}: {', '.join(foreign)} was written by somebody else, perhaps by Raspberry Pi "
                "Imager. Nothing was changed. Move it away if it is not needed."
            )
        changed = [name for name, text in files.items() if _read(folder / name) != text]
        for name in changed:
            _replace(folder / name, files[name])
    except OSError as error:
        raise FleetError(
            f"{error.filename or folder}: {error.strerror}. Is the card full or locked?"
        ) from None
    return changed


def _may_replace(file: Path, text: str) -> bool:
    """Ours, the same, or an image's example in which every line is a comment."""
    there = _read(file)
    if there is None or there == text or MARK in there:
        return True
    return all(not line.strip() or line.startswith("#") for line in there.splitlines())


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _replace(file: Path, text: str) -> None:
    """A card is often pulled out at once, so the file is on it before this returns."""
    fresh = file.with_name(f"{file.name}.new")
    with fresh.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)

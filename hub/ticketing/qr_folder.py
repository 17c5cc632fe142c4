"""A folder of QR pictures with an index, for a night's tickets and guest passes.

Whoever has them can enter, so nobody but their owner may read them. File names are ids, never what guests
typed.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import segno

from gate.common.foreign import UnreadableError, read_json
from gate.common.owned_files import create_own, read_own
from hub.errors import HubError
from hub.gates.atomic_file import replace_file
from hub.gates.signing_key import Signer
from hub.ticketing.codes import signed_form

INDEX = "index.csv"
MARK = ".maguey-codes.json"
"""Says which night's codes a folder holds. What has none was not made here, and is left alone."""

_PICTURE = re.compile(r"(?:ticket|pass)-[0-9a-f-]{36}\.png")
_FORMULA = ("=", "+", "-", "@", "\t")
"""What a spreadsheet would run (OWASP, CSV injection)."""
_NUMBER = re.compile(r"\+?[0-9 ()./-]+", re.ASCII)
_LONGEST_MARK = 1000
_SCALE = 10
_QUIET_ZONE = 4
"""Modules around the symbol (ISO/IEC 18004, 6.3.8)."""


class QrFolderError(HubError):
    """The pictures were not written, or not all of them."""


class PrintableCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to draw, with what the index says of it. `code` is a secret."""

    id: str
    kind: Literal["ticket", "pass"]
    code: str
    type: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    status: str
    table_number: int | None = None

    def __repr__(self) -> str:
        return f"PrintableCode({self.kind} {self.id})"

    @property
    def file(self) -> str:
        """The name of its picture: the same at every export."""
        return f"{self.kind}-{self.id}.png"


class QrFolder(msgspec.Struct, frozen=True):
    """A folder that may be written to."""

    path: Path


def open_qr_folder(path: Path, event_id: str) -> QrFolder:
    """A new or an empty folder, or one with this night's codes; from now on for its owner's eyes only.

    :raises QrFolderError: it is anything else; nothing in it was changed.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise QrFolderError(f"{path}: is a link, or somebody else's. Name a folder of your own.")
        if any(path.iterdir()) and _event_of(path) != event_id:
            raise QrFolderError(
                f"{path}: is not empty, and holds other things than this night's codes. Name a new folder."
            )
        path.chmod(0o700)
        replace_file(path / MARK, msgspec.json.encode({"event_id": event_id}), 0o600)
    except FileExistsError:
        raise QrFolderError(f"{path}: is a file. Name a new folder.") from None
    except OSError as error:
        raise QrFolderError(f"{path}: {error.strerror}. Name a new folder where you may write.") from None
    return QrFolder(path)


def _event_of(path: Path) -> str | None:
    try:
        mark: Any = read_json(read_own(path / MARK, _LONGEST_MARK), Any, limit=_LONGEST_MARK)
    except (OSError, UnreadableError):
        return None
    return mark.get("event_id") if isinstance(mark, dict) else None


def write_codes(folder: QrFolder, codes: Iterable[PrintableCode], key: Signer | None) -> int:
    """Draw the codes and list them; pictures of other codes go.

    :param key: signs the tickets; None: their codes are plain.
    :returns: how many pictures went.
    :raises QrFolderError: the disk is full or the like; run it again.
    """
    drawn: list[PrintableCode] = []
    try:
        for one in codes:
            _draw(folder.path / one.file, printed_form(one, key))
            drawn.append(one)
        removed = _remove_others(folder.path, {one.file for one in drawn})
        replace_file(folder.path / INDEX, _index(drawn).encode(), 0o600)
    except OSError as error:
        raise QrFolderError(
            f"{folder.path}: {error.strerror}, after {len(drawn)} pictures. Make room and run this again."
        ) from None
    return removed


def printed_form(one: PrintableCode, key: Signer | None) -> str:
    """What stands in the picture. A pass is plain: a gate that does not know it cannot tell its table."""
    if key is None or one.kind == "pass":
        return one.code
    return signed_form(one.code, key.key_id, key.key)


def _draw(file: Path, text: str) -> None:
    picture = io.BytesIO()
    segno.make_qr(text, error="m").save(picture, kind="png", scale=_SCALE, border=_QUIET_ZONE)
    with os.fdopen(create_own(file, 0o600), "wb") as out:
        out.write(picture.getvalue())


def _remove_others(path: Path, kept: set[str]) -> int:
    others = [file for file in path.iterdir() if _PICTURE.fullmatch(file.name) and file.name not in kept]
    for file in others:
        file.unlink()
    return len(others)


def _index(codes: Sequence[PrintableCode]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("file", "kind", "code", "type", "table", "name", "email", "phone", "status"))
    for one in codes:
        guest = (one.type, one.table_number, one.name, one.email, one.phone, one.status)
        writer.writerow((one.file, one.kind, one.code, *map(harmless_cell, guest)))
    return out.getvalue()


def harmless_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula. A telephone number stays what it is."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text

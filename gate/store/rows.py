"""Scan records as rows of the journal, for the door, which writes them, and sync, which reads them. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from gate.common.foreign import read_json
from gate.rules.model import ScanRecord

PAGE = 4096
"""Bytes of a page; `gate.store.journal.connect_journal` asks for no other."""
COLUMNS = ScanRecord.__struct_encode_fields__
"""Columns of the journal's table `scans`, in order."""
_LONGEST_HEARD = 1 << 20


def to_row(record: ScanRecord) -> list[Any]:
    """A record as the values of its row, in the order of `COLUMNS`."""
    plain = msgspec.to_builtins(record)
    plain["flags"] = ",".join(record.flags)
    plain["heard"] = msgspec.json.encode(record.heard).decode() if record.heard else ""
    return list(plain.values())


def from_row(row: tuple[Any, ...]) -> ScanRecord:
    """The record a row was made from."""
    plain = dict(zip(COLUMNS, row, strict=True))
    plain["flags"] = [flag for flag in plain["flags"].split(",") if flag]
    plain["heard"] = read_json(plain["heard"], list, limit=_LONGEST_HEARD) if plain["heard"] else []
    plain["released"] = bool(plain["released"])
    return msgspec.convert(plain, ScanRecord)


def moment(text: str) -> datetime:
    """A time as it is in the files. Raises `ValueError` for one without its offset from UTC."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at

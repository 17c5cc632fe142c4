"""The migrations, and which of them were released (`released.txt` beside them, docs/development.md)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from demo.servers import _program
from hub.db.migrate import OBJECTS
from hub.db.statements import sql_folder

FOLDER = Path(str(sql_folder())) / "migrations"
FILES = sorted(FOLDER.glob("*.sql"))
ALL = [*(file.stem for file in FILES), OBJECTS]
"""What migrating an empty database applies."""
PG_DUMP = _program("pg_dump")


def released(folder: Path) -> dict[str, str]:
    """The SHA-256 of each released file by its name; empty as long as nothing was released."""
    listed = folder / "released.txt"
    text = listed.read_text(encoding="utf-8") if listed.exists() else ""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: digest for digest, name in lines}


def edited(folder: Path) -> list[str]:
    """The released files that are no longer what they were."""
    return [name for name, digest in released(folder).items() if _digest(folder / name) != digest]


def early(folder: Path) -> list[str]:
    """The files that are not released and sort before one that is: an old database would get them last."""
    known = released(folder)
    last = max(known, default="")
    return [file.name for file in sorted(folder.glob("*.sql")) if file.name not in known and file.name < last]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "gone"

"""The migrations, and which version was released with which (`hub/sql/migrations/released.txt`)."""

from __future__ import annotations

from pathlib import Path

from demo.servers import _program
from hub.db.statements import sql_folder

FOLDER = Path(str(sql_folder())) / "migrations"
FILES = sorted(FOLDER.glob("*.sql"))
PG_DUMP = _program("pg_dump")


def _versions() -> dict[str, dict[str, str]]:
    """By version, oldest first: the SHA-256 of each file that it was the first to have."""
    found: dict[str, dict[str, str]] = {}
    for line in (FOLDER / "released.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            files = found.setdefault(line.removeprefix("# "), {})
        else:
            digest, name = line.split()
            files[name] = digest
    return found


VERSIONS = _versions()


def released(until: str | None = None) -> dict[str, str]:
    """The SHA-256 of every released file, or of those a version had."""
    files: dict[str, str] = {}
    for version, added in VERSIONS.items():
        files |= added
        if version == until:
            break
    return files

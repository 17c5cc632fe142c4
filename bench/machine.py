"""Describes the machine of a run: without it the figures mean little."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def facts(folder: Path) -> dict[str, str]:
    """Facts about the machine, by name.

    :param folder: where the files of the run are.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "filesystem": filesystem(folder),
        "load before": load(),
    }


def load() -> str:
    """Load averages over 1, 5 and 15 minutes."""
    return " ".join(f"{average:.1f}" for average in os.getloadavg())


def filesystem(folder: Path) -> str:
    """Type and device of a folder's filesystem, such as ``ext4 on /dev/vda``."""
    found = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE,SOURCE", "--target", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return " on ".join(found.stdout.split()[:2]) or "unknown"


def is_in_memory(folder: Path) -> bool:
    """Whether a folder is in memory: commit times would mean nothing there."""
    return filesystem(folder).split(" ")[0] in ("tmpfs", "ramfs")


def _commit() -> str:
    said = [
        subprocess.run(["git", *command], capture_output=True, text=True, check=False, cwd=_ROOT).stdout
        for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno"])
    ]
    return f"{said[0].strip() or 'unknown'}{' with uncommitted changes' if said[1].strip() else ''}"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [
        line.split(":")[1].strip() for line in lines if line.lower().startswith(("model name", "model\t"))
    ]
    named = [name for name in names if not name.isdecimal()]
    return named[0] if named else platform.processor()

"""The gate's clocks. The only place of the door that asks what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from gate.model import Now

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Anything that can say when it is."""

    def now(self) -> Now:
        """One reading of both clocks."""


class SystemClock:
    """The machine's clocks. `monotonic_ms` counts through suspend (CLOCK_BOOTTIME)."""

    def __init__(self, boot_id_file: Path = BOOT_ID) -> None:
        self._boot_id = boot_id_file.read_text("ascii").strip()

    def now(self) -> Now:
        """See `Clock`. The wall clock counts as untrusted until sync has measured it at the hub."""
        return Now(
            wall=datetime.now(UTC),
            monotonic_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            boot_id=self._boot_id,
        )

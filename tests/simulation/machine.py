"""The computer of one gate: its clocks, which are wrong, and its card, which may be changed for another."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gate.clock import Machine as Reading
from tests.simulation.agenda import MS, START, Agenda

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class Machine:
    """See the module's text. `folder`: its card.

    :param rate: how fast its clocks run, less one.
    :param offset_us: by how much its wall clock is ahead.
    """

    def __init__(self, agenda: Agenda, folder: Path, name: str, rate: float, offset_us: int) -> None:
        self.folder = folder
        self.name = name
        self.rate = rate
        self._agenda = agenda
        self._offset_us = offset_us
        self._boots = 0
        self.boot()

    def boot(self, *, in_1970: bool = False) -> None:
        """Switched on; without a battery its wall clock begins in 1970."""
        self._boots += 1
        self.boot_id = f"{self.name}-boot-{self._boots}"
        self._booted_us = self._agenda.now_us
        if in_1970:
            self._offset_us = (_UNIX - START) // timedelta(microseconds=1) - self._booted_us

    def jump(self, by_us: int) -> None:
        """Somebody sets its wall clock."""
        self._offset_us += by_us

    def read(self) -> Reading:
        """Both clocks, as the machine has them."""
        up_us = int((self._agenda.now_us - self._booted_us) * (1 + self.rate))
        since_start_us = self._booted_us + up_us + self._offset_us
        return Reading(
            wall=START + timedelta(microseconds=since_start_us),
            monotonic_ms=10_000 + up_us // MS,
            boot_id=self.boot_id,
        )

    def new_card(self) -> None:
        """Everything on the disk is gone."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

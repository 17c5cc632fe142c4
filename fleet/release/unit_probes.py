"""Looks at the services of a release on probation, from the moment they were started."""

from __future__ import annotations

from collections.abc import Callable

from fleet.release.judgement import Complaint, UnitsBefore, first_complaint, units_complaints
from fleet.release.services import ServiceError, UnitReading

SETTLED = 1 / 3
"""After this share of the probation the services have loaded what they need; from then on they may not
grow."""


class UnitProbes:
    """One probation.

    :param units: reads them; raises `ServiceError`.
    :param memory: of the machine, in bytes.
    """

    def __init__(self, units: Callable[[], tuple[UnitReading, ...]], memory: int) -> None:
        self._read, self._memory = units, memory
        self._before: UnitsBefore | None = None

    def look(self, share: float) -> Complaint:
        """What is wrong with them.

        :param share: how much of the probation is over.
        """
        try:
            units = self._read()
        except ServiceError as error:
            return Complaint(missing=str(error))
        before = self._noted(units, share)
        return first_complaint(units_complaints(units, before, self._memory))

    def _noted(self, units: tuple[UnitReading, ...], share: float) -> UnitsBefore:
        restarts = self._before.restarts if self._before else {unit.name: unit.restarts for unit in units}
        memory = self._before.memory if self._before else None
        if memory is None and share >= SETTLED:
            memory = {unit.name: unit.memory for unit in units if unit.memory is not None}
        self._before = UnitsBefore(restarts=restarts, memory=memory)
        return self._before

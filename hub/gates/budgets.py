"""What each gate may send, so that none harms the others (protocol 4.5, Fairness).

Each gate has budgets of its own, far above the busiest door. What exceeds them is not stored: the broker may
forget it, the gate sends it again, and staff hear which gate it is. The backlog of a gate that was away is no
flood: see `gate.common.allowance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog

from gate.common.allowance import Allowance, Rate
from hub.db.connection import Connection
from hub.db.statements import query

GATES_LIMIT = 1000
"""Gates whose budgets are remembered. If there are ever more, the first ones are forgotten."""
CALM_S = 60.0
"""A flood ends when nothing of the gate was turned away for so long."""
AGAIN_S = 600.0
"""How often staff hear of a flood that goes on."""

_log = structlog.get_logger()


class GateBudgets:
    """What is left of each gate's budgets. Used from one thread.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, rates: Mapping[str, Rate], now: Callable[[], float]) -> None:
        self._rates = rates
        self._now = now
        self._levels: dict[str, dict[str, Allowance]] = {}
        self._complete: dict[str, float] = {}

    def set_absences(self, away_s: Mapping[str, float]) -> None:
        """For each gate, how many seconds ago the hub is known to have had everything of it."""
        now = self._now()
        self._complete = {gate_id: now - seconds for gate_id, seconds in away_s.items()}

    def is_spent(self, gate_id: str, *kinds: str) -> bool:
        """Whether one of these budgets is used up; any of them if none is named."""
        now = self._now()
        away_s = self._away_s(gate_id, now)
        levels = self._of(gate_id)
        return any(levels[kind].fill(now, away_s) <= 0 for kind in kinds or levels)

    def take(self, gate_id: str, kind: str, count: float = 1.0) -> None:
        """Take `count` from a budget; a negative count gives back."""
        self._of(gate_id)[kind].take(count)

    def insist(self, gate_id: str, kind: str, count: float = 1.0) -> None:
        """Count what came although nothing was left, and will not be sent again: it delays the refill."""
        self._of(gate_id)[kind].insist(count)

    def _of(self, gate_id: str) -> dict[str, Allowance]:
        if gate_id not in self._levels:
            if len(self._levels) >= GATES_LIMIT:
                del self._levels[next(iter(self._levels))]
            now = self._now()
            away_s = self._away_s(gate_id, now)
            self._levels[gate_id] = {kind: Allowance(rate, now, away_s) for kind, rate in self._rates.items()}
        return self._levels[gate_id]

    def _away_s(self, gate_id: str, now: float) -> float:
        return now - self._complete.get(gate_id, now)


class _Flood(msgspec.Struct):
    """`noted`: when it was recorded, None if not yet. `last`: when something was turned away."""

    began: float
    last: float
    turned_away: int = 0
    noted: float | None = None


class GateFloods:
    """Which gates exceed their budgets: recorded for staff when a flood begins, logged when it ends.

    :param what: the kind of message, for the log.
    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, venue: str, what: str, now: Callable[[], float]) -> None:
        self._venue = venue
        self._what = what
        self._now = now
        self._floods: dict[str, _Flood] = {}

    def cut_off(self, gates: Iterable[str]) -> None:
        """Count a flood of gates that are cut off: nobody knows how much they send."""
        for gate_id in gates:
            self.turned_away(gate_id, 0)

    def turned_away(self, gate_id: str, messages: int = 1) -> bool:
        """Count messages of a gate that were turned away. Returns whether a flood began."""
        now = self._now()
        flood = self._floods.get(gate_id)
        is_new = flood is None
        if flood is None:
            if len(self._floods) >= GATES_LIMIT:
                return False
            flood = self._floods[gate_id] = _Flood(began=now, last=now)
        flood.last = now
        flood.turned_away += messages
        return is_new

    def record(self, conn: Connection) -> bool:
        """Record new floods. Returns whether there were any, so that staff can be told.

        :param conn: in autocommit.
        :raises psycopg.Error: the database is away; they are recorded later.
        """
        now = self._now()
        due = [gate_id for gate_id, flood in self._floods.items() if _is_due(flood, now)]
        for gate_id in due:
            conn.execute(
                query("note_flooding"), {"venue": self._venue, "gate_id": gate_id, "again_s": AGAIN_S}
            )
            self._floods[gate_id].noted = now
        for gate_id, flood in list(self._floods.items()):
            if now - flood.last > CALM_S:
                self._end(gate_id, flood)
        return bool(due)

    def _end(self, gate_id: str, flood: _Flood) -> None:
        del self._floods[gate_id]
        _log.info(
            "flood ended",
            kind=self._what,
            gate_id=gate_id,
            turned_away=flood.turned_away,
            seconds=round(flood.last - flood.began),
        )


def _is_due(flood: _Flood, now: float) -> bool:
    return flood.noted is None or (now - flood.noted >= AGAIN_S and now - flood.last < CALM_S)

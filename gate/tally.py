"""What has happened since the door was started, for `status` and for the hub."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from gate.desk import Answered
from gate.passage import Outcome

LAST_DECISIONS = 200


class Tally:
    """Counts. Used from the door's thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.decisions_ms: deque[float] = deque(maxlen=LAST_DECISIONS)

    def scan(self, answered: Answered) -> None:
        """One scan was answered and recorded. Two codes at once are no scan."""
        if answered.record is None:
            return
        self.counts["scans"] += 1
        self.counts["admitted" if answered.verdict.admits else "refused"] += 1
        self.decisions_ms.append(answered.decision_ms)

    def outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Guests walked, or did not."""
        self.counts.update(outcome.record for outcome in outcomes)

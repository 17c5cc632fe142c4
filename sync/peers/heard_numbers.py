"""What was heard of the other gates' journals: the newest numbers without a gap, for each. Pure.

It stands in the record of each first entry (`gate.rules.model.ScanRecord.heard`), so that afterwards anybody
can tell what a gate knew when it admitted (quality 7.1, invariant 7). It may say too little, never too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gate.rules.model import Heard, ScanRecord

MOST_PEERS = 64
"""More gates and numberings than any venue has; of more, those heard last."""
MOST_EPOCHS = 4
"""Numberings of one gate that are remembered: a new card's, and the one before. Of more, those heard last."""
MOST_RUNS = 32
"""Gaps remembered of each, to be closed by what is sent again; of more, those with the highest numbers."""
_LARGEST = 2**63 - 1

Run = tuple[int, int]
"""First and last number of records heard without a gap."""


class HeardNumbers:
    """What was heard of each gate and numbering.

    :param before: what was known before a restart.
    """

    def __init__(self, before: Sequence[Heard] = ()) -> None:
        self._runs: dict[tuple[str, str], tuple[Run, ...]] = {
            (one.gate, one.epoch): ((one.first, one.last),) for one in before[:MOST_PEERS]
        }

    def hear(self, records: Iterable[ScanRecord]) -> None:
        """Records that were read and kept, in whatever order, and however often."""
        for record in records:
            if 0 < record.seq <= _LARGEST:
                peer = (record.gate_id, record.epoch)
                runs = self._runs.pop(peer, ())  # to the end: heard last
                self._runs[peer] = add(runs, record.seq)[-MOST_RUNS:]
                if not runs:
                    self._let_go(record.gate_id)

    def forget(self, gate_id: str) -> None:
        """Not all that was heard of a gate is known any more."""
        for peer in [peer for peer in self._runs if peer[0] == gate_id]:
            del self._runs[peer]

    def _let_go(self, gate_id: str) -> None:
        """Of its own, if one gate has too many numberings; else of what was heard longest ago."""
        its = [peer for peer in self._runs if peer[0] == gate_id]
        if len(its) > MOST_EPOCHS:
            del self._runs[its[0]]
        elif len(self._runs) > MOST_PEERS:
            del self._runs[next(iter(self._runs))]

    def heard(self) -> tuple[Heard, ...]:
        """The newest range of each, by name."""
        return tuple(
            Heard(gate=gate, epoch=epoch, first=runs[-1][0], last=runs[-1][1])
            for (gate, epoch), runs in sorted(self._runs.items())
        )


def add(runs: tuple[Run, ...], seq: int) -> tuple[Run, ...]:
    """Runs with one more number; they are in order, and between two of them something is missing."""
    first = last = seq
    apart: list[Run] = []
    for run in runs:
        if run[1] < seq - 1 or run[0] > seq + 1:
            apart.append(run)
        else:
            first, last = min(first, run[0]), max(last, run[1])
    return tuple(sorted([*apart, (first, last)]))

"""Which records of the other gates' journals were heard: the newest numbers without a gap, for each. Pure.

Each record of a first entry carries them (`gate.rules.model.ScanRecord.heard`), so that it shows afterwards
what the gate knew when it admitted (quality 7.1, invariant 7). They may say too little, never too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gate.rules.model import Heard, ScanRecord

MOST_PEERS = 64
"""Gates and epochs remembered, more than any venue has; of more, those heard last."""
MOST_EPOCHS = 4
"""Epochs of one gate remembered: a new card's and the one before. Of more, those heard last."""
MOST_RUNS = 32
"""Runs remembered per epoch, until resends close the gaps; of more, those with the highest numbers."""
_LARGEST = 2**63 - 1

Run = tuple[int, int]
"""First and last number of records heard without a gap."""


class HeardNumbers:
    """The numbers heard of each gate and epoch.

    :param before: what was known before a restart.
    """

    def __init__(self, before: Sequence[Heard] = ()) -> None:
        self._runs: dict[tuple[str, str], tuple[Run, ...]] = {
            (one.gate, one.epoch): ((one.first, one.last),) for one in before[:MOST_PEERS]
        }

    def hear(self, records: Iterable[ScanRecord]) -> None:
        """Note records that were stored, in any order and repeatedly."""
        for record in records:
            if 0 < record.seq <= _LARGEST:
                peer = (record.gate_id, record.epoch)
                runs = self._runs.pop(peer, ())  # to the end: heard last
                self._runs[peer] = add(runs, record.seq)[-MOST_RUNS:]
                if not runs:
                    self._trim(record.gate_id)

    def forget(self, gate_id: str) -> None:
        """Forget a gate: some of its stored records are gone."""
        for peer in [peer for peer in self._runs if peer[0] == gate_id]:
            del self._runs[peer]

    def _trim(self, gate_id: str) -> None:
        """Forget an epoch: the gate's own if it has too many, else the one heard longest ago."""
        its = [peer for peer in self._runs if peer[0] == gate_id]
        if len(its) > MOST_EPOCHS:
            del self._runs[its[0]]
        elif len(self._runs) > MOST_PEERS:
            del self._runs[next(iter(self._runs))]

    def heard(self) -> tuple[Heard, ...]:
        """The newest run of each, by name."""
        return tuple(
            Heard(gate=gate, epoch=epoch, first=runs[-1][0], last=runs[-1][1])
            for (gate, epoch), runs in sorted(self._runs.items())
        )


def add(runs: tuple[Run, ...], seq: int) -> tuple[Run, ...]:
    """The runs with one more number; they are in order, with a gap between any two."""
    first = last = seq
    apart: list[Run] = []
    for run in runs:
        if run[1] < seq - 1 or run[0] > seq + 1:
            apart.append(run)
        else:
            first, last = min(first, run[0]), max(last, run[1])
    return tuple(sorted([*apart, (first, last)]))

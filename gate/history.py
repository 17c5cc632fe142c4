"""What a gate knows of a ticket's past: cache ⊕ own journal ⊕ the other gates' scans. Pure.

A download can never erase what this gate itself admitted (data model 3.2), because the
three are put together for each scan and none replaces another.
"""

from __future__ import annotations

from collections.abc import Iterable

from gate.model import Admission, Entry, History


def combine(admission: Admission | None, entries: Iterable[Entry]) -> History:
    """The first and the last entry known from anywhere; the gate id breaks a tie.

    :param entries: admissions from the own journal and from peers, in any order, repeats allowed.
    """
    known = list(entries)
    if admission is not None:
        known += [entry for entry in (admission.first_entry, admission.last_entry) if entry is not None]
    if not known:
        return History()
    known.sort(key=lambda entry: (entry.at, entry.gate))
    return History(first=known[0], last=known[-1])

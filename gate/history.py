"""What a gate knows of a ticket's past: cache ⊕ own journal ⊕ the other gates' scans. Pure.

A download can never erase what this gate itself admitted (data model 3.2), because the
three are put together for each scan and none replaces another.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gate.model import Admission, Entry, History, Status


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


def without(admission: Admission | None, annulled: Iterable[Entry]) -> Admission | None:
    """The cache's row less what this gate has annulled since: the hub may not have heard of it yet.

    A row that says "checked in" only because of an annulled admission says nothing any more.

    :param annulled: own admissions that were annulled.
    """
    gone = set(annulled)
    if admission is None or gone.isdisjoint((admission.first_entry, admission.last_entry)):
        return admission
    kept = [
        one for one in (admission.first_entry, admission.last_entry) if one is not None and one not in gone
    ]
    status = admission.status
    if not kept and status is Status.CHECKED_IN:
        status = Status.ISSUED
    return msgspec.structs.replace(
        admission,
        status=status,
        first_entry=kept[0] if kept else None,
        last_entry=kept[-1] if kept else None,
    )

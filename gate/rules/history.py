"""What a gate knows of a ticket's past: cache ⊕ own journal ⊕ the other gates' scans. Pure.

A download can never erase what this gate itself admitted (data model 3.2), because the three are combined
for each scan and none replaces another.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from gate.rules.model import Admission, Entry, History, Status


def _identity(entry: Entry) -> tuple[str | datetime, str]:
    """What identifies an admission: not its time, which the hub may correct (`gate.rules.model.Entry`).

    Scan ids are unique per gate only: the same id at another gate is another admission.
    """
    return entry.scan or entry.at, entry.gate


def is_same(one: Entry, other: Entry) -> bool:
    """Whether two sources mean the same admission: by its record's id where both know it."""
    if one.scan and other.scan:
        return (one.scan, one.gate) == (other.scan, other.gate)
    return (one.at, one.gate) == (other.at, other.gate)


def entries_of(admission: Admission | None) -> list[Entry]:
    """The entries in a row of the cache: the first and the last."""
    if admission is None:
        return []
    return [entry for entry in (admission.first_entry, admission.last_entry) if entry is not None]


def combine(admission: Admission | None, entries: Iterable[Entry]) -> History:
    """The first and the last entry known from any source; the gate id breaks a tie.

    For the same admission the hub's time counts, because the hub may know that boot's clock by now.

    :param entries: admissions from the own journal and from peers, in any order, maybe repeated.
    """
    every = {_identity(entry): entry for entry in (*entries, *entries_of(admission))}
    if not every:
        return History()
    known = sorted(every.values(), key=lambda entry: (entry.at, entry.gate))
    return History(first=known[0], last=known[-1])


def without_annulled(admission: Admission | None, annulled: Iterable[Entry]) -> Admission | None:
    """The cache's row without admissions annulled since, of which the hub may not have heard yet.

    A row that says "checked in" only because of an annulled admission counts as "issued".

    :param annulled: admissions that their own gate, this or another, has annulled.
    """
    gone = list(annulled)
    if admission is None or not gone:
        return admission
    known = entries_of(admission)
    kept = [one for one in known if not any(is_same(one, other) for other in gone)]
    if len(kept) == len(known):
        return admission
    status = admission.status
    if not kept and status is Status.CHECKED_IN:
        status = Status.ISSUED
    return msgspec.structs.replace(
        admission,
        status=status,
        first_entry=kept[0] if kept else None,
        last_entry=kept[-1] if kept else None,
    )

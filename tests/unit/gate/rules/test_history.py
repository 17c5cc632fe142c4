"""Two sources mean the same admission only if both its gate and its scan id agree (protocol 4.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gate.rules.history import combine, is_same, without_annulled
from gate.rules.model import Entry

AT = datetime(2026, 1, 30, 23, tzinfo=UTC)
MINE = Entry(at=AT, gate="gate-3", scan="one")
STOLEN = Entry(at=AT + timedelta(hours=1), gate="a-thief", scan="one")


def test_another_gates_entry_with_the_same_id_is_another_entry() -> None:
    assert not is_same(MINE, STOLEN)
    for entries in ([MINE, STOLEN], [STOLEN, MINE]):
        history = combine(None, entries)
        assert (history.first, history.last) == (MINE, STOLEN)


def test_an_entry_with_the_hubs_corrected_time_is_the_same_entry() -> None:
    moved = Entry(at=AT + timedelta(seconds=5), gate="gate-3", scan="one")
    assert is_same(MINE, moved)
    assert combine(None, [MINE, moved]).first == moved
    assert without_annulled(None, [MINE]) is None

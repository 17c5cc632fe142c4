"""Changes arrive in any order and any number of times; the cache ends where the feed does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gate.rules.model import Status
from sync.cache.versions import plan
from sync.wire.messages import Change
from tests.factories import an_admission


def feed(length: int) -> list[Change]:
    statuses = list(Status)
    return [
        Change(version=version, row=an_admission(status=statuses[version % len(statuses)]))
        for version in range(1, length + 1)
    ]


@given(st.integers(1, 30), st.data())
def test_any_delivery_ends_at_the_newest_version_in_order(length: int, data: st.DataObject) -> None:
    changes = feed(length)
    deliveries = data.draw(st.lists(st.lists(st.sampled_from(changes), max_size=8), max_size=12))
    held, applied = 0, list[int]()
    for delivered in [*deliveries, changes]:
        step = plan(held, delivered)
        applied += [change.version for change in step.apply]
        held = applied[-1] if applied else 0
        assert applied == list(range(1, held + 1))
        assert step.gap == any(change.version > held for change in delivered)
    assert held == length


def test_an_event_that_was_never_fetched_is_fetched_not_patched() -> None:
    assert plan(None, feed(3)).apply == ()
    assert plan(None, feed(3)).gap


def test_known_changes_are_no_gap() -> None:
    assert plan(3, feed(3)) == plan(3, [])

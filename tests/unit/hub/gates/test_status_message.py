"""A gate's status: which messages are refused, and which of two is the newer."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gates.status_message import KnownStatus, decode_status, is_older
from sync.wire.messages import STATUS_BYTES, GateStatus, HeldNight, WireError, encode

NIGHT = str(uuid.UUID(int=7))
NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)


def said(**changes: Any) -> GateStatus:
    base = GateStatus(gate_id="gate-1", online=True, at=NOON, boot_id="b1", monotonic_ms=1000, clock="synced")
    return msgspec.structs.replace(base, **changes)


kept = KnownStatus.from_status

statuses = st.builds(
    said,
    boot_id=st.sampled_from(["", "b1", "b2"]),
    monotonic_ms=st.none() | st.integers(0, 5),
    clock=st.sampled_from(["synced", "untrusted"]),
    at=st.none() | st.integers(-5, 5).map(lambda s: NOON + timedelta(seconds=s)),
)


def test_a_gate_reported_as_flooding_must_have_a_valid_id() -> None:
    assert decode_status(encode(said(flooding=("gate-2",))), "gate-1").flooding == ("gate-2",)
    with pytest.raises(WireError, match="flooding"):
        decode_status(encode(said(flooding=("gate-2", "x" * 65))), "gate-1")


@given(statuses, statuses)
def test_of_two_statuses_at_most_one_is_the_older(one: GateStatus, other: GateStatus) -> None:
    is_same = (one.boot_id, one.monotonic_ms) == (other.boot_id, other.monotonic_ms)
    assert is_same or not (is_older(one, kept(other)) and is_older(other, kept(one)))


@given(st.lists(st.integers(0, 50), min_size=1), st.randoms())
def test_within_a_boot_the_latest_wins_in_any_order_and_with_repeats(times: list[int], order: Any) -> None:
    order.shuffle(times)
    newest: KnownStatus | None = None
    for time in times + times:
        # the wall clock may jump
        status = said(monotonic_ms=time, at=NOON - timedelta(hours=time))
        if not is_older(status, newest):
            newest = kept(status)
    assert newest is not None
    assert newest.monotonic_ms == max(times)


def test_the_same_status_again_is_not_newer() -> None:
    assert is_older(said(), kept(said()))


def test_across_boots_confirmed_clocks_decide() -> None:
    assert is_older(said(boot_id="b0", at=NOON - timedelta(seconds=1)), kept(said()))
    assert not is_older(said(boot_id="b2", at=NOON + timedelta(seconds=1)), kept(said()))


def test_a_time_in_the_future_makes_no_other_status_older() -> None:
    ahead = kept(said(boot_id="b0", at=NOON + timedelta(hours=1)))
    assert is_older(said(), ahead, NOON + timedelta(hours=2))
    assert not is_older(said(), ahead, NOON + timedelta(seconds=1))


@pytest.mark.parametrize("clock", ["synced", "untrusted"])
def test_an_unconfirmed_clock_makes_no_status_old(clock: Literal["synced", "untrusted"]) -> None:
    """A gate without a clock chip starts in 1970, yet its status is the newer one."""
    of_1970 = said(boot_id="b2", at=datetime(1970, 1, 1, tzinfo=UTC), clock="untrusted")
    assert not is_older(of_1970, kept(said(clock=clock)))


def test_any_status_is_newer_than_none() -> None:
    assert not is_older(said(monotonic_ms=None), None)


def test_a_valid_status_is_read_unchanged() -> None:
    status = said(
        held=(HeldNight(event_id=NIGHT, version=3, generation=1, count=2, digest="00"),), parts={"a": "ok"}
    )
    assert decode_status(encode(status), "gate-1") == status


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gate_id": "gate-2"}, "status of gate 'gate-2' on the topic of 'gate-1'"),
        ({"v": 2}, "schema version 2"),
        ({"version": "x" * 501}, "version: longer"),
        ({"way": "open\0"}, "NUL"),
        ({"parts": {"camera": "\0"}}, "NUL"),
        ({"last_seq": 2**60}, "last_seq"),
        ({"monotonic_ms": -(2**60)}, "monotonic_ms"),
        ({"counters": {str(n): n for n in range(65)}}, "counters: more"),
        ({"at": datetime(2200, 1, 1, tzinfo=UTC)}, "at:"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - the naive time is what is refused
        ({"event_id": "tonight"}, "event_id"),
        ({"held": (HeldNight(event_id="x", version=1, generation=1, count=1, digest=""),)}, "event_id"),
        ({"held": (HeldNight(event_id=NIGHT, version=2**60, generation=1, count=1, digest=""),)}, "held"),
        ({"held": (HeldNight(event_id=NIGHT, version=1, generation=1, count=2**62, digest=""),)}, "held"),
        ({"held": (HeldNight(event_id=NIGHT, version=1, generation=1, count=1, digest=""),) * 2}, "twice"),
        ({"parts": {"camera": "x" * STATUS_BYTES}}, "more than"),
        ({"parts": {"camera": "x" * 501}}, "parts: longer than 500"),
    ],
)
def test_a_status_the_database_could_not_store_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(WireError, match=why):
        decode_status(encode(said(**changes)), "gate-1")


@given(st.binary(max_size=300))
def test_noise_is_refused_and_raises_nothing_else(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_status(payload, "gate-1")

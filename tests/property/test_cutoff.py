"""Only a gate that sends more than any door can is cut off, and only for a while (protocol 4.5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.wire.cutoff import (
    BYTES,
    KEPT_TO_IT_MS,
    MESSAGES,
    MOST_SENDERS,
    PAUSE_MS,
    Cutoff,
    filter_change,
    filters_by_name,
    gate_in,
)
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.factories import a_record

TOPICS = Topics(venue="maguey")
BATCH = len(encode_scans([a_record(n) for n in range(1, 51)]))
GATES = st.sampled_from(("gate-1", "gate-2", "gate-3", "gate-4"))
SHORTEST, LONGEST = PAUSE_MS

Traffic = list[tuple[str, int, int, int]]
TRAFFIC: st.SearchStrategy[Traffic] = st.lists(
    st.tuples(GATES, st.integers(1, 4_000), st.integers(0, 8 << 20), st.integers(0, 20_000)), max_size=60
)
"""Gate, messages, bytes, and after how many milliseconds."""


@given(TRAFFIC)
def test_a_gate_within_its_budget_is_never_cut_off_whatever_the_others_do(traffic: Traffic) -> None:
    cutoff, now = Cutoff(), 0
    for gate, messages, size, wait in traffic:
        now += wait
        cutoff.arrived(gate, messages, size, now)
        span = min(wait, 10_000)
        spent = int(span * MESSAGES.per_s / 1000), int(span * BYTES.per_s / 1000)
        assert not cutoff.arrived("honest", *spent, now)
        assert "honest" not in cutoff.cut_off(now)


@given(TRAFFIC, GATES)
def test_a_gate_is_judged_only_by_what_it_sends_itself(traffic: Traffic, gate: str) -> None:
    beside, alone, now = Cutoff(), Cutoff(), 0
    for sender, messages, size, wait in traffic:
        now += wait
        beside.arrived(sender, messages, size, now)
        if sender == gate:
            alone.arrived(sender, messages, size, now)
        assert (gate in beside.cut_off(now)) == (gate in alone.cut_off(now))


@given(TRAFFIC)
def test_what_is_taken_from_a_gate_is_bounded_at_any_time_and_every_pause_ends(traffic: Traffic) -> None:
    cutoff, now = Cutoff(), 0
    taken = dict[str, int]()
    for gate, messages, size, wait in traffic:
        now += wait
        if gate not in cutoff.cut_off(now) and not cutoff.arrived(gate, messages, size, now):
            taken[gate] = taken.get(gate, 0) + messages
            assert taken[gate] <= MESSAGES.at_once + MESSAGES.per_s * (now / 1000)
    assert not cutoff.cut_off(now + LONGEST)


@given(st.integers(0, 20_000))
def test_pauses_grow_to_a_maximum_and_start_over_after_good_conduct(quiet_ms: int) -> None:
    cutoff, now, pauses = Cutoff(), 0, []
    for _ in range(8):
        assert cutoff.arrived("gate-3", 10 * MESSAGES.at_once, 0, now)
        begun = now
        while "gate-3" in cutoff.cut_off(now):
            now += 1_000
        pauses.append(now - begun)
        now += quiet_ms
    assert pauses == [min(SHORTEST * 2**n, LONGEST) for n in range(8)]
    now += KEPT_TO_IT_MS + 1_000
    assert cutoff.arrived("gate-3", 10 * MESSAGES.at_once, 0, now)
    assert "gate-3" not in cutoff.cut_off(now + SHORTEST)


def test_a_gate_that_is_listened_to_again_may_send_its_backlog() -> None:
    cutoff = Cutoff()
    assert cutoff.arrived("gate-3", 10 * MESSAGES.at_once, 0, 0)
    # 50,000 records, a window of 20 batches ten times a second
    assert not any(cutoff.arrived("gate-3", 20, 20 * BATCH, SHORTEST + 100 * n) for n in range(50))


def test_no_normal_night_of_a_door_is_cut_off() -> None:
    cutoff = Cutoff()
    # a journal of 100,000 records in batches of 50, all at once
    assert not cutoff.arrived("gate-1", 2_000, 2_000 * BATCH, 0)
    # then the line breaks off ten times: a status and the whole window again, each time
    for n in range(10):
        assert not cutoff.arrived("gate-1", 21, 21 * BATCH, 1_000 + n * 250)
    for second in range(
        5, 8 * 3600
    ):  # two guests a second: a claim, a scan, a passage each; probes, statuses
        assert not cutoff.arrived("gate-1", 10, 10_000, second * 1_000)
    assert cutoff.cut_off(8 * 3600 * 1_000) == frozenset()
    assert BYTES.at_once > 2_000 * BATCH


def test_of_a_flood_of_small_messages_less_than_a_second_is_taken() -> None:
    cutoff, taken = Cutoff(), 0
    for ms in range(0, 60_000, 10):  # 6,000 a second for a minute
        if "gate-3" not in cutoff.cut_off(ms):
            taken += 60
            cutoff.arrived("gate-3", 60, 60, ms)
    assert taken < 6_000


def test_when_too_many_senders_are_remembered_the_first_is_forgotten() -> None:
    cutoff = Cutoff()
    for n in range(3 * MOST_SENDERS):
        cutoff.arrived(f"gate-{n}", 1, 1, n)
    assert len(cutoff.heard()) == MOST_SENDERS


# --- the filters during a cutoff ---


@given(st.sets(GATES), st.sets(GATES))
def test_every_gate_is_heard_by_name_except_those_cut_off(gates: set[str], cut_off: set[str]) -> None:
    wide = TOPICS.subscriptions("gate-9")
    filters = filters_by_name(wide, gates, cut_off)
    if not cut_off:
        assert filters == tuple(wide)
        return
    everybodys = {TOPICS.scans(), TOPICS.status()}
    assert set(filters) == {one for one in wide if one not in everybodys} | {
        topic for gate in gates - cut_off for topic in (TOPICS.scans(gate), TOPICS.status(gate))
    }


@given(st.sets(GATES), st.sets(GATES), st.sets(GATES))
def test_a_change_leads_from_any_filters_to_any_others(
    gates: set[str], before: set[str], after: set[str]
) -> None:
    wide = (TOPICS.claims(), TOPICS.status())
    held, wanted = filters_by_name(wide, gates, before), filters_by_name(wide, gates, after)
    told = filter_change(held, wanted)
    assert (set(held) | set(told.subscribe)) - set(told.unsubscribe) == set(wanted)
    assert not set(told.subscribe) & set(told.unsubscribe)


@given(
    st.text(max_size=80) | st.builds(lambda g, leaf: f"maguey/v1/m/gates/{g}/{leaf}", st.text(), st.text())
)
def test_a_gate_id_read_from_a_topic_never_widens_a_filter(topic: str) -> None:
    gate = gate_in(topic)
    assert not {"+", "#", "/"} & set(gate)
    if gate:
        assert topic.split("/")[3:5] == ["gates", gate]


def test_a_gates_own_topics_name_it_and_no_others_name_any_gate() -> None:
    for leaf in ("scans", "status", "claims", "replies"):
        assert gate_in(f"maguey/v1/maguey/gates/gate-1/{leaf}") == "gate-1"
    for topic in (TOPICS.alerts(), TOPICS.head("e"), "maguey", "", "$SYS/broker/clients/total"):
        assert gate_in(topic) == ""

"""Which connections of the web side are dropped: never a gate's for a stranger's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.web.connection_slots import ConnectionOwner, ConnectionSlots

MOST, OF_ADDRESS, OF_GATE = 8, 3, 2
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("came"), st.sampled_from(["address", "proxy"]), st.integers(0, 5)),
        st.tuples(st.just("showed"), st.integers(0, 30), st.integers(0, 3)),
        st.tuples(st.just("left"), st.integers(0, 30), st.just(0)),
    ),
    max_size=80,
)


@given(EVENTS)
def test_connections_are_bounded_and_no_stranger_displaces_a_gate(
    events: list[tuple[str, str | int, int]],
) -> None:
    lines: ConnectionSlots[int] = ConnectionSlots(MOST, OF_ADDRESS, OF_GATE)
    there: dict[int, ConnectionOwner] = {}
    for number, (what, which, name) in enumerate(events):
        gone: int | None = None
        if what == "came":
            there[number] = ConnectionOwner(str(which), str(name))
            gone = lines.add(number, there[number])
            assert gone is None or there[gone].kind != "gate"
        elif what == "showed" and which in there:
            owner = ConnectionOwner("gate", str(name))
            there[int(which)] = owner
            gone = lines.identify(int(which), str(name))
            assert gone is None or there[gone] == owner
        elif what == "left":
            lines.remove(int(which))
            there.pop(int(which), None)
        if gone is not None:
            del there[gone]
        assert lines._owners == there
        assert len(lines) == len(there) <= MOST
        for owner in there.values():
            same = sum(other == owner for other in there.values())
            assert same <= {"address": OF_ADDRESS, "gate": OF_GATE, "proxy": MOST}[owner.kind]


def test_the_oldest_connection_of_the_greediest_address_is_dropped_first() -> None:
    lines: ConnectionSlots[str] = ConnectionSlots(most=4, most_of_address=3)
    mine, theirs = ConnectionOwner("address", "mine"), ConnectionOwner("address", "theirs")
    assert lines.add("mine", mine) is None
    for number in range(3):
        assert lines.add(f"theirs {number}", theirs) is None
    assert lines.add("theirs 3", theirs) == "theirs 0"
    assert lines.add("another", ConnectionOwner("address", "another")) == "theirs 1"
    assert lines._owners["mine"] == mine


def test_a_stranger_gets_no_slot_when_gates_have_them_all() -> None:
    lines: ConnectionSlots[str] = ConnectionSlots(most=2)
    for gate in ("gate-1", "gate-2"):
        lines.add(gate, ConnectionOwner("address", gate))
        lines.identify(gate, gate)
    assert lines.add("stranger", ConnectionOwner("address", "s")) == "stranger"
    assert lines.identify("stranger", "gate-3") is None  # it was being dropped when it identified itself
    assert len(lines) == 2

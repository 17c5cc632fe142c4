"""When a relay should be open, as pure states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardware.pins import relay_duty as duty
from hardware.pins.relay_duty import GAP_S, RelayDuty

PULSE_S = 0.5


def test_a_pulses_time_begins_when_the_relay_has_opened() -> None:
    asked = duty.one_pulse_more(RelayDuty())
    assert asked.wants_open(10.0)
    running = duty.opened(asked, 12.0, PULSE_S)
    assert running.wants_open(12.4)
    assert running.next_s(12.25) == 0.25
    assert not running.wants_open(12.5)


def test_the_next_pulse_waits_for_the_gap() -> None:
    running = duty.one_pulse_more(duty.opened(duty.one_pulse_more(RelayDuty()), 0.0, PULSE_S))
    locked = duty.closed(running, 0.5)
    assert not locked.wants_open(0.5 + GAP_S - 0.01)
    assert locked.wants_open(0.5 + GAP_S)


def test_a_release_while_held_open_gives_no_pulse_then_or_later() -> None:
    held = duty.held(duty.one_pulse_more(RelayDuty()))
    assert duty.one_pulse_more(held).owed == 0
    assert held.wants_open(1e9)
    assert held.next_s(0.0) is None
    assert not duty.closed(duty.locked(duty.one_pulse_more(held)), 5.0).wants_open(1e9)


def test_a_dropped_pulse_ends_as_soon_as_the_relay_opens() -> None:
    given_up = duty.dropped(duty.one_pulse_more(RelayDuty()))
    assert not duty.opened(given_up, 3.0, PULSE_S).wants_open(3.0)


def test_a_failed_relay_forgets_its_pulses_but_not_that_it_is_held_open() -> None:
    assert not duty.failed(duty.one_pulse_more(RelayDuty())).wants_open(1.0)
    assert duty.failed(duty.held(RelayDuty())).wants_open(1.0)


def test_a_running_pulse_ends_soon_when_the_gate_stops() -> None:
    running = duty.one_pulse_more(duty.opened(duty.one_pulse_more(RelayDuty()), 0.0, 60.0))
    ending = duty.ending(running, 1.0, 1.5)
    assert ending.wants_open(2.4)
    assert not ending.wants_open(2.5)
    assert not duty.ending(duty.held(running), 1.0, 1.5).wants_open(1.0)


@given(st.lists(st.sampled_from(["release", "hold", "rest", "fail"]), max_size=30), st.data())
def test_there_are_never_more_pulses_than_releases(asked: list[str], data: st.DataObject) -> None:
    """The relay opens or closes as wanted, after any delay."""
    state, now, is_open, pulses = RelayDuty(), 0.0, False, 0
    for what in [*asked, *["wait"] * 8]:
        if what == "release":
            state = duty.one_pulse_more(state)
        elif what == "hold":
            state = duty.held(state)
        elif what == "rest":
            state = duty.locked(state)
        elif what == "fail":
            state = duty.failed(state)
        now += data.draw(st.floats(0.0, 1.0))
        wanted = state.wants_open(now)
        if wanted and not is_open:
            pulses += not state.is_held
            state = duty.opened(state, now, PULSE_S)
        elif is_open and not wanted:
            state = duty.closed(state, now)
        is_open = wanted
    assert pulses <= asked.count("release")

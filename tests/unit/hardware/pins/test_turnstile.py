"""The relay, checked by its pin's states and their times, as gpiozero's own tests do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory
from structlog.testing import capture_logs

from gate.common.errors import HardwareError, Step
from hardware.pins import turnstile
from hardware.pins.relay_duty import GAP_S, RelayDuty
from hardware.pins.turnstile import NoTurnstile, RelayTurnstile, make_turnstile
from tests.patience import PATIENCE_S, until
from tests.unit.hardware.watched_pins import WatchedPin, levels

PULSE_S = 0.05
SOON_S = 1.0
"""The time to answer in tests of a driver that never does: any thread is scheduled within it."""
FAIL_SAFE = "fail_safe"


@pytest.fixture
def factory() -> Iterator[Any]:
    factory = MockFactory(pin_class=WatchedPin)
    yield factory
    factory.reset()


def _relay(factory: Any, **settings: Any) -> RelayTurnstile:
    return RelayTurnstile(17, pulse_s=PULSE_S, factory=factory, **settings)


def test_there_is_no_pulse_at_boot(factory: Any) -> None:
    relay = _relay(factory)
    assert levels(factory.pin(17)) == [False]
    relay.close()
    assert levels(factory.pin(17)) == [False]


def test_one_release_is_one_pulse_of_the_set_length(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    assert levels(pin) == [False, True]
    pin.wait_for(lambda seen: len(seen) == 3)
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= PULSE_S
    relay.close()


def test_each_admission_is_a_pulse_of_its_own_with_a_gap_in_between(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    relay.release()
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 7)
    assert levels(pin) == [False, True, False, True, False, True, False]
    rests = [pin.states[index].timestamp for index in (3, 5)]
    assert min(rests) >= GAP_S
    relay.close()


def test_a_release_in_the_gap_after_a_pulse_waits_for_the_gaps_end(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 3)
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 5)
    assert pin.states[3].timestamp >= GAP_S
    relay.close()


def test_closing_lets_a_running_pulse_end_and_drops_those_not_begun(factory: Any) -> None:
    relay = RelayTurnstile(17, pulse_s=0.3, factory=factory)
    pin = factory.pin(17)
    relay.release()
    relay.release()
    relay.close()
    relay.close()
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= 0.3
    assert pin.function == "input"


def test_closing_cuts_a_pulse_that_lasts_too_long(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "LAST_PULSE_S", 0.05)
    relay = RelayTurnstile(17, pulse_s=60, factory=factory)
    pin = factory.pin(17)
    relay.release()
    relay.close()
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= 0.05
    assert pin.function == "input"


def test_a_relay_that_cannot_be_switched_off_is_one_outage_and_can_be_closed(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    with capture_logs() as logs:
        pin.stays_on = True
        relay.release()
        pin.wait_for_refusals(5)
        trouble = relay.trouble()
        with pytest.raises(HardwareError, match="cannot be switched"):
            relay.release()
        relay.close()
        refused = pin.refused
        with pytest.raises(HardwareError, match="switched off"):
            relay.release()
    assert trouble is not None
    assert trouble.part == "turnstile"
    assert [line["event"] for line in logs] == ["relay failed"]
    assert levels(pin) == [False, True]
    assert pin.refused == refused
    assert pin.function == "input", "released, or it could not be made again"


def test_a_stuck_relay_is_switched_off_once_it_works_and_its_outage_ends(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay = RelayTurnstile(17, pulse_s=0.5, factory=factory)
    pin = factory.pin(17)
    with capture_logs() as logs:
        pin.stays_on = True
        relay.release()
        relay.release()
        pin.wait_for_refusals(2)
        pin.stays_on = False
        pin.wait_for(lambda seen: len(seen) == 3)
        until(lambda: relay.trouble() is None)
        relay.release()
        pin.wait_for(lambda seen: len(seen) == 5)
        relay.close()
    assert levels(pin) == [False, True, False, True, False], "pulses not begun before it broke are dropped"
    assert pin.states[3].timestamp >= GAP_S
    assert [line["event"] for line in logs] == [
        "relay failed",
        "relay recovered",
    ]


def test_pulses_not_begun_before_the_relay_broke_are_lost_and_reported_once(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    pin.stays_on = True
    for _ in range(3):
        relay.release()
    pin.wait_for_refusals(1)
    until(lambda: relay.trouble() is not None)
    assert relay.lost() == 2
    assert relay.lost() == 0
    relay.close()
    assert relay.lost() == 0


def test_a_queued_pulse_that_cannot_begin_is_lost(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    relay.release()
    pin.wait_for(lambda seen: seen == [False, True, False])
    pin.refuses = True
    until(lambda: relay.trouble() is not None)
    assert relay.lost() == 1
    pin.refuses = False
    relay.close()
    assert levels(pin) == [False, True, False]


def test_pulses_dropped_by_closing_are_lost(factory: Any) -> None:
    relay = _relay(factory)
    for _ in range(3):
        relay.release()
    relay.close()
    assert relay.lost() == 2
    relay.close()
    assert relay.lost() == 0


def test_pulses_taken_over_by_holding_open_are_not_lost(factory: Any) -> None:
    relay = _relay(factory)
    for _ in range(3):
        relay.release()
    relay.hold_open()
    relay.release()
    relay.rest()
    relay.close()
    assert relay.lost() == 0


def test_a_release_that_raised_is_not_also_counted_as_lost(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "ANSWER_S", SOON_S)
    relay, pin = _relay(factory), factory.pin(17)
    pin.answers.clear()
    with pytest.raises(HardwareError, match="does not answer"):
        relay.release()
    pin.refuses = True
    pin.answers.set()
    until(lambda: (trouble := relay.trouble()) is not None and "switched" in str(trouble))
    with pytest.raises(HardwareError, match="cannot be switched"):
        relay.release()
    relay.close()
    with pytest.raises(HardwareError, match="switched off"):
        relay.release()
    assert relay.lost() == 0


def test_two_releases_on_a_failing_relay_each_raise_or_are_lost_but_not_both(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    pin.answers.clear()
    raised: list[HardwareError] = []

    def ask() -> None:
        try:
            relay.release()
        except HardwareError as error:
            raised.append(error)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    until(lambda: relay._duty.owed == 2)
    pin.refuses = True
    pin.answers.set()
    for thread in asking:
        thread.join(PATIENCE_S)
    assert len(raised) + relay.lost() == 2
    pin.refuses = False
    relay.close()


def test_a_given_pulse_is_no_error_however_soon_the_relay_breaks(factory: Any) -> None:
    for number in range(2, 22):
        relay = RelayTurnstile(number, pulse_s=0, factory=factory)
        factory.pin(number).stays_on = True
        relay.release()
        factory.pin(number).wait_for_refusals(1)
        factory.pin(number).stays_on = False
        relay.close()
        assert relay.lost() == 0


def _promised_and_not_begun(relay: RelayTurnstile) -> None:
    """As at the end of a gap, before the relay's thread has woken."""
    relay._duty = RelayDuty(owed=1)


def test_a_release_does_not_wait_for_the_end_of_earlier_pulses(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "ANSWER_S", 10 * PATIENCE_S)
    monkeypatch.setattr(turnstile, "LAST_PULSE_S", 0.01)
    relay, pin = RelayTurnstile(17, pulse_s=3600, factory=factory), factory.pin(17)

    def ask() -> None:
        with relay._changed:
            _promised_and_not_begun(relay)
            relay.release()

    door = threading.Thread(target=ask, daemon=True)
    door.start()
    door.join(PATIENCE_S)
    assert not door.is_alive()
    assert levels(pin) == [False, True]
    relay.close()
    assert relay.lost() == 1


def test_the_queued_pulse_before_a_release_that_raised_is_lost_every_time(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    for _ in range(2):
        with relay._changed:
            _promised_and_not_begun(relay)
            pin.refuses = True
            with pytest.raises(HardwareError, match="cannot be switched"):
                relay.release()
        assert relay.lost() == 1
        pin.refuses = False
        until(lambda: relay.trouble() is None)
    relay.close()
    assert levels(pin) == [False]


def test_a_release_while_the_driver_is_stuck_in_locking_is_lost(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "ANSWER_S", SOON_S)
    relay, pin = _relay(factory), factory.pin(17)
    relay.hold_open()
    pin.answers.clear()
    raised: list[HardwareError] = []

    def lock() -> None:
        with pytest.raises(HardwareError, match="does not answer") as broken:
            relay.rest()
        raised.append(broken.value)

    locking = threading.Thread(target=lock)
    locking.start()
    until(lambda: relay._busy_since is not None)
    relay.release()
    locking.join(PATIENCE_S)
    assert len(raised) == relay.lost() == 1
    pin.answers.set()
    relay.close()
    assert levels(pin) == [False, True, False]


def _stuck_in_a_pulse(relay: RelayTurnstile, pin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a pulse whose end hangs in the driver."""
    pin.still_opens = True
    pin.answers.clear()
    relay.release()
    monkeypatch.setattr(turnstile, "ANSWER_S", 0.01)
    until(lambda: relay.trouble() is not None)


def test_closing_does_not_wait_for_a_driver_that_does_not_answer(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "CLOSE_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    _stuck_in_a_pulse(relay, pin, monkeypatch)
    with capture_logs() as logs:
        relay.close()
    assert [line["event"] for line in logs] == ["relay stuck in its driver"]
    with pytest.raises(HardwareError, match="switched off"):
        relay.release()
    pin.answers.set()
    pin.wait_for(lambda seen: len(seen) == 3)


def test_a_driver_that_does_not_answer_is_trouble_and_blocks_nobody(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    _stuck_in_a_pulse(relay, pin, monkeypatch)
    for ask in (relay.release, relay.hold_open):
        with pytest.raises(HardwareError, match="does not answer") as broken:
            ask()
        assert broken.value.step is Step.TURNSTILE_WIRING
    pin.answers.set()
    pin.wait_for(lambda seen: len(seen) >= 4)
    assert levels(pin) == [False, True, False, True], "the alarm was not forgotten"
    relay.close()


def test_a_release_that_timed_out_gives_no_full_pulse_later(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "ANSWER_S", SOON_S)
    relay = RelayTurnstile(17, pulse_s=60, factory=factory)
    pin = factory.pin(17)
    pin.answers.clear()
    with pytest.raises(HardwareError, match="does not answer"):
        relay.release()
    pin.answers.set()
    until(lambda: levels(pin) == [False, True, False])
    relay.close()
    assert levels(pin) == [False, True, False]


def test_the_relay_beats_while_idle_and_not_while_it_is_stuck(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "BEAT_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    before = relay.beats()
    until(lambda: relay.beats() > before + 3)
    _stuck_in_a_pulse(relay, pin, monkeypatch)
    stuck = relay.beats()
    assert not threading.Event().wait(0.1)  # ten beats of a running loop
    assert relay.beats() == stuck
    pin.answers.set()
    until(lambda: relay.beats() > stuck)
    relay.close()


def test_an_idle_relays_loop_runs_every_half_second_and_does_not_spin(factory: Any) -> None:
    relay = _relay(factory)
    assert turnstile.BEAT_S <= 0.5
    before = relay.beats()
    until(lambda: relay.beats() > before)
    assert relay.beats() < 100
    relay.close()


def test_the_relay_is_held_open_until_rest_whatever_is_released_in_between(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.hold_open()
    relay.hold_open()
    relay.release()
    relay.release()
    assert levels(pin) == [False, True]
    relay.rest()
    assert levels(pin) == [False, True, False]
    relay.rest()
    relay.close()
    assert levels(pin) == [False, True, False]


def test_the_fire_alarm_takes_over_a_running_pulse_without_an_edge(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    relay.release()
    alarm = threading.Thread(target=relay.hold_open)
    alarm.start()
    alarm.join(PATIENCE_S)
    beats = relay.beats()
    until(lambda: relay.beats() > beats + 1)  # longer than the pulse would have lasted
    assert levels(pin) == [False, True]
    relay.rest()
    assert levels(pin) == [False, True, False], "the pulse that was owed is not given after the alarm"
    relay.close()


def test_the_fire_alarm_opens_while_the_door_waits_for_the_relay(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "ANSWER_S", PATIENCE_S)
    relay, pin = _relay(factory), factory.pin(17)
    pin.answers.clear()
    door = threading.Thread(target=relay.release)
    door.start()
    until(lambda: relay._busy_since is not None)
    alarm = threading.Thread(target=relay.hold_open)
    alarm.start()
    until(lambda: relay._duty.is_held)
    pin.answers.set()
    alarm.join(PATIENCE_S)
    door.join(PATIENCE_S)
    assert not alarm.is_alive()
    assert not door.is_alive()
    assert levels(pin) == [False, True]
    relay.close()


def test_the_fire_alarm_opens_a_broken_relay_as_soon_as_it_works(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    pin.refuses = True
    with pytest.raises(HardwareError, match="cannot be switched"):
        relay.hold_open()
    pin.wait_for_refusals(5)
    with pytest.raises(HardwareError, match="cannot be switched"):
        relay.release()
    pin.refuses = False
    pin.wait_for(lambda seen: seen == [False, True])
    until(lambda: relay.trouble() is None)
    relay.rest()
    relay.close()
    assert levels(pin) == [False, True, False]


def test_an_alarm_does_not_wait_for_the_next_retry_of_a_broken_relay(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 3600.0)
    relay, pin = _relay(factory), factory.pin(17)
    pin.refuses = True
    with pytest.raises(HardwareError):
        relay.release()
    pin.refuses = False
    relay.hold_open()
    assert levels(pin) == [False, True]
    assert relay.trouble() is None
    relay.close()


def test_rest_does_not_cut_a_running_pulse(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    relay.rest()
    assert levels(pin) == [False, True]
    pin.wait_for(lambda seen: len(seen) == 3)
    assert pin.states[2].timestamp >= PULSE_S
    relay.close()


@pytest.mark.parametrize("held", [False, True])
def test_closing_locks_a_relay_that_was_held_open(factory: Any, held: bool) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    if held:
        relay.hold_open()
    relay.close()
    assert levels(pin)[-1] is False
    assert levels(pin).count(True) == held
    for ask in (relay.hold_open, relay.rest):
        with pytest.raises(HardwareError, match="switched off"):
            ask()


def test_a_fail_safe_relay_is_locked_energised_and_opens_de_energised(factory: Any) -> None:
    relay, pin = _relay(factory, on_power_loss=FAIL_SAFE), factory.pin(17)
    assert levels(pin) == [False, True], "the pin of an unpowered board is low"
    relay.release()
    assert levels(pin) == [False, True, False]
    pin.wait_for(lambda seen: len(seen) == 4)
    assert pin.states[3].timestamp >= PULSE_S
    relay.hold_open()
    assert levels(pin)[-1] is False
    relay.rest()
    assert levels(pin)[-1] is True
    relay.close()


@pytest.mark.parametrize("active_high", [True, False])
def test_a_fail_safe_relay_stays_locked_across_stop_and_start(factory: Any, active_high: bool) -> None:
    relay = _relay(factory, on_power_loss=FAIL_SAFE, active_high=active_high)
    pin = factory.pin(17)
    locked = levels(pin)
    assert locked[-1] is active_high
    relay.close()
    assert pin.function == "output", "as an input its resistor would open the turnstile"
    again = _relay(factory, on_power_loss=FAIL_SAFE, active_high=active_high)
    again.close()
    assert levels(pin) == locked, "no edge in stopping, none in starting"


def test_a_fail_secure_relay_is_switched_off_before_its_pin_is_released(factory: Any) -> None:
    relay = RelayTurnstile(17, pulse_s=0.2, factory=factory)
    pin = factory.pin(17)
    relay.release()
    relay.close()
    assert levels(pin) == [False, True, False]
    assert pin.function == "input"
    again = _relay(factory)
    assert levels(pin) == [False, True, False], "starting again is no edge"
    again.close()


@pytest.mark.parametrize("on_power_loss", ["fail_secure", "fail_safe"])
def test_a_process_killed_in_mid_pulse_gives_no_pulse_when_restarted(
    tmp_path: Path, on_power_loss: str
) -> None:
    trace = tmp_path / "relay.jsonl"
    open_state = int(on_power_loss == "fail_secure")
    killed = _process(trace, on_power_loss)
    _say(killed, "release")
    killed.send_signal(signal.SIGKILL)
    killed.wait(PATIENCE_S)
    assert _states(trace) == [open_state]
    again = _process(trace, on_power_loss)
    assert _states(trace) == [open_state], "nothing is switched by starting"
    _say(again, "close")
    assert again.wait(PATIENCE_S) == 0
    assert _states(trace) == [open_state]


def test_a_process_that_ends_without_closing_does_not_open_a_fail_safe_relay(tmp_path: Path) -> None:
    """gpiozero's own exit handler would make the pin an input."""
    child = _process(tmp_path / "trace", "fail_safe")
    out, _ = child.communicate("exit\n", timeout=PATIENCE_S)
    assert child.returncode == 0
    assert out.splitlines()[-1] == "output"


CHILD = """
import atexit, sys
from pathlib import Path
import gpiozero
from hardware.pins.gpio import mock_factory
gpiozero.Device.pin_factory = factory = mock_factory()
pin = factory.pin(17)
import gpiozero.devices
atexit.unregister(gpiozero.devices._shutdown)
atexit.register(lambda: print(pin.function))
atexit.register(gpiozero.devices._shutdown)
from hardware.pins.turnstile import RelayTurnstile
relay = RelayTurnstile(17, pulse_s=60, on_power_loss=sys.argv[1], trace=Path(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    if line == "exit\\n":
        sys.exit()
    getattr(relay, line.strip())()
    print("done", flush=True)
    if line == "close\\n":
        break
"""


def _process(trace: Path, on_power_loss: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, on_power_loss, str(trace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _say(child: subprocess.Popen[str], what: str) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(what + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "done\n"


def _states(trace: Path) -> list[int]:
    return [json.loads(line)["state"] for line in trace.read_text().splitlines()]


def test_a_relay_can_be_energised_by_a_low_level(factory: Any) -> None:
    relay, pin = _relay(factory, active_high=False), factory.pin(17)
    assert levels(pin)[-1] is True
    relay.release()
    pin.wait_for(lambda seen: seen[-3:] == [True, False, True])
    relay.close()


def test_a_pin_that_fails_is_reported_at_every_release(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    pin.refuses = True
    for _ in range(2):
        with pytest.raises(HardwareError, match="cannot be switched") as broken:
            relay.release()
        assert broken.value.part == "turnstile"
        assert broken.value.step is Step.TURNSTILE_WIRING
    pin.refuses = False
    relay.close()


def test_release_after_close_is_refused(factory: Any) -> None:
    relay = _relay(factory)
    relay.close()
    with pytest.raises(HardwareError, match="switched off"):
        relay.release()


def test_the_trace_has_one_line_for_each_switching(factory: Any, tmp_path: Path) -> None:
    trace = tmp_path / "relay.jsonl"
    relay, pin = _relay(factory, active_high=False, trace=trace), factory.pin(17)
    relay.release()
    relay.release()
    pin.wait_for(lambda seen: len(seen) >= 6)
    relay.close()
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["state"] for line in lines] == [1, 0, 1, 0]
    assert [line["t_ms"] for line in lines] == sorted(line["t_ms"] for line in lines)


def test_a_trace_that_cannot_be_written_is_reported(factory: Any, tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="trace"):
        _relay(factory, trace=tmp_path / "none" / "relay.jsonl")


def test_a_pin_used_twice_is_reported(factory: Any) -> None:
    relay = _relay(factory)
    with pytest.raises(HardwareError, match="used twice"):
        _relay(factory)
    relay.close()


def test_a_pin_that_does_not_exist_is_reported(factory: Any) -> None:
    with pytest.raises(HardwareError, match="no GPIO 99"):
        RelayTurnstile(99, factory=factory)


def test_a_machine_without_gpio_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """gpiozero's native pins fail for real here: the test machine has no GPIO chip."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(HardwareError, match="no usable GPIO") as broken:
        make_turnstile("gpiozero")
    assert broken.value.step is Step.GPIO_INSTALL
    assert "lgpio" in broken.value.advice


def test_each_driver_name_makes_its_turnstile(tmp_path: Path) -> None:
    nothing = NoTurnstile()
    nothing.release()
    nothing.hold_open()
    nothing.rest()
    assert nothing.lost() == 0
    assert nothing.beats() < nothing.beats()
    assert nothing.trouble() is None
    nothing.close()
    assert isinstance(make_turnstile("none"), NoTurnstile)
    relay = make_turnstile("mock", pulse_s=0.01, trace=tmp_path / "trace")
    relay.release()
    relay.close()
    assert len((tmp_path / "trace").read_text().splitlines()) in (1, 2)

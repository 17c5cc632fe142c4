"""The relay that opens the turnstile: for one person, or for everybody until it is locked again.

One `release` is one pulse. Two people admitted in a row get two pulses: a pulse asked for while another
runs follows it after a gap, so that the turnstile's own controller counts both. While the way is held
open, a release changes nothing, and no pulse is owed afterwards.

Only the relay's own thread touches the pin. Callers wait for it, but not for long: a stuck driver costs
its caller `ANSWER_S` once, and neither the fire alarm nor the door's loop can get stuck in it. A relay
that does not switch is tried again about once a second, towards open while it is to be held open, else
towards locked, and works again once that succeeds.

What the lock was bought as (`on_power_loss`):

- ``fail_secure``: the relay is energised to open. It starts de-energised and is switched off *before* its
  pin is released; nothing that happens to the pin afterwards can open the way.
- ``fail_safe``: the relay is energised to stay locked. It starts energised and stays so while the gate stops
  and starts: the pin is left as it is (`hardware.pins.gpio`). It opens when the power fails and, with
  ``dtparam=strict_gpiod``, when the process ends.

A process killed in the middle of a pulse leaves the relay as it was; the next process ends that pulse
before anything else. docs/wiring.md lists what no software can do.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog

from gate.common.errors import HardwareError, Step
from gate.common.outage import Outage
from gate.ports.devices import Turnstile
from hardware.pins import relay_duty as duty
from hardware.pins.gpio import OutputPin, PinDriver, mock_factory
from hardware.pins.relay_duty import RelayDuty

RETRY_S = 1.0
"""Between two attempts to switch a relay that does not follow. It tries again by itself, not by
`gate.common.retried`: a relay that failed must keep its pin, since a pin that is closed becomes an input."""

ANSWER_S = 1.0
"""Longest time for the pin's driver; a healthy one takes less than a millisecond."""

BEAT_S = 0.5
"""Longest time between two turns of the thread, even with nothing to do."""

LAST_PULSE_S = 1.5
"""How much of a running pulse `close` waits for; a guest is through by then."""

CLOSE_S = 2.0
"""How long the thread may take to end; longer means that it is stuck in the pin's driver."""

TurnstileDriver = PinDriver | Literal["none"]
OnPowerLoss = Literal["fail_secure", "fail_safe"]
_log = structlog.get_logger()


def make_turnstile(  # noqa: PLR0913 – the section of the configuration, by name
    driver: TurnstileDriver,
    *,
    pin: int = 17,
    active_high: bool = True,
    on_power_loss: OnPowerLoss = "fail_secure",
    pulse_s: float = 0.5,
    trace: Path | None = None,
) -> Turnstile:
    """The turnstile of a gate.

    :param driver: ``gpiozero``: a real pin. ``mock``: gpiozero's own simulated pin. ``none``: no relay.
    :param pin: Broadcom number of the GPIO.
    :raises HardwareError: there is no such pin here; the error says what to do next.
    """
    if driver == "none":
        return NoTurnstile()
    return RelayTurnstile(
        pin,
        active_high=active_high,
        on_power_loss=on_power_loss,
        pulse_s=pulse_s,
        factory=mock_factory() if driver == "mock" else None,
        trace=trace,
    )


class NoTurnstile:
    """A gate without a relay: a working `Turnstile` that opens nothing."""

    def __init__(self) -> None:
        self._beats = 0

    def release(self) -> None:
        """Nothing to open: staff read the screen."""

    def hold_open(self) -> None:
        """Nothing to open."""

    def rest(self) -> None:
        """Nothing to lock."""

    def lost(self) -> int:
        """No release was promised."""
        return 0

    def beats(self) -> int:
        """It has no loop that could be stuck."""
        self._beats += 1
        return self._beats

    def trouble(self) -> HardwareError | None:
        """None: a relay that nobody configured cannot be missing."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class RelayTurnstile:
    """A relay on one GPIO.

    :param pin: Broadcom number.
    :param active_high: whether the relay is energised by a high level.
    :param on_power_loss: see above.
    :param pulse_s: seconds the way is open per release.
    :param factory: gpiozero pin factory; None: the one of this machine.
    :param trace: file that gets one line of JSON whenever the relay switches, ``{"t_ms": …, "state": 0|1}``:
        monotonic milliseconds, and whether the relay is energised (whatever the level is).
    :raises HardwareError: there is no GPIO, or the pin is taken.
    """

    def __init__(  # noqa: PLR0913 – the section of the configuration, by name
        self,
        pin: int,
        *,
        active_high: bool = True,
        on_power_loss: OnPowerLoss = "fail_secure",
        pulse_s: float = 0.5,
        factory: Any = None,
        trace: Path | None = None,
    ) -> None:
        self._pin, self._pulse_s = pin, pulse_s
        self._is_fail_safe = on_power_loss == "fail_safe"
        self._trace = _opened(trace)
        self._changed = threading.Condition()
        self._duty = RelayDuty()
        self._is_open = False
        self._broken: HardwareError | None = None
        self._outage = Outage("relay")
        self._retry_at = 0.0
        self._tries = 0  # attempts to switch that have ended
        self._openings = 0  # attempts that opened the way
        self._awaited = 0  # pulses owed whose callers still wait, and will hear if they are not given
        self._lost = 0
        self._busy_since: float | None = None  # when the current attempt began
        self._beats = 0
        self._is_closing = self._is_last = False
        self._output = OutputPin(
            pin,
            "turnstile.pin",
            "turnstile",
            active_high=active_high,
            on=self._is_fail_safe,
            kept=self._is_fail_safe,
            factory=factory,
        )
        self._thread = threading.Thread(target=self._run, name="turnstile", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give one pulse, in the background.

        The way is open before this returns, unless another pulse still runs: this one then follows `GAP_S`
        after it. While held open, nothing changes.

        :raises HardwareError: the pin cannot be switched, or the turnstile is closed. Then there is no pulse,
            or, if the driver got stuck in one, it ends as soon as the driver returns.
        """
        with self._changed:
            self._refuse_closed()
            trouble = self._trouble()
            if trouble is not None:
                raise trouble
            self._duty = duty.one_pulse_more(self._duty)
            self._changed.notify_all()
            if self._duty.wants_open(time.monotonic()) and not self._is_open:
                self._wait_for_opening()

    def hold_open(self) -> None:
        """Open for everybody until `rest`. From any thread; a second call changes nothing.

        A running pulse is extended, and pulses not begun are dropped. A relay that does not follow is tried
        until it does, whatever else is asked of it.

        :raises HardwareError: it is not open yet.
        """
        with self._changed:
            self._refuse_closed()
            self._duty = duty.held(self._duty)
            self._retry_at = 0.0
            self._changed.notify_all()
            self._wait_for(lambda: self._is_open and self._busy_since is None)

    def rest(self) -> None:
        """Lock again after `hold_open`; nothing changes if it was not held open.

        :raises HardwareError: it is not locked yet; it is tried until it is.
        """
        with self._changed:
            self._refuse_closed()
            if not self._duty.is_held:
                return
            self._duty = duty.locked(self._duty)
            self._retry_at = 0.0
            self._changed.notify_all()
            self._wait_for(lambda: not self._is_open and self._busy_since is None)

    def lost(self) -> int:
        """How many releases were accepted without an error but will not be given, since last asked."""
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost

    def beats(self) -> int:
        """Grows at least twice a second, unless the thread is stuck in the pin's driver."""
        return self._beats

    def trouble(self) -> HardwareError | None:
        """Why the relay cannot be switched, None while it can."""
        with self._changed:
            return self._trouble()

    def close(self) -> None:
        """Let a running pulse end, drop those not begun, lock, release the pin.

        Takes at most `CLOSE_S`; a pulse longer than `LAST_PULSE_S` is cut. Never raises.
        """
        with self._changed:
            if self._is_closing:
                return
            self._is_closing = True
            self._count_lost()
            self._duty = duty.ending(self._duty, time.monotonic(), LAST_PULSE_S)
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # this thread would get stuck as well if it touched the pin
            _log.error("relay stuck in its driver", pin=self._pin)
            return
        self._release_pin()

    def _release_pin(self) -> None:
        try:
            self._output.close()
        except Exception as error:  # gpiozero's factories each raise their own
            _log.error("relay not closed", reason=str(error))
        if self._trace is not None:
            self._trace.close()

    def _refuse_closed(self) -> None:
        if self._is_closing:
            raise HardwareError("turnstile", "The turnstile is switched off.", "Start the gate again.")

    def _trouble(self) -> HardwareError | None:
        if self._broken is None and self._busy_since is not None:
            is_stuck = time.monotonic() - self._busy_since >= ANSWER_S
            return self._error("does not answer") if is_stuck else None
        return self._broken

    def _error(self, how: str) -> HardwareError:
        what = f"The relay on GPIO {self._pin} {how}."
        return HardwareError("turnstile", what, "Check its wiring, restart the gate.", Step.TURNSTILE_WIRING)

    def _wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until the thread has succeeded or failed, or does not answer. Called with the lock."""
        tries = self._tries
        self._changed.wait_for(lambda: self._tries > tries if self._broken is not None else done(), ANSWER_S)
        if self._broken is not None or not done():
            raise self._given_up()

    def _wait_for_opening(self) -> None:
        """Wait until the way has opened, even if it has closed again by now. Called with the lock."""
        before = self._openings
        self._awaited += 1
        self._changed.wait_for(lambda: self._openings > before or self._broken is not None, ANSWER_S)
        if self._openings == before:
            raise self._given_up()

    def _given_up(self) -> HardwareError:
        """Why it was not done. Pulses owed by a relay that does not answer are dropped."""
        if self._broken is not None:
            return self._broken
        self._count_lost()
        self._duty = duty.dropped(self._duty)
        return self._error("does not answer")

    def _count_lost(self) -> None:
        """What is owed now will not be given. A caller who still waits for a pulse gets an error instead."""
        self._lost += max(0, self._duty.owed - self._awaited)
        self._awaited = 0

    def _run(self) -> None:
        while (wanted := self._wait()) is not None:
            self._switch(is_open=wanted)

    def _wait(self) -> bool | None:
        """Wait until the relay has to be switched, and say to what; None when the thread has to end."""
        with self._changed:
            while True:
                self._beats += 1
                now = time.monotonic()
                wanted = self._duty.wants_open(now)
                is_right = wanted == self._is_open and self._broken is None
                if self._is_closing and not wanted and (is_right or self._is_last):
                    return None
                if not is_right and (self._is_closing or now >= self._retry_at):
                    self._is_last = self._is_closing and not wanted
                    self._busy_since = now
                    return wanted
                self._changed.wait(self._patience(now, is_right=is_right))

    def _patience(self, now: float, *, is_right: bool) -> float:
        """Seconds until there may be something to do."""
        next_s = self._duty.next_s(now)
        to_retry = BEAT_S if is_right else self._retry_at - now
        return max(0.0, min(BEAT_S, to_retry, BEAT_S if next_s is None else next_s))

    def _switch(self, *, is_open: bool) -> None:
        """Try it, without the lock: a stuck driver must hold up nobody else."""
        try:
            self._output.switch(on=is_open != self._is_fail_safe)
        except Exception as error:
            self._note(is_open, error)
        else:
            self._note(is_open, None)

    def _note(self, is_open: bool, error: Exception | None) -> None:
        with self._changed:
            self._tries += 1
            self._busy_since = None
            if error is None:
                self._followed(is_open, time.monotonic())
            else:
                self._failed(error, time.monotonic())
            self._changed.notify_all()

    def _followed(self, is_open: bool, now: float) -> None:
        if self._is_open != is_open:
            self._write_trace(is_open != self._is_fail_safe)
        self._broken = None
        self._outage.over()
        self._is_open = is_open
        if is_open:
            self._openings += 1
            self._awaited = 0
        self._duty = duty.opened(self._duty, now, self._pulse_s) if is_open else duty.closed(self._duty, now)

    def _failed(self, error: Exception, now: float) -> None:
        self._broken = self._broken or self._error(f"cannot be switched ({error})")
        self._outage.began(error)
        self._count_lost()
        self._duty = duty.failed(self._duty)
        self._retry_at = now + RETRY_S

    def _write_trace(self, is_energised: bool) -> None:
        if self._trace is None:
            return
        line = {"t_ms": time.monotonic_ns() // 1_000_000, "state": int(is_energised)}
        try:
            self._trace.write(json.dumps(line) + "\n")
            self._trace.flush()
        except OSError as error:
            _log.error("turnstile trace lost", reason=str(error))
            self._trace = None


def _opened(trace: Path | None) -> TextIO | None:
    if trace is None:
        return None
    try:
        return trace.open("a", encoding="ascii")
    except OSError as error:
        what = f"The turnstile's trace {trace} cannot be written ({error.strerror})."
        raise HardwareError("turnstile", what, "Correct turnstile.trace.", Step.PIN_SETTINGS) from error

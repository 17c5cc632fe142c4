"""The relay that opens the turnstile for one person, through gpiozero.

One `release` is one pulse. Two people admitted in a row are two pulses: one asked for while
another runs follows it after a gap, so that the turnstile's own controller counts both.
The pin is at rest from the first moment (`initial_value=False`: no pulse at boot), and is
switched off *before* it is closed, because closing leaves a relay as it is. A pulse that
has begun is not cut short by closing: its ticket is used. A relay that cannot be switched
is tried to be switched off about once a second, and is whole again once that works.
"""

from __future__ import annotations

import json
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import structlog

from gate.errors import HardwareError
from gate.ports import Turnstile

GAP_S = 0.15
"""Rest between two pulses; controllers of turnstiles want 100 ms to see two."""

RETRY_S = 1.0
"""Between two attempts to switch off a relay that does not follow."""

LAST_PULSE_S = 1.5
"""Most of a running pulse that `close` waits for; a guest is through by then."""

CLOSE_S = 2.0
"""What the thread gets to end; longer means that it is stuck in the pin's driver."""

TurnstileDriver = Literal["gpiozero", "mock", "none"]
_log = structlog.get_logger()


class _Output(Protocol):
    """What is used of `gpiozero.OutputDevice`, which has no types."""

    def on(self) -> None: ...

    def off(self) -> None: ...

    def close(self) -> None: ...


def make_turnstile(
    driver: TurnstileDriver,
    *,
    pin: int = 17,
    active_high: bool = True,
    pulse_s: float = 0.5,
    trace: Path | None = None,
) -> Turnstile:
    """The turnstile of a gate.

    :param driver: ``gpiozero``: a real pin. ``mock``: gpiozero's own simulated pin. ``none``: no relay.
    :param pin: Broadcom number of the GPIO.
    :raises HardwareError: when there is no such pin here, with what to do next.
    """
    if driver == "none":
        return NoTurnstile()
    factory = None
    if driver == "mock":
        from gpiozero.pins.mock import MockFactory

        factory = MockFactory()
    return RelayTurnstile(pin, active_high=active_high, pulse_s=pulse_s, factory=factory, trace=trace)


class NoTurnstile:
    """A gate without a relay: a working `Turnstile` that opens nothing."""

    def release(self) -> None:
        """Nothing to open: staff reads the screen."""

    def trouble(self) -> HardwareError | None:
        """A missing relay that nobody configured is no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class RelayTurnstile:
    """A relay on one GPIO.

    :param pin: Broadcom number.
    :param active_high: whether the relay is energised by a high level.
    :param pulse_s: seconds the relay is energised per release.
    :param factory: gpiozero pin factory; None: the one of this machine.
    :param trace: file that gets one line of JSON per switching, ``{"t_ms": …, "state": 0|1}``,
        monotonic milliseconds and whether the relay is energised (whatever the level is).
    :raises HardwareError: when there is no GPIO or the pin is taken.
    """

    def __init__(
        self,
        pin: int,
        *,
        active_high: bool = True,
        pulse_s: float = 0.5,
        factory: Any = None,
        trace: Path | None = None,
    ) -> None:
        self._pin, self._pulse_s = pin, pulse_s
        self._trace = _opened(trace)
        self._changed = threading.Condition()
        self._owed = 0  # pulses asked for and not over yet, the running one included
        self._energised = False
        self._until = 0.0  # monotonic seconds at which the running pulse is over
        self._broken: HardwareError | None = None
        self._closing = threading.Event()
        self._output = _output(pin, active_high, factory)
        self._thread = threading.Thread(target=self._run, name="turnstile", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give one pulse, in the background; returns at once.

        The relay is energised before this returns, unless another pulse is still running:
        then this one follows `GAP_S` after it.

        :raises HardwareError: when the pin cannot be switched, or the turnstile is closed.
        """
        with self._changed:
            if self._closing.is_set():
                raise HardwareError("turnstile", "The turnstile is switched off.", "Start the gate again.")
            if self._broken is not None:
                raise self._broken
            if self._owed == 0:
                self._switch(on=True)
            self._owed += 1
            self._changed.notify_all()

    def trouble(self) -> HardwareError | None:
        """Why the relay cannot be switched, None while it can."""
        return self._broken

    def close(self) -> None:
        """Let a running pulse end, drop those not begun, switch off, let go of the pin.

        Takes at most `CLOSE_S`; a pulse longer than `LAST_PULSE_S` is cut. Never raises.
        """
        with self._changed:
            if self._closing.is_set():
                return
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # touching the pin would get this thread stuck as well
            _log.error("turnstile_stuck", what=f"The driver of GPIO {self._pin} does not answer.")
            return
        self._let_go()

    def _let_go(self) -> None:
        self._settle(on=False)
        try:
            self._output.close()
        except Exception as error:  # gpiozero's factories each raise their own
            _log.error("turnstile_close_failed", why=str(error))
        if self._trace is not None:
            self._trace.close()

    def _run(self) -> None:
        while self._wait_for_pulse():
            if self._broken is None:
                self._hold()
            if not self._rest():
                return
            self._closing.wait(GAP_S)
            with self._changed:
                self._owed -= 1
                another = self._owed > 0 and not self._closing.is_set()
            if another:  # switched without the lock: a driver that is stuck must not hold up `close`
                self._settle(on=True)

    def _wait_for_pulse(self) -> bool:
        """Until a pulse has begun or failed to; False when the turnstile closes and none is running."""
        with self._changed:
            self._changed.wait_for(lambda: self._owed or self._closing.is_set())
            return self._energised if self._broken is None else not self._closing.is_set()

    def _hold(self) -> None:
        """Until the running pulse is over."""
        if self._closing.wait(self._until - time.monotonic()):
            time.sleep(max(0.0, min(self._until - time.monotonic(), LAST_PULSE_S)))

    def _rest(self) -> bool:
        """Switch off, again and again if need be; False if it closes before that works."""
        while not self._settle(on=False):
            if self._closing.wait(RETRY_S):
                return False
        return True

    def _settle(self, *, on: bool) -> bool:
        """Switch where nobody can catch: `trouble` and the next `release` tell of a failure."""
        try:
            self._switch(on=on)
        except HardwareError:
            return False
        return True

    def _switch(self, *, on: bool) -> None:
        try:
            if on:
                self._output.on()
            else:
                self._output.off()
        except Exception as error:
            raise self._failed(error) from error
        with self._changed:
            if self._broken is not None:
                self._broken = None
                _log.info("turnstile_back")
            if self._energised != on:
                self._write_trace(on)
            self._energised, self._until = on, time.monotonic() + self._pulse_s

    def _failed(self, error: Exception) -> HardwareError:
        """Note an outage once; the thread then switches off until that works."""
        with self._changed:
            if self._broken is None:
                what = f"The relay on GPIO {self._pin} cannot be switched ({error})."
                self._broken = HardwareError("turnstile", what, "Check its wiring, restart the gate.")
                _log.error("turnstile_down", why=str(error))
            self._owed = 1  # pulses not begun are dropped: whoever waited for them is gone by then
            self._changed.notify_all()
            return self._broken

    def _write_trace(self, on: bool) -> None:
        if self._trace is None:
            return
        try:
            self._trace.write(json.dumps({"t_ms": time.monotonic_ns() // 1_000_000, "state": int(on)}) + "\n")
            self._trace.flush()
        except OSError as error:
            _log.error("turnstile_trace_lost", why=str(error))
            self._trace = None


def _opened(trace: Path | None) -> TextIO | None:
    if trace is None:
        return None
    try:
        return trace.open("a", encoding="ascii")
    except OSError as error:
        what = f"The turnstile's trace {trace} cannot be written ({error.strerror})."
        raise HardwareError("turnstile", what, "Correct turnstile.trace.") from error


def _output(pin: int, active_high: bool, factory: Any) -> _Output:
    import gpiozero

    with warnings.catch_warnings(record=True) as said:  # gpiozero says in warnings why each driver failed
        warnings.simplefilter("always")
        try:
            device: _Output = gpiozero.OutputDevice(
                pin, active_high=active_high, initial_value=False, pin_factory=factory
            )
        except Exception as error:  # each pin driver has exceptions of its own, lgpio.error among them
            raise _translated(pin, error, [str(warning.message) for warning in said]) from error
    return device


def _translated(pin: int, error: Exception, said: list[str]) -> HardwareError:
    name = type(error).__name__
    if name == "GPIOPinInUse":
        return HardwareError(
            "turnstile", f"GPIO {pin} is used twice.", "Give the turnstile a pin of its own."
        )
    if name in ("PinInvalidPin", "PinNoPins", "PinMultiplePins"):
        return HardwareError("turnstile", f"There is no GPIO {pin} on this board.", "Correct turnstile.pin.")
    if isinstance(error, PermissionError):
        what = f"This account may not use the GPIO pins ({error})."
        return HardwareError("turnstile", what, "Add it to the group `gpio`.")
    reasons = "; ".join([str(error), *said])
    what = f"This machine has no usable GPIO pins, so the turnstile cannot be opened ({reasons})."
    return HardwareError("turnstile", what, 'On a Pi: apt install python3-lgpio. Elsewhere: driver = "mock".')

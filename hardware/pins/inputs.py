"""Contacts the gate watches: passage sensor, exit button, fire alarm, tamper contact, through gpiozero.

All are pulled up by the Pi and closed to ground. Bodies and presses are counted by their edges, between
readings; a covered sensor is a level, read when asked. Alarm and tamper are levels too, but one that is over
before anybody reads is kept for the next reading: what opened the way must be read at least once.
The fire alarm is reported at its edge, from the pin driver's own thread, whatever the door's loop is
doing. A second thread checks its level twice a second, because an exception in a callback silently ends
lgpio's thread (`lgpio._callback_thread.run`), and with it every further edge.

Debouncing: lgpio reports an edge once the level has been stable for the given time
(`gpio_set_debounce_micros`); the native driver ignores edges for that long after the first; gpiozero's
mock does nothing.

Contacts do not affect each other, least of all the fire alarm. One whose pin is taken or cannot be read
is `trouble` while the others work. A thread keeps trying to make it; one that cannot be read keeps its pin,
since releasing it would miss edges.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from gate.common.errors import HardwareError, Step
from gate.common.outage import Outage
from gate.ports.devices import Inputs, NoInputs
from gate.rules.passage import Sensed
from hardware.pins.fire_alarm import FireWatch
from hardware.pins.gpio import PinDriver, made, mock_factory

BODY_S = 0.05
"""How long the passage sensor has to be steady. A body 0.3 m deep (Fruin's body ellipse, rounded) covers a
light barrier for 250 ms when it walks at 1.2 m/s (Highway Capacity Manual) and for 80 ms when it runs; a
swinging hand, or the gap between arm and body, takes less than 50 ms."""

CONTACT_S = 0.02
"""How long a mechanical contact has to be steady. Those that Ganssle measured ("A Guide to Debouncing")
bounced 1.6 ms on average, nearly all below 7 ms; relays of alarm panels are about as good."""

BLOCKED_S = 10.0
"""A sensor covered for longer than this is not covered by somebody who walks through."""

RETRY_S = 3.0
"""Seconds between two attempts to make a contact whose pin is not available."""

CLOSE_S = 2.0
"""How long the thread that makes them may take to end; longer means that the pin's driver is stuck."""

PASSAGE, EXIT = "inputs.passage_pin", "inputs.exit_pin"
FIRE, TAMPER = "inputs.fire_pin", "inputs.tamper_pin"

_log = structlog.get_logger()


def make_inputs(  # noqa: PLR0913 – the section of the configuration, by name
    driver: PinDriver = "gpiozero",
    *,
    passage_pin: int | None = None,
    exit_pin: int | None = None,
    fire_pin: int | None = None,
    tamper_pin: int | None = None,
    fire_normally_closed: bool = True,
    on_fire: Callable[[bool], None] | None = None,
) -> Inputs:
    """The inputs of a gate.

    :param driver: ``gpiozero``: real pins. ``mock``: gpiozero's simulated ones, all at rest.
    :param passage_pin, exit_pin, fire_pin, tamper_pin: Broadcom numbers, None: not wired.
    :param fire_normally_closed: the alarm opens its contact, so that a cut wire is an alarm too.
    :param on_fire: called with True when the alarm begins or is on already, and with False when it ends,
        from a thread of the pin driver. If it raises, it is called again.
    :raises HardwareError: there is no such pin here; the error says what to do next.
    """
    if (passage_pin, exit_pin, fire_pin, tamper_pin) == (None,) * 4:
        return NoInputs()
    at_rest = (tamper_pin, fire_pin if fire_normally_closed else None)
    return GpioInputs(
        passage_pin=passage_pin,
        exit_pin=exit_pin,
        fire_pin=fire_pin,
        tamper_pin=tamper_pin,
        fire_normally_closed=fire_normally_closed,
        on_fire=on_fire,
        factory=mock_factory([pin for pin in at_rest if pin is not None]) if driver == "mock" else None,
    )


class GpioInputs:
    """Up to four contacts.

    :param clock: gives monotonic seconds.
    :param factory: gpiozero pin factory; None: the one of this machine.
    The others: see `make_inputs`.
    :raises HardwareError: none of them can be made. If only some cannot, these are tried again.
    """

    def __init__(  # noqa: PLR0913 – the section of the configuration, by name
        self,
        *,
        passage_pin: int | None = None,
        exit_pin: int | None = None,
        fire_pin: int | None = None,
        tamper_pin: int | None = None,
        fire_normally_closed: bool = True,
        on_fire: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        factory: Any = None,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bodies = self._exits = 0
        self._covered_since: float | None = None
        self._began: set[str] = set()  # alarms that began since the last reading, over or not
        self._is_reporting = False
        self._trouble: HardwareError | None = None
        self._closing = threading.Event()
        self._contacts: list[Contact] = []
        self._watch: FireWatch | None = None
        wired = (
            (fire_pin, FIRE, CONTACT_S, fire_normally_closed),  # first: it opens whatever the others do
            (passage_pin, PASSAGE, BODY_S, False),
            (exit_pin, EXIT, CONTACT_S, False),
            # the tamper loop is closed while the housing is: opening or cutting it is tampering
            (tamper_pin, TAMPER, CONTACT_S, True),
        )
        for pin, key, steady_s, opens in wired:
            if pin is not None:
                contact = Contact(pin, key, steady_s, opens=opens, factory=factory)
                self._contacts.append(contact)
                self._listen(contact, on_fire)
        self._mender: threading.Thread | None = None
        if not all(contact.is_made for contact in self._contacts):
            self._begin_mending()
        self._judge()

    def _begin_mending(self) -> None:
        error = self._contacts[0].error
        if error is not None and not any(contact.is_made for contact in self._contacts):
            self.close()
            raise error  # and nothing is logged here: the caller tries again and logs the outage once
        self._mender = threading.Thread(target=self._mend, name="inputs", daemon=True)
        self._mender.start()

    def _mend(self) -> None:
        while not all(contact.is_made for contact in self._contacts) and not self._closing.wait(RETRY_S):
            for contact in self._contacts:
                contact.make()

    def _listen(self, contact: Contact, on_fire: Callable[[bool], None] | None) -> None:
        """From here on, the pin driver's thread calls."""
        if contact.key == PASSAGE:
            contact.on_change(self._body)
        elif contact.key == EXIT:
            contact.on_change(self._press)
        elif contact.key == TAMPER or on_fire is None:
            contact.on_change(lambda begins: self._alarm(contact.key, begins=begins))
        else:
            self._watch_fire(contact, on_fire)

    def _watch_fire(self, contact: Contact, on_fire: Callable[[bool], None]) -> None:
        self._watch = watch = FireWatch(contact.level, lambda on: self._report(on_fire, on=on))

        def changed(begins: bool) -> None:
            self._alarm(FIRE, begins=begins)
            watch.look()

        contact.on_change(changed)

    def _alarm(self, key: str, *, begins: bool) -> None:
        with self._lock:
            self._began.update({key} if begins else ())

    def _report(self, on_fire: Callable[[bool], None], *, on: bool) -> None:
        """What is reported is also read afterwards: otherwise nobody would lock what was opened late."""
        with self._lock:
            self._is_reporting = on
        try:
            on_fire(on)
        finally:
            with self._lock:
                self._is_reporting = False
                self._began.update({FIRE} if on else ())

    def _body(self, begins: bool) -> None:
        with self._lock:
            self._bodies += begins
            self._covered_since = self._clock() if begins else None

    def _press(self, begins: bool) -> None:
        with self._lock:
            self._exits += begins

    def read(self) -> Sensed:
        """What happened since the last reading. Never blocks, never raises.

        A broken contact keeps its last level; a broken passage sensor is `blocked`, because nobody can be
        said not to have walked.
        """
        levels = {contact.key: contact.level() for contact in self._contacts}
        self._judge()
        is_blind = any(contact.key == PASSAGE and contact.error for contact in self._contacts)
        covered = levels.get(PASSAGE, False) and not is_blind
        with self._lock:
            sensed = Sensed(
                bodies=self._bodies,
                exits=self._exits,
                fire=levels.get(FIRE, False) or FIRE in self._began or self._is_reporting,
                tamper=levels.get(TAMPER, False) or TAMPER in self._began,
                covered=covered,
                blocked=self._is_blocked(covered=covered) or is_blind,
            )
            self._bodies = self._exits = 0
            self._began.clear()
        return sensed

    def _is_blocked(self, *, covered: bool) -> bool:
        """Goes by the level, so that a lost edge cannot block it for ever; any edge restarts the time."""
        now = self._clock()
        if not covered:
            self._covered_since = None
        elif self._covered_since is None:
            self._covered_since = now
        return self._covered_since is not None and now - self._covered_since > BLOCKED_S

    def _judge(self) -> None:
        errors = [contact.judge() for contact in self._contacts]
        self._trouble = next((error for error in errors if error is not None), None)

    def trouble(self) -> HardwareError | None:
        """What the last reading found broken, the fire alarm before all others; None if all was well."""
        return self._trouble

    def close(self) -> None:
        """Stop reporting the alarm, release the pins."""
        self._closing.set()
        if self._watch is not None:
            self._watch.close()
        if self._mender is not None:
            self._mender.join(CLOSE_S)
        for contact in self._contacts:
            contact.close()
        self._contacts.clear()


class Contact:
    """One contact to ground on one pin.

    :param key: where the configuration names the pin.
    :param steady_s: how long a level has to last before it counts as an edge.
    :param opens: whether the contact is active when open; otherwise when closed.

    `error`: why the last attempt to make or read it failed.
    """

    def __init__(self, pin: int, key: str, steady_s: float, *, opens: bool, factory: Any) -> None:
        self.key = key
        self.error: HardwareError | None = None
        self._pin, self._steady_s, self._opens, self._factory = pin, steady_s, opens, factory
        self._last = False
        self._device: Any = None
        self._tell: Callable[[bool], None] | None = None
        self._outage = Outage(key)
        self.make()

    @property
    def is_made(self) -> bool:
        """Whether it has its pin."""
        return self._device is not None

    def make(self) -> None:
        """Take the pin, unless it has it. Never raises."""
        import gpiozero

        def make(factory: Any) -> Any:
            return gpiozero.DigitalInputDevice(
                self._pin, pull_up=True, bounce_time=self._steady_s, pin_factory=factory
            )

        if self._device is not None:
            return
        try:
            self._device = made(make, self._pin, self.key, "sensor", self._factory)
        except HardwareError as error:
            self.error = error
            return
        self._listen()

    def judge(self) -> HardwareError | None:
        """`error`, logged when it begins and when it is over. From one thread."""
        error = self.error
        if error is not None:
            self._outage.began(error)
        else:
            self._outage.over()
        return error

    def level(self) -> bool:
        """Whether it is active now. If it cannot be read, its last level, and `error` says why."""
        if self._device is None:
            return self._last
        try:
            self._last = bool(self._device.is_active) != self._opens
            self.error = None
        except Exception as error:  # each pin driver has exceptions of its own
            what = f"GPIO {self._pin} ({self.key}) cannot be read ({error})."
            advice = "Check its wiring, restart the gate."
            self.error = HardwareError("sensor", what, advice, Step.SENSOR_WIRING)
        return self._last

    def on_change(self, tell: Callable[[bool], None]) -> None:
        """Have `tell` called from the pin driver's thread, with whether it has become active."""
        self._tell = tell
        self._listen()

    def _listen(self) -> None:
        device, tell = self._device, self._tell
        if device is not None and tell is not None:
            device.when_activated = lambda: self._on_edge(tell, closed=True)
            device.when_deactivated = lambda: self._on_edge(tell, closed=False)

    def _on_edge(self, tell: Callable[[bool], None], *, closed: bool) -> None:
        try:
            tell(closed != self._opens)
        except Exception:  # if it escaped, it would end the driver's thread, and with it all edges
            _log.exception("input callback failed", key=self.key)

    def close(self) -> None:
        """Release the pin. Never raises."""
        try:
            if self._device is not None:
                self._device.close()
        except Exception as error:  # gpiozero's factories each raise their own
            _log.error("input not closed", key=self.key, reason=str(error))

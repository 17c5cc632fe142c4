"""Tests of single devices: one pulse, every signal, what a scanner reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gate.clock import Clock
from gate.common.errors import HardwareError, MagueyError, Step
from gate.common.uuids import new_uuid7
from gate.ports.devices import Scanner, Turnstile, Voice
from gate.ports.signals import Signal
from gate.rules.model import EventKind, ScanRecord
from gate.rules.passage import Outcome
from gate.rules.payload import Malformed, parse
from gate.rules.records import record_of
from gate.store.live_file import LiveReading

if TYPE_CHECKING:
    from gate.store.journal import (
        Journal,  # with its migrations it takes a fifth of the start of every command
    )

Wait = Callable[[float], object]
"""Waits that many seconds."""
LOOK_S = 0.05
_SHOWN = 60


def refuse_beside(door: LiveReading) -> None:
    """Two programs cannot use one device.

    :raises MagueyError: the door runs.
    """
    if door.is_fresh:
        raise MagueyError("The door runs and uses this device. Stop it first: systemctl stop maguey-gate")


def test_pulse(
    journal: Journal, turnstile: Turnstile, clock: Clock, gate_id: str, random: Callable[[int], bytes]
) -> ScanRecord:
    """Record a pulse that belongs to no ticket, then give it (invariant 11: commit before pulse).

    :returns: the record; the pulse goes on in the background until the turnstile is closed.
    :raises StoreError: it cannot be recorded; the relay did not move.
    :raises HardwareError: the relay did not move.
    """
    now = clock.now()
    scan_id = new_uuid7(now.wall, random)
    outcome = Outcome(record="event", reason=EventKind.TEST_PULSE)
    with journal.turn() as turn:
        record = turn.append(record_of(outcome, now, scan_id, gate_id))
    turnstile.release()
    return record


def play_signals(voice: Voice, seconds: float, tell: Callable[[str], object], wait: Wait) -> None:
    """Play each signal in turn, then rest.

    :param tell: called with the name of each.
    :raises HardwareError: a lamp or the buzzer cannot be switched.
    """
    for signal in Signal:
        tell(signal.value)
        voice.play(signal)
        wait(seconds)
        trouble = voice.trouble()
        if trouble is not None:
            raise trouble
    voice.play(Signal.REST)


def try_scanner(scanner: Scanner, seconds: float, tell: Callable[[str], object], wait: Wait) -> int:
    """Describe what a hand scanner reads within so many seconds.

    :param tell: called with each description; the code stays secret, with dots for its letters and digits.
    :returns: how many codes.
    :raises HardwareError: the scanner is missing.
    """
    count = 0
    for _ in range(round(seconds / LOOK_S)):
        trouble = scanner.trouble()
        if trouble is not None:
            raise trouble
        raw = scanner.read()
        if raw is None:
            wait(LOOK_S)
        else:
            count += 1
            tell(_described(raw))
    return count


def _described(raw: bytes) -> str:
    what = parse(raw)
    kind = (
        f"no code of ours ({what.why})" if isinstance(what, Malformed) else f"a ticket's code, {what.carrier}"
    )
    text = raw[:_SHOWN].decode("utf-8", "replace")
    dots = "".join("•" if character.isalnum() else character for character in text)
    return f"{kind}, {len(raw)} bytes: {dots}{'…' if len(raw) > _SHOWN else ''}"


def not_configured(section: str) -> HardwareError:
    """The error for a device that is not in the configuration."""
    advice = "Fill in this section of the configuration."
    return HardwareError(section, f"[{section}] configures no device.", advice, Step.PIN_SETTINGS)

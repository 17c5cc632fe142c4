"""What a relay has to do, as a value: pulses owed, the running pulse, or being held open. Pure.

Times are monotonic seconds. A pulse begins when the relay has followed, not when it was asked for; the
gap before the next pulse begins when the relay is locked again.
"""

from __future__ import annotations

from msgspec.structs import replace

from gate.common.value import Value

GAP_S = 0.15
"""Rest between two pulses; a turnstile's controller needs 100 ms to count two."""


class RelayDuty(Value, frozen=True):
    """`owed`: pulses not begun. `until_s`: end of the running pulse, or of the gap after it."""

    owed: int = 0
    is_pulsing: bool = False
    is_held: bool = False
    until_s: float = 0.0

    def wants_open(self, now_s: float) -> bool:
        """Whether the way is to be open."""
        if self.is_held:
            return True
        return now_s < self.until_s if self.is_pulsing else self.owed > 0 and now_s >= self.until_s

    def next_s(self, now_s: float) -> float | None:
        """Seconds until the passing of time changes what is wanted, None if it will not."""
        waits = not self.is_held and (self.is_pulsing or self.owed > 0) and now_s < self.until_s
        return self.until_s - now_s if waits else None


def one_pulse_more(duty: RelayDuty) -> RelayDuty:
    """One more pulse; none while the way is open to everybody."""
    return duty if duty.is_held else replace(duty, owed=duty.owed + 1)


def held(duty: RelayDuty) -> RelayDuty:
    """Open for everybody: a running pulse goes over into it, those not begun are dropped."""
    return replace(duty, owed=0, is_pulsing=False, is_held=True)


def locked(duty: RelayDuty) -> RelayDuty:
    """No longer held open. A pulse that runs keeps its time."""
    return replace(duty, is_held=False)


def dropped(duty: RelayDuty) -> RelayDuty:
    """Drop the pulses not begun: whoever waited for them is gone."""
    return replace(duty, owed=0)


def opened(duty: RelayDuty, now_s: float, pulse_s: float) -> RelayDuty:
    """The relay has opened, for the first pulse owed if there is one."""
    if not duty.owed:
        return duty
    return replace(duty, owed=duty.owed - 1, is_pulsing=True, until_s=now_s + pulse_s)


def closed(duty: RelayDuty, now_s: float) -> RelayDuty:
    """The relay has locked."""
    return replace(duty, is_pulsing=False, until_s=now_s + GAP_S)


def failed(duty: RelayDuty) -> RelayDuty:
    """The relay did not follow: no pulse is wanted any more, only to be locked, or held open."""
    return replace(duty, owed=0, is_pulsing=False)


def ending(duty: RelayDuty, now_s: float, most_s: float) -> RelayDuty:
    """The gate stops: a running pulse ends within `most_s`, nothing else is wanted."""
    until_s = min(duty.until_s, now_s + most_s) if duty.is_pulsing else duty.until_s
    return replace(duty, owed=0, is_held=False, until_s=until_s)

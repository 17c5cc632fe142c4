"""What each signal looks and sounds like, as data. Pure.

Domain 2.4: a green and a red light, one high beep to admit, two beeps for VIPs, a low buzz to refuse. The
light lasts as long as the screen that goes with it; after the pattern it is dark and silent. The sounds
differ in pitch and number, for people who cannot tell red from green.
"""

from __future__ import annotations

from gate.common.value import Value
from gate.ports.signals import Signal

HIGH_HZ = 2700
"""Passive buzzers are loudest between 2 and 4 kHz (piezo discs and magnetic ones resonate there)."""
LOW_HZ = 180
"""A buzz rather than a beep: far below the resonance, all overtones."""


class LightStep(Value, frozen=True):
    """What is on, and for how long. `tone_hz`: 0 is silence; `ms`: None until another signal."""

    green: bool = False
    red: bool = False
    tone_hz: int = 0
    ms: int | None = None


DARK = LightStep()


def _beep(ms: int) -> LightStep:
    return LightStep(green=True, tone_hz=HIGH_HZ, ms=ms)


def _green(ms: int) -> LightStep:
    return LightStep(green=True, ms=ms)


_BLINK = (LightStep(red=True, ms=250), LightStep(ms=250))

PATTERNS: dict[Signal, tuple[LightStep, ...]] = {
    Signal.ADMIT: (_beep(150), _green(1350)),
    Signal.VIP: (_beep(120), _green(100), _beep(120), _green(3660)),
    Signal.REFUSE: (LightStep(red=True, tone_hz=LOW_HZ, ms=600), LightStep(red=True, ms=2400)),
    Signal.ATTENTION: _BLINK * 4,
    Signal.REST: (),
    Signal.FREE_PASSAGE: (LightStep(green=True),),
    Signal.CLOSED: (LightStep(red=True),),
}

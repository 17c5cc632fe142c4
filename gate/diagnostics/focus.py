"""Helps to focus the camera: shows how sharp it sees on the gate's own screen.

Somebody holds a code where guests hold their phones, and turns the lens until the number is highest.
"""

from __future__ import annotations

from collections.abc import Callable

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Display, Eye
from gate.ports.screen import Focus

LOOK_S = 0.2
"""The longest wait for a frame, and so the longest until a stop is noticed."""

_STOP_THE_DOOR = "The door has it while it runs. Run: systemctl stop maguey-gate"


def measure_focus(
    eye: Eye, display: Display, tell: Callable[[Focus], None], done: Callable[[], bool]
) -> Focus | None:
    """Show every frame's sharpness until `done`; returns the last, None if there was no frame.

    :param eye: one that measures sharpness.
    :param tell: called with what the screen shows.
    :raises HardwareError: the camera cannot be used.
    """
    shown: Focus | None = None
    while not done():
        look = eye.look(LOOK_S)
        if (trouble := eye.trouble()) is not None:
            raise _refusal(trouble)
        if look is None or look.sharpness is None:
            continue
        best = max(look.sharpness, shown.best if shown else 0)
        shown = Focus(sharpness=look.sharpness, best=best, read=bool(look.sightings))
        display.show(shown)
        tell(shown)
    return shown


def _refusal(trouble: HardwareError) -> HardwareError:
    if trouble.step is not Step.CAMERA_BUSY:
        return trouble
    what = str(trouble).removesuffix(trouble.advice).rstrip()
    return HardwareError(trouble.part, what, _STOP_THE_DOOR, trouble.step)

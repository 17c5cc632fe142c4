"""The helper for whoever turns the camera's lens: how sharp it sees, on the gate's own screen.

A code at the distance where guests hold their phones, and the lens turned until the number
is at its best.
"""

from __future__ import annotations

from collections.abc import Callable

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Display, Eye
from gate.ports.screen import Focus

LOOK_S = 0.2
"""Longest wait for a frame: how late a stop may be noticed."""

_STOP_THE_DOOR = "The door has it while it runs. Run: systemctl stop maguey-gate"


def run(eye: Eye, display: Display, tell: Callable[[Focus], None], done: Callable[[], bool]) -> Focus | None:
    """Show every frame's sharpness until `done`; the last one shown, None if there was no frame.

    :param eye: one that measures the sharpness of what it looks at.
    :param tell: given what the screen is given.
    :raises HardwareError: the camera cannot be used, with what to do next.
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

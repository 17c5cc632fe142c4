"""A webcam takes two exposures in turn, through the controls of Video4Linux2 (docs/adr/0029).

A webcam does not say how it exposed a frame, nor is there a rule how late it follows. So each exposure is
kept for some frames, and a frame counts as taken with what was asked for a little earlier. That only
decides in which order the decoder tries things on it, so a camera that follows later is read as well.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable
from typing import Any

from hardware.camera import videodev2 as v
from hardware.camera.spec import Exposure

KEPT = 4
"""Frames for which an exposure is asked for in a row: more than `LATE`, so that each is really taken, and at
15 frames a second a guest waits 0.3 s for the other one."""

LATE = 2
"""Frames after which a webcam is taken to follow: one is being exposed when it is asked, one is on its
way."""

STRONGEST = 16.0
"""The gain that stands for the most that a webcam can. Its own numbers have no unit (USB Video Class, "Gain
Control"), so gains from 1 to this are spread evenly over its range."""

_UNIT_US = 100
"""Of `V4L2_CID_EXPOSURE_ABSOLUTE`."""

_log = logging.getLogger(__name__)

_Settings = tuple[tuple[int, int], ...]
"""Control and value."""


class WebcamExposure:
    """The exposures of one webcam.

    :param exposures: those to take turns, fewer than two: the camera decides by itself.
    :param call: passes a request and its argument to the device; raises `OSError`.
    :param name: of the camera, for the log.

    A camera that lacks the controls or refuses them decides by itself, and the log says so once. The methods
    raise `OSError` only if it is gone.
    """

    def __init__(self, exposures: tuple[Exposure, ...], call: Callable[[int, Any], None], name: str) -> None:
        self._exposures, self._call, self._name = exposures, call, name
        self._turns: tuple[_Settings, ...] = ()
        self._automatic: int | None = None  # the value that gives the exposure back to the camera
        self._frames = 0

    def start(self) -> None:
        """Take the exposure over from the camera, once it streams."""
        if len(self._exposures) < 2:
            return
        automatic, time = self._range(v.CID_EXPOSURE_AUTO), self._range(v.CID_EXPOSURE_ABSOLUTE)
        if automatic is None or time is None:
            self._give_up("it has no control for it")
            return
        gain = self._range(v.CID_GAIN)
        self._turns = tuple(_settings(one, time, gain) for one in self._exposures)
        self._automatic = automatic.default_value
        if len(set(self._turns)) == 1:
            self._give_up("its range is so small that both would be the same")
        else:
            self._ask(((v.CID_EXPOSURE_AUTO, v.EXPOSURE_MANUAL), *self._turns[0]))

    def next(self) -> int:
        """To be called after each frame: with which exposure that was taken, as far as one can know."""
        if not self._turns:
            return 0
        number, self._frames = self._frames, self._frames + 1
        taken_with = self._asked_for(number - LATE)
        if self._asked_for(self._frames) != self._asked_for(number):
            self._ask(self._turns[self._asked_for(self._frames)])
        return taken_with

    def stop(self) -> None:
        """Give the exposure back to the camera. Never raises."""
        if self._automatic is not None:
            with contextlib.suppress(OSError):
                self._call(v.S_CTRL, v.Control(v.CID_EXPOSURE_AUTO, self._automatic))
        self._turns, self._automatic = (), None

    def _asked_for(self, number: int) -> int:
        """The exposure asked for before that frame, from 0."""
        return max(0, number) // KEPT % len(self._exposures)

    def _range(self, control: int) -> v.ControlRange | None:
        about = v.ControlRange(id=control)
        try:
            self._call(v.QUERYCTRL, about)
        except OSError as error:
            _raise_if_gone(error)
            return None
        return None if about.flags & (v.CTRL_FLAG_DISABLED | v.CTRL_FLAG_READ_ONLY) else about

    def _ask(self, settings: _Settings) -> None:
        try:
            for control, value in settings:
                self._call(v.S_CTRL, v.Control(control, value))
        except OSError as error:
            _raise_if_gone(error)
            self._give_up(f"it refuses: {error.strerror}")

    def _give_up(self, why: str) -> None:
        self.stop()
        _log.warning("camera %s decides on its exposure by itself: %s", self._name, why)


def _settings(exposure: Exposure, time: v.ControlRange, gain: v.ControlRange | None) -> _Settings:
    settings = ((v.CID_EXPOSURE_ABSOLUTE, _allowed(exposure.time_us / _UNIT_US, time)),)
    if gain is None:
        return settings
    share = (exposure.gain - 1) / (STRONGEST - 1)
    return (*settings, (v.CID_GAIN, _allowed(gain.minimum + share * (gain.maximum - gain.minimum), gain)))


def _allowed(wanted: float, within: v.ControlRange) -> int:
    """The nearest value that the camera has."""
    step, lowest, highest = max(1, within.step), within.minimum, within.maximum
    value = lowest + round((wanted - lowest) / step) * step
    return int(min(max(value, lowest), lowest + (highest - lowest) // step * step))


def _raise_if_gone(error: OSError) -> None:
    if error.errno in (errno.ENODEV, errno.ENXIO):
        raise error

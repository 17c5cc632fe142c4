"""The helper for focusing the lens, with a scripted eye."""

from __future__ import annotations

import pytest

from gate.common.errors import HardwareError, Step
from gate.diagnostics import focus
from gate.ports.devices import Look
from gate.ports.screen import Focus, Screen
from gate.rules.presence import Sighting
from tests.fakes import ScriptedEye


class Panel:
    """A display that remembers what it showed."""

    def __init__(self) -> None:
        self.shown: list[Screen] = []

    def show(self, screen: Screen) -> None:
        self.shown.append(screen)

    def trouble(self) -> HardwareError | None:
        return None

    def close(self) -> None:
        pass


def _run(eye: ScriptedEye) -> tuple[Focus | None, list[Screen], list[Focus]]:
    panel, told = Panel(), list[Focus]()
    return focus.measure_focus(eye, panel, told.append, eye.exhausted), panel.shown, told


def test_every_frame_is_shown_with_the_best_so_far_and_whether_a_code_is_read() -> None:
    code = (Sighting.of(b"any code"),)
    looks = [Look(sharpness=200), Look(sharpness=400, sightings=code), Look(sharpness=300)]
    last, shown, told = _run(ScriptedEye(looks))
    expected = [Focus(200, 200), Focus(400, 400, read=True), Focus(300, 400)]
    assert shown == told == expected
    assert last == expected[-1]


def test_a_frame_that_was_not_measured_is_not_shown() -> None:
    last, shown, _ = _run(ScriptedEye([Look()]))
    assert last is None
    assert shown == []


def test_a_camera_in_use_by_the_door_is_refused_with_what_to_stop() -> None:
    eye = ScriptedEye([Look()])
    busy = "The camera /dev/video0 is being used by another program."
    eye.break_down(HardwareError("camera", busy, "Stop that program.", Step.CAMERA_BUSY))
    with pytest.raises(HardwareError, match="systemctl stop maguey-gate") as refused:
        _run(eye)
    assert str(refused.value).startswith(busy)
    assert "Stop that program" not in str(refused.value)
    assert refused.value.step is Step.CAMERA_BUSY


def test_any_other_trouble_is_raised_unchanged() -> None:
    eye = ScriptedEye([Look()])
    trouble = HardwareError("camera", "There is no camera.", "Plug it in.", Step.CAMERA_CABLE)
    eye.break_down(trouble)
    with pytest.raises(HardwareError) as refused:
        _run(eye)
    assert refused.value is trouble

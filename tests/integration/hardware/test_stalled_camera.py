"""A camera that stalls, in every way a camera can (invariant 13): noticed, replaced, then reported.

The camera's process and the driver in it are real; the kernel's side of the webcam is not.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gate.common.errors import Step
from gate.ports.devices import Look, Restarts
from hardware.camera.spec import Exposure
from hardware.eye.eye import ChildEye
from tests.integration.hardware.live_kernel import Camera, How
from tests.integration.hardware.watching import pids, raws, read, until
from tests.patience import stop_dead

TURNS = (Exposure(8333, 1.0), Exposure(25_000, 8.0))


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    return Camera(tmp_path, monkeypatch)


def _events(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["event"] for line in logs if str(line["event"]).startswith("camera ")]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("silent", "no picture"),
        ("old", "only pictures more than a second old"),
        ("repeated", "the same picture over and over"),
        ("frozen", "the same picture, to the pixel, under new times"),
    ],
)
def test_a_stalled_camera_is_replaced_then_reported_until_it_gives_fresh_pictures(
    camera: Camera, how: How, says: str
) -> None:
    with capture_logs() as logs:
        eye = ChildEye(camera.spec(), camera_deadline_s=2.0)
        until(eye, lambda _: len(camera.given()) > 10)
        camera.give(how, "STALE")
        until(eye, lambda _: eye.trouble() is not None)
        trouble = eye.trouble()
        camera.give("fresh", "FRESH")
        read(eye, "FRESH")
        until(eye, lambda _: eye.trouble() is None)
        eye.close()
    assert trouble is not None
    assert says in str(trouble)
    assert (trouble.part, trouble.step) == ("camera", Step.CAMERA_CABLE)
    assert _events(logs) == [
        "camera replaced",
        "camera failed",
        "camera recovered",
    ]


def test_a_code_that_shows_with_one_of_two_exposures_is_read(camera: Camera) -> None:
    eye = ChildEye(camera.spec(exposures=TURNS))
    camera.give("dim", "PAPER")
    read(eye, "PAPER")
    camera.give("fresh", "PHONE")
    read(eye, "PHONE")
    assert eye.restarts() == Restarts(0, 0)
    eye.close()


def test_a_picture_that_is_frozen_but_brightened_in_turn_is_noticed(camera: Camera) -> None:
    eye = ChildEye(camera.spec(exposures=TURNS), camera_deadline_s=2.0)
    until(eye, lambda _: len(camera.given()) > 10)
    camera.give("frozen", "STALE")
    until(eye, lambda _: eye.trouble() is not None)
    assert "the same picture, to the pixel, under new times" in str(eye.trouble())
    eye.close()


@pytest.mark.parametrize("how", ["old", "repeated"])
def test_a_code_in_a_frame_that_is_not_fresh_is_not_read(camera: Camera, how: How) -> None:
    eye = ChildEye(camera.spec())
    until(eye, lambda look: look is not None)
    camera.give(how)
    until(eye, lambda look: look is None)
    camera.give(how, "GONE")
    seen = _collect(eye, lambda: len([text for _, text in camera.given() if text == "GONE"]) > 5)
    camera.give("fresh", "HERE")
    seen += _collect(eye, lambda: b"HERE" in seen)
    assert set(seen) == {b"HERE"}
    eye.close()


def _collect(eye: ChildEye, done: Callable[[], bool]) -> list[bytes]:
    """The codes read until `done`."""
    seen: list[bytes] = []

    def look(look: Look | None) -> bool:
        seen.extend(raws(look) if look else [])
        return done() or bool(seen)

    until(eye, look)
    return seen


def test_a_stall_that_a_new_process_cures_is_not_reported(camera: Camera) -> None:
    with capture_logs() as logs:
        eye = ChildEye(camera.spec(), camera_deadline_s=2.0)
        until(eye, lambda _: len(camera.given()) > 10)
        camera.give("silent_once", "CURED")
        read(eye, "CURED")
        eye.close()
    assert _events(logs) == ["camera replaced"]
    assert eye.restarts() == Restarts(1, 0)


def test_a_camera_process_that_hangs_whenever_it_is_started_is_reported(camera: Camera) -> None:
    eye = ChildEye(camera.spec(), camera_deadline_s=2.0)
    until(eye, lambda look: look is not None)
    camera.give("hanging")
    until(eye, lambda _: eye.trouble() is not None)
    assert "also after its process was replaced" in str(eye.trouble())
    camera.give("fresh", "WELL")
    read(eye, "WELL")
    until(eye, lambda _: eye.trouble() is None)
    eye.close()


def test_a_frame_that_waited_for_a_hanging_decoder_too_long_is_not_read(camera: Camera) -> None:
    """Otherwise a guest who has gone on would be let in when the decoder is replaced."""
    eye = ChildEye(camera.spec(), decoder_deadline_s=2.0)
    until(eye, lambda look: look is not None)
    pid, decoder = pids(eye)
    stop_dead(decoder)
    camera.give("fresh", "GONE")
    until(eye, lambda _: len([text for _, text in camera.given() if text == "GONE"]) >= 2)
    stop_dead(pid)
    until(eye, lambda _: pids(eye)[1] != decoder)
    before = eye.beats()
    seen = _collect(eye, lambda: eye.beats() > before + 3)
    camera.give("fresh", "HERE")
    os.kill(pid, signal.SIGCONT)
    seen += _collect(eye, lambda: False)
    assert set(seen) == {b"HERE"}
    eye.close()


def test_a_resting_eye_looks_rarely_and_the_first_code_wakes_it(camera: Camera) -> None:
    rest_s = 1.5
    eye = ChildEye(camera.spec(idle_fps=1 / rest_s), rest_after_s=0.2)

    def gaps() -> list[float]:
        at = [when for when, _ in camera.given()]
        return [later - earlier for earlier, later in itertools.pairwise(at)]

    until(eye, lambda _: any(gap >= rest_s for gap in gaps()))
    camera.give("fresh", "WAKE")
    read(eye, "WAKE")
    until(eye, lambda _: [text for _, text in camera.given()].count("WAKE") >= 5)
    since = [text for _, text in camera.given()].index("WAKE")
    assert min(gaps()[since:]) < rest_s
    eye.close()

"""The camera's child process: fills slots of shared memory with frames when asked."""

from __future__ import annotations

import contextlib
import socket
import time

import msgspec

from gate.common.errors import HardwareError, Step
from hardware.camera.frame_source import FrameSource
from hardware.camera.open import open_camera
from hardware.camera.spec import CameraSpec
from hardware.eye import messages as m
from hardware.eye.assignment import Assignment
from hardware.eye.freshness import fingerprint, stale
from hardware.eye.slots import Slots


def serve_camera(assignment: Assignment, talk: socket.socket) -> None:
    """Answer `Capture` until the socket closes. Raises `HardwareError` when the camera fails."""
    slots = Slots(assignment.memory_fd, assignment.slots, assignment.slot_size)
    spec = msgspec.json.decode(assignment.camera, type=CameraSpec)
    with contextlib.closing(open_camera(spec)) as camera:
        talk.send(m.pack(m.Ready()))
        before: float | None = None
        while packet := talk.recv(m.LARGEST):
            request = m.request(packet)
            if isinstance(request, m.Capture):
                answer = _capture(camera, slots, request, before)
                before = answer.taken_at if answer.width else before
                talk.send(m.pack(answer))


def _capture(camera: FrameSource, slots: Slots, request: m.Capture, before: float | None) -> m.Captured:
    """The next frame, put into its slot if it is fresh. `before`: when the last one was taken."""
    frame, now = camera.grab(request.timeout_s), time.monotonic()
    if frame is None:
        return m.Captured(request.slot, exhausted=camera.exhausted())
    if why := stale(frame.taken_at, before, now):
        return m.Captured(request.slot, stale=why)
    if not slots.holds(frame.grey):
        height, width = frame.grey.shape
        what = f"The camera gives frames of {width}×{height}, larger than was asked for."
        raise HardwareError(
            "camera", what, "Set camera.width and height to a size it offers.", Step.CAMERA_SETTINGS
        )
    slots.write(request.slot, frame.grey)
    height, width = frame.grey.shape
    return m.Captured(
        slot=request.slot,
        width=width,
        height=height,
        source=frame.source,
        refused=frame.refused,
        exhausted=camera.exhausted(),
        taken_at=now if frame.taken_at is None else frame.taken_at,
        picture=0 if frame.taken_at is None else fingerprint(frame.grey),
        exposure=frame.exposure,
    )

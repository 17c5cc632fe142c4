"""Camera and decoder as one `gate.ports.devices.Eye`, each in a child process of its own.

Theory of operation. A thread of this process asks the camera child to fill a slot of shared memory, then the
decoder child to look at that slot, while the camera fills another. There are three slots: one is being
filled, one waits, one is being looked at. Only the newest frame waits, or where a camera takes exposures in
turn, the one that `hardware.eye.turn` prefers. What was read becomes a `Look`, which
the door takes with `look`. A later empty look does not replace one with codes, so that a slow moment of the
door costs no guest a second try. But a look that nobody took for `hardware.eye.freshness.KEPT_S` is dropped:
the door was stuck, and whoever held that code up may be gone. Where pictures are shown only once
(`CameraSpec.every_frame_counts`), nothing is dropped, and the next frame is asked for only after the last
look was taken. `hardware.eye.pace` says how often the camera is asked. A frame that is not fresh
(`hardware.eye.freshness`) is not looked at, and a camera without a fresh frame for `CAMERA_DEADLINE_S` is
replaced.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import defaultdict
from pathlib import PurePath

import msgspec
import structlog

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Look, Restarts
from gate.rules.payload import Code
from gate.rules.presence import Sighting
from hardware.camera.file_names import alias, file_url
from hardware.camera.picture_list import PictureList
from hardware.camera.spec import LONGEST_SIDE, CameraSpec
from hardware.camera.tried_files import CRASHES
from hardware.decoder.effort import Effort, effort
from hardware.eye import messages as m
from hardware.eye.freshness import OLD_S, FreezeDetector, Stale, is_past
from hardware.eye.keeper import ChildKeeper
from hardware.eye.misses import Misses
from hardware.eye.pace import REST_AFTER_S, LookPace
from hardware.eye.slots import Slots
from hardware.eye.turn import waits_on

DECODER_DEADLINE_S = 1.0
"""A decoder that takes longer hangs; the slowest frame seen took 0.04 s, on a Zero 2 W 15 times as long."""

STILL_DEADLINE_S = 5.0
"""The same for ``files``, which are larger and tried harder, for up to 0.2 s, while no guest waits."""

CAMERA_DEADLINE_S = 5.0
"""A camera that gives no frame for this long is frozen, and its process is replaced."""

_NOTHING: dict[Stale, str] = {
    "": "no picture",
    "old": "only pictures more than a second old",
    "repeated": "the same picture over and over",
    "frozen": "the same picture, to the pixel, under new times,",
}

GRAB_S = 1.0
"""How long the camera child waits for a frame before it says that there was none."""

CLOSE_S = 1.0
"""How long the camera may take to release its device when the eye closes."""

NOT_A_PICTURE = b"\x00not-a-picture:"
"""Start of the raw bytes that stand for a file that was not a picture. Because of the NUL they are never a
code, so the door answers `malformed` as for any other foreign thing. What follows is
`hardware.camera.file_names.alias`, which tells files apart without their names."""

_SLOTS = 3
_log = structlog.get_logger()


class _WaitingFrame(msgspec.Struct, frozen=True):
    """A frame in a slot that was not looked at yet."""

    slot: int
    width: int
    height: int
    source: str
    taken_at: float
    exposure: int


class ChildEye:
    """See the module's docstring. It starts at once, also without a camera; `trouble` then says so.

    :param decoder_headroom_mb: memory that the decoder may use beyond its libraries before it is replaced.
    :param rest_after_s: seconds without any code after which the eye rests (`CameraSpec.idle_fps`).
    :param measures_sharpness: whether each look says how sharp its frame was.
    """

    def __init__(  # noqa: PLR0913 – limits, by name
        self,
        spec: CameraSpec,
        *,
        decoder_deadline_s: float | None = None,
        camera_deadline_s: float = CAMERA_DEADLINE_S,
        decoder_headroom_mb: int = 256,
        rest_after_s: float = REST_AFTER_S,
        measures_sharpness: bool = False,
    ) -> None:
        self._every_frame_counts = spec.every_frame_counts
        self._measures = measures_sharpness
        self._still = spec.driver == "files"
        self._silence_s = camera_deadline_s
        self._grab_s = min(GRAB_S, camera_deadline_s / 2)
        self._slots = Slots.make(_SLOTS, _slot_size(spec))
        self._spec, self._series = spec, PictureList(spec.files)
        if decoder_deadline_s is None:
            decoder_deadline_s = STILL_DEADLINE_S if self._still else DECODER_DEADLINE_S
        self._camera = ChildKeeper("camera", self._slots, camera_deadline_s, camera=spec)
        self._decoder = ChildKeeper(
            "decoder", self._slots, decoder_deadline_s, headroom_mb=decoder_headroom_mb
        )
        self._pace = LookPace(spec.idle_fps, code_at=time.monotonic(), rest_after_s=rest_after_s)
        self._waiting: _WaitingFrame | None = None
        self._decoding: _WaitingFrame | None = None
        self._misses = Misses()
        self._last_exposure = 0  # of the frame last given to the decoder
        self._retried = False
        self._camera_was = 0  # restarts when the list was last updated
        self._decoder_was = 0  # restarts when the frame being decoded was sent
        self._heard_camera, self._watched = 0.0, 0
        self._stale: Stale = ""
        # by exposure: a frozen picture that is only brightened differently in turn is frozen too
        self._stillness = defaultdict[int, FreezeDetector](lambda: FreezeDetector(camera_deadline_s))
        self._exhausted = self._done = False
        self._crashed: HardwareError | None = None
        self._look: Look | None = None
        self._read_at = 0.0  # when it was read
        self._changed = threading.Condition()
        self._closing = False
        self._beats = 0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="eye", daemon=True)
        self._thread.start()

    def look(self, timeout: float) -> Look | None:
        """The newest frame's codes, or None if no frame was decoded within `timeout` seconds."""
        with self._changed:
            if not self._every_frame_counts and is_past(self._read_at, time.monotonic()):
                self._look = None
            self._changed.wait_for(lambda: self._look is not None or self._closing, timeout)
            look, self._look = self._look, None
            if self._every_frame_counts and look is not None and not self._closing:
                self._nudge()  # for the next picture; with the lock, so that the descriptor is still ours
        return look

    def trouble(self) -> HardwareError | None:
        """What is broken right now, the camera before the decoder; None while all is well."""
        return self._crashed or self._camera.trouble() or self._decoder.trouble()

    def exhausted(self) -> bool:
        """Whether every picture of a list was looked at, and every look was taken."""
        with self._changed:
            return self._done and self._look is None

    def beats(self) -> int:
        """Grows at least once a second while the eye's own thread turns, with or without a camera."""
        return self._beats

    def restarts(self) -> Restarts:
        """How often each child was replaced."""
        return Restarts(self._camera.restarts, self._decoder.restarts)

    def close(self) -> None:
        """Release the camera and stop the child processes, within 2 s. A second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._nudge()
        self._thread.join()
        self._slots.close()
        os.close(self._wake)

    def _nudge(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._step()
        except Exception:
            _log.exception("eye crashed")
            what = "The part of the gate that reads codes has stopped because of a defect."
            self._crashed = HardwareError("camera", what, "Restart the gate.", Step.RESTART)
        finally:
            self._camera.release()
            self._decoder.release()
            self._decoder.stop(0.0)
            self._camera.stop(CLOSE_S)

    def _step(self) -> None:
        self._beats += 1
        self._ask_decoder()  # first: a guest may be waiting for it
        now = time.monotonic()
        self._watch_silence(now)
        self._camera.tend(now)
        self._decoder.tend(now)
        self._ask_camera()
        heard = self._wait_for_news()
        if self._camera.fileno in heard:
            self._camera_said(self._camera.hear())
        if self._decoder.fileno in heard:
            self._decoder_said(self._decoder.hear())
        self._rescue_frame()
        self._continue_list()
        self._done = self._exhausted and self._waiting is None and self._decoding is None

    def _wait_for_news(self) -> set[int]:
        """Wait until something is to be done; returns the descriptors on which there is something to hear."""
        poller = select.poll()
        for fileno in (self._wake, self._camera.fileno, self._decoder.fileno):
            if fileno is not None:
                poller.register(fileno, select.POLLIN)
        now = time.monotonic()
        soon = min(self._camera.wakes_at, self._decoder.wakes_at, now + GRAB_S)
        if self._camera.is_idle and self._pace.due(now) > now:
            soon = min(soon, self._pace.due(now))
        # rounded up, or the loop would spin in the last millisecond before a deadline
        heard = {fileno for fileno, _ in poller.poll(max(0.0, (soon - now) * 1000 + 1))}
        if self._wake in heard:
            os.eventfd_read(self._wake)
        return heard

    def _watch_silence(self, now: float) -> None:
        """A camera that answers in time, but for a long time without a frame, is frozen too."""
        if not self._camera.is_idle or self._every_frame_counts:
            return
        if self._camera.pid != self._watched:
            self._watched, self._heard_camera = self._camera.pid, now
        if now - self._heard_camera > self._silence_s:
            what = f"The camera has given {_NOTHING[self._stale]} for {self._silence_s:g} s."
            error = HardwareError("camera", what, "Check the camera's cable.", Step.CAMERA_CABLE)
            self._camera.fail(what, error)

    def _ask_camera(self) -> None:
        if not self._camera.is_idle or (self._every_frame_counts and self._is_behind()):
            return
        if (now := time.monotonic()) < self._pace.due(now):
            return
        taken = {frame.slot for frame in (self._waiting, self._decoding) if frame is not None}
        free = next(slot for slot in range(_SLOTS) if slot not in taken)
        self._pace = self._pace.asked(now)
        self._camera.ask(m.Capture(free, self._grab_s))

    def _is_behind(self) -> bool:
        with self._changed:
            unread = self._look is not None
        return self._exhausted or unread or self._waiting is not None or self._decoding is not None

    def _ask_decoder(self) -> None:
        frame = self._waiting
        if frame is None or not self._decoder.is_idle:
            return
        self._waiting = None
        if not self._every_frame_counts and time.monotonic() - frame.taken_at > OLD_S:
            return  # the decoder, or this whole process, was stuck
        self._decoding, self._decoder_was = frame, self._decoder.restarts
        self._last_exposure = frame.exposure
        hard = self._effort(frame.exposure)
        self._decoder.ask(m.Decode(frame.slot, frame.width, frame.height, hard, self._measures))

    def _effort(self, exposure: int) -> Effort:
        if self._still:
            return Effort.STILL
        return effort(self._misses.before(exposure), self._misses.was_foreign(exposure))

    def _camera_said(self, answer: m.Captured | m.Read | None) -> None:
        if not isinstance(answer, m.Captured):
            return
        self._stale = answer.stale
        stillness = self._stillness[answer.exposure]
        if answer.width and stillness.is_frozen(answer.picture, time.monotonic()):
            self._stale = "frozen"
        elif answer.width:
            self._heard_camera = time.monotonic()
            self._series.shown()
            self._camera.delivered()
            self._take_frame(answer)
        self._exhausted = answer.exhausted

    def _take_frame(self, answer: m.Captured) -> None:
        waiting = self._waiting
        if answer.refused:
            self._refuse(answer.source, answer.refused)
        elif waiting is None or not waits_on(waiting.exposure, answer.exposure, self._last_exposure):
            self._waiting = _WaitingFrame(
                answer.slot, answer.width, answer.height, answer.source, answer.taken_at, answer.exposure
            )

    def _decoder_said(self, answer: m.Captured | m.Read | None) -> None:
        frame = self._decoding
        if frame is None or not isinstance(answer, m.Read):
            return
        self._decoding, self._retried = None, False
        self._decoder.delivered()
        sightings = tuple(Sighting.of(raw, offset) for raw, offset in answer.codes)
        # a poster is a miss too: its code is read in every frame, the phone beside it perhaps in none
        ours = any(isinstance(one.what, Code) for one in sightings)
        if ours:
            self._misses.read()
        else:
            self._misses.missed(frame.exposure, foreign=bool(sightings))
        self._publish(
            Look(
                sightings=sightings,
                decode_ms=answer.ms,
                source=frame.source,
                sharpness=answer.sharpness,
            )
        )

    def _rescue_frame(self) -> None:
        """A decoder that died leaves its frame unread. A camera soon gives another; a file is tried twice."""
        frame = self._decoding
        if frame is None or self._decoder.restarts == self._decoder_was:
            return
        self._decoding = None
        # try differently: what was tried may have been the cause
        self._misses.missed(frame.exposure, foreign=False)
        if self._every_frame_counts and not self._retried:
            self._waiting, self._retried = frame, True
        elif self._every_frame_counts:
            self._retried = False
            self._refuse(frame.source, "The decoder failed on it twice. It was probably made to do that.")

    def _continue_list(self) -> None:
        """A camera process that died leaves its list unfinished; the next process continues there."""
        if not self._still or self._camera.restarts == self._camera_was:
            return
        self._camera_was = self._camera.restarts
        if skipped := self._series.ended():
            self._refuse(file_url(PurePath(skipped).name), CRASHES)
        self._camera.camera = msgspec.structs.replace(self._spec, files=self._series.left)

    def _refuse(self, source: str, why: str) -> None:
        # for a list, `source` has the file's own name, for the person who gave it
        name = alias(source.removeprefix("file:")) if self._still else source
        _log.warning("picture refused", source=name, reason=why)
        shown = Sighting.of(NOT_A_PICTURE + name.encode())
        self._publish(Look(sightings=(shown,), source=source))

    def _publish(self, look: Look) -> None:
        if look.sightings:
            self._pace = self._pace.saw_code(time.monotonic())
        with self._changed:
            if self._look is None or look.sightings or not self._look.sightings:
                self._look, self._read_at = look, time.monotonic()
            self._changed.notify_all()


def _slot_size(spec: CameraSpec) -> int:
    """Bytes for the largest frame; a webcam may give a size near the one asked for."""
    width, height = spec.size
    largest = LONGEST_SIDE * LONGEST_SIDE if spec.driver == "files" else 2 * width * height
    return -(-largest // os.sysconf("SC_PAGESIZE")) * os.sysconf("SC_PAGESIZE")

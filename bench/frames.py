"""From a frame to the relay, and the cost of an empty frame."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from bench import night
from bench.bed import Gate, OneInsert, open_door
from bench.context import Context
from bench.decision import a_record
from bench.figures import Aim, Contestant, Row, compared, in_turn, percentile
from bench.pictures import empty_frames
from bench.readers import pyzbar_alone
from demo.night import phone
from display.panel.devices import make_device
from gate.door.loop import Door
from hardware.camera.spec import CameraSpec
from hardware.decoder.decode import read_codes
from hardware.decoder.effort import ROTATION, Effort, effort
from hardware.decoder.picture_file import Grey
from hardware.eye import messages as m
from hardware.eye.eye import ChildEye
from tests.fakes import RecordingTurnstile

TICKETS = 10_000
PICTURES = 200


def rows(context: Context) -> Iterator[Row]:
    """Rows 5 and 6 of quality 7.3."""
    yield from _to_the_relay(context)
    yield from _empty(context)


class TimedEye(ChildEye):
    """The product's eye; it notes when each picture's frame was in memory."""

    def __init__(self, spec: CameraSpec) -> None:
        self.in_memory: dict[str, float] = {}
        super().__init__(spec)

    def _take_frame(self, answer: m.Captured) -> None:
        self.in_memory.setdefault(answer.source, time.perf_counter())
        super()._take_frame(answer)


class Guest:
    """Holds up one phone after another to a door in this process."""

    def __init__(self, door: Door, eye: TimedEye, turnstile: RecordingTurnstile, camera: Path) -> None:
        self._door, self._eye, self._turnstile, self._camera = door, eye, turnstile, camera
        self.pictures = [_phone(number) for number in range(PICTURES)]
        self.shown = 0

    def pass_through(self) -> float:
        """Seconds from the frame in memory to the command to the relay."""
        before = len(self._turnstile.releases)
        known = set(self._eye.in_memory)
        self._hold_up(self.shown)
        self.shown += 1
        while len(self._turnstile.releases) == before:
            self._door.step()
        (source,) = set(self._eye.in_memory) - known - {"folder"}
        return self._turnstile.releases[-1] - self._eye.in_memory[source]

    def _hold_up(self, number: int) -> None:
        hidden = self._camera / f".{number}.png"
        self.pictures[number].save(hidden)
        hidden.rename(self._camera / f"{number}.png")


def _phone(number: int) -> Image.Image:
    return phone(night.code(number), random.Random(number))


def _to_the_relay(context: Context) -> Iterator[Row]:
    camera = context.folder / "camera"
    camera.mkdir()
    with ExitStack() as stack:
        gate = stack.enter_context(closing(Gate(context.folder, TICKETS)))
        floor = stack.enter_context(closing(OneInsert(context.folder, a_record(gate))))
        eye = TimedEye(CameraSpec(driver="folder", path=str(camera), fps=100, hold_ms=25))
        turnstile = RecordingTurnstile(time.perf_counter)
        door = stack.enter_context(open_door(gate, eye, turnstile, lambda: make_device("dummy")))
        guest = Guest(door, eye, turnstile, camera)
        frames = [np.asarray(picture) for picture in guest.pictures]

        def decode_and_commit() -> float:
            grey = frames[guest.shown - 1]
            started = time.perf_counter()
            found = read_codes(grey, Effort.FRAME).found
            taken = time.perf_counter() - started + floor.insert()
            assert found
            return taken

        count = min(context.rounds(PICTURES - 10), PICTURES - 10)
        ours, floors = _alternating(guest.pass_through, decode_and_commit, count)
    yield compared("frame in memory → relay, p50", "decode + one INSERT", ours, floors, 50, 1.3)


def _alternating(ours: Contestant, floor: Contestant, count: int) -> tuple[list[float], list[float]]:
    """The floor uses the picture that was just shown, so it always comes second."""
    pairs = [(ours(), floor()) for _ in range(count + 10)][10:]
    return [first for first, _ in pairs], [second for _, second in pairs]


def _empty(context: Context) -> Iterator[Row]:
    ratios: dict[str, float] = {}
    costs: dict[str, tuple[float, float]] = {}
    for name, grey in empty_frames(context.data).items():
        taken = in_turn([_watching(grey), partial(_timed, partial(pyzbar_alone, grey))], 12, warm_up=2)
        ours, floor = (percentile(seconds, 50) * 1000 for seconds in taken)
        costs[name], ratios[name] = (ours, floor), ours / floor
    ranked = sorted(ratios, key=lambda name: ratios[name])
    for what, name in (("the usual", ranked[len(ranked) // 2]), ("the worst", ranked[-1])):
        yield Row(
            what=f"an empty 640×480 frame, {what} of {len(ranked)}: {name}",
            figure=costs[name][0],
            floor="pyzbar on the same frame",
            floor_figure=costs[name][1],
            aim=Aim(limit=0.15),
            note=", ".join(f"{name} {ratios[name]:.2f}" for name in ranked) if what == "the worst" else "",
        )


def _watching(grey: Grey) -> Contestant:
    """Seconds per frame while nobody is at the door, averaged: some frames get more effort than others."""
    cycle = [effort(missed) for missed in range(len(ROTATION))]
    return lambda: sum(_timed(partial(read_codes, grey, each)) for each in cycle) / len(cycle)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""How many pictures are read, and how fast, beside zxing-cpp and pyzbar alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from bench.context import Context
from bench.figures import Aim, Row, in_turn
from bench.pictures import Sample, door_scenes, photographs, texts, without_codes
from bench.readers import READERS, Reader
from hardware.pictures import Grey, load

OURS = ("one frame", "third frame", "still")
TIMES = 3
"""Each picture is looked at so often by each reader; the quickest counts."""


class Score(msgspec.Struct, frozen=True):
    """One picture and one reader: whether it was read, and in how many seconds."""

    kind: str
    reader: str
    read: bool
    seconds: float


def rows(context: Context) -> Iterator[Row]:
    """Row 7 of quality 7.3, for the photographs and for the scenes at the door."""
    if not context.data.is_dir():
        why = f"there are no test pictures in {context.data}; give --data"
        yield Row(what="read rates", note=why)
        return
    for name, samples in (
        ("photographs", photographs(context.data)),
        ("door scenes", door_scenes(context.data)),
    ):
        yield from _of(name, scores(samples))
    yield from _false_positives(context)


def scores(samples: Sequence[Sample]) -> list[Score]:
    """Every reader on every picture, in turn."""
    return [score for sample in samples for score in _one(sample)]


def _one(sample: Sample) -> Iterator[Score]:
    grey = load(sample.path)
    taken = in_turn([partial(_timed, reader, grey) for reader in READERS.values()], TIMES, warm_up=0)
    for (name, reader), seconds in zip(READERS.items(), taken, strict=True):
        read = any(sample.expected.intersection(texts(raw)) for raw in reader(grey))
        yield Score(sample.kind, name, read, min(seconds))


def _timed(reader: Reader, grey: Grey) -> float:
    started = time.perf_counter()
    reader(grey)
    return time.perf_counter() - started


def _of(name: str, scored: Sequence[Score]) -> Iterator[Row]:
    total = sum(score.reader == "zxing-cpp" for score in scored)
    alone = max(("zxing-cpp", "pyzbar"), key=lambda reader: read_by(scored, reader))
    for reader in OURS:
        yield Row(
            what=f"{name} read, {reader}, of {total}",
            figure=read_by(scored, reader),
            unit="",
            floor=f"{alone} alone",
            floor_figure=read_by(scored, alone),
            aim=Aim(limit=1, at_least=True),
            note=_by_kind(scored, reader),
        )
    for reader in ("zxing-cpp", "pyzbar"):
        yield Row(
            what=f"{name} read, {reader} alone, of {total}",
            figure=read_by(scored, reader),
            unit="",
            note=_by_kind(scored, reader),
        )
    for reader in OURS:
        yield Row(
            what=f"{name}, time for a picture, {reader}",
            figure=_seconds(scored, reader) / total * 1000,
            floor="zxing-cpp's",
            floor_figure=_seconds(scored, "zxing-cpp") / total * 1000,
            # a still is a file from a command line, nobody waits for it at the door
            aim=Aim(limit=1.5) if reader == "one frame" else None,
        )


def read_by(scored: Sequence[Score], reader: str, kind: str | None = None) -> int:
    """How many pictures a reader read; of one kind, or of all."""
    return sum(score.read for score in scored if score.reader == reader and kind in (None, score.kind))


def _seconds(scored: Sequence[Score], reader: str) -> float:
    return sum(score.seconds for score in scored if score.reader == reader)


def _by_kind(scored: Sequence[Score], reader: str) -> str:
    kinds = dict.fromkeys(score.kind for score in scored)
    return ", ".join(f"{kind} {read_by(scored, reader, kind)}" for kind in kinds)


def _false_positives(context: Context) -> Iterator[Row]:
    pictures = [load(path) for path in without_codes(context.data)]
    found = sum(bool(READERS[reader](grey)) for grey in pictures for reader in OURS)
    yield Row(
        what=f"codes read where there is none, {len(pictures)} pictures",
        figure=found,
        unit="",
        aim=Aim(limit=0, of="figure"),
    )

"""How many pictures are read, and how fast, compared with zxing-cpp and pyzbar alone.

The reader "everything" takes all steps, as the door does for a frame beside a poster, so its time cannot be
compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from bench.context import Context
from bench.figures import Aim, Row, in_turn
from bench.pictures import Sample, door_scenes, photographs, texts, without_codes
from bench.readers import READERS, Reader
from bench.scenes import Scene, scene
from hardware.decoder.picture_file import Grey, load_picture

OURS = ("one frame", "everything", "still")
ALONE = ("zxing-cpp", "pyzbar")
SCENES = 210
TIMES = 5
"""How often each reader reads each picture; the fastest counts."""


class Score(msgspec.Struct, frozen=True):
    """One picture and one reader: whether it was read, and in how many seconds."""

    kind: str
    reader: str
    read: bool
    seconds: float


def rows(context: Context) -> Iterator[Row]:
    """Row 7 of quality 7.3: for photographs, scenes at the door, and harsher generated ones."""
    if context.data.is_dir():
        for name, samples in (("photographs", photographs), ("door scenes", door_scenes)):
            yield from _of(name, [score for one in samples(context.data) for score in _sample(one)])
        yield from _false_positives(context)
    else:
        yield Row(what="read rates", note=f"no test pictures in {context.data}; give --data")
    made = [scene(number) for number in range(SCENES)]
    yield from _of("dim scenes", [score for one in made for score in _scene(one)])


def _sample(sample: Sample) -> Iterator[Score]:
    return _scores(sample.kind, load_picture(sample.path), sample.expected)


def _scene(made: Scene) -> Iterator[Score]:
    return _scores(f"noise {made.noise}", made.grey, frozenset([made.text]))


def _scores(kind: str, grey: Grey, expected: frozenset[str]) -> Iterator[Score]:
    """Let every reader read one picture, in turn."""
    taken = in_turn([partial(_timed, reader, grey) for reader in READERS.values()], TIMES, warm_up=1)
    for (name, reader), seconds in zip(READERS.items(), taken, strict=True):
        read = any(expected.intersection(texts(raw)) for raw in reader(grey))
        yield Score(kind, name, read, min(seconds))


def _timed(reader: Reader, grey: Grey) -> float:
    started = time.perf_counter()
    reader(grey)
    return time.perf_counter() - started


def _of(name: str, scored: Sequence[Score]) -> Iterator[Row]:
    total = sum(score.reader == "zxing-cpp" for score in scored)
    alone = max(ALONE, key=lambda reader: read_by(scored, reader))
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
    for reader in ALONE:
        read = read_by(scored, reader)
        yield Row(
            what=f"{name} read, {reader} alone, of {total}",
            figure=read,
            unit="",
            note=_by_kind(scored, reader),
        )
    yield Row(
        what=f"{name}, time for a picture, one frame",
        figure=_seconds(scored, "one frame") / total * 1000,
        floor="zxing-cpp's",
        floor_figure=_seconds(scored, "zxing-cpp") / total * 1000,
        aim=Aim(limit=1.5),
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
    pictures = [load_picture(path) for path in without_codes(context.data)]
    found = sum(bool(READERS[reader](grey)) for grey in pictures for reader in OURS)
    yield Row(
        what=f"codes read where there is none, {len(pictures)} pictures",
        figure=found,
        unit="",
        aim=Aim(limit=0, of="figure"),
    )

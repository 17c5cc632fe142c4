"""How long a phone has to be held up: approaches (`bench.approaches`) until their code is read.

All contestants look at every frame of every approach, also after they have read it, as a door does. The time
is the CPU's, so that other work on the machine matters less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from bench.approaches import BRIGHT, DIM, FPS, FRAMES, JUDGING, ONE, SECONDS, THEMES, Approach, approaches
from bench.context import Context
from bench.figures import Aim, Row, percentile
from bench.readers import pyzbar_alone, zxing_alone
from bench.sensor import Shutter
from gate.common.value import Value
from hardware.decoder.decode import read_codes
from hardware.decoder.effort import effort
from hardware.decoder.picture_file import Grey
from hardware.eye.misses import Misses

EACH = 3
"""Approaches of each theme in a usual run."""

Look = Callable[[Grey, int], list[bytes]]
"""Reads one frame; the number says which of the camera's exposures it was taken with."""


class Watcher:
    """The product's decoder with its memory of misses, as `hardware.eye.eye` uses it."""

    def __init__(self) -> None:
        self._misses = Misses()

    def __call__(self, grey: Grey, exposure: int) -> list[bytes]:
        """What is read in the next frame."""
        hard = effort(self._misses.before(exposure))
        read = [found.raw for found in read_codes(grey, hard).found]
        if read:
            self._misses.read()
        else:
            self._misses.missed(exposure, foreign=False)
        return read


class Contestant(Value, frozen=True):
    """`shutters`: the exposures its camera takes in turn. `new`: what looks at one approach."""

    name: str
    shutters: tuple[Shutter, ...]
    new: Callable[[], Look]


ALONE = "zxing-cpp alone"
CONTESTANTS = (
    Contestant(name="the door, one exposure", shutters=(ONE,), new=Watcher),
    Contestant(name="the door, alternating", shutters=(BRIGHT, DIM), new=Watcher),
    Contestant(name=ALONE, shutters=(ONE,), new=lambda: lambda grey, _: zxing_alone(grey)),
    Contestant(name="pyzbar alone", shutters=(ONE,), new=lambda: lambda grey, _: pyzbar_alone(grey)),
)
READ_AIMS = {
    "the door, one exposure": Aim(limit=72, of="figure", at_least=True),
    "the door, alternating": Aim(limit=85, of="figure", at_least=True),
}
WAIT_AIMS = {"the door, alternating": Aim(limit=0.9, of="figure")}


class Outcome(Value, frozen=True):
    """One contestant on one approach.

    `first`: when the code was first read, in s since the approach began; `SECONDS` if it never was, or later.
    `wrong`: how many codes were read that nobody showed. `frames`: CPU seconds for each frame.
    """

    contestant: str
    theme: str
    first: float
    wrong: int
    frames: tuple[float, ...]

    @property
    def read(self) -> bool:
        """Whether the guest got in."""
        return self.first < SECONDS


Figure = Callable[[Sequence[Outcome]], float]
"""Of several outcomes together."""


def rows(context: Context) -> Iterator[Row]:
    """Reads, wait and cost of every contestant, on the seeds that nobody tunes on."""
    yield from rows_of(list(outcomes_of(JUDGING, max(1, round(EACH * context.share)))))


def outcomes_of(seeds: range, each: int) -> Iterator[Outcome]:
    """Every contestant on the same approaches."""
    for one in approaches(seeds, each):
        frames: dict[tuple[int, Shutter], Grey] = {}
        for contestant in CONTESTANTS:
            yield _outcome(one, contestant, frames)


def _outcome(one: Approach, contestant: Contestant, frames: dict[tuple[int, Shutter], Grey]) -> Outcome:
    """:param frames: those already made, because all look at the same."""
    look, text = contestant.new(), one.text.encode()
    first, wrong, spent = SECONDS, 0, []
    for number in range(FRAMES):
        exposure = number % len(contestant.shutters)
        shutter = contestant.shutters[exposure]
        if (number, shutter) not in frames:
            frames[number, shutter] = one.frame(number, shutter)
        began = time.thread_time()
        read = look(frames[number, shutter], exposure)
        spent.append(time.thread_time() - began)
        if text in read:
            first = min(first, one.time(number) + shutter.seconds)
        wrong += sum(raw != text for raw in read)
    return Outcome(contestant=contestant.name, theme=one.name, first=first, wrong=wrong, frames=tuple(spent))


def rows_of(outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """Four rows for each contestant, beside zxing-cpp alone, and one for what nobody showed."""
    alone = [outcome for outcome in outcomes if outcome.contestant == ALONE]
    for name in (contestant.name for contestant in CONTESTANTS):
        ours = [outcome for outcome in outcomes if outcome.contestant == name]
        for what, unit, figure, aims in _COLUMNS:
            made = Row(
                what=f"{what}, {name}",
                figure=figure(ours),
                unit=unit,
                aim=aims.get(name),
                note=f"of {len(ours)}: {_by_theme(ours, figure)}",
            )
            yield made if name == ALONE else replace(made, floor=ALONE, floor_figure=figure(alone))
    doors = [outcome for outcome in outcomes if outcome.contestant in READ_AIMS]
    yield Row(
        what="codes read that nobody showed, by the door",
        figure=sum(outcome.wrong for outcome in doors),
        unit="",
        aim=Aim(limit=0, of="figure"),
    )


def _by_theme(outcomes: Sequence[Outcome], figure: Figure) -> str:
    """The figure for each theme."""
    themes = {theme: [outcome for outcome in outcomes if outcome.theme == theme] for theme in THEMES}
    return ", ".join(f"{theme} {figure(found):.3g}" for theme, found in themes.items() if found)


def _percent_read(outcomes: Sequence[Outcome]) -> float:
    return 100 * sum(outcome.read for outcome in outcomes) / len(outcomes)


def _mean_first(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.first for outcome in outcomes) / len(outcomes)


def _core_percent(outcomes: Sequence[Outcome]) -> float:
    spent = [seconds for outcome in outcomes for seconds in outcome.frames]
    return 100 * FPS * sum(spent) / len(spent)


def _slow_frame(outcomes: Sequence[Outcome]) -> float:
    return 1000 * percentile([seconds for outcome in outcomes for seconds in outcome.frames], 95)


_COLUMNS: tuple[tuple[str, str, Figure, Mapping[str, Aim]], ...] = (
    ("approaches read", "%", _percent_read, READ_AIMS),
    ("first read, mean", "s", _mean_first, WAIT_AIMS),
    ("share of a core", "%", _core_percent, {}),
    ("a frame, p95", "ms", _slow_frame, {}),
)

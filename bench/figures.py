"""Figures, floors and aims as values. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from gate.common.value import Value

State = Literal["ok", "missed", "not measured", ""]
Contestant = Callable[[], float]
"""Does its work once and returns the seconds that count: only it knows which part to time."""


class Aim(Value, frozen=True):
    """The aim of a row. `of`: the ratio to the floor, or the figure itself."""

    limit: float
    of: Literal["ratio", "figure"] = "ratio"
    at_least: bool = False

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}{'×' if self.of == 'ratio' else ''}"


class Row(Value, frozen=True):
    """One line of the table.

    `figure` and `floor_figure` are in `unit`; a figure of None was not measured, and `note` says why. A row
    without an aim only informs. `fifths`: the ratio in each fifth of the run, from lowest to highest. The
    median is the row's ratio, so that a disk that is slow for a while affects only that while; the others
    show the spread.
    """

    what: str
    figure: float | None = None
    unit: str = "ms"
    floor: str = ""
    floor_figure: float | None = None
    aim: Aim | None = None
    fifths: tuple[float, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the floor; None if either is missing."""
        if self.fifths:
            return self.fifths[len(self.fifths) // 2]
        if self.figure is None or not self.floor_figure:
            return None
        return self.figure / self.floor_figure

    @property
    def state(self) -> State:
        """Whether the aim is reached; empty for a row without one."""
        if self.figure is None:
            return "not measured"
        if self.aim is None:
            return ""
        value = self.ratio if self.aim.of == "ratio" else self.figure
        if value is None:
            return "not measured"
        reached = value >= self.aim.limit if self.aim.at_least else value <= self.aim.limit
        return "ok" if reached else "missed"


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample that `share` percent of all do not exceed (nearest rank, so always a measured one).

    :raises ValueError: there are no samples, or the share is not above 0 and at most 100.
    """
    if not samples:
        raise ValueError("no samples")
    if not 0 < share <= 100:
        raise ValueError(f"{share} percent")
    return sorted(samples)[math.ceil(len(samples) * share / 100) - 1]


def in_turn(contestants: Sequence[Contestant], rounds: int, warm_up: int) -> list[list[float]]:
    """Let all contestants work once per round; a different one begins each round.

    Other load on the machine thus affects all of them alike.

    :param warm_up: rounds before the first that counts.
    :returns: for each contestant its seconds, one value per round.
    """
    taken: list[list[float]] = [[] for _ in contestants]
    for number in range(warm_up + rounds):
        for place in range(len(contestants)):
            turn = (place + number) % len(contestants)
            seconds = contestants[turn]()
            if number >= warm_up:
                taken[turn].append(seconds)
    return taken


def fifths(ours: Sequence[float], floor: Sequence[float], share: float) -> tuple[float, ...]:
    """The ratio of a percentile to the floor's, in each of five consecutive parts, lowest first."""
    size = len(ours) // 5
    cuts = [slice(part * size, (part + 1) * size) for part in range(5)]
    return tuple(sorted(percentile(ours[cut], share) / percentile(floor[cut], share) for cut in cuts))


def compared(  # noqa: PLR0913, PLR0917 - the columns of one row
    what: str,
    floor: str,
    ours: Sequence[float],
    floors: Sequence[float],
    share: float,
    limit: float | None,
    unit: Literal["ms", "µs"] = "ms",
) -> Row:
    """A row for a percentile and the same percentile of its floor; takes seconds, shows `unit`."""
    scale = {"ms": 1e3, "µs": 1e6}[unit]
    return Row(
        what=what,
        figure=percentile(ours, share) * scale,
        unit=unit,
        floor=floor,
        floor_figure=percentile(floors, share) * scale,
        aim=None if limit is None else Aim(limit=limit),
        fifths=fifths(ours, floors, share),
    )

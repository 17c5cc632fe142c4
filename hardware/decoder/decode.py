"""From a grey picture to the bytes of the codes in it.

A cascade, cheapest first, in the order measured in quality 7.3: zxing-cpp with its defaults, zxing-cpp with
one threshold for the whole picture, zxing-cpp on a smoothed picture. Where one of them found a symbol and
could not read it, that place is enlarged and tried again; on every second frame one step from a rotation
(`hardware.decoder.effort`) takes the place of that. The cascade stops at the first step that reads anything.
Only with `SECOND_OPINION` does it take all steps, because what the first step reads again and again may be a
poster beside the guest's phone.

A frame full of sensor noise takes other steps: unsmoothed, it costs zxing-cpp five times as much and less is
read (bench, docs/performance.md). A frame without noise is not smoothed.

No step begins once a frame has taken `BUDGET_S`, so that a picture made to be slow costs the next guest a
frame and not the decoder's process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec
import numpy as np
import zxingcpp

from gate.rules.payload import Code, parse
from hardware.decoder import filters, zxing_cpp
from hardware.decoder.effort import Effort
from hardware.decoder.filters import LARGE, NOISY
from hardware.decoder.flatness import FLAT
from hardware.decoder.found_code import FoundCode, nearest_first, offset_from_middle
from hardware.decoder.picture_file import Grey
from hardware.decoder.zbar import read_by_zbar
from hardware.decoder.zxing_cpp import FIXED, GLOBAL, LOCAL, WALLET, Place

BUDGET_S = 0.1
"""CPU time of a frame after which no further step begins. The slowest frame of an honest scene took 0.02 s; a
Pi 4 takes four times as long."""

_MARGIN = 0.35
"""Of a symbol's side, how much around it belongs to the closer look: the quiet zone, and an estimate that is
off by a few modules."""
_STRENGTH, _CLOSE_STRENGTH = 3, 8
"""Of sharpening, in a whole frame and in a closer look, where more blur is worth the noise that it brings."""
_SMALLEST_SIDE = 12
"""Pixels; nothing can be made of a smaller symbol, whose modules are half a pixel."""
_CLOSE_UP = 90_000
"""Pixels up to which a place is enlarged; a symbol that is larger has pixels enough."""

_CpuClock = Callable[[], float]


class Decoded(msgspec.Struct, frozen=True):
    """What was found, nearest to the middle first; by which step, empty if nothing; in how many ms."""

    found: tuple[FoundCode, ...]
    decoder: str
    ms: float


_Step = Callable[[Grey], list[FoundCode]]
_StepResult = tuple[str, list[FoundCode]]
"""A step's name, and what it read."""


def read_codes(grey: Grey, effort: Effort = Effort.STILL, cpu: _CpuClock = time.thread_time) -> Decoded:
    """Find every code in a picture: QR codes, and our tickets as Aztec, PDF417 or Data Matrix.

    Parts of structured-append sequences and Micro QR are left out; a good code beside them is still found. No
    picture makes it raise, but native code may crash or hang.

    :param grey: height × width.
    :param cpu: seconds of CPU time, for `BUDGET_S`.
    """
    started = time.perf_counter()
    steps = _steps(np.ascontiguousarray(grey), effort)
    if effort is not Effort.STILL:
        steps = _within_budget(steps, cpu)
    readings = ((name, found) for name, found in steps if found)
    read = list(readings if effort is Effort.SECOND_OPINION else islice(readings, 1))
    found = [code for _, codes in read for code in codes]
    return Decoded(nearest_first(found), read[0][0] if read else "", (time.perf_counter() - started) * 1000)


def _within_budget(steps: Iterable[_StepResult], cpu: _CpuClock) -> Iterator[_StepResult]:
    """Those steps that begin within the budget. A step is only taken when it is asked for."""
    ends = cpu() + BUDGET_S
    for step in steps:
        yield step
        if cpu() > ends:
            return


def _steps(grey: Grey, effort: Effort) -> Iterator[_StepResult]:
    return _still_steps(grey) if effort is Effort.STILL else _frame_steps(grey, effort)


class _View:
    """A picture that zxing-cpp looks at in several ways; keeps the places of symbols that it did not read."""

    def __init__(self) -> None:
        self._unread: list[Place] = []

    def zxing(self, grey: Grey, binarizer: zxingcpp.Binarizer) -> list[FoundCode]:
        """What is read in `grey`, which shows the whole picture in its full size."""
        looked = zxing_cpp.look(grey, binarizer)
        self._unread += looked.unread
        return looked.found

    def closer(self, grey: Grey) -> Iterator[_StepResult]:
        """A closer look at the unread symbol that is nearest to the middle."""
        places = [place for place in self._unread if place.side >= _SMALLEST_SIDE]
        if not places:
            return
        place = min(places, key=lambda place: offset_from_middle(place.x, place.y, grey.shape))
        part, inside = zxing_cpp.around(grey, place, _MARGIN)
        if part.size <= _CLOSE_UP:
            part, inside = filters.doubled(part), inside._replace(scale=2)
        yield "zxing-closer", zxing_cpp.look(part, GLOBAL, inside=inside).found
        yield "zxing-closer-lifted", zxing_cpp.look(filters.lifted(part), GLOBAL, inside=inside).found
        sharp = filters.sharpened(filters.smoothed(part), _CLOSE_STRENGTH)
        yield "zxing-closer-sharpened", zxing_cpp.look(sharp, inside=inside).found


def _frame_steps(grey: Grey, effort: Effort) -> Iterator[_StepResult]:
    rows = grey[::8]
    if int(rows.max()) - int(rows.min()) < FLAT:
        return
    is_noisy = filters.is_grain_at_least(NOISY, filters.steps_between_neighbours(rows))
    view, base = _View(), filters.smoothed(grey) if is_noisy else grey
    yield "zxing-global", view.zxing(base, GLOBAL)
    smooth = base if is_noisy else filters.smoothed(grey)
    yield "zxing-lifted-global", view.zxing(filters.lifted(smooth), GLOBAL)
    if effort in {Effort.FRAME, Effort.SECOND_OPINION} and is_noisy:
        yield "zxing-half-smooth", zxing_cpp.look(filters.smoothed(filters.halved(grey))).found
    elif effort in {Effort.FRAME, Effort.SECOND_OPINION}:
        yield "zxing", view.zxing(grey, LOCAL)
        yield "zxing-smooth-global", view.zxing(smooth, GLOBAL)
    if effort is not Effort.FRAME:
        yield "zxing-sharpened-global", view.zxing(filters.sharpened(smooth, _STRENGTH), GLOBAL)
    if effort not in _EXTRA:
        yield from view.closer(base)
    for extra, (name, step) in _EXTRA.items():
        if effort in {extra, Effort.SECOND_OPINION}:
            yield name, step(base)


def _still_steps(grey: Grey) -> Iterator[_StepResult]:
    if max(grey.shape) > LARGE:
        small = filters.reduced(grey)
        yield "zxing-reduced", zxing_cpp.look(small).found
        view = _View()
        yield "zxing", view.zxing(grey, LOCAL)
        yield from view.closer(grey)
        grey = small
    view, smooth = _View(), filters.smoothed(grey)
    yield "zxing", view.zxing(grey, LOCAL)
    yield "zxing-global", view.zxing(grey, GLOBAL)
    yield "zxing-smooth", view.zxing(smooth, LOCAL)
    yield "zxing-smooth-global", view.zxing(smooth, GLOBAL)
    yield "zxing-lifted-global", view.zxing(filters.lifted(smooth), GLOBAL)
    yield "zxing-sharpened-global", view.zxing(filters.sharpened(smooth, _STRENGTH), GLOBAL)
    yield from view.closer(grey)
    for name, step in _EXTRA.values():
        yield name, step(grey)
    yield "zxing-smoother", zxing_cpp.look(filters.smoothed(smooth)).found
    yield "pyzbar-half", read_by_zbar(filters.halved(grey))
    yield "pyzbar", read_by_zbar(grey)


def _wallet(grey: Grey) -> list[FoundCode]:
    """Our tickets in other symbols. What else one says is not for us: identity cards have them."""
    return _ours(zxing_cpp.look(filters.halved(grey), LOCAL, WALLET).found)


def _fine_wallet(grey: Grey) -> list[FoundCode]:
    """As `_wallet`, where a module has fewer than four pixels; with the default it would take 12 ms."""
    return _ours(zxing_cpp.look(grey, GLOBAL, WALLET).found)


def _ours(found: list[FoundCode]) -> list[FoundCode]:
    return [code for code in found if isinstance(parse(code.raw), Code)]


def _evened(grey: Grey) -> list[FoundCode]:
    return zxing_cpp.look(filters.evened(filters.smoothed(grey)), FIXED).found


def _lifted(grey: Grey) -> list[FoundCode]:
    return zxing_cpp.look(filters.lifted(filters.smoothed(grey))).found


_EXTRA: dict[Effort, tuple[str, _Step]] = {
    Effort.WALLET: ("zxing-wallet", _wallet),
    Effort.FINE_WALLET: ("zxing-fine-wallet", _fine_wallet),
    Effort.EVENED: ("zxing-evened", _evened),
    Effort.LIFTED: ("zxing-lifted", _lifted),
}
"""The extra steps; each gets the frame, smoothed if it is noisy."""

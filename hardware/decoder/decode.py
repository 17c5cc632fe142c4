"""From a grey picture to the bytes of the QR codes in it.

A cascade, cheapest first, in the order measured in quality 7.3: zxing-cpp with its defaults, zxing-cpp with
one threshold for the whole picture, zxing-cpp on a smoothed picture, pyzbar on a half-size one. It stops at
the first step that reads anything. Only with `SECOND_OPINION` does it take all steps, because what the first
step reads again and again may be a poster beside the guest's phone.

A frame full of sensor noise takes other steps: unsmoothed, it costs zxing-cpp five times as much and less is
read (bench, docs/performance.md). A frame without noise is not smoothed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import zxingcpp

from hardware.decoder.effort import Effort
from hardware.decoder.flatness import FLAT
from hardware.decoder.picture_file import Grey
from hardware.decoder.symbol import looks_like_part

MOST_CODES = 16
"""Codes reported per picture, those nearest to its middle; a wall of codes is not a guest."""

LARGE = 1600
"""Longer side in pixels above which a still picture is tried in reduced size first."""

QUIET, NOISY = 2, 5
"""Below the first grain a frame is not smoothed, from the second on it is only tried smoothed. A quarter of
all neighbouring pixels differ by less than the grain. In 1000 scenes made with noise of 0 to 25 grey values,
smoothing helped nowhere up to a noise of 2, where the grain is 1, and unsmoothed frames helped nowhere from a
noise of 12 on, where it is 5."""

# QRCodeModel2 leaves out Micro QR, rMQR and the obsolete model 1; none of ours is one of these
_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
_GLOBAL = zxingcpp.Binarizer.GlobalHistogram
_LOCAL = zxingcpp.Binarizer.LocalAverage


class FoundCode(msgspec.Struct, frozen=True):
    """One code. `offset`: its middle from the picture's middle, 0 to 1 (1: in a corner)."""

    raw: bytes
    offset: float


class Decoded(msgspec.Struct, frozen=True):
    """What was found, nearest to the middle first; by which step, empty if nothing; in how many ms."""

    found: tuple[FoundCode, ...]
    decoder: str
    ms: float


_StepResult = tuple[str, list[FoundCode]]
"""A step's name, and what it read."""


def read_codes(grey: Grey, effort: Effort = Effort.STILL) -> Decoded:
    """Find every QR code in a picture.

    Parts of structured-append sequences and Micro QR are left out; a good code beside them is still found. No
    picture makes it raise, but native code may crash or hang.

    :param grey: height × width.
    """
    started = time.perf_counter()
    readings = _readings(np.ascontiguousarray(grey), effort)
    if effort is not Effort.SECOND_OPINION:
        readings = islice(readings, 1)
    read = list(readings)
    found = [code for _, codes in read for code in codes]
    return Decoded(_nearest_first(found), read[0][0] if read else "", (time.perf_counter() - started) * 1000)


def has_second_opinion() -> bool:
    """Whether pyzbar and its library (Debian: libzbar0) are installed."""
    return _pyzbar() is not None


def _readings(grey: Grey, effort: Effort) -> Iterator[_StepResult]:
    """What each step read that read anything. A step is only taken when it is asked for."""
    steps = _still_steps(grey) if effort is Effort.STILL else _frame_steps(grey, effort)
    return ((name, found) for name, found in steps if found)


def _frame_steps(grey: Grey, effort: Effort) -> Iterator[_StepResult]:
    rows = grey[::8]
    if int(rows.max()) - int(rows.min()) < FLAT:
        return
    steps = _steps_between_neighbours(rows)
    if _is_grain_at_least(NOISY, steps):
        yield from _noisy_steps(grey, effort)
        return
    yield "zxing", _zxing(grey)
    yield "zxing-global", _zxing(grey, _GLOBAL)
    if _is_grain_at_least(QUIET, steps):
        yield "zxing-smooth", _zxing(_smoothed(grey))
    if effort is Effort.SECOND_OPINION:
        yield "pyzbar-half", _zbar(_halved(grey))


def _noisy_steps(grey: Grey, effort: Effort) -> Iterator[_StepResult]:
    smooth = _smoothed(grey)
    yield "zxing-smooth-global", _zxing(smooth, _GLOBAL)
    yield "zxing-half-smooth", _zxing(_smoothed(_halved(grey)))
    if effort is Effort.SECOND_OPINION:
        # pyzbar, which noise disturbs most, read nothing in such frames that this step did not
        yield "zxing-smoother", _zxing(_smoothed(smooth))


def _still_steps(grey: Grey) -> Iterator[_StepResult]:
    if max(grey.shape) > LARGE:
        small = _reduced(grey)
        yield "zxing-reduced", _zxing(small)
        yield "zxing", _zxing(grey)
        grey = small
    else:
        yield "zxing", _zxing(grey)
    yield "zxing-global", _zxing(grey, _GLOBAL)
    yield "zxing-smooth", _zxing(_smoothed(grey))
    yield "pyzbar-half", _zbar(_halved(grey))
    yield "zxing-smooth-global", _zxing(_smoothed(grey), _GLOBAL)
    yield "zxing-smoother", _zxing(_smoothed(_smoothed(grey)))
    yield "pyzbar", _zbar(grey)


def _zxing(grey: Grey, binarizer: zxingcpp.Binarizer = _LOCAL) -> list[FoundCode]:
    codes = zxingcpp.read_barcodes(grey, formats=_QR, binarizer=binarizer)
    nearest = sorted(codes, key=lambda code: _offset(code, grey))[:MOST_CODES]
    return [FoundCode(code.bytes, _offset(code, grey)) for code in nearest if _is_whole(code, grey)]


def _is_whole(code: zxingcpp.Barcode, grey: Grey) -> bool:
    if not code.bytes:
        return False
    # the corner of a cracked screen can look like a part; pyzbar, which corrects errors first, then
    # has the last word
    return not looks_like_part(code) or any(found.raw == code.bytes for found in _zbar(grey))


def _offset(code: zxingcpp.Barcode, grey: Grey) -> float:
    at = code.position
    corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    return _from_middle(sum(c.x for c in corners) / 4, sum(c.y for c in corners) / 4, grey)


def _from_middle(x: float, y: float, grey: Grey) -> float:
    height, width = grey.shape
    distance = float(np.hypot(x - width / 2, y - height / 2))
    return round(min(1.0, distance / float(np.hypot(width / 2, height / 2))), 4)


@cache
def _pyzbar() -> Any | None:
    try:
        from pyzbar import pyzbar
    except ImportError:  # the package, or the C library it loads
        return None
    return pyzbar


def _zbar(grey: Grey) -> list[FoundCode]:
    pyzbar = _pyzbar()
    if pyzbar is None:
        return []
    try:
        codes = pyzbar.decode(grey, symbols=[pyzbar.ZBarSymbol.QRCODE])
    except (ValueError, pyzbar.PyZbarError):
        # raised for any part of a structured-append sequence, whatever else is in the picture
        return []
    # zbar guesses a charset for anything but ASCII, and guesses wrong
    nearest = sorted(codes, key=lambda code: _zbar_offset(code, grey))[:MOST_CODES]
    whole = [code for code in nearest if code.data and code.data.isascii()]
    return [FoundCode(code.data, _zbar_offset(code, grey)) for code in whole]


def _zbar_offset(code: Any, grey: Grey) -> float:
    rect = code.rect
    return _from_middle(rect.left + rect.width / 2, rect.top + rect.height / 2, grey)


def _nearest_first(found: list[FoundCode]) -> tuple[FoundCode, ...]:
    """Each code once, where it was seen nearest to the middle."""
    nearest = {code.raw: code for code in sorted(found, key=lambda code: -code.offset)}
    return tuple(sorted(nearest.values(), key=lambda code: code.offset))


def _mean(a: Grey, b: Grey) -> Grey:
    """The mean of two pictures, rounded down, without leaving 8 bits (an eighth of the time)."""
    mean = a ^ b
    mean >>= 1
    mean += a & b
    return mean


def _smoothed(grey: Grey) -> Grey:
    """Averaged over 3×3 pixels, weights 1-2-1 each way; two pixels smaller each way."""
    if min(grey.shape) < 3:
        return grey
    rows = _mean(_mean(grey[:-2], grey[2:]), grey[1:-1])
    return _mean(_mean(rows[:, :-2], rows[:, 2:]), rows[:, 1:-1])


def _halved(grey: Grey) -> Grey:
    """Half the size, each pixel the mean of four; a side of one pixel stays."""
    height, width = (side // 2 * 2 for side in grey.shape)
    rows = _mean(grey[0:height:2], grey[1:height:2]) if height else grey
    return _mean(rows[:, 0:width:2], rows[:, 1:width:2]) if width else rows


def _reduced(grey: Grey) -> Grey:
    while max(grey.shape) > LARGE:
        grey = _halved(grey)
    return grey


def _steps_between_neighbours(rows: Grey) -> Grey:
    """How far each pixel is from the one to its left."""
    left, right = rows[:, :-1], rows[:, 1:]
    return np.maximum(left, right) - np.minimum(left, right)


def _is_grain_at_least(limit: int, steps: Grey) -> bool:
    """Noise is everywhere, while prints and displays leave more than a quarter of a picture even."""
    return 4 * int(np.count_nonzero(steps < limit)) < steps.size

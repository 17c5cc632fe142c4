"""QR codes, and the other square and stacked ones, by zxing-cpp.

It also says where it found a symbol whose content it could not make out; that place deserves a closer look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import zxingcpp

from hardware.decoder.found_code import MOST_CODES, FoundCode, offset_from_middle
from hardware.decoder.picture_file import Grey
from hardware.decoder.symbol import looks_like_part
from hardware.decoder.zbar import read_by_zbar

# QRCodeModel2 leaves out Micro QR, rMQR and the obsolete model 1; none of ours is one of these
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
WALLET = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.Aztec, zxingcpp.BarcodeFormat.PDF417, zxingcpp.BarcodeFormat.DataMatrix]
)
"""What a wallet pass may show instead of a QR code (Apple: PDF417, Aztec; Google: Data Matrix as well)."""
LOCAL = zxingcpp.Binarizer.LocalAverage
GLOBAL = zxingcpp.Binarizer.GlobalHistogram
FIXED = zxingcpp.Binarizer.FixedThreshold
"""For a picture that is black and white already."""

_QR_CODE = zxingcpp.BarcodeFormat.QRCode
_SUSPECTS = 2
"""Codes of a picture that pyzbar is asked about."""
_QUIET_ZONE = 0.2
"""Of a symbol's side: four modules of the smallest symbol's 21 (ISO/IEC 18004, 6.3.8)."""


class Place(NamedTuple):
    """Where a symbol is in a picture, in pixels: its middle, and its side."""

    x: float
    y: float
    side: int


class Inside(NamedTuple):
    """Where a part was cut out of a picture of `shape` (height, width), and by how much it was enlarged."""

    left: int
    top: int
    scale: int
    shape: tuple[int, ...]


class Looked(NamedTuple):
    """What was read, and where symbols are that could not be read; nearest to the middle first."""

    found: list[FoundCode]
    unread: list[Place]


def look(
    grey: Grey,
    binarizer: zxingcpp.Binarizer = LOCAL,
    formats: zxingcpp.BarcodeFormats | None = None,
    inside: Inside | None = None,
) -> Looked:
    """Read the symbols of a picture. Parts of structured-append sequences are left out.

    :param formats: `QR` if None. (As a default it would still exist when Python ends, and the library would
        complain.)
    :param inside: if `grey` is a part of a picture; the codes' offsets are those in the whole.
    """
    inside = inside or Inside(0, 0, 1, grey.shape)
    codes = zxingcpp.read_barcodes(grey, formats=formats or QR, binarizer=binarizer, return_errors=True)
    places = sorted(((code, _place(code)) for code in codes), key=lambda one: _offset(one[1], inside))
    read = [(code, place) for code, place in places if code.valid and code.bytes][:MOST_CODES]
    unread = [place for code, place in places if not code.valid][:MOST_CODES]
    found = [FoundCode(code.bytes, _offset(place, inside)) for code, place in _whole(read, grey)]
    return Looked(found, unread)


def around(grey: Grey, place: Place, margin: float) -> tuple[Grey, Inside]:
    """A place cut out of its picture, with `margin` times its side around it, and where it was."""
    reach = int(place.side * (0.5 + margin)) + 1
    left, top = max(0, int(place.x) - reach), max(0, int(place.y) - reach)
    part = grey[top : int(place.y) + reach, left : int(place.x) + reach]
    return np.ascontiguousarray(part), Inside(left, top, 1, grey.shape)


_Placed = tuple[zxingcpp.Barcode, Place]


def _whole(read: list[_Placed], grey: Grey) -> list[_Placed]:
    """Those that are no part of a sequence.

    The corner of a cracked screen can look like that of a part; pyzbar, which corrects errors first, then has
    the last word. It sees only the symbol, and few of them, for a picture full of corners costs it a second.
    """
    suspects = [one for one in read if one[0].symbology == _QR_CODE and looks_like_part(one[0])]
    cleared = [
        (code, place)
        for code, place in suspects[:_SUSPECTS]
        if any(found.raw == code.bytes for found in read_by_zbar(around(grey, place, _QUIET_ZONE)[0]))
    ]
    return [one for one in read if one not in suspects or one in cleared]


def _place(code: zxingcpp.Barcode) -> Place:
    at = code.position
    corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    xs, ys = [corner.x for corner in corners], [corner.y for corner in corners]
    return Place(sum(xs) / 4, sum(ys) / 4, max(max(xs) - min(xs), max(ys) - min(ys)))


def _offset(place: Place, inside: Inside) -> float:
    x, y = inside.left + place.x / inside.scale, inside.top + place.y / inside.scale
    return offset_from_middle(x, y, inside.shape)

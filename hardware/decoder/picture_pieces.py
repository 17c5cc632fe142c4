"""Counts the pieces of a picture file: chunks of a PNG, segments of a JPEG before its pixels.

The library handles each piece in Python. A file of a permitted size can have millions of empty pieces, and
reading these took 45 s; the few dozen of an honest picture take no time.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import islice

from PIL import JpegImagePlugin

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_START_OF_SCAN = 0xFFDA


def has_more(content: bytes | mmap.mmap, most: int) -> bool:
    """Whether it has more pieces than `most`; it counts no further. False for other formats.

    Native code reads a WebP as a whole, so its pieces do not matter.
    """
    return next(islice(_pieces(content), most, None), None) is not None


def _pieces(content: bytes | mmap.mmap) -> Iterator[int]:
    """Where each piece begins."""
    if content[:8] == _PNG:
        return _chunks(content)
    if content[:3] == _JPEG:
        return _segments(content)
    return iter(())


def _chunks(content: bytes | mmap.mmap) -> Iterator[int]:
    """Those of a PNG: four bytes of length, four of type, the data, four of check sum (RFC 2083, 3.2)."""
    at = 8
    while at + 8 <= len(content):
        yield at
        at += 12 + int.from_bytes(content[at : at + 4])


def _segments(content: bytes | mmap.mmap) -> Iterator[int]:
    """Those of a JPEG, up to its pixels. A byte outside of all segments is a piece, as Pillow reads it.

    ITU-T T.81, B.1.1: a marker of two bytes, for most markers followed by two bytes of length, which counts
    itself.
    """
    at = 2
    while at + 4 <= len(content):
        yield at
        marker = int.from_bytes(content[at : at + 2])
        if marker == _START_OF_SCAN:
            return
        if marker >> 8 != 0xFF or marker == 0xFFFF:
            at += 1
        elif JpegImagePlugin.MARKER.get(marker, ("", "", None))[2] is None:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))

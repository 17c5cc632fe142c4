"""Reads SQLite files that SQLite itself refuses: page by page, cell by cell. Pure.

Theory of operation. A database consists of pages of one size. A row of a table is a cell (row number, then a
record) of one leaf page, and an entry of an index is a cell of an index page. So an intact page yields its
rows even if its neighbours, the root of its tree or the header of the file are lost. A page does not say
which table it belongs to; the caller recognises records by their shape. Rows that spill over onto further
pages are not read; the gate's are shorter (450 of 4,096 bytes).

A write-ahead log consists of frames: a header and a newer version of one page. The checksum of a frame
continues that of the frame before, so each frame can be checked if one knows what the frame before it says.

docs/adr/0025-our-own-reader-of-sqlite-pages.md says why we do not use ``sqlite3 .recover``. Source:
https://www.sqlite.org/fileformat2.html, sections 1.6 (b-tree pages), 2.1 (records), 4 (WAL).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from gate.store.rows import PAGE

WAL_HEADER = 32
FRAME_HEADER = 24
FRAME = FRAME_HEADER + PAGE
HEADER = 100
"""Bytes of the file's header, which comes before the tree on the first page."""

CellValue = int | float | str | bytes | None
_WAL_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
_TABLE_LEAF, _INDEX_INNER, _INDEX_LEAF = 0x0D, 0x02, 0x0A
_TREE_HEADER = {_TABLE_LEAF: 8, _INDEX_LEAF: 8, _INDEX_INNER: 12}
_MOST_CELLS = (PAGE - 8) // 4
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_NOTHING = (0, 8, 9)
_LARGEST_WHOLE = PAGE - 35
"""A record of a table's row that is longer than this spills over onto another page."""


class Cell(NamedTuple):
    """One entry of a page. `rowid`: the number of a table's row; None for an entry of an index."""

    rowid: int | None
    values: tuple[CellValue, ...]


class Log(NamedTuple):
    """A write-ahead log's header. Its salts mark the frames written since the log was last restarted."""

    salts: bytes
    order: str
    sums: tuple[int, int]


def cells(page: bytes) -> Iterator[Cell]:
    """The readable entries of one page; none if it is neither a leaf nor of an index."""
    start = HEADER if page.startswith(b"SQLite format 3\0") else 0
    kind = page[start] if len(page) == PAGE else 0
    if kind not in _TREE_HEADER:
        return
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    first = start + _TREE_HEADER[kind]
    for at in range(first, first + 2 * min(count, _MOST_CELLS), 2):
        place = int.from_bytes(page[at : at + 2], "big")
        try:
            yield _cell(page, place, kind)
        except (ValueError, IndexError, struct.error):
            continue  # this one is lost; its neighbours may not be


def _cell(page: bytes, place: int, kind: int) -> Cell:
    if kind == _INDEX_INNER:
        place += 4  # the page below it
    size, place = varint(page, place)
    rowid = None
    if kind == _TABLE_LEAF:
        rowid, place = varint(page, place)
    if not 0 < size <= _LARGEST_WHOLE or place + size > PAGE:
        raise ValueError("not on this page")
    return Cell(rowid, record(page[place : place + size]))


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and the place after it. Raises `IndexError`."""
    value = 0
    if data[at] < 0x80:
        return data[at], at + 1  # nearly always
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def record(data: bytes) -> tuple[CellValue, ...]:
    """The values of one record. Raises `ValueError` or `IndexError` if it is not one."""
    body, at = varint(data, 0)
    end = body
    values = []
    while at < end:
        kind, at = varint(data, at)
        value, body = _value(data, body, kind)
        values.append(value)
    if at != end or body != len(data):
        raise ValueError("the record is longer or shorter than it says")
    return tuple(values)


def _value(data: bytes, at: int, kind: int) -> tuple[CellValue, int]:
    if kind >= 12:  # a text or bytes
        size = (kind - 12) // 2
        raw = data[at : at + size]
        return raw.decode() if kind % 2 else raw, at + size
    if kind in _NOTHING:
        return (None, 0, 1)[_NOTHING.index(kind)], at
    if kind == 7:
        return struct.unpack(">d", data[at : at + 8])[0], at + 8
    if kind not in _INTEGERS:
        raise ValueError("no such type")
    size = _INTEGERS[kind]
    return int.from_bytes(data[at : at + size], "big", signed=True), at + size


def log(header: bytes) -> Log | None:
    """The header of a write-ahead log; None if it is invalid, because SQLite then ignores the whole log."""
    if len(header) != WAL_HEADER:
        return None
    order = _WAL_MAGIC.get(int.from_bytes(header[:4], "big"))
    sums: tuple[int, int] = struct.unpack(">2I", header[24:])
    if order is None or sums != checksum(header[:24], order, (0, 0)):
        return None
    if int.from_bytes(header[8:12], "big") != PAGE:
        return None
    return Log(header[16:24], order, sums)


def checksum(data: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum over pairs of 4-byte words, continued from `before`."""
    first, second = before
    numbers = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(numbers, numbers, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def is_whole(frame: bytes, order: str, before: tuple[int, int]) -> bool:
    """Whether a frame is intact. `before`: the checksum of the frame before it, or of the header."""
    return sums_of(frame) == checksum(frame[:8] + frame[FRAME_HEADER:], order, before)


def sums_of(frame: bytes) -> tuple[int, int]:
    """The checksum in a frame's header."""
    sums: tuple[int, int] = struct.unpack(">2I", frame[16:24])
    return sums


def first_spoiled(header: bytes, frames: Iterator[bytes]) -> int | None:
    """The first frame since the log was restarted that is not intact; None if all are.

    From there on SQLite silently forgets what was committed, because it cannot tell it from a write that a
    power cut interrupted. `-1`: the header itself, and with it everything.
    """
    begun = log(header)
    if begun is None:
        return -1 if next(frames, None) is not None else None
    before, stale = begun.sums, None
    for number, frame in enumerate(frames):
        if frame[8:16] != begun.salts:
            stale = (
                number if stale is None else stale
            )  # left from an older log, unless a frame of this log follows
        elif stale is not None:
            return stale
        elif not is_whole(frame, begun.order, before):
            return number
        before = sums_of(frame)
    return None

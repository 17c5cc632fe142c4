"""What a gate loads over HTTP: a whole night, or the changes since a version, page by page.

NDJSON: a `SnapshotHeader`, rows (or `Change`s), and a `SnapshotEnd` with the digest of all bytes before it.
One REPEATABLE READ transaction reads it, so the rows are exactly those of the header's version; they are in
the order of their keys, so the bytes are always the same.

A whole night is written once for all gates (`SnapshotCache`), into a file, so that a gate can resume a
download that was cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec
from psycopg import IsolationLevel

from hub.db.connection import Connection
from hub.db.statements import query
from sync.wire.messages import FeedPlace, SnapshotEnd, SnapshotHeader, encode

PIECE_BYTES = 64 * 1024
PAGE_CHANGES = 500
"""Most changes in one answer, about 30 KB packed: it bounds memory, and what a cut connection costs."""
CACHED_BODIES = 8
"""Whole nights that are kept: each as it is now, and as it was when a download of it began."""
CACHED_BYTES = 512 * 1024 * 1024
"""Their size together, except for the newest; 100,000 admissions take 12 MB packed, 45 MB unpacked."""
_GZIP_LEVEL = 3
"""Level 6 saves 7 % in twice the time."""
_GZIP_FORMAT = 31
"""zlib's window bits for gzip framing without a time (zlib manual, deflateInit2)."""


class SnapshotPlan(msgspec.Struct, frozen=True):
    """What to send. `name`: the statement that selects the lines."""

    header: SnapshotHeader
    name: str

    @property
    def place(self) -> FeedPlace:
        """The version a gate has after these lines."""
        return FeedPlace(generation=self.header.generation, version=self.header.version)

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole night."""
        return self.header.since == 0


def plan_snapshot(conn: Connection, event_id: str, since: int, generation: int = 1) -> SnapshotPlan | None:
    """Choose between the changes and the whole night; None if there is no such event.

    Starts the transaction that `write_snapshot` has to read in. The whole night is sent for a version the hub
    does not know, one of another generation (the database was restored), or a feed with holes.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    row = conn.execute(query("snapshot_head"), {"event_id": event_id, "since": since}).fetchone()
    if row is None:
        return None
    header = SnapshotHeader(
        event_id=event_id, version=row["version"], since=0, count=0, generation=row["generation"]
    )
    if generation == header.generation and 0 < since <= header.version:
        missed = header.version - since
        if row["changes"] == missed:
            return SnapshotPlan(_page(header, since), "change_rows")
    return SnapshotPlan(header, "snapshot_rows")


def _page(header: SnapshotHeader, since: int) -> SnapshotHeader:
    """The header of the first changes after `since`; the gate then asks for the next ones."""
    count = min(header.version - since, PAGE_CHANGES)
    return msgspec.structs.replace(
        header, version=since + count, since=since, count=count, newest=header.version
    )


def write_snapshot(conn: Connection, found: SnapshotPlan, out: IO[bytes], gzip: bool) -> None:
    """Write a whole night or its changes: header, rows, end."""
    if found.is_whole:
        row = conn.execute(query("snapshot_count"), {"event_id": found.header.event_id}).fetchone()
        count = row["count"] if row else 0
        found = msgspec.structs.replace(found, header=msgspec.structs.replace(found.header, count=count))
    pack = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT) if gzip else None
    digest = hashlib.sha256()
    for piece in _pieces(_lines(conn, found)):
        digest.update(piece)
        out.write(pack.compress(piece) if pack else piece)
    end = encode(SnapshotEnd(sha256=digest.hexdigest())) + b"\n"
    out.write(pack.compress(end) + pack.flush() if pack else end)


def _lines(conn: Connection, found: SnapshotPlan) -> Iterator[bytes]:
    """Header and rows with their newlines, read from the database as they are needed.

    CSV of one column, with a quote and a delimiter that JSON never contains, is the text itself.
    """
    yield encode(found.header) + b"\n"
    select = query(found.name)
    copy = b"COPY (%b\n) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02', ENCODING 'UTF8')" % select
    of = found.header
    wanted = {"event_id": of.event_id, "since": of.since, "version": of.version}
    with conn.cursor().copy(copy, wanted) as rows:
        for row in rows:
            yield bytes(row)


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined into larger pieces; the same lines give the same pieces."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


class SnapshotBody:
    """A whole night as it is sent: an unnamed file that any number may read at once.

    It is deleted with the last reference to this. `key`: the night, and whether packed.
    """

    def __init__(self, found: SnapshotPlan, gzip: bool, file: IO[bytes]) -> None:
        self.key = found.header.event_id, gzip
        self.etag = etag(found, gzip)
        self.place = found.place
        self.size = file.seek(0, os.SEEK_END)
        self._file = file

    def read(self, start: int = 0) -> Iterator[bytes]:
        """From byte `start` to the end."""
        while piece := os.pread(self._file.fileno(), PIECE_BYTES, start):
            start += len(piece)
            yield piece


class SnapshotCache:
    """The whole nights that were requested lately.

    Gates that ask at the same time share one. A request that finds one being written waits (`alone`), and
    takes it if it is no older than what the request could have read itself (`between`). So at most one of
    each night is written at a time, and no gate gets an older one than without the cache.
    """

    def __init__(self, most: int = CACHED_BODIES, most_bytes: int = CACHED_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changed = threading.Lock()
        self._bodies: dict[str, SnapshotBody] = {}
        """By ETag, the least recently requested first."""
        self._newest: dict[tuple[str, bool], str] = {}
        self._writing: dict[tuple[str, bool], threading.Lock] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._bodies)

    def find(self, event_id: str, gzip: bool, etag: str) -> SnapshotBody | None:
        """The body with this ETag, if it is still kept and of this night."""
        with self._changed:
            body = self._bodies.get(etag)
            if body is None or body.key != (event_id, gzip):
                return None
            self._bodies[etag] = self._bodies.pop(etag)
            return body

    @contextlib.contextmanager
    def alone(self, event_id: str, gzip: bool) -> Iterator[None]:
        """Keep others from writing this night while the block runs."""
        with self._changed:
            lock = self._writing.setdefault((event_id, gzip), threading.Lock())
        with lock:
            yield

    def between(self, event_id: str, gzip: bool, first: FeedPlace, last: FeedPlace) -> SnapshotBody | None:
        """The newest body of a night, if its version is from `first` to `last`.

        One after `last`, the current version, is of a database that was restored since.
        """
        body = self.find(event_id, gzip, self._newest.get((event_id, gzip), ""))
        return body if body is not None and first <= body.place <= last else None

    def put(self, body: SnapshotBody) -> None:
        """Keep a body; the least recently requested ones make room."""
        with self._changed:
            self._bodies[body.etag] = body
            self._newest[body.key] = body.etag
            while len(self._bodies) > 1 and self._is_too_much():
                del self._bodies[next(iter(self._bodies))]

    def _is_too_much(self) -> bool:
        size = sum(body.size for body in self._bodies.values())
        return len(self._bodies) > self._most or size > self._most_bytes


def body_of(conn: Connection, found: SnapshotPlan, gzip: bool) -> SnapshotBody:
    """Write it, in the transaction of its `plan_snapshot`."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last `SnapshotBody` that holds it
    try:
        write_snapshot(conn, found, file, gzip)
        file.flush()
        return SnapshotBody(found, gzip, file)
    except BaseException:
        file.close()
        raise


def etag(found: SnapshotPlan, gzip: bool) -> str:
    """Identifies the bytes of an answer: two with the same ETag are the same."""
    of, encoding = found.header, "gzip" if gzip else "plain"
    return f'"{of.event_id}-{of.generation}-{of.version}-{of.since}-{of.newest}-{encoding}"'

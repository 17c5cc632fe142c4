"""What a gate loads over HTTP: a whole night, or what changed since a version it has.

NDJSON: a `SnapshotHeader`, rows (or `Change`s), a `SnapshotEnd` with the digest of all bytes
before it. Read in one REPEATABLE READ transaction, so the rows are exactly those of the
header's version.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator

import msgspec
from psycopg import IsolationLevel

from hub.database import Connection
from hub.queries import query
from sync.wire import SnapshotEnd, SnapshotHeader, encode

_CHUNK_BYTES = 64 * 1024
_FETCH_ROWS = 2000
_GZIP_LEVEL = 3
_GZIP_FORMAT = 31
"""zlib's window bits that make it write gzip framing (zlib manual, deflateInit2)."""


class Found(msgspec.Struct, frozen=True):
    """What there is to send: `name` of the statement that gives the lines."""

    header: SnapshotHeader
    name: str


def look_up(conn: Connection, event_id: str, since: int) -> Found | None:
    """Decide between catch-up and whole snapshot; None if there is no such event.

    Starts the transaction that `lines` has to read in. A version the hub does not know
    (a restored backup) or a feed with holes gives the whole snapshot.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    row = conn.execute(query("snapshot_head"), {"event_id": event_id, "since": since}).fetchone()
    if row is None:
        return None
    version = row["version"]
    if 0 < since <= version and row["changes"] == version - since:
        header = SnapshotHeader(event_id=event_id, version=version, since=since, count=row["changes"])
        return Found(header, "change_rows")
    return Found(
        SnapshotHeader(event_id=event_id, version=version, since=0, count=row["count"]), "snapshot_rows"
    )


def lines(conn: Connection, found: Found) -> Iterator[bytes]:
    """The lines of a snapshot, newline included, read from the database as they are needed."""
    digest = hashlib.sha256()
    first = encode(found.header) + b"\n"
    digest.update(first)
    yield first
    wanted = {"event_id": found.header.event_id, "since": found.header.since}
    with conn.cursor(name="snapshot") as cursor:
        cursor.itersize = _FETCH_ROWS
        cursor.execute(query(found.name), wanted)
        for row in cursor:
            line = row["line"].encode() + b"\n"
            digest.update(line)
            yield line
    yield encode(SnapshotEnd(sha256=digest.hexdigest())) + b"\n"


def chunks(parts: Iterable[bytes], gzip: bool) -> Iterator[bytes]:
    """Lines joined to pieces worth sending, compressed if wanted."""
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT) if gzip else None
    held: list[bytes] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _CHUNK_BYTES:
            joined = b"".join(held)
            held, size = [], 0
            if piece := compressor.compress(joined) if compressor else joined:
                yield piece
    joined = b"".join(held)
    yield compressor.compress(joined) + compressor.flush() if compressor else joined

"""Take a batch of messages into Postgres: one transaction, and what to acknowledge afterwards.

`read_batch` and `write_batch` know neither the broker nor time; `hub.ingest.consumer` runs them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence

import msgspec
import psycopg
import structlog
from msgspec.structs import asdict
from psycopg.rows import DictRow

from gate.rules.model import ScanRecord
from hub.db.connection import Connection, is_outage, one_line, retry_conflicts
from hub.db.statements import query
from hub.errors import DatabaseDownError
from hub.mqtt.inbox import Delivery
from sync.wire.messages import Ack, WireError
from sync.wire.scans import UnreadableRecord, decode_scans
from sync.wire.topics import Topics

_BIGINT_MAX = 2**63 - 1
RAW_BYTES = 64 * 1024
"""How much of what cannot be read is kept; its hash and length are those of all of it."""

LOGGED = 200
"""Characters of somebody else's text in a line of the log."""

_OF_THE_RECORD = ("22", "23505", "23514")
"""SQLSTATEs of a value that cannot be stored: whatever a gate sends must not stop its hub.

Source: PostgreSQL manual, appendix A.
"""

_log = structlog.get_logger()


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Something for the quarantine: bytes as they came, and where from."""

    topic: str
    gate_id: str | None
    raw: bytes
    error: str
    epoch: str | None = None
    seq: int | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What some messages held. `topics`: the topic each gate's records came on."""

    records: tuple[ScanRecord, ...] = ()
    bad: tuple[Quarantined, ...] = ()
    topics: dict[str, str] = {}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Gate and epoch of everything that may move a watermark, in order of appearance."""
        found = [(record.gate_id, record.epoch) for record in self.records]
        found += [(bad.gate_id, bad.epoch) for bad in self.bad if bad.gate_id and bad.epoch]
        return list(dict.fromkeys(found))


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch. `acks`: for each gate and epoch in it, how far the gate's scans are committed;
    `known`: of each gate, the ids of the scans that were here before; `bad`: what went to the quarantine;
    `refused`: gates whose records were taken one by one, and why; `failed`: gates of which nothing is
    committed, and why."""

    acks: list[tuple[str, Ack]]
    known: dict[str, frozenset[str]] = {}
    bad: tuple[Quarantined, ...] = ()
    refused: dict[str, str] = {}
    failed: dict[str, str] = {}


def read_batch(message: Delivery, topics: Topics) -> Batch:
    """Decode one message; what cannot be read becomes `Quarantined`, nothing is raised."""
    gate_id = topics.gate_of(message.topic)
    if message.retained:
        # no gate has its scans kept by the broker, and nobody knows how old these are (protocol 4.5)
        _log.warning("scans that the broker had kept are ignored", topic=message.topic[:LOGGED])
        return Batch()
    if gate_id is None:
        bad = Quarantined(
            topic=message.topic, gate_id=None, raw=message.payload, error="not a topic of this venue's gates"
        )
        return Batch(bad=(bad,))
    try:
        records, unreadable = decode_scans(message.payload, gate_id)
    except WireError as error:
        bad = Quarantined(topic=message.topic, gate_id=gate_id, raw=message.payload, error=str(error))
        return Batch(bad=(bad,))
    return Batch(
        records=tuple(records),
        bad=tuple(_bad(message.topic, gate_id, found) for found in unreadable),
        topics={gate_id: message.topic},
    )


def merge(batches: Iterable[Batch]) -> Batch:
    """Several messages' contents as one batch."""
    records: list[ScanRecord] = []
    bad: list[Quarantined] = []
    topics: dict[str, str] = {}
    for batch in batches:
        records += batch.records
        bad += batch.bad
        topics |= batch.topics
    return Batch(records=tuple(records), bad=tuple(bad), topics=topics)


def write_batch(conn: Connection, batch: Batch) -> BatchResult:
    """Put a batch into Postgres and commit.

    What Postgres refuses, or does not get done with in the time of a statement (``statement_timeout``), is
    tried again gate by gate, each by itself: then it is one gate that waits, or whose records are taken one
    by one, and the others' scans are committed.

    :raises psycopg.Error, DatabaseDownError: the database is away or not ready (`is_outage`); nothing was
        written.
    """
    gates = dict.fromkeys([one.gate_id for one in batch.records] + [one.gate_id or "" for one in batch.bad])
    if len(gates) != 1:
        try:
            return retry_conflicts(lambda: _write_together(conn, batch))
        except psycopg.Error as error:
            if is_outage(error) and not isinstance(error, psycopg.errors.QueryCanceled):
                raise
    return _write_apart(conn, _by_gate(batch, gates))


def _write_apart(conn: Connection, parts: dict[str, Batch]) -> BatchResult:
    done, failed, down = BatchResult(acks=[]), {}, None
    for gate_id, part in parts.items():
        try:
            done = _sum(done, retry_conflicts(functools.partial(_write, conn, part)))
        except psycopg.errors.QueryCanceled as error:
            failed[gate_id] = one_line(error)
        except DatabaseDownError as error:
            failed[gate_id] = str(error)
            down = error
    if down is not None and not done.acks:
        raise down
    return msgspec.structs.replace(done, failed=failed)


def _by_gate(batch: Batch, gates: Iterable[str]) -> dict[str, Batch]:
    return {
        gate_id: Batch(
            records=tuple(one for one in batch.records if one.gate_id == gate_id),
            bad=tuple(one for one in batch.bad if (one.gate_id or "") == gate_id),
            topics={gate: topic for gate, topic in batch.topics.items() if gate == gate_id},
        )
        for gate_id in gates
    }


def _sum(one: BatchResult, other: BatchResult) -> BatchResult:
    return BatchResult(
        acks=one.acks + other.acks,
        known=one.known | other.known,
        bad=one.bad + other.bad,
        refused=one.refused | other.refused,
    )


def _write_together(conn: Connection, batch: Batch) -> BatchResult:
    with conn.transaction():
        known = _store(conn, batch.records, batch.topics)
        return BatchResult(acks=_finish(conn, batch), known=known, bad=batch.bad)


def _write(conn: Connection, batch: Batch) -> BatchResult:
    """Of one gate: together if Postgres takes it so, else one by one, for which there is as much time."""
    try:
        return _write_together(conn, batch)
    except psycopg.Error as error:
        if is_outage(error):
            raise
        first = error
    with conn.transaction():
        time = conn.execute(query("time_of_a_statement")).fetchone()
        errors = [_store_alone(conn, record, batch.topics, time) for record in batch.records]
        _blame_the_database(errors)
        refused = [
            _refused(record, error, batch.topics)
            for record, error in zip(batch.records, errors, strict=True)
            if error is not None
        ]
        bad = (*batch.bad, *refused)
        acks = _finish(conn, msgspec.structs.replace(batch, bad=bad))
        return BatchResult(acks=acks, bad=bad, refused={next(iter(batch.topics), ""): one_line(first)})


def _blame_the_database(errors: Sequence[psycopg.Error | None]) -> None:
    """If it refuses each of several records, and not for what one says, then it is broken, not they.

    :raises DatabaseDownError: so that nothing is quarantined or acknowledged, and all is tried again.
    """
    found = [error for error in errors if error is not None]
    if len(found) < max(2, len(errors)) or any(
        (error.sqlstate or "22").startswith(_OF_THE_RECORD) for error in found
    ):
        return
    raise DatabaseDownError(
        f"Postgres refuses every one of {len(found)} records: {one_line(found[0])}. They are "
        "kept and tried again. Run 'maguey-hub migrate', and compare the database with hub/sql/schema.sql."
    )


def _store(
    conn: Connection, records: Sequence[ScanRecord], topics: dict[str, str]
) -> dict[str, frozenset[str]]:
    """Returns what was here before, in this very transaction."""
    if not records:
        return {}
    wanted = {
        "records": (b"[%s]" % b",".join(map(_row, records))).decode(),
        "topics": msgspec.json.encode(topics).decode(),
    }
    row = conn.execute(query("ingest_scans"), wanted).fetchone()
    if row is None or row["ingest_scans"] == len(records):
        return {}
    rows = conn.execute(query("known_scans"), wanted).fetchall()
    return {row["gate_id"]: frozenset(row["scan_ids"]) for row in rows}


def _row(record: ScanRecord) -> bytes:
    """A record as the database takes it: as encoded, once, with the hash of just that (`record_hash`)."""
    encoded = msgspec.json.encode(record)
    return b'%s,"payload_hash":"%s"}' % (encoded[:-1], hashlib.sha256(encoded).hexdigest().encode())


def _store_alone(
    conn: Connection, record: ScanRecord, topics: dict[str, str], time: DictRow | None
) -> psycopg.Error | None:
    try:
        with conn.transaction():
            conn.execute(query("leave_what_is_left"), time)
            _store(conn, [record], topics)
    except psycopg.Error as error:
        if is_outage(error):
            raise
        return error
    return None


def _refused(record: ScanRecord, error: psycopg.Error, topics: dict[str, str]) -> Quarantined:
    raw = UnreadableRecord(
        raw=msgspec.json.encode(record), error=one_line(error), epoch=record.epoch, seq=record.seq
    )
    return _bad(topics[record.gate_id], record.gate_id, raw)


def _bad(topic: str, gate_id: str, found: UnreadableRecord) -> Quarantined:
    """A place is only kept where the database can count with it."""
    countable = found.seq is not None and 0 < found.seq <= _BIGINT_MAX and "\0" not in (found.epoch or "\0")
    return Quarantined(
        topic=topic,
        gate_id=gate_id,
        raw=found.raw,
        error=found.error,
        epoch=found.epoch if countable else None,
        seq=found.seq if countable else None,
    )


def _finish(conn: Connection, batch: Batch) -> list[tuple[str, Ack]]:
    for bad in batch.bad:
        _quarantine(conn, bad)
    places = [(gate_id, epoch) for gate_id, epoch in batch.places if "\0" not in epoch]
    wanted = {"gate_ids": [place[0] for place in places], "epochs": [place[1] for place in places]}
    rows = conn.execute(query("advance_watermarks"), wanted).fetchall() if places else []
    return [(row["gate_id"], Ack(epoch=row["epoch"], seq=row["seq"])) for row in rows]


def _quarantine(conn: Connection, bad: Quarantined) -> None:
    """Keep it; what not even the quarantine takes is logged, and holds up nobody else."""
    wanted = asdict(bad) | {
        "raw": bad.raw[:RAW_BYTES],
        "raw_hash": hashlib.sha256(bad.raw).hexdigest(),
        "raw_length": len(bad.raw),
        "error": bad.error.replace("\0", ""),
    }
    about = {"topic": bad.topic[:LOGGED], "seq": bad.seq, "error": bad.error[:LOGGED]}
    try:
        with conn.transaction():
            conn.execute(query("quarantine"), wanted)
    except (psycopg.Error, UnicodeError) as error:
        if is_outage(error):
            raise
        _log.error("cannot even be quarantined; dropped", **about, reason=one_line(error))

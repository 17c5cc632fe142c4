"""Stores a batch of messages in Postgres in one transaction, and says what to acknowledge afterwards.

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
"""How much of an unreadable message is kept; its hash and length are of the whole."""

LOGGED = 200
"""Characters of foreign text in a log line."""

_OF_THE_RECORD = ("22", "23505", "23514")
"""SQLSTATEs of a value that cannot be stored: nothing a gate sends may stop its hub.

Source: PostgreSQL manual, appendix A.
"""

_log = structlog.get_logger()


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to the quarantine: the bytes received, and where from."""

    topic: str
    gate_id: str | None
    raw: bytes
    error: str
    epoch: str | None = None
    seq: int | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of some messages. `topics`: the topic each gate's records came on."""

    records: tuple[ScanRecord, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    topics: dict[str, str] = {}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Gate and epoch of everything that may advance a watermark, in order of appearance."""
        found = [(record.gate_id, record.epoch) for record in self.records]
        found += [(one.gate_id, one.epoch) for one in self.quarantined if one.gate_id and one.epoch]
        return list(dict.fromkeys(found))


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch.

    `acks`: for each gate and epoch in it, up to where the gate's scans are committed. `known`: for each gate,
    the ids of scans that had been stored before. `quarantined`: what went to the quarantine. `refused`: gates
    whose records were stored one by one, and why. `failed`: gates of which nothing is committed, and why.
    """

    acks: list[tuple[str, Ack]]
    known: dict[str, frozenset[str]] = {}
    quarantined: tuple[Quarantined, ...] = ()
    refused: dict[str, str] = {}
    failed: dict[str, str] = {}


def read_batch(message: Delivery, topics: Topics) -> Batch:
    """Decode one message. What cannot be read becomes `Quarantined`; nothing is raised."""
    gate_id = topics.gate_of(message.topic)
    if message.retained:
        # gates never have scans retained, and nobody knows how old these are (protocol 4.5)
        _log.warning("retained scans ignored", topic=message.topic[:LOGGED])
        return Batch()
    if gate_id is None:
        return _unreadable(message, None, "not a topic of this venue's gates")
    try:
        records, unreadable = decode_scans(message.payload, gate_id)
    except WireError as error:
        return _unreadable(message, gate_id, str(error))
    return Batch(
        records=tuple(records),
        quarantined=tuple(_quarantined(message.topic, gate_id, found) for found in unreadable),
        topics={gate_id: message.topic},
    )


def _unreadable(message: Delivery, gate_id: str | None, error: str) -> Batch:
    found = Quarantined(topic=message.topic, gate_id=gate_id, raw=message.payload, error=error)
    return Batch(quarantined=(found,))


def merge(batches: Iterable[Batch]) -> Batch:
    """The contents of several messages as one batch."""
    records: list[ScanRecord] = []
    quarantined: list[Quarantined] = []
    topics: dict[str, str] = {}
    for batch in batches:
        records += batch.records
        quarantined += batch.quarantined
        topics |= batch.topics
    return Batch(records=tuple(records), quarantined=tuple(quarantined), topics=topics)


def write_batch(conn: Connection, batch: Batch) -> BatchResult:
    """Store a batch and commit.

    If Postgres refuses it, or does not finish within ``statement_timeout``, each gate's part is tried by
    itself. Then only one gate has to wait, or has its records stored one by one, and the others' scans are
    committed.

    :raises psycopg.Error, DatabaseDownError: nothing was stored, the database is away or not ready
        (`is_outage`).
    """
    gates = dict.fromkeys(
        [one.gate_id for one in batch.records] + [one.gate_id or "" for one in batch.quarantined]
    )
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
            quarantined=tuple(one for one in batch.quarantined if (one.gate_id or "") == gate_id),
            topics={gate: topic for gate, topic in batch.topics.items() if gate == gate_id},
        )
        for gate_id in gates
    }


def _sum(one: BatchResult, other: BatchResult) -> BatchResult:
    return BatchResult(
        acks=one.acks + other.acks,
        known=one.known | other.known,
        quarantined=one.quarantined + other.quarantined,
        refused=one.refused | other.refused,
    )


def _write_together(conn: Connection, batch: Batch) -> BatchResult:
    with conn.transaction():
        known = _store(conn, batch.records, batch.topics)
        return BatchResult(acks=_finish(conn, batch), known=known, quarantined=batch.quarantined)


def _write(conn: Connection, batch: Batch) -> BatchResult:
    """Store one gate's batch: whole if Postgres accepts it, else one by one, in the time of a statement."""
    try:
        return _write_together(conn, batch)
    except psycopg.Error as error:
        if is_outage(error):
            raise
        first = error
    with conn.transaction():
        time = conn.execute(query("time_of_a_statement")).fetchone()
        errors = [_store_alone(conn, record, batch.topics, time) for record in batch.records]
        _check_database(errors)
        refused = [
            _refused(record, error, batch.topics)
            for record, error in zip(batch.records, errors, strict=True)
            if error is not None
        ]
        quarantined = (*batch.quarantined, *refused)
        acks = _finish(conn, msgspec.structs.replace(batch, quarantined=quarantined))
        why = {next(iter(batch.topics), ""): one_line(first)}
        return BatchResult(acks=acks, quarantined=quarantined, refused=why)


def _check_database(errors: Sequence[psycopg.Error | None]) -> None:
    """If it refused every one of several records, and none for its values, the database is to blame.

    :raises DatabaseDownError: so that nothing is quarantined or acknowledged, and everything is tried again.
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
    """Returns which of them had been stored before, as this transaction sees it."""
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
    """A record as the database expects it: encoded once, with the hash of exactly that (`record_hash`)."""
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
    return _quarantined(topics[record.gate_id], record.gate_id, raw)


def _quarantined(topic: str, gate_id: str, found: UnreadableRecord) -> Quarantined:
    """Keeps epoch and number only if the database can count with them."""
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
    for one in batch.quarantined:
        _quarantine(conn, one)
    places = [(gate_id, epoch) for gate_id, epoch in batch.places if "\0" not in epoch]
    wanted = {"gate_ids": [place[0] for place in places], "epochs": [place[1] for place in places]}
    rows = conn.execute(query("advance_watermarks"), wanted).fetchall() if places else []
    return [(row["gate_id"], Ack(epoch=row["epoch"], seq=row["seq"])) for row in rows]


def _quarantine(conn: Connection, found: Quarantined) -> None:
    """Keep it. What even the quarantine refuses is logged, and stops nothing else."""
    wanted = asdict(found) | {
        "raw": found.raw[:RAW_BYTES],
        "raw_hash": hashlib.sha256(found.raw).hexdigest(),
        "raw_length": len(found.raw),
        "error": found.error.replace("\0", ""),
    }
    about = {"topic": found.topic[:LOGGED], "seq": found.seq, "error": found.error[:LOGGED]}
    try:
        with conn.transaction():
            conn.execute(query("quarantine"), wanted)
    except (psycopg.Error, UnicodeError) as error:
        if is_outage(error):
            raise
        _log.error("quarantine failed; dropped", **about, reason=one_line(error))

"""The tables of the cache that hold what other gates said.

Each gate has a limit of rows, whatever it says. Beyond it, rows of that gate go and never another's: first
those of tickets unknown here, then the oldest.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import msgspec

from gate.rules.model import Ruling, ScanRecord
from sync.cache.rows import SQL

MOST_ROWS = 20_000
"""Of one gate, in each table: hours of two a second that the hub has not heard of. Some 400 bytes a row."""
MAKE_ROOM = 2_000
"""How many are deleted at once when there are too many."""
KEPT_PEERS = timedelta(days=30)
"""How long it is known what other gates admitted: longer than any night, and than any journal is kept."""
TABLES = ("peer_entries", "peer_annulments")

Pair = tuple[str, str]
"""A gate, and a scan it reported."""

_SCAN_ID = re.compile(r"[ -~]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


def is_admission(record: ScanRecord) -> bool:
    """Whether a ticket was admitted, in the form that our gates write."""
    is_one = record.record == "scan" and record.verdict is Ruling.ADMIT
    return is_one and _is_id(record.scan_id) and _HASH.fullmatch(record.code_hash or "") is not None


def is_annulment(record: ScanRecord) -> bool:
    """Whether it takes an admission back."""
    return record.record == "annulled" and _is_id(record.refers_to or "")


def pair(record: ScanRecord) -> Pair:
    """The scan that an admission or an annulment is about."""
    return record.gate_id, (record.refers_to or "") if record.record == "annulled" else record.scan_id


def note_revoked(db: sqlite3.Connection, gates: Iterable[str]) -> None:
    """Mark these gates, and no others, as revoked, and delete all that they said."""
    db.execute(SQL["clear_revoked"])
    db.executemany(SQL["put_revoked"], [(gate_id,) for gate_id in gates])
    for table in ("entries", "annulments"):
        db.execute(SQL[f"forget_{table}_of_revoked"])


class PeerTables:
    """The tables, in transactions of their own.

    :param transaction: of the cache; what it raises, each method does.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._transaction = transaction
        self._rows: dict[str, int] = {}
        """At least as many as each gate has in a table: rows are counted only when there may be too many."""

    def put(self, records: Iterable[ScanRecord]) -> set[str]:
        """Remember what other gates admitted; an annulment takes its admission back, whichever comes first.

        Only if both are of one gate: no other knows whether somebody walked through. The caller vouches for
        `gate_id`. Returns the gates whose older rows had to go to make room.
        """
        records = list(records)
        with self._transaction() as db:
            for record in records:
                _put(db, record)
            gates = {record.gate_id for record in records}
            return {gate_id for gate_id in gates if self._make_room(db, gate_id, len(records))}

    def _make_room(self, db: sqlite3.Connection, gate_id: str, more: int) -> bool:
        self._rows[gate_id] = self._rows.get(gate_id, MOST_ROWS) + more
        if self._rows[gate_id] <= MOST_ROWS:
            return False
        there = {table: _count(db, table, gate_id) for table in TABLES}
        self._rows[gate_id] = max(there.values())
        for table, rows in there.items():
            if rows > MOST_ROWS:
                most = rows - MOST_ROWS + MAKE_ROOM
                db.execute(SQL[f"crowd_{table}"], {"gate_id": gate_id, "most": most})
        return self._rows[gate_id] > MOST_ROWS

    def forget_old(self, now: datetime) -> None:
        """Forget what other gates admitted longer than `KEPT_PEERS` ago.

        That counts from the first call after a row came, and not from either gate's clock at that time.

        :param now: a time that the hub confirmed.
        """
        noted, since = now.astimezone(UTC).isoformat(), (now - KEPT_PEERS).astimezone(UTC).isoformat()
        with self._transaction() as db:
            for table in TABLES:
                db.execute(SQL[f"note_{table}"], (noted,))
                db.execute(SQL[f"forget_{table}"], (since,))

    def known(self, pairs: Iterable[Pair]) -> tuple[set[Pair], set[Pair]]:
        """Which of these scans are known as admitted, and which as annulled."""
        asked = {"pairs": msgspec.json.encode(list(pairs)).decode()}
        with self._transaction() as db:
            rows = db.execute(SQL["known_of_peers"], asked).fetchall()
        return {(g, s) for g, s, gone in rows if not gone}, {(g, s) for g, s, gone in rows if gone}

    def last(self) -> tuple[int, int]:
        """The number of the newest row in each table; later rows have higher ones."""
        with self._transaction() as db:
            entries, annulments = db.execute(SQL["last_of_peers"]).fetchone()
        return entries, annulments

    def take_back(self, gate_id: str, above: tuple[int, int]) -> None:
        """Delete a gate's rows with higher numbers."""
        with self._transaction() as db:
            for table, number in zip(TABLES, above, strict=True):
                db.execute(SQL[f"take_back_{table}"], {"gate_id": gate_id, "above": number})

    def settle(self, up_to: tuple[int, int]) -> None:
        """Delete every gate's rows up to these numbers."""
        with self._transaction() as db:
            for table, number in zip(TABLES, up_to, strict=True):
                db.execute(SQL[f"settle_{table}"], {"up_to": number})

    def revoked(self) -> frozenset[str]:
        """The gates whose scans are ignored."""
        with self._transaction() as db:
            return frozenset(gate_id for (gate_id,) in db.execute(SQL["revoked"]))


def _is_id(text: str) -> bool:
    return _SCAN_ID.fullmatch(text) is not None


def _put(db: sqlite3.Connection, record: ScanRecord) -> None:
    gate_id, scan_id = pair(record)
    values = {"gate_id": gate_id, "scan_id": scan_id}
    if is_annulment(record):
        db.execute(SQL["put_peer_annulment"], values)
        db.execute(SQL["remove_peer_entry"], values)
    elif is_admission(record):
        more = {"code_hash": record.code_hash, "at": record.occurred_at.isoformat()}
        db.execute(SQL["put_peer_entry"], values | more)


def _count(db: sqlite3.Connection, table: str, gate_id: str) -> int:
    return int(db.execute(SQL[f"count_{table}"], {"gate_id": gate_id}).fetchone()[0])

"""How far a revoked gate is locked out of the broker, as the authority's service notes it (`revocations`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import DictRow

from hub.db.connection import Connection
from hub.db.notices import wait_for_notice
from hub.db.statements import query

STEPS = {
    "listed_at": "the revocation list is in force at the broker",
    "thrown_out_at": "its connection was taken over: whoever had it is out",
    "refused_at": "connecting again with what is on the list: refused",
}
"""In the order in which they are done and proved."""


class LockOutProof(NamedTuple):
    """One step. `seconds`: since the beginning."""

    words: str
    seconds: float


def begin_to_follow(conn: Connection) -> None:
    """Listen for the steps, before the gate is revoked."""
    conn.execute(query("listen_authority_done"))


def lock_out_steps(conn: Connection, gate_id: str, begun: datetime, wait_s: float) -> Iterator[LockOutProof]:
    """Each step once it is noted; fewer if not all are within `wait_s`.

    :param conn: in autocommit, and listening.
    :param begun: by the clock of the authority's machine, which is the hub's.
    """
    gives_up = time.monotonic() + wait_s
    told = 0
    never = threading.Event()
    while (left := gives_up - time.monotonic()) > 0:
        row = lock_out_row(conn, gate_id) or {}
        done = [(words, row[column]) for column, words in STEPS.items() if row.get(column) is not None]
        for words, at in done[told:]:
            yield LockOutProof(words, max(0.0, (at - begun).total_seconds()))
        told = len(done)
        if told == len(STEPS):
            return
        wait_for_notice(conn, min(left, 1.0), never)


def lock_out_row(conn: Connection, gate_id: str) -> DictRow | None:
    """What is noted so far; None: the gate was not revoked."""
    return conn.execute(query("revocation"), {"gate_id": gate_id}).fetchone()


def what_is_missing(row: DictRow | None) -> str:
    """Why not every step was done, and what to do."""
    why = (
        f"{row['trouble']}. " if row and row["trouble"] else "No 'maguey-hub authority serve' has answered. "
    )
    return (
        f"It is not proved that the broker locks it out. {why}Start maguey-hub-authority, which goes on with "
        "it by itself. If this venue's certificates are made elsewhere: put the gate's into crl.pem, write "
        "the list (maguey-hub broker-list), and restart Mosquitto."
    )

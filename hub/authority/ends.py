"""When certificates end, and what to do before. The revocation list ends with the gates' authority."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from hub.db.connection import Connection
from hub.db.statements import query

WARNED_BEFORE = timedelta(days=90)

_ADVICE = {
    "gate": "Sync renews it by itself, months before: is the gate connected, and does maguey-hub-authority "
    "run? Otherwise enrol it again.",
    "gates authority": "With it ends everything, the revocation list too: remove ca.pem and ca.key from its "
    "folder, run maguey-hub authority init, and enrol every gate again, before that day.",
    "hub authority": "Remove hub-ca.pem and hub-ca.key from its folder, and hub.pem; run maguey-hub "
    "authority init, and restart Mosquitto and the hub.",
}
_SERVERS = "Run maguey-hub authority init, which makes another, then restart Mosquitto and the hub."


def certificate_warnings(conn: Connection, venue: str, now: datetime) -> list[str]:
    """A line for each certificate that ends within `WARNED_BEFORE`, or has ended.

    :raises psycopg.Error: as any statement.
    """
    return end_warnings(conn.execute(query("certificate_ends"), {"venue": venue}).fetchall(), now)


def end_warnings(rows: Iterable[DictRow], now: datetime) -> list[str]:
    """The same of rows of `certificate_ends`. Pure."""
    soon = [row for row in rows if row["not_after"] < now + WARNED_BEFORE]
    return [_line(row, now) for row in sorted(soon, key=lambda row: row["not_after"])]


def _line(row: DictRow, now: datetime) -> str:
    whose = row["gate_id"] or f"the {row['kind']}"
    days = (row["not_after"] - now).days
    when = f"ends in {days} days" if row["not_after"] > now else "has ended"
    ends = f"The certificate of {whose} {when} ({row['not_after']:%Y-%m-%d})."
    return f"{ends} {_ADVICE.get(row['kind'], _SERVERS)}"

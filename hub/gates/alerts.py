"""Alerts that staff and gates need at once (protocol 4.2): Postgres → MQTT.

The ingest writes an alert in the record's own transaction: it exists once, however often the record comes,
and is published only after the commit. Then it is marked as sent; a hub that dies in between publishes it
again, under the same id. Each double admission is a message of its own, or none if an annulment comes before
it is published (ADR 0016).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from psycopg.rows import DictRow

from gate.common.seldom import Seldom
from gate.rules.alert import Alert
from hub.config import Watch
from hub.db.connection import Connection
from hub.db.statements import query
from sync.wire.messages import encode
from sync.wire.topics import Topics

if TYPE_CHECKING:
    from hub.mqtt.link import HubLink

EVERY_SECONDS = 30
"""How often a gate's alerts of one reason are published; those in between are counted in the next."""
CONFLICTS_AT_ONCE = 100
"""Double admissions published at once: each is a message of its own, and hours of isolation make many."""
GRANTS_CHECK_EVERY = timedelta(seconds=30)
"""How often to look for gates that take grants and do not use them."""
_LOOK_SECONDS = 0.25
"""So a revoked gate is announced within a second."""

_log = structlog.get_logger()


class AlertPublisher:
    """Publishes waiting alerts. Called by the venue's one active consumer.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, broker: HubLink, topics: Topics, now: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._topics = topics
        self._now = now
        self._look_at = 0.0
        self._seldom = Seldom(now)

    def check_now(self) -> None:
        """An alert was written: look at once."""
        self._look_at = 0.0

    def publish_due(self, conn: Connection) -> None:
        """Publish what is due. While the broker is away, alerts wait in Postgres.

        :param conn: in autocommit.
        :raises psycopg.Error: the database is away; what was not marked is published again.
        """
        now = self._now()
        if now < self._look_at or not self._broker.is_up:
            return
        self._look_at = now + _LOOK_SECONDS
        wanted = {"venue": self._topics.venue, "every_s": EVERY_SECONDS, "conflicts": CONFLICTS_AT_ONCE}
        for row in conn.execute(query("due_alerts"), wanted).fetchall():
            alert = _alert(row)
            _log_one(alert, self._seldom)
            self._broker.publish(self._topics.alerts(), encode(alert))
            conn.execute(query("alert_sent"), {"numbers": row["numbers"]})


class UnusedGrantsCheck:
    """Notices a gate that takes tickets and lets nobody in: it is broken, or in the wrong hands.

    With a gate's certificate one can claim every ticket whose code one knows, and so keep its guest out at
    all gates. But it does not look like a night: there, scans follow the grants.
    """

    def __init__(self, venue: str, watch: Watch) -> None:
        self._venue = venue
        self._watch = watch
        self._checked: datetime | None = None

    def check(self, conn: Connection, now: datetime) -> None:
        """Write alerts, every `GRANTS_CHECK_EVERY`. Raises `psycopg.Error`: the database is away.

        :param now: the hub's clock.
        """
        if self._checked is not None and abs(now - self._checked) < GRANTS_CHECK_EVERY:
            return
        wanted = unused_grants_limits(self._venue, self._watch, now)
        for row in conn.execute(query("unused_grants"), wanted).fetchall():
            conn.execute(query("note_unused_grants"), wanted | row)
        self._checked = now


def unused_grants_limits(venue: str, watch: Watch, now: datetime) -> dict[str, object]:
    """The parameters of the query `unused_grants`."""
    return {"venue": venue, "most": watch.unused_grants, "minutes": watch.unused_minutes, "now": now}


def _alert(row: DictRow) -> Alert:
    return Alert(
        id=row["id"],
        gate=row["gate_id"],
        reason=row["reason"],
        at=row["at"],
        count=row["count"],
        other_gate=row["other_gate"],
        other_at=row["other_at"],
        subject_id=row["subject_id"],
    )


_ADVICE = {
    "cloned": (
        "gate cloned",
        "Two machines use its identity, or its journal was restored from a copy. What contradicts the hub's "
        "records is in the quarantine. Find the other machine, switch it off, and give this gate an empty "
        "state_dir.",
    ),
    "unused_grants": (
        "grants left unused",
        "The gate was granted many tickets and sent no scan with them; other gates refuse their guests. "
        "Check that it is in its place and works. If it is stolen, revoke it, which frees them.",
    ),
    "enrolment": (
        "enrolment refused",
        "Somebody showed a token of this gate that was used, too old, or for another machine; audit_log says "
        "which. If that was nobody of yours, make no further token until you know who.",
    ),
    "flooding": (
        "gate flooding",
        "It sends more than any door can. What exceeds its budgets is not stored, and the other gates go on. "
        "Check that it is in its place and works. If it is stolen, revoke it.",
    ),
}
"""By an alert's reason: what happened, and what to do."""


def _log_one(alert: Alert, seldom: Seldom) -> None:
    """Also in the hub's log, in case nobody looks at a screen."""
    if alert.reason in _ADVICE:
        event, advice = _ADVICE[alert.reason]
        _log.error(event, gate_id=alert.gate, advice=advice)
    elif alert.reason == "conflict":
        seldom.say(
            _log.warning,
            "ticket admitted twice",
            gate_id=alert.gate,
            at=alert.at.isoformat(),
            other_gate=alert.other_gate,
            other_at=alert.other_at and alert.other_at.isoformat(),
            subject_id=alert.subject_id,
        )

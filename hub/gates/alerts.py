"""Tell staff and gates of what they have to know at once (protocol 4.2): Postgres → MQTT.

The ingest writes an alert down in the record's own transaction, so it is there once however
often the record comes, and is told only after the commit. It is marked as told after it was
published: a hub that dies in between tells it again, under the same id. A double admission is a
message of its own, and none when an annulment came before anybody was told (ADR 0016).
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
"""One message of a gate and reason in so long; what comes meanwhile is told together in the next."""
CONFLICTS_AT_ONCE = 100
"""Each double admission is a message of its own; after hours of isolation there may be many."""
GREEDY_EVERY = timedelta(seconds=30)
"""So often is looked for gates that take grants and do not use them."""
_LOOK_SECONDS = 0.25
"""A gate that was revoked is told of within a second."""

_log = structlog.get_logger()


class AlertPublisher:
    """Publishes what waits. Called by the venue's one active consumer.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, broker: HubLink, topics: Topics, now: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._topics = topics
        self._now = now
        self._look_at = 0.0
        self._seldom = Seldom(now)

    def hurry(self) -> None:
        """Something was written down: look at once."""
        self._look_at = 0.0

    def tell(self, conn: Connection) -> None:
        """Publish what is due; nothing while the broker is away, it waits in Postgres.

        :param conn: in autocommit.
        :raises psycopg.Error: the database is away; what was not marked is told again.
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
    """Notices a gate that takes tickets and lets nobody in: broken, or in the wrong hands.

    Whoever has a gate's certificate can claim every ticket whose code they know, and so keep its guest out at
    all gates. What they cannot make is that it looks like a night: there, scans follow the grants.
    """

    def __init__(self, venue: str, watch: Watch) -> None:
        self._venue = venue
        self._watch = watch
        self._looked: datetime | None = None

    def look(self, conn: Connection, now: datetime) -> None:
        """Write down what is to be told, now and then. Raises `psycopg.Error`: the database is away.

        :param now: the hub's clock.
        """
        if self._looked is not None and abs(now - self._looked) < GREEDY_EVERY:
            return
        wanted = unused_grants_limits(self._venue, self._watch, now)
        for row in conn.execute(query("unused_grants"), wanted).fetchall():
            conn.execute(query("note_greedy"), wanted | row)
        self._looked = now


def unused_grants_limits(venue: str, watch: Watch, now: datetime) -> dict[str, object]:
    """What the query `unused_grants` asks for."""
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


def _log_one(alert: Alert, seldom: Seldom) -> None:
    """The hub's own log says what each is about, in case nobody looks at a screen."""
    if alert.reason == "cloned":
        _log.error(
            "two machines use one gate's identity, or its journal was put back from a copy: what contradicts "
            "what the hub has is in the quarantine. Find the other machine, switch it off, and give this "
            "gate an empty state_dir",
            gate_id=alert.gate,
        )
    elif alert.reason == "unused_grants":
        _log.error(
            "a gate was granted many tickets and sent no scan with them; their guests are refused elsewhere. "
            "Look whether it is where it should be and works. If it is stolen: revoke it, which frees them",
            gate_id=alert.gate,
        )
    elif alert.reason == "flooding":
        _log.error(
            "a gate sends more than any door can. What goes beyond its share is not taken in, and the other "
            "gates go on. Look whether it is where it should be and works. If it is stolen: revoke it",
            gate_id=alert.gate,
        )
    elif alert.reason == "conflict":
        seldom.say(
            _log.warning,
            "a one-time ticket was admitted twice",
            gate_id=alert.gate,
            at=alert.at.isoformat(),
            other_gate=alert.other_gate,
            other_at=alert.other_at and alert.other_at.isoformat(),
            subject_id=alert.subject_id,
        )

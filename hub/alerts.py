"""Tell staff and gates of what they have to know at once (protocol 4.2): Postgres → MQTT.

The ingest writes an alert down in the record's own transaction, so it is there once however
often the record comes, and is told only after the commit. It is marked as told after it was
published: a hub that dies in between tells it again, under the same id.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hub.broker import Line
from hub.database import Connection
from hub.queries import query
from sync.wire import Alert, Topics, encode

EVERY_SECONDS = 30
"""One message of a gate and reason in so long; what comes meanwhile is told together in the next."""
_LOOK_SECONDS = 1.0


class Alerts:
    """Publishes what waits. Called by the venue's one active consumer.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, broker: Line, topics: Topics, now: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._topics = topics
        self._now = now
        self._look_at = 0.0

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
        wanted = {"venue": self._topics.venue, "every_s": EVERY_SECONDS}
        for row in conn.execute(query("due_alerts"), wanted).fetchall():
            alert = Alert(
                id=row["id"], gate=row["gate_id"], reason=row["reason"], at=row["at"], count=row["count"]
            )
            self._broker.publish(self._topics.alerts(), encode(alert))
            conn.execute(query("alert_sent"), row | wanted)

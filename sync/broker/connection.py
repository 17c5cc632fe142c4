"""Keeps a connection to the broker: connects again when it is lost, after a longer wait each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from gate.common.outage import Outage
from gate.rules.model import Now
from gate.store.link_row import LinkNote
from sync.broker.mqtt import Disconnected, LinkError, MqttLink

RECONNECT_MS = (250, 10_000)
SETTLED_MS = 20_000
"""Longer than the longest wait: two gates with one id, which disconnect each other, never settle."""
ANSWER_MS = 15_000
"""Time for the broker's answer to the subscriptions; it may answer pings all the while."""
MOST_PUT_OUT = 5
"""A restarted broker or a bad cable ends fewer connections in a row this soon."""

MakeLink = Callable[[tuple[str, bytes], Sequence[str]], MqttLink]


class BrokerConnection:
    """At most one link at a time.

    :param make_link: starts a connection, with a last will and the filters to subscribe to.
    :param will: topic and payload of the last will.
    :param since_ms: since when there has been no broker.
    :param jitter: returns a random number from 0 to 1.
    """

    def __init__(
        self,
        make_link: MakeLink,
        will: tuple[str, bytes],
        topics: Sequence[str],
        since_ms: int,
        jitter: Callable[[], float],
    ) -> None:
        self._make_link = make_link
        self._will = will
        self._topics = topics
        self._jitter = jitter
        self._outage = Outage("broker")
        self._put_out = 0
        """How many connections in a row were accepted and did not last."""
        self._is_logged = False
        """Whether that was logged."""
        self._failures = 0
        self._connect_at = self._asked_at = 0
        self.link: MqttLink | None = None
        """The link, connected or still connecting."""
        self.connected = False
        self.unlisted = False
        """Whether the broker accepts this gate and refuses every subscription."""
        self.since_ms = since_ms
        """When `connected` last changed; monotonic."""

    def keep(self, now_ms: int) -> Disconnected | None:
        """Connect if it is time to; returns why, if the link turns out to be lost."""
        self._settle(now_ms)
        if self.link is not None:
            return self._trouble(self.link, now_ms)
        if now_ms < self._connect_at:
            return None
        try:
            self.link = self._make_link(self._will, self._topics)
        except LinkError as error:
            return Disconnected(str(error))
        self._asked_at = now_ms
        return None

    def _trouble(self, link: MqttLink, now_ms: int) -> Disconnected | None:
        if not link.is_alive():
            return Disconnected("the connection's thread died")
        if self.connected or not link.is_open():  # the system's name look-up has no bound
            self._asked_at = now_ms
        if now_ms - self._asked_at >= ANSWER_MS:
            return Disconnected("the broker does not answer the subscriptions")
        return None

    def on_connected(self, now_ms: int) -> None:
        """The broker accepted the link: logged at once, unless the one before did not last."""
        self.connected, self.since_ms = True, now_ms
        self.unlisted = False
        if not self._put_out:
            self._outage.over()

    def on_lost(self, lost: Disconnected, now_ms: int) -> None:
        """The link is gone; the next is made after a wait."""
        self._settle(now_ms)
        self._put_out += self.connected and not self._is_settled(now_ms)
        if lost.taken_over or self._put_out >= MOST_PUT_OUT:
            self._log_taken_over()
        if lost.unlisted:
            self._log_unlisted(lost)
        self._outage.began(f"{lost.why}. Scans are kept and sent later.")
        self.renew(now_ms)
        self._failures = min(self._failures + 1, 10)

    def renew(self, now_ms: int) -> None:
        """Close this connection, if there is one; the next is made after a wait."""
        if self.connected:
            self.connected, self.since_ms = False, now_ms
        link, self.link = self.link, None
        if link is not None:
            link.close()
        shortest, longest = RECONNECT_MS
        wait = min(shortest * 2**self._failures, longest) * (1 + self._jitter() / 2)
        self._connect_at = now_ms + int(wait)

    def _log_taken_over(self) -> None:
        """Once, until a connection lasts: two clients of one id reconnect again and again.

        Mosquitto 2.0 gives no reason when it closes the older of two, so a row of short connections counts
        too.
        """
        if not self._is_logged:
            structlog.get_logger().error(
                "connection taken over",
                why="another client uses this gate's id: a copy of this card, or a second maguey-sync",
                advice="Scans are slow or stuck until one of them stops. Stop the other. If nobody knows it, "
                "revoke this gate's certificate and enrol the gate again.",
            )
        self._is_logged = True

    def _log_unlisted(self, lost: Disconnected) -> None:
        """Once, until the gate is accepted; the outage may have begun with a broker that was restarted."""
        if self._outage.is_on and not self.unlisted:
            structlog.get_logger().error("subscriptions refused", why=lost.why)
        self.unlisted = True

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish a message; False if there is no connection."""
        if not self.connected or self.link is None:
            return False
        return self.link.publish(topic, payload, retain=retain)

    def listen(self, topics: Sequence[str]) -> None:
        """Replace the filters it was made with; the next connection begins with those again."""
        if self.connected and self.link is not None:
            self.link.listen(topics)

    def _settle(self, now_ms: int) -> None:
        """Only a connection that lasts counts: otherwise the log fills and the waits never grow."""
        if self._is_settled(now_ms):
            self._failures = self._put_out = 0
            self._is_logged = False
            self._outage.over()

    def _is_settled(self, now_ms: int) -> bool:
        return self.connected and now_ms - self.since_ms >= SETTLED_MS


def cut_since(before: LinkNote | None, now: Now) -> int:
    """Since when there has been no broker: an outage does not begin again when sync restarts."""
    if before is None or before.boot_id != now.boot_id:
        return now.monotonic_ms
    return before.beat_ms if before.connected else before.since_ms

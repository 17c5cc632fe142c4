"""Writes the hub's messages into the cache, in order, and keeps them while the cache cannot be written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import structlog

from gate.clock import Clock
from gate.common.errors import StoreError
from gate.common.outage import Outage
from gate.common.seldom import Seldom
from gate.rules.alert import Alert
from gate.rules.home_gate import Division, division_of
from gate.store.link_row import LinkNote
from sync.broker.mqtt import Message
from sync.broker.read_message import read_or_log
from sync.cache.writer import STORE_RETRY_MS, Cache
from sync.feed.follower import FeedFollower
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Delta, GateConfig, Head, WireError, decode
from sync.wire.topics import Topics

KEPT = 10_000
"""Most messages kept while the cache cannot be written, about an hour's; then the oldest are dropped."""
KEPT_BYTES = 32 * 1024 * 1024
"""The same, in bytes."""

Incoming = Message | GateConfig | FetchedFeed


class Intake:
    """Writes what the hub sends.

    :param outage: of the cache, shared with its other writers.
    :param revoke: called with the revoked gates once they are in the cache.
    :param before_large: called before a write that may take seconds.
    :param before: the link note of sync's last run.
    """

    def __init__(  # noqa: PLR0913 – the parts it brings together, by name
        self,
        *,
        topics: Topics,
        cache: Cache,
        follower: FeedFollower,
        clock: Clock,
        outage: Outage,
        revoke: Callable[[Sequence[str]], None],
        before_large: Callable[[], None],
        before: LinkNote | None,
    ) -> None:
        self._topics = topics
        self._cache = cache
        self._follower = follower
        self._clock = clock
        self._outage = outage
        self._revoke = revoke
        self._before_large = before_large
        self.lent_as_of: dict[str, Division] = before.lent_as_of if before else {}
        """By night, the division of its tickets for which this cache has every loan."""
        self.hub_heard_ms: int | None = None
        """When something last showed that the hub lives."""
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._log = structlog.get_logger()
        self._kept: deque[Incoming] = deque()
        self._kept_bytes = 0
        self._again_at = 0

    def put(self, message: Incoming) -> None:
        """Write a message, or keep it behind those that could not be written yet: the order stays."""
        if not isinstance(message, Message):
            self._hear_hub()
        self._kept.append(message)
        self._kept_bytes += _size(message)
        while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._drop_oldest()
        if len(self._kept) == 1:
            self._write_kept()

    def keep_time(self, now_ms: int) -> None:
        """Try again to write what is kept."""
        if self._kept and now_ms >= self._again_at:
            self._write_kept()

    def _write_kept(self) -> None:
        try:
            while self._kept:
                read_or_log(self._kept[0], self._write, self._seldom)
                self._drop_oldest()
        except StoreError as error:
            self._outage.began(error)
            self._again_at = self._clock.now().monotonic_ms + STORE_RETRY_MS
        else:
            self._outage.over()

    def _drop_oldest(self) -> None:
        self._kept_bytes -= _size(self._kept.popleft())

    def _write(self, message: Incoming) -> None:
        match message:
            case GateConfig():
                self._follower.on_config(message)
                self._cache.add_lent(message, self._clock.now().wall)
                self._revoke(message.revoked)
                self.lent_as_of = {e.event_id: division_of(e) for e in message.events if e.homes}
            case FetchedFeed():
                self._before_large()
                self._follower.on_fetched(message)
            case Message(topic, payload) if topic.endswith("/head"):
                head = decode(payload, Head)
                _check_event(topic, self._topics.head(head.event_id))
                self._follower.on_head(head)
                self._hear_hub()
            case Message(topic, payload) if topic.endswith("/deltas"):
                delta = decode(payload, Delta)
                _check_event(topic, self._topics.deltas(delta.event_id))
                self._follower.on_delta(delta)
                self._hear_hub()
            case Message(topic, payload) if topic == self._topics.alerts():
                self._on_alert(decode(payload, Alert))

    def _hear_hub(self) -> None:
        self.hub_heard_ms = self._clock.now().monotonic_ms

    def _on_alert(self, alert: Alert) -> None:
        self._cache.put_alert(alert)
        # alerts may come by the thousand, from a gate or from a hostile broker
        if not (count := self._seldom.due(f"alert {alert.reason}")):
            return
        other = {"other_gate": alert.other_gate, "other_at": str(alert.other_at)} if alert.other_gate else {}
        self._log.warning(
            "alert received",
            at_gate=alert.gate,
            reason=alert.reason,
            at=str(alert.at),
            subject_id=alert.subject_id,
            count=count,
            **other,
        )


def _size(message: Incoming) -> int:
    return len(message.payload) if isinstance(message, Message) else 0


def _check_event(topic: str, wanted: str) -> None:
    """Raise `WireError` if a message about one event came on the topic of another."""
    if topic != wanted:
        raise WireError(f"about another event: it belongs on {wanted}")

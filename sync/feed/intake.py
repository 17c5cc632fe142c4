"""What the hub says for the cache, in the order it came, also while the cache cannot be written."""

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
"""Most messages kept while the cache cannot be written; then the oldest go. About an hour's."""
KEPT_BYTES = 32 * 1024 * 1024
"""The same, in bytes."""

Incoming = Message | GateConfig | FetchedFeed


class Intake:
    """Writes what the hub says.

    :param outage: of the cache, which others write to as well.
    :param revoke: called with the gates that are revoked, once the cache knows.
    :param before_large: called before a write that may take seconds.
    :param before: what was so when sync last ran.
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
        """By night, for which division of its tickets this cache has every one that is lent."""
        self.hub_heard_ms: int | None = None
        """When something last showed that the hub lives."""
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._log = structlog.get_logger()
        self._kept: deque[Incoming] = deque()
        self._kept_bytes = 0
        self._again_at = 0

    def put(self, message: Incoming) -> None:
        """Whatever comes waits behind what could not be written yet, so that the order stays."""
        if not isinstance(message, Message):
            self._hear_hub()
        self._kept.append(message)
        self._kept_bytes += _size(message)
        while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._let_go()
        if len(self._kept) == 1:
            self._write_kept()

    def keep_time(self, now_ms: int) -> None:
        """Try again what could not be written."""
        if self._kept and now_ms >= self._again_at:
            self._write_kept()

    def _write_kept(self) -> None:
        try:
            while self._kept:
                read_or_log(self._kept[0], self._write, self._seldom)
                self._let_go()
        except StoreError as error:
            self._outage.began(error)
            self._again_at = self._clock.now().monotonic_ms + STORE_RETRY_MS
        else:
            self._outage.over()

    def _let_go(self) -> None:
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
        # a gate that does so by the thousand, or a broker that makes them up, fills no log
        if not (count := self._seldom.due(f"alert {alert.reason}")):
            return
        other = {"other_gate": alert.other_gate, "other_at": str(alert.other_at)} if alert.other_gate else {}
        self._log.warning(
            "the hub alerts",
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

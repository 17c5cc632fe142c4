"""Sync: carries the journal to the hub and the hub's knowledge into the cache.

One loop owns all state. Everything from outside (broker, hub) comes in through one queue;
the journal is looked at when it has changed. A scan is sent until the hub has acknowledged
it, whatever the broker said. The parts: `sender` is the way out, `follower` the way in;
here are the connection, the time, and what happens when a file cannot be used.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import structlog

from gate.clock import Clock
from gate.errors import StoreError
from gate.heart import Heart
from gate.link import LinkNote
from gate.live import Reading
from gate.model import Now, Value
from gate.outage import Outage
from sync.cache import Cache
from sync.fetcher import Want, WantConfig
from sync.follower import Follower
from sync.link import Connected, Link, LinkError, LinkEvent, Lost, Message
from sync.outbox import Outbox
from sync.sender import Sender
from sync.snapshot import Fetched
from sync.wire import (
    Ack,
    Alert,
    Delta,
    GateConfig,
    GateStatus,
    Head,
    Topics,
    WireError,
    decode,
    decode_scans,
    encode,
)

POLL_S = 0.02
"""How long a new scan may wait before it is noticed."""
BEAT_MS = 1_000
STATUS_MS = 10_000
CONFIG_MS = 60_000
HEARD_MS = 90_000
"""A living hub answers for the configuration more often than this; a silent one proves nothing."""
RECONNECT_MS = (250, 10_000)
SETTLED_MS = 20_000
"""Longer than the longest wait: two gates with one name, who throw each other out, never settle."""
STORE_RETRY_MS = 1_000
KEPT = 10_000
"""Most messages kept while the cache cannot be written; then the oldest go. About an hour's."""

Incoming = Message | GateConfig | Fetched
M = TypeVar("M", Message, Incoming)
Inbox = queue.SimpleQueue["tuple[Link | None, LinkEvent | GateConfig | Fetched]"]
MakeLink = Callable[[tuple[str, bytes], Sequence[str]], Link]


class Identity(Value, frozen=True):
    """Who this gate is."""

    gate_id: str
    venue: str
    version: str


class Turns(Value, frozen=True):
    """How often each loop of sync has turned, for the watchdog."""

    service: int
    link: int


class Sync:
    """The service of one gate.

    :param make_link: starts a connection that reports to the inbox.
    :param want: asks for something over HTTP; the answer is put into the inbox.
    :param door: how the door is, by its own account.
    :param jitter: gives a random number from 0 to 1.
    """

    def __init__(  # noqa: PLR0913 – the parts of the service, by name
        self,
        *,
        identity: Identity,
        cache: Cache,
        outbox: Outbox,
        inbox: Inbox,
        make_link: MakeLink,
        want: Callable[[Want], None],
        clock: Clock,
        door: Callable[[Now], Reading],
        jitter: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._topics = Topics(venue=identity.venue)
        self._cache = cache
        self._outbox = outbox
        self._inbox = inbox
        self._make_link = make_link
        self._want = want
        self._clock = clock
        self._door = door
        self._jitter = jitter
        self._log = structlog.get_logger()
        before = cache.link()
        self._sender = Sender(outbox, before.epoch if before else None, before.acked_seq if before else 0)
        self._follower = Follower(cache, want, clock)
        self._broker_outage = Outage("broker")
        self._journal_outage = Outage("journal")
        self._cache_outage = Outage("cache")
        self._beat_outage = Outage("heartbeat")
        self._link: Link | None = None
        self._connected = False
        self._failures = 0
        self._changed_ms = _cut_since(before, clock.now())
        self._heard_ms: int | None = None
        self._kept: deque[Incoming] = deque(maxlen=KEPT)
        self._turns = self._kept_at = self._journal_at = 0
        self._beat_at = self._status_at = self._config_at = self._connect_at = 0

    def run(self, stop: threading.Event, heart: Heart) -> None:
        """Until `stop` is set; then a goodbye to the broker."""
        try:
            while not stop.is_set():
                self.step()
                heart.ready()
                heart.beat(self._clock.now().monotonic_ms, self.turns())
        finally:
            heart.stopping()
            if self._link is not None:
                self._link.close(self._status_message(online=False))
            self._cache.close()
            self._outbox.close()

    def step(self) -> None:
        """Wait briefly for an event, handle all there are, then send and keep time.

        A file that cannot be used stops only the part that needs it.
        """
        self._take_events()
        now = self._clock.now()
        self._keep_link(now.monotonic_ms)
        self._send_scans(now.monotonic_ms)
        self._keep_time(now)

    def turns(self) -> Turns:
        """Asked once a step. A connection that is not made yet has its own time-out, and is not watched."""
        self._turns += 1
        link = self._link if self._connected else None
        return Turns(service=self._turns, link=self._turns if link is None else link.beats())

    def _take_events(self) -> None:
        try:
            source, event = self._inbox.get(timeout=POLL_S)
            while True:
                self._handle(source, event)
                source, event = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, source: Link | None, event: LinkEvent | GateConfig | Fetched) -> None:
        if isinstance(event, GateConfig | Fetched):
            self._heard()
            self._to_cache(event)
        elif source is self._link:  # a link that was given up may still have been talking
            self._on_link(event)

    # --- the connection ---

    def _keep_link(self, now_ms: int) -> None:
        self._settle(now_ms)
        if self._link is not None and not self._link.is_alive():
            self._on_link(Lost("the connection's thread died"))
        if self._link is None and now_ms >= self._connect_at:
            topics = self._topics
            wanted = [
                topics.ack(self._identity.gate_id), topics.scans(), topics.head(), topics.deltas(),
                topics.alerts(),
            ]  # fmt: skip
            try:
                self._link = self._make_link(self._status_message(online=False), wanted)
            except LinkError as error:
                self._on_link(Lost(str(error)))

    def _on_link(self, event: LinkEvent) -> None:
        match event:
            case Connected():
                self._on_connected()
            case Lost(why):
                self._on_lost(why)
            case Message():
                self._on_message(event)

    def _on_connected(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        self._connected, self._changed_ms = True, now_ms
        self._sender.on_connect(now_ms)
        self._follower.on_connect()
        self._beat_at = self._status_at = self._config_at = 0

    def _settle(self, now_ms: int) -> None:
        """Only a connection that lasts is one: else the log fills and the waits never grow."""
        if self._connected and now_ms - self._changed_ms >= SETTLED_MS:
            self._failures = 0
            self._broker_outage.over()

    def _on_lost(self, why: str) -> None:
        now_ms = self._clock.now().monotonic_ms
        if self._connected:
            self._connected, self._changed_ms = False, now_ms
        self._broker_outage.began(LinkError(f"broker: {why}. Scans are kept and sent when it is back."))
        link, self._link = self._link, None
        if link is not None:
            link.close()
        shortest, longest = RECONNECT_MS
        wait = min(shortest * 2**self._failures, longest) * (1 + self._jitter() / 2)
        self._failures = min(self._failures + 1, 10)
        self._connect_at = now_ms + int(wait)
        self._beat_at = 0

    def _on_message(self, message: Message) -> None:
        if message.topic.endswith("/ack"):
            self._understand(message, self._on_ack)
        elif message.topic == self._topics.alerts():
            self._understand(message, self._on_alert)
        else:
            self._to_cache(message)

    def _understand(self, message: M, use: Callable[[M], None]) -> None:
        try:
            use(message)
        except (WireError, OverflowError) as error:  # a number may be larger than SQLite's
            where = message.topic if isinstance(message, Message) else type(message).__name__
            self._log.warning("message not understood", topic=where, error=str(error))

    def _on_alert(self, message: Message) -> None:
        alert = decode(message.payload, Alert)
        self._log.warning("the hub alerts", at_gate=alert.gate, reason=alert.reason, at=str(alert.at))

    def _heard(self) -> None:
        self._heard_ms = self._clock.now().monotonic_ms

    # --- out: the journal ---

    def _on_ack(self, message: Message) -> None:
        ack = decode(message.payload, Ack)
        self._heard()
        self._sender.on_ack(ack, self._clock.now().monotonic_ms)
        self._beat_at = 0

    def _send_scans(self, now_ms: int) -> None:
        if now_ms < self._journal_at:
            return
        try:
            self._sender.send(self._publish_scans if self._connected else None, now_ms, self._jitter())
        except StoreError as error:
            self._journal_outage.began(error)
            self._journal_at = now_ms + STORE_RETRY_MS
        else:
            self._journal_outage.over()

    def _publish_scans(self, batch: bytes) -> bool:
        topic = self._topics.scans(self._identity.gate_id)
        return self._link is not None and self._link.publish(topic, batch)

    # --- in: the cache ---

    def _to_cache(self, message: Incoming) -> None:
        """Whatever comes waits behind what could not be written yet, so that the order stays."""
        self._kept.append(message)
        if len(self._kept) == 1:
            self._write_kept()

    def _write_kept(self) -> None:
        try:
            while self._kept:
                self._understand(self._kept[0], self._write)
                self._kept.popleft()
        except StoreError as error:
            self._cache_outage.began(error)
            self._kept_at = self._clock.now().monotonic_ms + STORE_RETRY_MS
        else:
            self._cache_outage.over()

    def _write(self, message: Incoming) -> None:
        match message:
            case GateConfig():
                self._follower.on_config(message)
            case Fetched():
                self._beat(self._clock.now())  # a large snapshot keeps the door waiting for the next one
                self._follower.on_fetched(message)
            case Message(topic, payload) if topic.endswith("/head"):
                self._follower.on_head(decode(payload, Head))
                self._heard()
            case Message(topic, payload) if topic.endswith("/deltas"):
                self._follower.on_delta(decode(payload, Delta))
                self._heard()
            case Message(topic, payload) if topic.endswith("/scans"):
                self._on_peer(topic, payload)

    def _on_peer(self, topic: str, payload: bytes) -> None:
        gate_id = self._topics.gate_of(topic)
        if gate_id is not None and gate_id != self._identity.gate_id:
            records, _unreadable = decode_scans(payload, gate_id)  # the hub quarantines those
            self._cache.put_peers(records)

    # --- telling: door and hub ---

    def _keep_time(self, now: Now) -> None:
        now_ms = now.monotonic_ms
        if now_ms >= self._config_at:
            self._config_at = now_ms + CONFIG_MS
            self._want(WantConfig())
        self._follower.keep_time(now_ms)
        if self._kept and now_ms >= self._kept_at:
            self._write_kept()
        if self._connected and self._link and now_ms >= self._status_at:
            self._status_at = now_ms + STATUS_MS
            topic, payload = self._status_message(online=True)
            self._link.publish(topic, payload, retain=True)
        if now_ms >= self._beat_at:
            self._beat_at = now_ms + BEAT_MS
            self._beat(now)

    def _beat(self, now: Now) -> None:
        try:
            self._cache.put_link(self._link_note(now), now.wall if self._is_current(now) else None)
        except StoreError as error:
            self._beat_outage.began(error)
        else:
            self._beat_outage.over()

    def _link_note(self, now: Now) -> LinkNote:
        return LinkNote(
            connected=self._connected,
            hub_heard=self._sender.is_answered,
            since_ms=self._changed_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch=self._sender.epoch,
            acked_seq=self._sender.acked,
        )

    def _is_current(self, now: Now) -> bool:
        """Connected, and holding all that a hub which was heard lately told of."""
        is_heard = self._heard_ms is not None and now.monotonic_ms - self._heard_ms <= HEARD_MS
        return self._connected and is_heard and self._follower.is_current()

    def _status_message(self, *, online: bool) -> tuple[str, bytes]:
        status = GateStatus(gate_id=self._identity.gate_id, online=online, version=self._identity.version)
        if online:
            now = self._clock.now()
            status = msgspec.structs.replace(
                _with_door(status, self._door(now)),
                at=now.wall,
                epoch=self._sender.epoch,
                unacked=self._sender.unacked,
                event_id=self._follower.event_id,
                cache_version=self._follower.version,
            )
        return self._topics.status(self._identity.gate_id), encode(status)


def _with_door(status: GateStatus, door: Reading) -> GateStatus:
    live = door.live
    if live is None or not door.is_fresh:
        return msgspec.structs.replace(status, door=False)
    return msgspec.structs.replace(
        status,
        door=True,
        parts=msgspec.structs.asdict(live.parts),
        way=live.way.value,
        counters=msgspec.structs.asdict(live.counters),
    )


def _cut_since(before: LinkNote | None, now: Now) -> int:
    """Since when there has been no broker: a restart of sync does not begin an outage anew."""
    if before is None or before.boot_id != now.boot_id:
        return now.monotonic_ms
    return before.beat_ms if before.connected else before.since_ms

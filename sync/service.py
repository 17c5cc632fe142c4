"""Sync: carries the journal to the hub and the hub's knowledge into the cache.

One loop owns all state. Everything from outside (broker, hub) comes in through one queue;
the journal is looked at when it has changed. A scan is sent until the hub has acknowledged
it, whatever the broker said.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from gate.clock import Clock
from gate.errors import StoreError
from gate.model import Now, Value
from gate.outage import Outage
from sync import window as win
from sync.cache import Cache, LinkNote
from sync.feed import plan
from sync.fetcher import Want, WantConfig, WantEvent
from sync.link import Connected, Link, LinkError, LinkEvent, Lost, Message
from sync.outbox import Outbox
from sync.snapshot import Fetched
from sync.wire import (
    BATCH_LIMIT,
    Ack,
    Change,
    Delta,
    GateConfig,
    GateStatus,
    Head,
    Topics,
    WireError,
    decode,
    decode_scans,
    encode,
    encode_scans,
)

POLL_S = 0.02
"""How long a new scan may wait before it is noticed."""
BEAT_MS = 1_000
STATUS_MS = 10_000
CONFIG_MS = 60_000
HUB_SILENT_WAITS = 2
"""So many resends in a row without an answer, and the hub counts as not heard (6 s and more)."""
RECONNECT_MS = (250, 10_000)

Inbox = queue.SimpleQueue["tuple[Link | None, LinkEvent | GateConfig | Fetched]"]
MakeLink = Callable[[tuple[str, bytes], Sequence[str]], Link]


class Identity(Value, frozen=True):
    """Who this gate is."""

    gate_id: str
    venue: str
    version: str


class Sync:
    """The service of one gate.

    :param make_link: starts a connection that reports to the inbox.
    :param want: asks for something over HTTP; the answer is put into the inbox.
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
        self._jitter = jitter
        self._log = structlog.get_logger()
        self._broker_outage = Outage("broker")
        self._store_outage = Outage("files")
        self._link: Link | None = None
        self._connected = False
        self._failures = 0
        before = cache.link()
        self._changed_ms = _cut_since(before, clock.now())
        self._epoch = before.epoch if before else None
        acked = before.acked_seq if before else 0
        self._window = win.Window(acked=acked, sent=acked)
        self._versions = cache.versions()
        self._served = set(cache.served())
        self._heads: dict[str, int] = {}
        self._beat_at = self._status_at = self._config_at = self._connect_at = 0
        self._last_seq = 0

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then a goodbye to the broker."""
        try:
            while not stop.is_set():
                self.step()
        finally:
            if self._link is not None:
                self._link.close(self._status_message(online=False))
            self._cache.close()
            self._outbox.close()

    def step(self) -> None:
        """Wait briefly for an event, handle all there are, then send and keep time."""
        try:
            self._take_events()
            now = self._clock.now()
            self._keep_link(now.monotonic_ms)
            self._publish_scans(now.monotonic_ms)
            self._keep_time(now)
        except StoreError as error:
            self._store_outage.began(error)
        else:
            self._store_outage.over()

    def _take_events(self) -> None:
        try:
            source, event = self._inbox.get(timeout=POLL_S)
            while True:
                self._handle(source, event)
                source, event = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, source: Link | None, event: LinkEvent | GateConfig | Fetched) -> None:
        if isinstance(event, GateConfig):
            self._on_config(event)
        elif isinstance(event, Fetched):
            self._on_fetched(event)
        elif source is self._link:  # a link that was given up may still have been talking
            self._on_link(event)

    # --- the connection ---

    def _keep_link(self, now_ms: int) -> None:
        if self._link is not None and not self._link.is_alive():
            self._on_link(Lost("the connection's thread died"))
        if self._link is None and now_ms >= self._connect_at:
            topics = self._topics
            wanted = [
                topics.ack(self._identity.gate_id), topics.scans(), topics.head(), topics.deltas()
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
        self._connected, self._changed_ms, self._failures = True, now_ms, 0
        self._broker_outage.over()
        self._log.info("broker connected")
        self._window = win.on_connect(self._window, now_ms)
        self._heads.clear()
        self._beat_at = self._status_at = self._config_at = 0

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
        topic = message.topic
        try:
            if topic.endswith("/ack"):
                self._on_ack(decode(message.payload, Ack))
            elif topic.endswith("/head"):
                self._on_head(decode(message.payload, Head))
            elif topic.endswith("/deltas"):
                self._on_delta(decode(message.payload, Delta))
            elif topic.endswith("/scans"):
                self._on_peer(topic, message.payload)
        except WireError as error:
            self._log.warning("message not understood", topic=topic, error=str(error))

    # --- out: the journal ---

    def _on_ack(self, ack: Ack) -> None:
        if ack.epoch == self._epoch:
            self._window = win.on_ack(self._window, ack.seq, self._clock.now().monotonic_ms)
            self._beat_at = 0

    def _publish_scans(self, now_ms: int) -> None:
        if self._outbox.has_changed():
            self._follow_epoch(now_ms)
            self._last_seq = self._outbox.last_seq()
        self._window = win.on_tick(self._window, now_ms, self._jitter())
        while self._connected and self._last_seq > self._window.sent and win.room(self._window):
            records = self._outbox.above(self._window.sent, min(BATCH_LIMIT, win.room(self._window)))
            topic = self._topics.scans(self._identity.gate_id)
            if not records or not self._link or not self._link.publish(topic, encode_scans(records)):
                return
            self._window = win.on_sent(self._window, records[-1].seq, now_ms)

    def _follow_epoch(self, now_ms: int) -> None:
        """A journal with another epoch numbers from the start (a re-imaged card)."""
        epoch = self._outbox.epoch()
        if epoch != self._epoch:
            self._log.info("new journal", epoch=epoch)
            self._epoch, self._window = epoch, win.Window(since_ms=now_ms)

    # --- in: the cache ---

    def _on_peer(self, topic: str, payload: bytes) -> None:
        gate_id = self._topics.gate_of(topic)
        if gate_id is not None and gate_id != self._identity.gate_id:
            records, _unreadable = decode_scans(payload, gate_id)  # the hub quarantines those
            self._cache.put_peers(records)

    def _on_config(self, config: GateConfig) -> None:
        self._cache.put_config(config)
        self._served = {event.event_id for event in config.events if event.served}
        for event_id in self._served:
            # asked on every connection: a broker that crashed has forgotten the head that would tell
            self._want(WantEvent(event_id, self._versions.get(event_id, 0)))

    def _fetch_if_behind(self, event_id: str) -> None:
        held = self._versions.get(event_id)
        if held is None or self._heads.get(event_id, 0) > held:
            self._want(WantEvent(event_id, held or 0))

    def _on_head(self, head: Head) -> None:
        self._heads[head.event_id] = head.version
        if head.event_id in self._served:
            self._fetch_if_behind(head.event_id)

    def _on_delta(self, delta: Delta) -> None:
        if delta.event_id not in self._served:
            return
        newest = max((change.version for change in delta.changes), default=0)
        self._heads[delta.event_id] = max(self._heads.get(delta.event_id, 0), newest)
        self._apply(delta.event_id, delta.changes)

    def _on_fetched(self, fetched: Fetched) -> None:
        self._heads[fetched.event_id] = max(self._heads.get(fetched.event_id, 0), fetched.version)
        if fetched.since:
            self._apply(fetched.event_id, fetched.changes)
        elif fetched.version >= self._versions.get(fetched.event_id, 0):
            now = self._clock.now().wall
            self._cache.put_snapshot(fetched.event_id, fetched.version, fetched.rows, now)
            self._versions[fetched.event_id] = fetched.version
            self._log.info(
                "snapshot", event_id=fetched.event_id, version=fetched.version, rows=len(fetched.rows)
            )
        self._fetch_if_behind(fetched.event_id)

    def _apply(self, event_id: str, changes: Sequence[Change]) -> None:
        step = plan(self._versions.get(event_id), changes)
        if step.apply:
            self._cache.put_changes(event_id, step.apply, self._clock.now().wall)
            self._versions[event_id] = step.apply[-1].version
        if step.gap:
            self._want(WantEvent(event_id, self._versions.get(event_id, 0)))

    # --- telling: door and hub ---

    def _keep_time(self, now: Now) -> None:
        now_ms = now.monotonic_ms
        if now_ms >= self._config_at:
            self._config_at = now_ms + CONFIG_MS
            self._want(WantConfig())
        if now_ms >= self._beat_at:
            self._beat_at = now_ms + BEAT_MS
            self._cache.put_link(self._link_note(now), now.wall if self._is_current() else None)
        if self._connected and self._link and now_ms >= self._status_at:
            self._status_at = now_ms + STATUS_MS
            topic, payload = self._status_message(online=True)
            self._link.publish(topic, payload, retain=True)

    def _link_note(self, now: Now) -> LinkNote:
        return LinkNote(
            connected=self._connected,
            hub_heard=self._window.waits < HUB_SILENT_WAITS,
            since_ms=self._changed_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch=self._epoch,
            acked_seq=self._window.acked,
        )

    def _is_current(self) -> bool:
        """Connected, and holding the newest version the hub told of, for every night served here."""
        heard = all(event_id in self._heads for event_id in self._served)
        held = all(self._versions.get(e, -1) >= self._heads.get(e, 0) for e in self._served)
        return self._connected and bool(self._served) and heard and held

    def _status_message(self, *, online: bool) -> tuple[str, bytes]:
        status = GateStatus(gate_id=self._identity.gate_id, online=online, version=self._identity.version)
        if online:
            status = msgspec.structs.replace(
                status,
                at=self._clock.now().wall,
                epoch=self._epoch,
                unacked=max(0, self._last_seq - self._window.acked),
                event_id=next(iter(self._served), None) if len(self._served) == 1 else None,
                cache_version=max(self._versions.values(), default=None),
            )
        return self._topics.status(self._identity.gate_id), encode(status)


def _cut_since(before: LinkNote | None, now: Now) -> int:
    """Since when there has been no broker: a restart of sync does not begin an outage anew."""
    if before is None or before.boot_id != now.boot_id:
        return now.monotonic_ms
    return before.beat_ms if before.connected else before.since_ms

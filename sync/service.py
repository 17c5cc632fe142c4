"""Sync: carries the journal to the hub and the hub's knowledge into the cache.

One loop owns all state. Everything from outside (broker, hub) comes in through one queue;
the journal is looked at when it has changed. A scan is sent until the hub has acknowledged
it, whatever the broker said. The parts: `connection` keeps the line to the broker, `sender` is the way
out, `intake` and `follower` the way in, `telling` is what is said of it all; here is who gets what, and when.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

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
from sync.connection import Connection, MakeLink, cut_since
from sync.fetcher import Want, WantConfig
from sync.follower import Follower
from sync.intake import STORE_RETRY_MS, Intake, understand
from sync.link import Connected, Link, LinkEvent, Lost, Message
from sync.outbox import Outbox
from sync.sender import Sender
from sync.snapshot import Fetched
from sync.telling import Identity, offline, with_door
from sync.wire import Ack, Alert, GateConfig, GateStatus, Topics, decode, encode

__all__ = ["Identity", "Inbox", "Sync", "Turns"]

POLL_S = 0.02
"""How long a new scan may wait before it is noticed."""
BEAT_MS = 1_000
STATUS_MS = 10_000
CONFIG_MS = 60_000
HEARD_MS = 90_000
"""A living hub answers for the configuration more often than this; a silent one proves nothing."""

Event = LinkEvent | GateConfig | Fetched
Inbox = queue.SimpleQueue["tuple[Link | None, Event]"]


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
        self._topics = topics = Topics(venue=identity.venue)
        self._cache = cache
        self._outbox = outbox
        self._inbox = inbox
        self._want = want
        self._clock = clock
        self._door = door
        self._jitter = jitter
        self._log = structlog.get_logger()
        before = cache.link()
        wanted = [
            topics.ack(identity.gate_id),
            topics.scans(),
            topics.head(),
            topics.deltas(),
            topics.alerts(),
        ]
        self._line = Connection(make_link, self._will, wanted, cut_since(before, clock.now()), jitter)
        self._sender = Sender(outbox, before.epoch if before else None, before.acked_seq if before else 0)
        self._follower = Follower(cache, want, clock)
        self._intake = Intake(
            gate_id=identity.gate_id,
            topics=topics,
            cache=cache,
            follower=self._follower,
            clock=clock,
            heard=self._heard,
            before_large=lambda: self._beat(clock.now()),  # it keeps the door waiting for the next one
        )
        self._journal_outage = Outage("journal")
        self._beat_outage = Outage("heartbeat")
        self._heard_ms: int | None = None
        self._turns = self._journal_at = 0
        self._beat_at = self._status_at = self._config_at = 0

    def run(self, stop: threading.Event, heart: Heart) -> None:
        """Until `stop` is set; then a goodbye to the broker."""
        try:
            while not stop.is_set():
                self.step()
                heart.ready()
                heart.beat(self._clock.now().monotonic_ms, self.turns())
        finally:
            heart.stopping()
            if self._line.link is not None:
                self._line.link.close(self._will())
            self._cache.close()
            self._outbox.close()

    def step(self) -> None:
        """Wait briefly for an event, then take a turn."""
        try:
            first = self._inbox.get(timeout=POLL_S)
        except queue.Empty:
            pass
        else:
            self._handle(*first)
        self.turn()

    def turn(self) -> None:
        """Handle all events there are, then send and keep time. Does not wait.

        A file that cannot be used stops only the part that needs it.
        """
        self._take_events()
        now = self._clock.now()
        lost = self._line.keep(now.monotonic_ms)
        if lost is not None:
            self._on_link(lost)
        self._send_scans(now.monotonic_ms)
        self._keep_time(now)

    def turns(self) -> Turns:
        """Asked once a step. A connection that is not made yet has its own time-out, and is not watched."""
        self._turns += 1
        link = self._line.link if self._line.connected else None
        return Turns(service=self._turns, link=self._turns if link is None else link.beats())

    def _take_events(self) -> None:
        try:
            while True:
                self._handle(*self._inbox.get_nowait())
        except queue.Empty:
            pass

    def _handle(self, source: Link | None, event: Event) -> None:
        if isinstance(event, GateConfig | Fetched):
            self._heard()
            self._intake.put(event)
        elif source is self._line.link:  # a link that was given up may still have been talking
            self._on_link(event)

    def _heard(self) -> None:
        self._heard_ms = self._clock.now().monotonic_ms

    # --- the broker ---

    def _on_link(self, event: LinkEvent) -> None:
        match event:
            case Connected():
                self._on_connected()
            case Lost():
                self._line.on_lost(event, self._clock.now().monotonic_ms)
                self._beat_at = 0
            case Message():
                self._on_message(event)

    def _on_connected(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        self._line.on_connected(now_ms)
        self._sender.on_connect(now_ms)
        self._follower.on_connect()
        self._beat_at = self._status_at = self._config_at = 0

    def _on_message(self, message: Message) -> None:
        if message.topic.endswith("/ack"):
            understand(message, self._on_ack)
        elif message.topic == self._topics.alerts():
            understand(message, self._on_alert)
        else:
            self._intake.put(message)

    def _on_alert(self, message: Message) -> None:
        alert = decode(message.payload, Alert)
        self._log.warning("the hub alerts", at_gate=alert.gate, reason=alert.reason, at=str(alert.at))

    def _on_ack(self, message: Message) -> None:
        ack = decode(message.payload, Ack)
        self._heard()
        self._sender.on_ack(ack, self._clock.now().monotonic_ms)
        self._beat_at = 0

    def _send_scans(self, now_ms: int) -> None:
        if now_ms < self._journal_at:
            return
        try:
            self._sender.send(self._publish_scans if self._line.connected else None, now_ms, self._jitter())
        except StoreError as error:
            self._journal_outage.began(error)
            self._journal_at = now_ms + STORE_RETRY_MS
        else:
            self._journal_outage.over()

    def _publish_scans(self, batch: bytes) -> bool:
        return self._line.publish(self._topics.scans(self._identity.gate_id), batch)

    # --- telling: door and hub ---

    def _keep_time(self, now: Now) -> None:
        now_ms = now.monotonic_ms
        if now_ms >= self._config_at:
            self._config_at = now_ms + CONFIG_MS
            self._want(WantConfig())
        self._follower.keep_time(now_ms)
        self._intake.keep_time(now_ms)
        if self._line.connected and now_ms >= self._status_at:
            self._status_at = now_ms + STATUS_MS
            self._line.publish(
                self._topics.status(self._identity.gate_id), encode(self._status()), retain=True
            )
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
            connected=self._line.connected,
            hub_heard=self._sender.is_answered,
            since_ms=self._line.since_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch=self._sender.epoch,
            acked_seq=self._sender.acked,
        )

    def _is_current(self, now: Now) -> bool:
        """Connected, and holding all that a hub which was heard lately told of."""
        is_heard = self._heard_ms is not None and now.monotonic_ms - self._heard_ms <= HEARD_MS
        return self._line.connected and is_heard and self._follower.is_current()

    def _will(self) -> tuple[str, bytes]:
        return self._topics.status(self._identity.gate_id), encode(offline(self._identity))

    def _status(self) -> GateStatus:
        now = self._clock.now()
        return msgspec.structs.replace(
            with_door(offline(self._identity), self._door(now)),
            online=True,
            at=now.wall,
            epoch=self._sender.epoch,
            unacked=self._sender.unacked,
            event_id=self._follower.event_id,
            cache_version=self._follower.version,
        )

"""Sync: carries the journal to the hub and the hub's knowledge into the cache.

One loop owns all state. Everything from outside (broker, hub) comes in through one inbox;
the journal is looked at when it has changed. A scan is sent until the hub has acknowledged
it, whatever the broker said. The parts: `connection` keeps the line to the broker, `sender` is the way
out, `intake` and `follower` the hub's way in, `hearing` the other gates', `lending` answers the hub about one
ticket, `telling` says how it all is; here is who gets what, and when. `claims`, between door and hub, has a
loop of its own.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Collection
from typing import Protocol

from gate.clock import Clock
from gate.common.errors import StoreError
from gate.common.outage import Outage
from gate.common.seldom import Seldom
from gate.common.watchdog import Heart
from gate.hotline.messages import Refetch
from gate.rules.model import Now
from gate.store.link_row import LinkNote
from gate.store.live_file import LiveReading
from gate.store.locks import LOCK_FILE
from sync.broker.connection import BrokerConnection, MakeLink, cut_since
from sync.broker.inbox import Inbox, PeerMessage
from sync.broker.mqtt import Connected, LinkEvent, Lost, Message, MqttLink
from sync.broker.read_message import understand
from sync.cache.writer import STORE_RETRY_MS, Cache
from sync.claims.claims import ClaimLoop, Down, FromHub, ToService, Up
from sync.claims.hub_clock import Timing, kept
from sync.claims.lent_tickets import Lender
from sync.feed.fetcher import Want, WantConfig
from sync.feed.follower import Follower
from sync.feed.intake import Intake
from sync.feed.snapshot import Fetched
from sync.peers.company import GatesPresent
from sync.peers.listener import Hearing
from sync.status import GateIdentity, LoopTurns, Teller
from sync.upload.outbox import Outbox
from sync.upload.sender import Sender
from sync.wire.messages import Ack, GateConfig, GateStatus, Lend, Topics, decode, encode

POLL_S = 0.02
"""How long a new scan may wait before it is noticed."""
BEAT_MS = 1_000
STATUS_MS = 10_000
CONFIG_MS = 60_000
HEARD_MS = 90_000
"""A living hub answers for the configuration more often than this; a silent one proves nothing."""
ACK_SILENT_MS = 60_000
"""Twice the longest wait of `sync.upload.window`: the line may be at fault, whatever it says of itself."""
OWN_PIECE = 100
"""Most of the hub's messages in one turn: between two beats there is time for several."""

SyncEvent = LinkEvent | GateConfig | Fetched | ToService


class Doors(Protocol):
    """The local line to the door: `sync.claims.hotline.HotlineServer`."""

    turns: int

    def tell(self, packet: bytes, /) -> int:
        """To every door there is; how many took it."""


class Sync:
    """The service of one gate.

    :param make_link: starts a connection that reports to `deliver`.
    :param want: asks for something over HTTP; the answer is put into the inbox.
    :param door: how the door is, by its own account.
    :param jitter: gives a random number from 0 to 1.
    :param fetched: how often the thread behind `want` has turned. None: there is none.
    :param doors: the local line; what comes on it is put into the inbox of `claims`. None: there is none.
    :param claim_timeout_s: how long the door waits for the hub's answer.
    """

    def __init__(  # noqa: PLR0913 – the parts of the service, by name
        self,
        *,
        identity: GateIdentity,
        cache: Cache,
        outbox: Outbox,
        inbox: Inbox[SyncEvent],
        make_link: MakeLink,
        want: Callable[[Want], None],
        clock: Clock,
        door: Callable[[Now], LiveReading],
        jitter: Callable[[], float],
        fetched: Callable[[], int] | None = None,
        doors: Doors | None = None,
        claim_timeout_s: float = 0.2,
    ) -> None:
        self._gate_id = identity.gate_id
        self._topics = Topics(venue=identity.venue)
        self._cache, self._outbox, self._inbox = cache, outbox, inbox
        self._want, self._clock, self._jitter = want, clock, jitter
        self._door, self._doors, self._fetched = door, doors, fetched
        before, now = cache.link(), clock.now()
        self.claims = self._make_claims(kept(before, now.boot_id), round(claim_timeout_s * 1000))
        self._line = BrokerConnection(
            make_link, self._will, self._topics.heard_at(self._gate_id), cut_since(before, now), jitter
        )
        self._sender = Sender(outbox, before)
        self._follower = Follower(cache, want, clock, before)
        self._lender = Lender(cache, outbox, cache.path.with_name(LOCK_FILE))
        self._hearing = self._make_hearing(before)
        self._intake = self._make_intake(before)
        self._teller = self._make_teller(identity)
        self._journal_outage = Outage("journal")
        self._beat_outage = Outage("heartbeat")
        self._ack_outage = Outage("the hub's acknowledgement")
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._heard_ms: int | None = None
        self._company = GatesPresent()
        self._named: Collection[str] = ()
        self._turns = self._renewals = self._journal_at = 0
        self._beat_at = self._status_at = self._config_at = 0

    def _make_claims(self, timing: Timing, timeout_ms: int) -> ClaimLoop:
        """Between door and hub, beginning with what was known of the hub's clock."""
        self._clock.learn(timing.best)
        doors = self._doors
        return ClaimLoop(
            self._topics,
            self._gate_id,
            self._clock,
            to_service=lambda event: self._inbox.put((None, event)),
            tell=doors.tell if doors else lambda _packet: 0,
            timing=timing,
            timeout_ms=timeout_ms,
        )

    def _make_intake(self, before: LinkNote | None) -> Intake:
        return Intake(
            topics=self._topics,
            cache=self._cache,
            follower=self._follower,
            clock=self._clock,
            outage=self._hearing.outage,
            heard=self._heard,
            revoke=self._hearing.revoke,
            before_large=lambda: self._beat(self._clock.now()),  # it keeps the door waiting for the next one
            before=before,
        )

    def _make_hearing(self, before: LinkNote | None) -> Hearing:
        return Hearing(
            gate_id=self._gate_id,
            topics=self._topics,
            cache=self._cache,
            inbox=self._inbox,
            clock=self._clock,
            on_status=self._on_peer_status,
            before=before,
        )

    def _make_teller(self, identity: GateIdentity) -> Teller:
        return Teller(
            identity=identity,
            line=self._line,
            claims=self.claims,
            sender=self._sender,
            intake=self._intake,
            hearing=self._hearing,
            follower=self._follower,
            cache=self._cache,
            outbox=self._outbox,
        )

    def run(self, stop: threading.Event, heart: Heart) -> None:
        """Until `stop` is set; then a goodbye to the broker."""
        claims = threading.Thread(target=self.claims.run, args=(stop,), name="claims", daemon=True)
        claims.start()
        try:
            while not stop.is_set():
                self.step()
                heart.ready()
                heart.beat(self._clock.now().monotonic_ms, self.turns())
        finally:
            heart.stopping()
            stop.set()
            claims.join(timeout=1.0)
            if self._line.link is not None:
                self._line.link.close(self._will())
            self._cache.close()
            self._outbox.close()

    def step(self) -> None:
        """Wait briefly for an event, then take a turn."""
        self._inbox.wait(POLL_S)
        self.turn()

    def turn(self) -> None:
        """Handle events, a piece of those there are, then send and keep time. Does not wait.

        A file that cannot be used stops only the part that needs it. The claims have turns of their own.
        """
        self._take_events()
        now = self._clock.now()
        lost = self._line.keep(now.monotonic_ms)
        if lost is not None:
            self._on_link(lost)
        if self._hearing.turn(now):
            self._status_at = 0
        self._line.listen(self._hearing.listens_to(self._named))
        self._send_scans(now.monotonic_ms)
        self._renew_if_silent(now.monotonic_ms)
        self._keep_time(now)

    def turns(self) -> LoopTurns:
        """Asked once a step. A connection that is not made yet has its own time-out, and is not watched."""
        self._turns += 1
        link = self._line.link if self._line.connected else None
        return LoopTurns(
            service=self._turns,
            link=self._turns if link is None else link.beats(),
            claims=self.claims.turns,
            hotline=self._turns if self._doors is None else self._doors.turns,
            fetcher=self._turns if self._fetched is None else self._fetched(),
        )

    def deliver(self, link: MqttLink, event: LinkEvent) -> None:
        """Take an event of a link to who handles it; from any thread, only enqueues."""
        if not isinstance(event, Message):
            self._inbox.put((link, event))
        elif event.topic in self.claims.topics:
            self.claims.inbox.put(FromHub(link, event))
        elif event.topic.endswith(("/scans", "/status")):
            self._hearing.put(link, event)
        else:
            self._inbox.put((link, event))

    def _take_events(self) -> None:
        with contextlib.suppress(queue.Empty):
            for _ in range(OWN_PIECE):
                self._handle(*self._inbox.get_nowait())

    def _handle(self, source: MqttLink | None, event: SyncEvent) -> None:
        match event:
            case GateConfig() | Fetched():
                if isinstance(event, GateConfig):
                    self._named = event.gate_names
                self._heard()
                self._intake.put(event)
            case Lend():
                self._lend(event)
            case Refetch():
                self._refetch()
            case _ if source is self._line.link:  # a link that was given up may still have been talking
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
                self._on_down()
            case Message():
                self._on_message(event)

    def _on_connected(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        self._line.on_connected(now_ms)
        if self._line.link is not None:
            self.claims.inbox.put(Up(self._line.link))
        self._sender.on_connect(now_ms)
        self._follower.on_connect()
        self._company.on_connect()
        self._beat_at = self._status_at = self._config_at = 0

    def _on_down(self) -> None:
        self.claims.inbox.put(Down())
        self._beat_at = 0

    def _on_message(self, message: Message) -> None:
        if message.topic.endswith("/ack"):
            understand(message, self._on_ack, self._seldom)
        else:
            if message.topic == self._topics.alerts():
                # one of them says that a gate was revoked, and which that are the configuration names
                self._config_at = 0
            self._intake.put(message)

    # --- out: the journal ---

    def _on_ack(self, message: Message) -> None:
        ack, now_ms = decode(message.payload, Ack), self._clock.now().monotonic_ms
        self._heard()
        before = self._sender.acked
        self._sender.on_ack(ack, now_ms)
        if self._sender.acked > before:
            self._renewals = 0
            self._ack_outage.over()
        self._beat_at = 0

    def _on_peer_status(self, heard: PeerMessage, status: GateStatus) -> None:
        """A gate that appears while the hub is silent is told at once what it cannot know from the hub."""
        if heard.link is self._line.link:
            self._company.on_status(heard.gate_id, self._clock.now().monotonic_ms, online=status.online)

    def _send_scans(self, now_ms: int) -> None:
        if self._company.has_grown() and not self._sender.is_answered:
            self._sender.resend(now_ms)
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
        return self._line.publish(self._topics.scans(self._gate_id), batch)

    def _renew_if_silent(self, now_ms: int) -> None:
        """A line that stands, and on which nothing is acknowledged, is made anew; ever more rarely."""
        patience = ACK_SILENT_MS * 2 ** min(self._renewals, 4)
        if self._line.connected and self._sender.silent_ms(now_ms) >= patience:
            self._ack_outage.began(
                f"none of {self._sender.unacked} records was acknowledged for {patience // 1000} s, although "
                "the broker is connected. The connection is made anew. Is maguey-hub ingest running?"
            )
            self._renewals += 1
            self._line.renew(now_ms)
            self._on_down()

    # --- in: one ticket, every night ---

    def _lend(self, lend: Lend) -> None:
        answer = self._lender.answer(lend, self._clock.now().wall)
        self._line.publish(self._topics.claims(self._gate_id), encode(answer))

    def _refetch(self) -> None:
        self._follower.refetch()
        self._want(WantConfig())

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
            self._tell_status(now)
        if now_ms >= self._beat_at:
            self._beat_at = now_ms + BEAT_MS
            self._beat(now)

    def _tell_status(self, now: Now) -> None:
        is_read = not self._journal_outage.is_on
        status = self._teller.status(now, self._door(now), journal_is_read=is_read)
        self._line.publish(self._topics.status(self._gate_id), encode(status), retain=True)

    def _beat(self, now: Now) -> None:
        current = self._current(now)
        self._hearing.tell_current(now, is_current=bool(current) and self._follower.is_current())
        try:
            self._cache.put_link(self._teller.note(now), now.wall, current)
        except StoreError as error:
            self._beat_outage.began(error)
        else:
            self._beat_outage.over()

    def _current(self, now: Now) -> set[str]:
        """The nights of which all is held that a hub told of, which is connected and was heard lately."""
        is_heard = self._heard_ms is not None and now.monotonic_ms - self._heard_ms <= HEARD_MS
        is_there = self._line.connected and self.claims.hears_hub(now.monotonic_ms)
        return self._follower.current() if is_there and is_heard else set()

    def _will(self) -> tuple[str, bytes]:
        return self._topics.status(self._gate_id), encode(self._teller.offline())

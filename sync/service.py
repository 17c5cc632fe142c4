"""Sync: carries the journal to the hub and the hub's knowledge into the cache.

One loop owns all state. Everything from outside (broker, hub) comes in through one inbox; the journal is
read when it has changed. A scan is sent until the hub has acknowledged it, whatever the broker said. This
file says who gets what, and when; the parts do the work. Claims have a loop of their own.
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
from gate.rules.command import Envelope
from gate.rules.model import Now
from gate.store.link_row import LinkNote
from gate.store.live_file import LiveReading
from gate.store.locks import LOCK_FILE
from sync.broker.connection import BrokerConnection, MakeLink, cut_since
from sync.broker.inbox import Inbox, PeerMessage
from sync.broker.mqtt import Connected, Disconnected, LinkEvent, Message, MqttLink
from sync.broker.read_message import read_or_log
from sync.cache.writer import STORE_RETRY_MS, Cache
from sync.claims.claim_inbox import BrokerDown, BrokerUp, FromHub
from sync.claims.claim_loop import ClaimLoop, ToService
from sync.claims.hub_clock import restored
from sync.claims.lent_tickets import Lender
from sync.feed.fetcher import Want, WantConfig
from sync.feed.follower import FeedFollower
from sync.feed.intake import Intake
from sync.feed.snapshot import FetchedCertificate, FetchedFeed
from sync.identity.erasure import Erasure
from sync.identity.files import IdentityError
from sync.identity.renewal import CertificateRenewal
from sync.peers.gates_present import GatesPresent
from sync.peers.listener import PeerListener
from sync.status import GateIdentity, LoopTurns, StatusReporter, last_will
from sync.upload.outbox import Outbox
from sync.upload.sender import Sender
from sync.wire.messages import Ack, GateConfig, GateStatus, LendRequest, decode, encode
from sync.wire.topics import Topics

POLL_S = 0.02
"""How long a new scan may wait before it is noticed."""
BEAT_MS = 1_000
STATUS_MS = 10_000
CONFIG_MS = 60_000
ACK_SILENT_MS = 60_000
"""Twice the longest wait of `sync.upload.window`: the connection may be broken though it looks alive."""
OWN_PIECE = 100
"""Most of the hub's messages handled in one turn: several turns fit between two beats."""

SyncEvent = LinkEvent | GateConfig | FetchedFeed | FetchedCertificate | Envelope | ToService


class DoorLines(Protocol):
    """Every connection of a door: `sync.claims.hotline.HotlineServer`."""

    turns: int

    def tell(self, packet: bytes, /) -> int:
        """Send a packet to every connected door; returns how many took it."""


class Sync:
    """The service of one gate.

    :param make_link: starts a connection that reports to `deliver`.
    :param want: requests something over HTTP; the answer is put into the inbox.
    :param door: the state the door reports of itself.
    :param jitter: returns a random number from 0 to 1.
    :param fetched: how often the thread behind `want` has turned.
    :param doors: connections of doors; their messages are put into the inbox of `claims`.
    :param claim_timeout_s: how long the door waits for the hub's answer.
    :param erasure: what a stolen gate does when the hub tells it so; then `run` returns.
    :param renewal: of its certificate; None: that is not sync's to renew.
    :param rollback: that the newest release was rolled back and why, empty if it was not.
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
        fetched: Callable[[], int],
        doors: DoorLines,
        claim_timeout_s: float = 0.2,
        rollback: Callable[[], str] = str,
        renewal: CertificateRenewal | None = None,
        erasure: Erasure | None = None,
    ) -> None:
        self._gate_id = identity.gate_id
        self._topics = Topics(venue=identity.venue)
        self._cache, self._outbox, self._inbox = cache, outbox, inbox
        self._want, self._clock, self._jitter = want, clock, jitter
        self._doors, self._fetched, self._renewal = doors, fetched, renewal
        before, now = cache.link(), clock.now()
        self.claims = ClaimLoop(
            self._topics,
            self._gate_id,
            clock,
            to_service=lambda event: inbox.put((None, event)),
            tell=doors.tell,
            hub_clock=restored(before, now.boot_id),
            timeout_ms=round(claim_timeout_s * 1000),
        )
        self._will = last_will(identity)
        self._connection = BrokerConnection(
            make_link, self._will, self._topics.subscriptions(self._gate_id), cut_since(before, now), jitter
        )
        self._sender = Sender(outbox, before)
        self._follower = FeedFollower(cache, want, clock, before, self._on_restored)
        self._lender = Lender(cache, outbox, cache.path.with_name(LOCK_FILE))
        self._listener = self._make_listener(before)
        self._intake = self._make_intake(before)
        self._reporter = self._make_reporter(identity, door, rollback)
        self._erasure, self.is_wiped = erasure, False
        self._journal_outage, self._wipe_outage = Outage("journal"), Outage("wipe")
        self._ack_outage = Outage("hub acknowledgement")
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._gates_present = GatesPresent()
        self._named: Collection[str] = ()
        self._turns = self._renewals = self._journal_at = 0
        self._beat_at = self._status_at = self._config_at = 0

    def _make_listener(self, before: LinkNote | None) -> PeerListener:
        return PeerListener(
            gate_id=self._gate_id,
            topics=self._topics,
            cache=self._cache,
            inbox=self._inbox,
            clock=self._clock,
            on_status=self._on_peer_status,
            before=before,
        )

    def _make_intake(self, before: LinkNote | None) -> Intake:
        return Intake(
            topics=self._topics,
            cache=self._cache,
            follower=self._follower,
            clock=self._clock,
            outage=self._listener.outage,
            revoke=self._listener.revoke,
            before_large=lambda: self._reporter.beat(self._clock.now()),  # or the door takes sync for dead
            before=before,
        )

    def _make_reporter(
        self, identity: GateIdentity, door: Callable[[Now], LiveReading], rollback: Callable[[], str]
    ) -> StatusReporter:
        return StatusReporter(
            identity=identity,
            topics=self._topics,
            door=door,
            connection=self._connection,
            claims=self.claims,
            sender=self._sender,
            intake=self._intake,
            listener=self._listener,
            follower=self._follower,
            cache=self._cache,
            outbox=self._outbox,
            rollback=rollback,
        )

    def run(self, stop: threading.Event, heart: Heart) -> None:
        """Run until `stop` is set, then say goodbye to the broker."""
        claims = threading.Thread(target=self.claims.run, args=(stop,), name="claims", daemon=True)
        claims.start()
        try:
            while not (stop.is_set() or self.is_wiped):
                self._inbox.wait(POLL_S)
                self.turn()
                heart.ready()
                heart.beat(self._clock.now().monotonic_ms, self.turns())
        finally:
            heart.stopping()
            stop.set()
            claims.join(timeout=1.0)
            if self._connection.link is not None:
                self._connection.link.close(self._will)
            self._cache.close()
            self._outbox.close()

    def turn(self) -> None:
        """Handle some of the events there are, then send and keep time. Does not wait.

        A file that cannot be used stops only the part that needs it. Claims have turns of their own.
        """
        with contextlib.suppress(queue.Empty):
            for _ in range(OWN_PIECE):
                self._handle(*self._inbox.get_nowait())
        now = self._clock.now()
        lost = self._connection.keep(now.monotonic_ms)
        if lost is not None:
            self._on_link(lost)
        if self._listener.turn(now):
            self._status_at = 0
        self._connection.listen(self._listener.listens_to(self._named))
        self._send_scans(now.monotonic_ms)
        self._renew_if_silent(now.monotonic_ms)
        self._keep_time(now)

    def turns(self) -> LoopTurns:
        """Count a turn of this loop and give all counts; called once a turn.

        A connection that is still being made has a time-out of its own and is not watched.
        """
        self._turns += 1
        link = self._connection.link if self._connection.connected else None
        return LoopTurns(
            service=self._turns,
            link=self._turns if link is None else link.beats(),
            claims=self.claims.turns,
            hotline=self._doors.turns,
            fetcher=self._fetched(),
        )

    def deliver(self, link: MqttLink, event: LinkEvent) -> None:
        """Put an event of a link where it is handled; called from any thread, only enqueues."""
        if not isinstance(event, Message):
            self._inbox.put((link, event))
        elif event.topic in self.claims.topics:
            self.claims.inbox.put(FromHub(link, event))
        elif event.topic.endswith(("/scans", "/status")):
            self._listener.put(link, event)
        else:
            self._inbox.put((link, event))

    def _handle(self, source: MqttLink | None, event: SyncEvent) -> None:
        match event:
            case GateConfig() | FetchedFeed():
                if isinstance(event, GateConfig):
                    self._named = event.gate_names
                self._intake.put(event)
            case Envelope():
                self._on_wipe(event)
            case FetchedCertificate(certificate):
                self._on_certificate(certificate)
            case LendRequest():
                answer = self._lender.answer(event, self._clock.now().wall)
                self._connection.publish(self._topics.claims(self._gate_id), encode(answer))
            case Refetch():
                self._follower.refetch()
                self._want(WantConfig())
            case _ if source is self._connection.link:  # a link that was closed may have reported once more
                self._on_link(event)

    # --- the broker ---

    def _on_link(self, event: LinkEvent) -> None:
        match event:
            case Connected():
                self._on_connected()
            case Disconnected():
                if self._connection.connected:
                    # somebody may have thrown this gate out: the hub's answer says whether it was revoked
                    self._config_at = 0
                self._connection.on_lost(event, self._clock.now().monotonic_ms)
                self._on_down()
            case Message(topic) if topic.endswith("/ack"):
                read_or_log(event, self._on_ack, self._seldom)
            case Message(topic):
                if topic == self._topics.alerts():
                    # it may say that a gate was revoked; the configuration names which
                    self._config_at = 0
                self._intake.put(event)

    def _on_connected(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        self._connection.on_connected(now_ms)
        if self._connection.link is not None:
            self.claims.inbox.put(BrokerUp(self._connection.link))
        self._sender.on_connect(now_ms)
        self._follower.on_connect()
        self._gates_present.on_connect()
        self._beat_at = self._status_at = self._config_at = 0

    def _on_down(self) -> None:
        self.claims.inbox.put(BrokerDown())
        self._beat_at = 0

    def _on_peer_status(self, heard: PeerMessage, status: GateStatus) -> None:
        """Note which gates are there: one that appears while the hub is silent is sent our scans at once."""
        if heard.link is self._connection.link:
            self._gates_present.on_status(heard.gate_id, self._clock.now().monotonic_ms, online=status.online)

    # --- the journal ---

    def _on_ack(self, message: Message) -> None:
        ack, now_ms = decode(message.payload, Ack), self._clock.now().monotonic_ms
        self._intake.hub_heard_ms = now_ms
        before = self._sender.acked
        self._sender.on_ack(ack, now_ms)
        if self._sender.acked > before:
            self._renewals = 0
            self._ack_outage.over()
        self._beat_at = 0

    def _on_restored(self) -> None:
        self._sender.on_restored(self._clock.now().monotonic_ms)

    def _send_scans(self, now_ms: int) -> None:
        if self._gates_present.has_grown() and not self._sender.is_answered:
            self._sender.resend(now_ms)
        if now_ms < self._journal_at:
            return
        try:
            self._sender.send(
                self._publish_scans if self._connection.connected else None, now_ms, self._jitter()
            )
        except StoreError as error:
            self._journal_outage.began(error)
            self._journal_at = now_ms + STORE_RETRY_MS
        else:
            self._journal_outage.over()

    def _publish_scans(self, batch: bytes) -> bool:
        return self._connection.publish(self._topics.scans(self._gate_id), batch)

    def _renew_if_silent(self, now_ms: int) -> None:
        """Replace a connection on which nothing is acknowledged; wait twice as long before the next."""
        patience = ACK_SILENT_MS * 2 ** min(self._renewals, 4)
        if self._connection.connected and self._sender.silent_ms(now_ms) >= patience:
            self._ack_outage.began(
                f"none of {self._sender.unacked} records acknowledged within {patience // 1000} s, though "
                "the broker is connected. Connecting again. Is maguey-hub ingest running?"
            )
            self._renewals += 1
            self._connection.renew(now_ms)
            self._on_down()

    # --- its certificate ---

    def _on_wipe(self, sealed: Envelope) -> None:
        if self._erasure is None:
            return
        try:
            self.is_wiped = self._erasure.obey(sealed) or self.is_wiped
        except IdentityError as error:
            self._wipe_outage.began(error)

    def _on_certificate(self, certificate: str) -> None:
        if self._renewal is not None and self._renewal.take(certificate):
            self._connection.renew(self._clock.now().monotonic_ms)
            self._on_down()

    # --- the clock ---

    def _keep_time(self, now: Now) -> None:
        now_ms = now.monotonic_ms
        if now_ms >= self._config_at:
            self._config_at = now_ms + CONFIG_MS
            self._want(WantConfig())
        if self._renewal is not None:
            self._renewal.turn(now)
        self._follower.keep_time(now_ms)
        self._intake.keep_time(now_ms)
        if self._connection.connected and now_ms >= self._status_at:
            self._status_at = now_ms + STATUS_MS
            self._reporter.publish(now, journal_is_read=not self._journal_outage.is_on)
        if now_ms >= self._beat_at:
            self._beat_at = now_ms + BEAT_MS
            self._reporter.beat(now)

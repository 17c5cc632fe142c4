"""What sync reports: to the door how the link is, to the hub and the other gates how this gate is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gate.common.errors import StoreError
from gate.common.outage import Outage
from gate.common.value import Value
from gate.rules.model import Now
from gate.store.cache import STALE_MS
from gate.store.link_row import Behind, LinkNote
from gate.store.live_file import Live, LiveReading
from sync.broker.connection import BrokerConnection
from sync.cache.writer import Cache
from sync.claims.claim_loop import ClaimLoop
from sync.feed.follower import FeedFollower
from sync.feed.intake import Intake
from sync.peers.listener import PeerListener
from sync.upload.outbox import Outbox
from sync.upload.sender import Sender
from sync.wire.messages import STATUS_TEXT, GateStatus, HeldNight, encode
from sync.wire.topics import Topics

HEARD_MS = 90_000
"""The configuration is fetched more often than this; of a hub silent for longer nothing is known."""


class LoopTurns(Value, frozen=True):
    """How often each loop of sync has turned, for the watchdog."""

    service: int
    link: int
    claims: int
    hotline: int
    fetcher: int


class GateIdentity(Value, frozen=True):
    """Who this gate is."""

    gate_id: str
    venue: str
    version: str


def last_will(identity: GateIdentity) -> tuple[str, bytes]:
    """Topic and payload of the last will, which is also the goodbye."""
    offline = GateStatus(gate_id=identity.gate_id, online=False, version=identity.version)
    return Topics(venue=identity.venue).status(identity.gate_id), encode(offline)


class StatusReporter(msgspec.Struct, kw_only=True):
    """Collects what the parts of the service know, for the door's note and for the gate's status.

    `door`: reads the state the door reports of itself. `rollback`: that the newest release was rolled back
    and why, empty if it was not.
    """

    identity: GateIdentity
    topics: Topics
    door: Callable[[Now], LiveReading]
    connection: BrokerConnection
    claims: ClaimLoop
    sender: Sender
    intake: Intake
    listener: PeerListener
    follower: FeedFollower
    cache: Cache
    outbox: Outbox
    rollback: Callable[[], str] = str
    outage: Outage = msgspec.field(default_factory=lambda: Outage("heartbeat"))

    def beat(self, now: Now) -> None:
        """Tell the door that sync is alive, how the link is, and which nights are current as of now."""
        current = self._current(now)
        self.listener.set_current(now, is_current=bool(current) and self.follower.is_current())
        try:
            self.cache.put_link(self._note(now), now.wall, current)
        except StoreError as error:
            self.outage.began(error)
        else:
            self.outage.over()

    def publish(self, now: Now, *, journal_is_read: bool) -> None:
        """Publish the gate's status, if there is a connection.

        :param journal_is_read: False: what is known of the journal may be old. It is left out then, for
            the hub takes back grants of a gate once it has that gate's whole journal.
        """
        status = self._status(now)
        if journal_is_read:
            status = self._with_journal(status, now)
        self.connection.publish(self.topics.status(self.identity.gate_id), encode(status), retain=True)

    def _current(self, now: Now) -> set[str]:
        """The nights that are complete here; none unless the hub was heard lately."""
        heard_ms = self.intake.hub_heard_ms
        is_heard = heard_ms is not None and now.monotonic_ms - heard_ms <= HEARD_MS
        is_there = self.connection.connected and self.claims.hears_hub(now.monotonic_ms)
        return self.follower.current() if is_there and is_heard else set()

    def _note(self, now: Now) -> LinkNote:
        return LinkNote(
            connected=self.connection.connected,
            unlisted=self.connection.unlisted,
            hub_heard=self.sender.is_answered and self.claims.hears_hub(now.monotonic_ms),
            since_ms=self.connection.since_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch=self.sender.epoch,
            acked_seq=self.sender.acked,
            hub_seq=self.sender.hub_seq,
            answered_ms=self.claims.answered_ms,
            measure=self.claims.hub_clock.best,
            heard=self.listener.peers.heard(),
            flooding=self.listener.flooding(),
            lent_as_of=self.intake.lent_as_of,
            behind=self.follower.behind,
        )

    def _status(self, now: Now) -> GateStatus:
        """The status without its fields about the journal."""
        reading = self.door(now)
        door = reading.live if reading.is_fresh else None
        return GateStatus(
            gate_id=self.identity.gate_id,
            online=True,
            version=self.identity.version,
            at=now.wall,
            event_id=self.follower.event_id,
            cache_version=self.follower.version,
            held=self._held(now),
            flooding=self.listener.flooding(),
            clock=now.clock,
            clock_offset_ms=now.offset_ms,
            clock_uncertainty_ms=now.uncertainty_ms,
            boot_id=now.boot_id,
            monotonic_ms=now.monotonic_ms,
            door=door is not None,
            parts=self._parts(door, now.monotonic_ms),
            way=door.way.value if door else "",
            counters=msgspec.structs.asdict(door.counters) if door else {},
            isolated=door is not None and door.isolated,
        )

    def _parts(self, door: Live | None, now_ms: int) -> dict[str, str]:
        """The state of each part of the door, and what is wrong with lists and release, if anything."""
        parts: dict[str, str] = msgspec.structs.asdict(door.parts) if door else {}
        trouble = self.follower.trouble or _of_lists(self.follower.behind, now_ms)
        if trouble:
            parts["tickets"] = trouble
        if rollback := self.rollback():
            parts["release"] = rollback
        # the hub refuses a status with a longer text, and would know nothing of this gate
        return {name: text[:STATUS_TEXT] for name, text in parts.items()}

    def _with_journal(self, status: GateStatus, now: Now) -> GateStatus:
        sender = self.sender
        try:
            age_s = self.outbox.age_above(sender.acked, now) if sender.unacked else None
        except StoreError:  # logged in a moment, when the journal is sent
            return status
        return msgspec.structs.replace(
            status,
            epoch=sender.epoch,
            unacked=sender.unacked,
            last_seq=sender.last_seq,
            acked=sender.acked,
            oldest_unacked_s=age_s,
        )

    def _held(self, now: Now) -> tuple[HeldNight, ...]:
        try:
            return self.cache.held(now.wall)
        except StoreError:  # logged by whoever writes the cache next
            return ()


def _of_lists(behind: Mapping[str, Behind], now_ms: int) -> str:
    """What is wrong with the lists, or an empty text: a change still on its way is nothing wrong."""
    waits = [now_ms - one.since_ms for one in behind.values()]
    late = [ms for ms in waits if ms >= STALE_MS]
    if not late:
        return ""
    which = "one night's list is" if len(late) == 1 else f"the lists of {len(late)} nights are"
    return (
        f"{which} behind for {max(late) // 1000} s and the gate cannot catch up: can it reach the hub's web "
        "side? maguey-sync doctor on the gate says."
    )

"""What sync tells of this gate: the door of the link, the hub and the other gates of the gate."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gate.common.errors import StoreError
from gate.common.value import Value
from gate.rules.model import Now
from gate.store.cache import STALE_MS
from gate.store.link_row import Behind, LinkNote
from gate.store.live_file import LiveReading
from sync.broker.connection import BrokerConnection
from sync.cache.writer import Cache
from sync.claims.claims import ClaimLoop
from sync.feed.follower import Follower
from sync.feed.intake import Intake
from sync.peers.listener import Hearing
from sync.upload.outbox import Outbox
from sync.upload.sender import Sender
from sync.wire.messages import STATUS_TEXT, GateStatus, Held


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


class Teller:
    """Puts together what the parts of the service know."""

    def __init__(  # noqa: PLR0913 – the parts of the service, by name
        self,
        *,
        identity: GateIdentity,
        line: BrokerConnection,
        claims: ClaimLoop,
        sender: Sender,
        intake: Intake,
        hearing: Hearing,
        follower: Follower,
        cache: Cache,
        outbox: Outbox,
    ) -> None:
        self._identity = identity
        self._line = line
        self._claims = claims
        self._sender = sender
        self._intake = intake
        self._hearing = hearing
        self._follower = follower
        self._cache = cache
        self._outbox = outbox

    def note(self, now: Now) -> LinkNote:
        """For the door."""
        return LinkNote(
            connected=self._line.connected,
            unlisted=self._line.unlisted,
            hub_heard=self._sender.is_answered and self._claims.hears_hub(now.monotonic_ms),
            since_ms=self._line.since_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch=self._sender.epoch,
            acked_seq=self._sender.acked,
            hub_seq=self._sender.hub_seq,
            answered_ms=self._claims.answered_ms,
            measure=self._claims.timing.best,
            heard=self._hearing.peers.heard(),
            flooding=self._hearing.flooding(),
            lent_as_of=self._intake.lent_as_of,
            behind=self._follower.behind,
        )

    def offline(self) -> GateStatus:
        """The last will, and the goodbye."""
        return GateStatus(gate_id=self._identity.gate_id, online=False, version=self._identity.version)

    def status(self, now: Now, door: LiveReading, *, journal_is_read: bool) -> GateStatus:
        """For everybody.

        :param journal_is_read: False: what is known of the journal may be old. Then nothing is said of
            it, for the hub takes back what was granted to a gate whose whole journal it has.
        """
        status = msgspec.structs.replace(
            _with_door(self.offline(), door),
            online=True,
            at=now.wall,
            event_id=self._follower.event_id,
            cache_version=self._follower.version,
            held=self._held(now),
            flooding=self._hearing.flooding(),
            clock=now.clock,
            clock_offset_ms=now.offset_ms,
            clock_uncertainty_ms=now.uncertainty_ms,
            boot_id=now.boot_id,
            monotonic_ms=now.monotonic_ms,
        )
        trouble = self._follower.trouble or _of_lists(self._follower.behind, now.monotonic_ms)
        if trouble:
            tickets = {"tickets": trouble[:STATUS_TEXT]}
            status = msgspec.structs.replace(status, parts=status.parts | tickets)
        return self._with_journal(status, now) if journal_is_read else status

    def _with_journal(self, status: GateStatus, now: Now) -> GateStatus:
        sender = self._sender
        try:
            age_s = self._outbox.age_above(sender.acked, now) if sender.unacked else None
        except StoreError:  # told of by who sends the journal, in a moment
            return status
        return msgspec.structs.replace(
            status,
            epoch=sender.epoch,
            unacked=sender.unacked,
            last_seq=sender.last_seq,
            acked=sender.acked,
            oldest_unacked_s=age_s,
        )

    def _held(self, now: Now) -> tuple[Held, ...]:
        try:
            return self._cache.held(now.wall)
        except StoreError:  # told of by whoever writes it next
            return ()


def _of_lists(behind: Mapping[str, Behind], now_ms: int) -> str:
    """What is wrong with the lists, empty if nothing is: a change that is on its way is no trouble."""
    waits = [now_ms - one.since_ms for one in behind.values()]
    late = [ms for ms in waits if ms >= STALE_MS]
    if not late:
        return ""
    which = "one night's list is" if len(late) == 1 else f"the lists of {len(late)} nights are"
    return (
        f"{which} behind for {max(late) // 1000} s and the gate cannot catch up: can it reach the hub's web "
        "side? maguey-sync doctor on the gate says."
    )


def _with_door(status: GateStatus, door: LiveReading) -> GateStatus:
    """With how the door is, by its own account."""
    live = door.live
    if live is None or not door.is_fresh:
        return msgspec.structs.replace(status, door=False)
    return msgspec.structs.replace(
        status,
        door=True,
        # the hub refuses a status with a longer text, and nobody would know how this gate is
        parts={name: said[:STATUS_TEXT] for name, said in msgspec.structs.asdict(live.parts).items()},
        way=live.way.value,
        counters=msgspec.structs.asdict(live.counters),
        isolated=live.isolated,
    )

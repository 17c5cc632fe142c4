"""What the other gates say: taken in fair turns, as much of each as a door can say, and told who says more.

Nothing here waits, and a turn is short: the beat, the acknowledgements and the own scans come in between. The
scans of several gates are written together. While the cache cannot be written they stay where they wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import structlog

from gate.clock import Clock
from gate.common.errors import StoreError
from gate.common.outage import Outage
from gate.common.seldom import Seldom
from gate.common.value import Value
from gate.rules.model import Now, ScanRecord
from gate.store.link_row import LinkNote
from sync.broker.inbox import Inbox, PeerMessage
from sync.broker.mqtt import Message, MqttLink
from sync.broker.read_message import read_or_log
from sync.cache.peer_tables import Pair, is_admission, is_annulment, pair
from sync.cache.writer import STORE_RETRY_MS, Cache
from sync.peers.floods import CALM_MS, PeerFloods
from sync.peers.heard_numbers import HeardNumbers
from sync.wire.cutoff import Cutoff, filters_by_name
from sync.wire.messages import MOST_NAMED, GateStatus, decode
from sync.wire.scans import decode_scans
from sync.wire.topics import Topics

MARK_MS = 20_000
TAKE_BACK_MS = 60_000
"""What a gate said so shortly before it was found to flood does not count either."""
SETTLE_MS = 600_000
"""A hub that was heard all the while has taken in by then what the gates said; if not, it does not count."""


Said = tuple[PeerMessage, list[ScanRecord]]
KnownScans = dict[str, set[Pair]]


class _Mark(Value, frozen=True):
    """How far the tables of what others said went, and when."""

    at_ms: int
    number: tuple[int, int]


class _Read(msgspec.Struct):
    """What is to be written. `heard`: with what changes nothing; `floods`: gates that began to."""

    counting: list[ScanRecord] = []
    heard: list[ScanRecord] = []
    floods: list[str] = []


class PeerListener:
    """Takes the other gates' messages out of the inbox.

    :param on_status: called with each status of another gate.
    :param before: what was so when sync last ran.
    """

    def __init__(  # noqa: PLR0913 – the parts it brings together, by name
        self,
        *,
        gate_id: str,
        topics: Topics,
        cache: Cache,
        inbox: Inbox[Any],
        clock: Clock,
        on_status: Callable[[PeerMessage, GateStatus], None],
        before: LinkNote | None,
    ) -> None:
        self._gate_id, self._topics = gate_id, topics
        self._cache = cache
        self._inbox = inbox
        self._clock = clock
        self._on_status = on_status
        self.outage = Outage("cache")
        """Of the cache, which others write to as well."""
        self.peers = HeardNumbers(before.heard if before else ())
        """What was heard of the other gates and is in the cache."""
        self._floods, self._cutoff = PeerFloods(), Cutoff()
        self._wide = topics.heard_at(gate_id)
        self._cut_off: frozenset[str] = frozenset()
        self._taken: list[Said] = []
        self._read = _Read()
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._marks: deque[_Mark] = deque()
        self._again_at = self._mark_at = self._lost_ms = 0
        self._current_since: int | None = None
        self._log = structlog.get_logger()
        self._lost = Outage(
            "the hub's messages",
            begins="the hub says more than this gate can take in; what is missing is fetched from it",
            ends="this gate keeps up with the hub's messages again",
        )
        self._inbox.ignore(cache.peers.revoked())

    def put(self, link: MqttLink, message: Message) -> None:
        """From any thread. No scan is retained: one that is was put there by somebody (protocol 4.2)."""
        gate_id = self._topics.gate_of(message.topic)
        is_scan = message.topic.endswith("/scans")
        if gate_id is not None and gate_id != self._gate_id and not (is_scan and message.retained):
            self._inbox.put_heard(PeerMessage(gate_id, link, message))

    def flooding(self) -> tuple[str, ...]:
        """The gates that send more than a door can."""
        return self._floods.flooding(self._clock.now().monotonic_ms)[:MOST_NAMED]

    def revoke(self, gates: Sequence[str]) -> None:
        """These gates count for nothing any more; the cache knows."""
        self._inbox.ignore(gates)
        for gate_id in gates:
            self.peers.forget(gate_id)

    def listens_to(self, named: Collection[str]) -> tuple[str, ...]:
        """The filters to listen to: of all gates, or of each but those that send beyond all measure.

        :param named: the gates that the configuration names.
        """
        gates = {*named, *self._inbox.heard_of()} - {self._gate_id} if self._cut_off else ()
        return filters_by_name(self._wide, gates, self._cut_off)

    def tell_current(self, now: Now, *, is_current: bool) -> None:
        """Whether all is held here that a hub which is heard has told of."""
        if not is_current:
            self._current_since = None
        elif self._current_since is None:
            self._current_since = now.monotonic_ms

    def turn(self, now: Now) -> bool:
        """Take and write a piece; whether another gate began or ended to flood."""
        now_ms = now.monotonic_ms
        for gate_id, arrived in self._inbox.take_arrived().items():
            self._floods.arrived(gate_id, arrived, now_ms)
            self._cutoff.arrived(gate_id, arrived.messages, arrived.bytes, now_ms)
        self._cut_off = self._cutoff.cut_off(now_ms)
        for gate_id in self._cut_off:
            self._floods.goes_on(gate_id, now_ms)
        if now_ms < self._again_at:
            self._inbox.take_heard(lambda _heard: False)
        else:
            self._take(now_ms)
        return self._tell(now_ms)

    def _take(self, now_ms: int) -> None:
        try:
            self._write(now_ms)  # what could not be written the last time
            self._keep_marks(now_ms)
            if not self._taken:
                self._taken = self._hear(now_ms)
            if self._taken:
                self._judge(self._known(), now_ms)
                self._write(now_ms)
                self.outage.over()
        except StoreError as error:
            self.outage.began(error)
            self._again_at = now_ms + STORE_RETRY_MS

    def _hear(self, now_ms: int) -> list[Said]:
        """Messages, with the records in them."""
        heard = self._inbox.take_heard(lambda one: self._floods.may_take(one, now_ms))
        return [(one, self._records(one)) for one in heard]

    def _records(self, heard: PeerMessage) -> list[ScanRecord]:
        """Those that can be read; the hub quarantines the others."""
        records: list[ScanRecord] = []
        if heard.message.topic.endswith("/scans"):
            self._understand(heard, lambda said: records.extend(decode_scans(said.payload, heard.gate_id)[0]))
        return records

    def _understand(self, heard: PeerMessage, use: Callable[[Message], None]) -> None:
        """Use its message, if it can be read; of one gate the log is told of one a minute that cannot."""
        read_or_log(heard.message, use, self._seldom, heard.gate_id)

    def _known(self) -> KnownScans:
        """What of it was told before, by kind of record: it is not new, and costs nothing."""
        said = {pair(record) for _, records in self._taken for record in records if _says_something(record)}
        admitted, annulled = self._cache.peers.known(said) if said else (set(), set())
        return {"scan": admitted | annulled, "annulled": annulled}

    def _judge(self, known: KnownScans, now_ms: int) -> None:
        """In the order in which they came."""
        flooded = set(self._floods.flooding(now_ms))
        read = _Read()
        for heard, records in self._taken:
            for record in records:
                self._judge_record(record, known, read, now_ms)
            if heard.message.topic.endswith("/status"):
                self._hear_status(heard, now_ms)
        read.floods.extend(sorted(set(self._floods.flooding(now_ms)) - flooded))
        self._read, self._taken = read, []

    def _judge_record(self, record: ScanRecord, known: KnownScans, read: _Read, now_ms: int) -> None:
        if not _says_something(record):
            read.heard.append(record)
        elif pair(record) in known[record.record] or self._floods.believes(record, now_ms):
            known[record.record].add(pair(record))
            read.counting.append(record)
            read.heard.append(record)

    def _hear_status(self, heard: PeerMessage, now_ms: int) -> None:
        self._understand(heard, lambda message: self._use_status(heard, message, now_ms))

    def _use_status(self, heard: PeerMessage, message: Message, now_ms: int) -> None:
        status = decode(message.payload, GateStatus)
        if status.online and status.epoch is not None and not heard.message.retained:
            self._floods.tell_waiting(heard.gate_id, status.unacked, now_ms)
        self._on_status(heard, status)

    def _write(self, now_ms: int) -> None:
        """Only what is written was heard."""
        if self._read.counting:
            for gate_id in self._cache.peers.put(self._read.counting):
                self.peers.forget(gate_id)
        self.peers.hear(self._read.heard)
        for gate_id in self._read.floods:
            self._take_back(gate_id, now_ms)
        self._read = _Read()

    def _take_back(self, gate_id: str, now_ms: int) -> None:
        marks = [mark for mark in self._marks if mark.at_ms <= now_ms - TAKE_BACK_MS] or [*self._marks][:1]
        if marks:
            self._cache.peers.take_back(gate_id, marks[-1].number)
        self.peers.forget(gate_id)

    def _keep_marks(self, now_ms: int) -> None:
        if now_ms < self._mark_at:
            return
        self._mark_at = now_ms + MARK_MS
        last = self._cache.peers.last()
        self._marks.append(_Mark(at_ms=now_ms, number=last))
        while len(self._marks) > 1 and self._marks[1].at_ms <= now_ms - SETTLE_MS:
            self._marks.popleft()
        self._settle(self._marks[0], now_ms)

    def _settle(self, mark: _Mark, now_ms: int) -> None:
        since, is_old = self._current_since, mark.at_ms <= now_ms - SETTLE_MS
        if is_old and since is not None and since <= mark.at_ms and any(mark.number):
            self._cache.peers.settle(mark.number)

    def _tell(self, now_ms: int) -> bool:
        self._tell_lost(now_ms)
        episodes = self._floods.episodes(now_ms)
        for episode in episodes:
            if episode.began:
                self._log.warning(
                    "a gate sends more than a door can: what it says it admits does not count here until it "
                    "has kept to its pace for a minute. Is it this venue's, and in the right hands? If not, "
                    "revoke it at the hub.",
                    at_gate=episode.gate_id,
                )
            else:
                self._log.info(
                    "a gate keeps to its pace again", at_gate=episode.gate_id, refused=episode.refused
                )
        return bool(episodes)

    def _tell_lost(self, now_ms: int) -> None:
        lost = self._inbox.take_lost()
        if lost:
            self._lost_ms = now_ms
            self._lost.began(f"{lost} messages dropped")
        elif now_ms - self._lost_ms > CALM_MS:
            self._lost.over()


def _says_something(record: ScanRecord) -> bool:
    return is_admission(record) or is_annulment(record)

"""Stores what the other gates report, in fair turns, and notices which of them send more than any door can.

Nothing here waits, and a turn is short: beats, acknowledgements and this gate's own scans come in between.
The scans of several gates are written together. While the cache cannot be written, messages stay in the
inbox.
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
"""What a gate reported this shortly before it was found to flood does not count either."""
SETTLE_MS = 600_000
"""A hub heard all the while has ingested by then what the gates sent; what it lacks does not count."""

Said = tuple[PeerMessage, list[ScanRecord]]
KnownScans = dict[str, set[Pair]]


class _Mark(Value, frozen=True):
    """The newest numbers in the peer tables, and when that was."""

    at_ms: int
    number: tuple[int, int]


class _Read(msgspec.Struct):
    """What is to be written: `counting`. `heard`: also records that change nothing. `floods`: new ones."""

    counting: list[ScanRecord] = []
    heard: list[ScanRecord] = []
    floods: list[str] = []


class PeerListener:
    """Takes the other gates' messages out of the inbox.

    :param on_status: called with each status of another gate.
    :param before: the link note of sync's last run.
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
        """Outage of the cache, shared with its other writers."""
        self.peers = HeardNumbers(before.heard if before else ())
        """The other gates' records that are in the cache."""
        self._floods, self._cutoff = PeerFloods(), Cutoff()
        self._wide = topics.subscriptions(gate_id)
        self._cut_off: frozenset[str] = frozenset()
        self._taken: list[Said] = []
        self._read = _Read()
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._marks: deque[_Mark] = deque()
        self._again_at = self._mark_at = self._lost_ms = 0
        self._current_since: int | None = None
        self._log = structlog.get_logger()
        self._lost = Outage("hub messages", begins="hub messages dropped", ends="hub messages kept again")
        self._inbox.ignore(cache.peers.revoked())

    def put(self, link: MqttLink, message: Message) -> None:
        """Called from any thread. A retained scan is ignored: no gate sends one (protocol 4.2)."""
        gate_id = self._topics.gate_of(message.topic)
        is_scan = message.topic.endswith("/scans")
        if gate_id is not None and gate_id != self._gate_id and not (is_scan and message.retained):
            self._inbox.put_heard(PeerMessage(gate_id, link, message))

    def flooding(self) -> tuple[str, ...]:
        """The gates that send more than any door can."""
        return self._floods.flooding(self._clock.now().monotonic_ms)[:MOST_NAMED]

    def revoke(self, gates: Sequence[str]) -> None:
        """Ignore these gates from now on; the cache already does."""
        self._inbox.ignore(gates)
        for gate_id in gates:
            self.peers.forget(gate_id)

    def listens_to(self, named: Collection[str]) -> tuple[str, ...]:
        """The filters to subscribe to: for all gates, or for each gate that is not cut off.

        :param named: the gates that the configuration names.
        """
        gates = {*named, *self._inbox.heard_of()} - {self._gate_id} if self._cut_off else ()
        return filters_by_name(self._wide, gates, self._cut_off)

    def set_current(self, now: Now, *, is_current: bool) -> None:
        """Note whether every list is current by a hub that is heard now."""
        if not is_current:
            self._current_since = None
        elif self._current_since is None:
            self._current_since = now.monotonic_ms

    def turn(self, now: Now) -> bool:
        """Handle some messages; returns whether a gate began or stopped flooding."""
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
        self._log_dropped(now_ms)
        return self._log_floods(now_ms)

    def _take(self, now_ms: int) -> None:
        try:
            self._write(now_ms)  # what could not be written last time
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
        """Messages with their records."""
        heard = self._inbox.take_heard(lambda one: self._floods.may_take(one, now_ms))
        return [(one, self._records(one)) for one in heard]

    def _records(self, heard: PeerMessage) -> list[ScanRecord]:
        """The readable records; the hub quarantines the others."""
        records: list[ScanRecord] = []
        if heard.message.topic.endswith("/scans"):
            self._read_or_log(heard, lambda one: records.extend(decode_scans(one.payload, heard.gate_id)[0]))
        return records

    def _read_or_log(self, heard: PeerMessage, use: Callable[[Message], None]) -> None:
        """Handle the message, or log that it cannot be read, once a minute per gate."""
        read_or_log(heard.message, use, self._seldom, heard.gate_id)

    def _known(self) -> KnownScans:
        """Which of the scans are known already, by kind of record: they cost nothing."""
        pairs = {pair(record) for _, records in self._taken for record in records if _counts(record)}
        admitted, annulled = self._cache.peers.known(pairs) if pairs else (set(), set())
        return {"scan": admitted | annulled, "annulled": annulled}

    def _judge(self, known: KnownScans, now_ms: int) -> None:
        """Decide which records count, in the order of arrival."""
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
        if not _counts(record):
            read.heard.append(record)
        elif pair(record) in known[record.record] or self._floods.believes(record, now_ms):
            known[record.record].add(pair(record))
            read.counting.append(record)
            read.heard.append(record)

    def _hear_status(self, heard: PeerMessage, now_ms: int) -> None:
        self._read_or_log(heard, lambda message: self._use_status(heard, message, now_ms))

    def _use_status(self, heard: PeerMessage, message: Message, now_ms: int) -> None:
        status = decode(message.payload, GateStatus)
        if status.online and status.epoch is not None and not heard.message.retained:
            self._floods.set_waiting(heard.gate_id, status.unacked, now_ms)
        self._on_status(heard, status)

    def _write(self, now_ms: int) -> None:
        """Write what counts; only what is written counts as heard."""
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

    def _log_floods(self, now_ms: int) -> bool:
        events = self._floods.events(now_ms)
        for event in events:
            if event.began:
                self._log.warning(
                    "flood began",
                    at_gate=event.gate_id,
                    why="it sends more than any door can; its admissions do not count here until it has kept "
                    "to its budget for a minute",
                    advice="Is it this venue's gate, and in the right hands? If not, revoke it at the hub.",
                )
            else:
                self._log.info("flood ended", at_gate=event.gate_id, refused=event.refused)
        return bool(events)

    def _log_dropped(self, now_ms: int) -> None:
        lost = self._inbox.take_lost()
        if lost:
            self._lost_ms = now_ms
            self._lost.began(f"{lost} messages; what is missing is fetched from the hub")
        elif now_ms - self._lost_ms > CALM_MS:
            self._lost.over()


def _counts(record: ScanRecord) -> bool:
    return is_admission(record) or is_annulment(record)

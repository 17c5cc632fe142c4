"""Sync's loop with real files, a clock that is moved by hand and a working in-memory link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from gate.hotline.messages import Beat, ToDoor, ToSync, to_door
from gate.rules.first_entry import Grant
from gate.rules.model import FeedRow, ScanRecord
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from gate.store.live_file import LiveReading
from sync.broker.inbox import Inbox
from sync.broker.mqtt import Connected, LinkEvent, Message, MqttLink
from sync.cache.writer import Cache
from sync.claims.claim_inbox import FromDoor
from sync.feed.fetcher import Want
from sync.feed.snapshot import FetchedFeed
from sync.service import Sync, SyncEvent
from sync.status import GateIdentity
from sync.upload.outbox import Outbox
from sync.wire.messages import (
    Ack,
    GateConfig,
    GateStatus,
    Head,
    HubTime,
    LendRequest,
    Probe,
    ToHub,
    decode,
    encode,
    to_hub,
)
from sync.wire.scans import decode_scans
from sync.wire.topics import Topics
from tests.factories import StoppedClock, a_record, an_event

TOPICS = Topics(venue="maguey")
H = TypeVar("H", bound=ToHub)


class MemoryLink(MqttLink):
    """A link to nowhere: keeps what was published. `up` False: publishing fails; `reached` False: no line."""

    def __init__(self, will: tuple[str, bytes], topics: Sequence[str]) -> None:
        self.will, self.topics = will, topics
        self.published: list[tuple[str, bytes, bool]] = []
        self.up, self.closed, self.reached = True, False, True
        self.turns = 0

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expires_s: int | None = None,  # noqa: ARG002 – nothing waits here
    ) -> bool:
        if self.up:
            self.published.append((topic, payload, retain))
        return self.up

    def listen(self, topics: Sequence[str]) -> None:
        self.topics = topics

    def is_alive(self) -> bool:
        return not self.closed

    def is_open(self) -> bool:
        return self.reached

    def beats(self) -> int:
        return self.turns

    def close(self, farewell: tuple[str, bytes] | None = None) -> None:
        if farewell is not None:
            self.publish(*farewell, retain=True)
        self.closed = True


class MemoryDoor:
    """A door's connection: keeps what it was sent, beats apart. `up` False: nobody takes anything."""

    def __init__(self) -> None:
        self.told: list[ToDoor] = []
        self.beats: list[Beat] = []
        self.up, self.closed = True, False
        self.turns = 0

    def send(self, packet: bytes) -> bool:
        if self.up:
            message = to_door(packet)
            if isinstance(message, Beat):
                self.beats.append(message)
            else:
                self.told.append(message)
        return self.up

    def tell(self, packet: bytes, /) -> int:
        return int(self.send(packet))

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub_is_there = False
        """Answer probes automatically, at once."""
        self.clock = StoppedClock()
        self.inbox = Inbox[SyncEvent]()
        self.links: list[MemoryLink] = []
        self.wanted: list[Want] = []
        self.door = LiveReading()
        self.line = MemoryDoor()
        self.fetched = 0
        """How often the fetcher has turned."""
        self.journal = Journal(folder / "journal.db", "gate-1", "epoch-1")
        self.reader = CacheReader(folder / "cache.db")
        self.rollback = ""
        self.sync = self.start()

    def start(self) -> Sync:
        self.cache = Cache(self.folder / "cache.db")
        return Sync(
            identity=GateIdentity(gate_id="gate-1", venue="maguey", version="1"),
            cache=self.cache,
            outbox=Outbox(self.folder / "journal.db"),
            inbox=self.inbox,
            make_link=self._make_link,
            want=self.wanted.append,
            clock=self.clock,
            door=lambda _now: self.door,
            jitter=lambda: 0.0,
            fetched=lambda: self.fetched,
            doors=self.line,
            rollback=lambda: self.rollback,
        )

    def _make_link(self, will: tuple[str, bytes], topics: Sequence[str]) -> MqttLink:
        self.links.append(MemoryLink(will, topics))
        return self.links[-1]

    def step(self, *events: LinkEvent | GateConfig | FetchedFeed, seconds: float = 0.05) -> None:
        for event in events:
            self.put(event)
        self.clock.forward(seconds)
        self.turn()
        if self.hub_is_there and self.links and self.to_hub(Probe):
            self.answer_probe(hub_ms=1_800_000_000_000 + self.clock.monotonic_ms)

    def put(self, event: LinkEvent | GateConfig | FetchedFeed) -> None:
        if self.links and isinstance(event, LinkEvent):
            self.sync.deliver(self.links[-1], event)
        else:
            self.inbox.put((None, event))

    def turn(self) -> None:
        """Both loops, until there is nothing left to do."""
        self.sync.turn()
        self.sync.claims.turn()
        while not self.inbox.empty():
            self.sync.turn()

    def connect(self) -> None:
        self.step()
        self.step(Connected())

    def serve(self, *rows: FeedRow, version: int = 5, generation: int = 1) -> None:
        """The hub answers what was asked: one night, served here."""
        config = GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),))
        self.step(config, self.snapshot(version, *rows, generation=generation))
        self.hear(
            TOPICS.head("event-1"),
            Head(event_id="event-1", version=version, count=len(rows), generation=generation),
        )

    def snapshot(
        self, version: int, *rows: FeedRow, generation: int = 1, event: str = "event-1"
    ) -> FetchedFeed:
        """An answer with all of the night."""
        spooled = self.cache.spool.fill(rows)
        return FetchedFeed(event_id=event, version=version, generation=generation, spooled=spooled)

    def hear(self, topic: str, message: msgspec.Struct) -> None:
        self.step(Message(topic, encode(message)))

    def ack(self, seq: int, epoch: str = "epoch-1") -> None:
        self.hear(TOPICS.ack("gate-1"), Ack(epoch=epoch, seq=seq))

    def ask(self, *said: ToSync) -> None:
        """The door says something."""
        for message in said:
            self.sync.claims.inbox.put(FromDoor(self.line, message))
        self.turn()

    def grant(self, message: Grant | HubTime | LendRequest) -> None:
        self.hear(TOPICS.grants("gate-1"), message)

    def answer_probe(self, after_ms: int = 0, hub_ms: int = 1_800_000_000_000) -> None:
        """The hub answers the newest probe."""
        probe = self.to_hub(Probe)[-1]
        self.clock.forward(after_ms / 1000)
        self.put_now(HubTime(id=probe.id, received_us=hub_ms * 1000, sent_us=hub_ms * 1000))

    def put_now(self, message: HubTime | Grant) -> None:
        """On `grants`, without time going by."""
        self.put(Message(TOPICS.grants("gate-1"), encode(message)))
        self.turn()

    def to_hub(self, kind: type[H]) -> list[H]:
        """What was published on `claims` on the newest link, of one kind."""
        said = [
            to_hub(payload) for topic, payload, _ in self.links[-1].published if topic.endswith("/claims")
        ]
        return [message for message in said if isinstance(message, kind)]

    def note(self) -> LinkNote:
        """What the door is told of the link."""
        note = self.cache.link()
        assert note is not None
        return note

    def status(self) -> GateStatus:
        """The newest that was published."""
        said = [payload for topic, payload, _ in self.links[-1].published if topic.endswith("/status")]
        return decode(said[-1], GateStatus)

    def scan(self, count: int = 1, **changes: Any) -> None:
        for _ in range(count):
            with self.journal.turn() as turn:
                number = self.journal.last_seq() + 1
                turn.append(a_record(number, **changes))

    def sent(self) -> list[ScanRecord]:
        """Records published on the newest link."""
        batches = [payload for topic, payload, _ in self.links[-1].published if topic.endswith("/scans")]
        return [record for batch in batches for record in decode_scans(batch, "gate-1")[0]]

    def close(self) -> None:
        self.journal.close()
        self.reader.close()


def seqs(records: list[ScanRecord]) -> list[int]:
    return [record.seq for record in records]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A sync on real files, with everything around it under the test's control."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()

"""An evening at one gate with real files, to be replayed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gate.config import GateFile, HubSection
from gate.diagnostics.recorded_night import replay_night
from gate.diagnostics.replay import Difference, Replayed
from gate.door.desk import Desk
from gate.rules.decide import Policy
from gate.rules.model import Event, EventKind, FeedRow, Kind, ScanRecord, Status
from gate.rules.passage import Outcome
from gate.rules.presence import Presented
from gate.rules.records import record_of
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from sync.cache.writer import Cache
from sync.wire.messages import Change, GateConfig
from tests.doors import SilentHub
from tests.factories import NOW, StoppedClock, a_table, an_admission, an_event, code_id, pass_id

GA, SPOILED, REFUNDED, HOST, GUEST, LINKED, OTHER_NIGHT, UNKNOWN = range(1, 9)
SATURDAY = an_event(event_id="event-2", code="PS", name="Perreo Saturdays", served=False)


class Night:
    """A gate with real files on which an evening is played and then changed."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoppedClock()
        self.config = GateFile(
            gate_id="gate-1",
            venue="maguey",
            state_dir=str(folder),
            hub=HubSection(url="http://hub", token_file=""),
        )
        self.hub = Cache(self.config.cache)
        self.version = 1
        self.tell(an_event(), SATURDAY)
        self.hub.put_snapshot("event-1", 1, self.hub.spool.fill(list(guests())), NOW)
        elsewhere = an_admission(code_id(OTHER_NIGHT), event_id="event-2")
        self.hub.put_snapshot("event-2", 1, self.hub.spool.fill([elsewhere]), NOW)
        self.journal = Journal(self.config.journal, "gate-1", "epoch-1")
        self.cache = CacheReader(self.config.cache)

    def tell(self, *events: Event) -> None:
        self.hub.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=events))

    def change(self, *rows: FeedRow) -> None:
        for row in rows:
            self.version += 1
            self.hub.put_changes(row.event_id, [Change(version=self.version, row=row)], NOW)

    def scan(self, text: str, *, locked: bool = False) -> ScanRecord:
        self.clock.forward(10)
        desk = Desk(
            gate_id="gate-1",
            journal=self.journal,
            cache=self.cache,
            clock=self.clock,
            claims=SilentHub(),
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )
        answered = desk.answer(Presented.of(text.encode()), locked=locked)
        assert answered.record is not None
        return answered.record

    def annul(self, scan: ScanRecord) -> None:
        self.clock.forward(8)
        outcome = Outcome(record="annulled", reason=EventKind.EXPIRED, scan=scan)
        with self.journal.turn() as turn:
            turn.append(record_of(outcome, self.clock.now(), f"annulled-{scan.seq}", "gate-1"))

    def play(self) -> None:
        """An evening with every kind of guest, and an annulment between two scans of one ticket."""
        misread = code_id(UNKNOWN)[:-1] + ("A" if code_id(UNKNOWN)[-1] != "A" else "B")
        for text in (
            *_tickets(),
            "https://example.org",
            code_id(UNKNOWN),
            misread,
            *_tickets(),
        ):
            self.scan(text)
        self.annul(self.scan(code_id(20)))
        self.scan(code_id(20))
        self.scan(code_id(20))

    def replayed(self, event_id: str | None = None) -> Replayed:
        return replay_night(self.config, self.config.journal, event_id)

    def differences(self) -> Sequence[Difference]:
        return self.replayed().differences

    def close(self) -> None:
        for part in (self.hub, self.journal, self.cache):
            part.close()


def _tickets() -> list[str]:
    passes = [pass_id(GUEST)]
    return [*(code_id(number) for number in (GA, SPOILED, REFUNDED, HOST, LINKED, OTHER_NIGHT)), *passes]


def guests() -> Iterator[FeedRow]:
    """Everybody the hub knows of for this night."""
    yield a_table()
    yield an_admission(code_id(GA), subject_id="ga")
    yield an_admission(code_id(SPOILED), subject_id="cancelled", status=Status.CANCELLED)
    yield an_admission(code_id(REFUNDED), subject_id="later refunded")
    yield an_admission(code_id(20), subject_id="annulled")
    for kind, text in (
        (Kind.VIP_HOST, code_id(HOST)),
        (Kind.VIP_PASS, pass_id(GUEST)),
        (Kind.VIP_LINKED, code_id(LINKED)),
    ):
        yield an_admission(text, subject_id=kind.value, kind=kind, reservation_id="reservation-1")

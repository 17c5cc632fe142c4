"""Three gates and one hub, in any order: no one-time ticket is admitted twice while the hub answers.

Real desks with their journals and caches; a hub in memory whose answers come, come late, never come, or are
not used; gates that hear each other or not. Quality 7.1, invariant 7.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gate.door.desk import RELIABLE_MS, Desk
from gate.rules.decide import Policy
from gate.rules.home_gate import division_of
from gate.rules.model import EventKind, FeedRow, Flag, Reason, ScanRecord
from gate.rules.passage import Outcome
from gate.rules.payload import code_hash
from gate.rules.presence import Presented
from gate.rules.records import record_of
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.claims import HubInMemory, Line, Mood, records_in, standing
from tests.factories import StoppedClock, an_admission, an_event, code_id
from tests.long import cases
from tests.machines import play

TICKETS = [code_id(number) for number in (1, 2)]
GATES = st.integers(0, 2)
CODES = st.sampled_from(TICKETS)
MOODS = st.sampled_from(["answers", "answers", "answers", "is silent", "is late", "is stopped"])
SWEPT_S = 31
"""The hub takes back a grant that nothing came of once it is older than 30 s."""


class Gate:
    """One gate's files, its desk and its line."""

    def __init__(self, folder: Path, gate_id: str, hub: HubInMemory, clock: StoppedClock) -> None:
        self.gate_id, self.clock = gate_id, clock
        self.folder = folder / gate_id
        self.folder.mkdir()
        self.cache = Cache(self.folder / "cache.db")
        self.cache.put_config(GateConfig(gate_id=gate_id, gate_name="", venue="maguey", events=(hub.event,)))
        rows: list[FeedRow] = [hub.event]
        rows += [an_admission(code, subject_id=code_hash(code)[:8]) for code in TICKETS]
        self.cache.put_snapshot("event-1", 1, self.cache.spool.fill(rows), clock.wall)
        self.journal = Journal(self.folder / "journal.db", gate_id, f"epoch-of-{gate_id}")
        self.reader = CacheReader(self.folder / "cache.db")
        self.line = Line(hub, gate_id)
        note = LinkNote(
            connected=True,
            hub_heard=True,
            since_ms=0,
            beat_ms=clock.monotonic_ms,
            boot_id="boot-1",
            epoch=self.journal.epoch,
            acked_seq=0,
            lent_as_of={"event-1": division_of(hub.event)},
        )
        self.cache.put_link(note, None)
        self.desk = Desk(
            gate_id=gate_id,
            journal=self.journal,
            cache=self.reader,
            clock=clock,
            claims=self.line,
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )

    def scan(self, code: str) -> ScanRecord:
        record = self.desk.answer(Presented.of(code.encode())).record
        assert record is not None
        return record

    def annul(self, scan: ScanRecord) -> None:
        outcome = Outcome(record="annulled", reason=EventKind.EXPIRED, scan=scan)
        with self.journal.turn() as turn:
            turn.append(record_of(outcome, self.clock.now(), f"annulled {scan.scan_id}", self.gate_id))

    def records(self) -> list[ScanRecord]:
        return records_in(self.journal.path)

    def close(self) -> None:
        self.journal.close()
        self.reader.close()
        self.cache.close()


class ClaimsMachine(RuleBasedStateMachine):
    """See the module's text."""

    @initialize()
    def open_the_doors(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="claims-machine-"))
        self.clock = StoppedClock(synced=True)
        self.hub = HubInMemory(an_event())
        self.gates = [Gate(self.folder, f"gate-{n}", self.hub, self.clock) for n in (1, 2, 3)]
        self.unclaimed: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "gates"):
            for gate in self.gates:
                gate.close()
            shutil.rmtree(self.folder)

    @rule(gate=GATES, code=CODES, mood=MOODS)
    def scan(self, gate: int, code: str, mood: Mood) -> None:
        self._scan(self.gates[gate], code, mood)

    @rule(gates=st.permutations(range(3)), code=CODES, moods=st.tuples(MOODS, MOODS), hears=st.booleans())
    def scan_at_two_gates_at_once(
        self, gates: list[int], code: str, moods: tuple[Mood, Mood], hears: bool
    ) -> None:
        """The second guest comes while the first gate waits for its answer."""
        first, second = self.gates[gates[0]], self.gates[gates[1]]

        def meanwhile() -> None:
            self._scan(second, code, moods[1])
            if hears:
                first.cache.peers.put(second.records())

        self._scan(first, code, moods[0], meanwhile)

    def _scan(self, gate: Gate, code: str, mood: Mood, meanwhile: Callable[[], None] = lambda: None) -> None:
        gate.line.mood = mood

        def waiting() -> None:
            meanwhile()
            if mood == "is stopped":
                self.clock.forward(2 if self.clock.monotonic_ms % 3 else SWEPT_S)
                for one in self.gates:
                    self.hub.ingest(one.records())
                    self.hub.sweep(one.gate_id)

        gate.line.while_waiting = waiting
        self.clock.forward(0.01)
        asked, began_ms = len(gate.line.asked), self.clock.monotonic_ms
        record = gate.scan(code)
        if Flag.UNCLAIMED in record.flags:
            self.unclaimed.add(code)
        if len(gate.line.asked) > asked:
            self._judge(gate, record, is_in_time=self.clock.monotonic_ms - began_ms <= RELIABLE_MS)

    def _judge(self, gate: Gate, record: ScanRecord, *, is_in_time: bool) -> None:
        """What the desk made of its claim: the hub's word counts, and what is not used goes back."""
        heard, claim = gate.line.heard, gate.line.asked[-1]
        own = {one.scan_id for one in gate.records()}
        if record.reason is Reason.FIRST_ENTRY:
            assert claim == record.scan_id
            assert claim not in gate.line.returned
        else:
            assert all(live.scan_id != claim for live in self.hub.live.values())
        if heard is not None and heard.answer == "granted" and is_in_time:
            assert (record.reason, record.flags) == (Reason.FIRST_ENTRY, ())
        if heard is not None and heard.answer == "granted" and not is_in_time:
            assert record.reason is Reason.ISOLATED
        if (
            heard is not None
            and heard.answer == "taken"
            and (heard.entry is None or heard.entry.scan not in own)
        ):
            assert record.reason is Reason.ALREADY_USED

    @rule(gate=GATES)
    def the_hub_hears(self, gate: int) -> None:
        self.hub.ingest(self.gates[gate].records())

    @rule(teller=GATES, hearer=GATES)
    def another_gate_hears(self, teller: int, hearer: int) -> None:
        if teller != hearer:
            self.gates[hearer].cache.peers.put(self.gates[teller].records())

    @rule(gate=GATES)
    def the_hub_takes_back_what_a_gate_made_nothing_of(self, gate: int) -> None:
        self.clock.forward(SWEPT_S)
        self.hub.ingest(self.gates[gate].records())
        self.hub.sweep(self.gates[gate].gate_id)

    @rule(gate=GATES)
    def the_last_guest_did_not_walk(self, gate: int) -> None:
        scans = [one for one in standing(self.gates[gate].records()) if one.reason is Reason.FIRST_ENTRY]
        if scans:
            self.gates[gate].annul(scans[-1])

    @invariant()
    def invariant_7_while_the_hub_answers_one_is_admitted(self) -> None:
        if not hasattr(self, "gates"):
            return
        admitted = [one for gate in self.gates for one in standing(gate.records())]
        every = Counter(one.code_hash for one in admitted)
        granted = Counter(one.code_hash for one in admitted if Flag.UNCLAIMED not in one.flags)
        assert all(count <= 1 for count in granted.values()), granted
        for code in TICKETS:
            assert code in self.unclaimed or every[code_hash(code)] <= 1, every

    @invariant()
    def one_gate_admits_nobody_twice(self) -> None:
        for gate in getattr(self, "gates", []):
            one_gate = Counter(one.code_hash for one in standing(gate.records()))
            assert all(count <= 1 for count in one_gate.values()), one_gate


class TestClaimsMachine:
    @pytest.mark.parametrize("part", range(2))
    def test_no_run_breaks_a_rule(self, part: int) -> None:
        play(ClaimsMachine, part, examples=cases(8, long=40), steps=25)

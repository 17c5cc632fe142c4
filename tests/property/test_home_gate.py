"""Policy ``home_gate``: no ticket is admitted twice, whatever partitions, delays and stopped processes.

Real desks, journals, caches and the real answer to `LendRequest`; the hub is in memory. Between any two
steps of a decision, the others may do something: each reading of the clock and each look into the cache is a
place where this process may be stopped, for any length of time. Quality 7.1, invariant 8.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gate.door.desk import Desk
from gate.rules.decide import Policy
from gate.rules.first_entry import Claim
from gate.rules.home_gate import division_of, home_of
from gate.rules.model import EventKind, FeedRow, Now, Reason, ScanRecord
from gate.rules.passage import Outcome
from gate.rules.payload import code_hash
from gate.rules.presence import Presented
from gate.rules.records import record_of
from gate.store.cache import CacheReader, LinkState
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from gate.store.locks import LOCK_FILE
from sync.cache.writer import Cache
from sync.claims.lent_tickets import Lender
from sync.upload.outbox import Outbox
from sync.wire.messages import GateConfig, LendRequest
from tests.claims import HubInMemory, Line, Mood, records_in, standing
from tests.factories import StoppedClock, an_admission, an_event, code_id
from tests.long import cases
from tests.machines import play

HOMES = ("gate-1", "gate-2", "gate-3")
BY_HOME = {home_of(code_hash(code), HOMES): code for code in map(code_id, range(1, 60))}
TICKETS = [BY_HOME["gate-1"], BY_HOME["gate-2"]]
MANY = [code for code in map(code_id, range(100, 500)) if home_of(code_hash(code), HOMES) == "gate-1"]
"""Tickets at home at gate-1."""
EVENT = an_event(isolation="home_gate", homes=HOMES)
GATES = st.integers(0, 2)
CODES = st.sampled_from(TICKETS)
MOODS: st.SearchStrategy[Mood] = st.sampled_from(["answers", "answers", "is silent", "is late"])
SWEPT_S = 31


class Interrupted:
    """Runs something else once, at the n-th place where a decision may be stopped."""

    def __init__(self) -> None:
        self._left = 0
        self._do: Callable[[], None] = lambda: None

    def at(self, place: int, do: Callable[[], None]) -> None:
        self._left, self._do = place, do

    def pass_by(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._do()


class BreathingClock(StoppedClock):
    """Each reading is a place to be stopped at."""

    def __init__(self, interrupted: Interrupted, wall: StoppedClock) -> None:
        super().__init__(synced=True)
        self._interrupted, self._wall = interrupted, wall

    def now(self) -> Now:
        self._interrupted.pass_by()
        return msgspec.structs.replace(self._wall.now(), clock="synced", offset_ms=0, uncertainty_ms=5)


class BreathingReader(CacheReader):
    """Each look into the cache is a place to be stopped at, too."""

    def __init__(self, path: Path, interrupted: Interrupted) -> None:
        super().__init__(path)
        self._interrupted = interrupted

    def link(self, now: Now) -> LinkState:
        found = super().link(now)
        self._interrupted.pass_by()
        return found

    def is_lent(self, code_hash: str) -> bool:
        found = super().is_lent(code_hash)
        self._interrupted.pass_by()
        return found


class Gate:
    """Door and sync of one gate."""

    def __init__(self, folder: Path, gate_id: str, hub: HubInMemory, wall: StoppedClock) -> None:
        self.gate_id, self.hub = gate_id, hub
        self.folder = folder / gate_id
        self.folder.mkdir()
        self.interrupted = Interrupted()
        self.clock = BreathingClock(self.interrupted, wall)
        self.cache = Cache(self.folder / "cache.db")
        self.cache.put_config(GateConfig(gate_id=gate_id, gate_name="", venue="maguey", events=(EVENT,)))
        rows: list[FeedRow] = [EVENT]
        rows += [an_admission(code, subject_id=code_hash(code)[:8]) for code in (*TICKETS, *MANY)]
        self.cache.put_snapshot("event-1", 1, self.cache.spool.fill(rows), wall.wall)
        self.link(knows_lent=True)
        self.journal = Journal(self.folder / "journal.db", gate_id, f"epoch-of-{gate_id}")
        self.reader = BreathingReader(self.folder / "cache.db", self.interrupted)
        self.line = Line(hub, gate_id, while_waiting=self.interrupted.pass_by)
        self.lender = Lender(self.cache, Outbox(self.journal.path), self.folder / LOCK_FILE)
        self.desk = Desk(
            gate_id=gate_id,
            journal=self.journal,
            cache=self.reader,
            clock=self.clock,
            claims=self.line,
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )

    def link(self, *, knows_lent: bool) -> None:
        note = LinkNote(
            connected=False,
            hub_heard=False,
            since_ms=0,
            beat_ms=0,
            boot_id="boot-1",
            epoch=None,
            acked_seq=0,
            lent_as_of={"event-1": division_of(EVENT)} if knows_lent else {},
        )
        self.cache.put_link(note, None)

    def scan(self, code: str) -> ScanRecord:
        record = self.desk.answer(Presented.of(code.encode())).record
        assert record is not None
        return record

    def lend(self, claim: Claim, to: str) -> bool:
        asked = LendRequest(scan_id=claim.scan_id, code_hash=claim.code_hash, event_id="event-1", to=to)
        return self.lender.answer(asked, self.clock.wall).lent

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


class HomeGateMachine(RuleBasedStateMachine):
    """See the module's text."""

    @initialize()
    def open_the_doors(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="home-gate-"))
        self.clock = StoppedClock(synced=True)
        self.hub = HubInMemory(EVENT, lend=self._lend)
        self.gates = {name: Gate(self.folder, name, self.hub, self.clock) for name in HOMES}
        self.reachable = set(HOMES)
        self.loses_answers = False
        self.admitted = 0

    def _lend(self, home: str, claim: Claim, to: str) -> bool | None:
        if home not in self.reachable:
            return None
        lent = self.gates[home].lend(claim, to)
        return None if self.loses_answers else lent

    def teardown(self) -> None:
        if hasattr(self, "gates"):
            for gate in self.gates.values():
                gate.close()
            shutil.rmtree(self.folder)

    @rule(gate=GATES, code=CODES, mood=MOODS)
    def scan(self, gate: int, code: str, mood: Mood) -> None:
        self._scan(HOMES[gate], code, mood)

    @rule(
        gates=st.permutations(HOMES),
        code=CODES,
        moods=st.tuples(MOODS, MOODS),
        place=st.integers(1, 12),
        stopped_s=st.sampled_from([0.0, 0.5, 40.0]),
    )
    def scan_while_another_gate_is_stopped_in_the_middle_of_a_decision(
        self, *, gates: list[str], code: str, moods: tuple[Mood, Mood], place: int, stopped_s: float
    ) -> None:
        first, second, _ = gates

        def meanwhile() -> None:
            self.clock.forward(stopped_s)
            if stopped_s > 30:
                self._sweep()
            self._scan(second, code, moods[1])

        self.gates[first].interrupted.at(place, meanwhile)
        self._scan(first, code, moods[0])
        self.gates[first].interrupted.at(0, meanwhile)

    @rule(code=CODES, gates=st.permutations(HOMES), forgets=st.booleans())
    def a_home_gate_is_cut_off_after_others_asked_for_its_ticket(
        self, code: str, gates: list[str], forgets: bool
    ) -> None:
        home = home_of(code_hash(code), HOMES) or ""
        before = self.reachable
        self.reachable = set(HOMES)
        self._scan(next(gate for gate in gates if gate != home), code, "answers")
        if forgets:
            self.a_cache_is_lost_and_configured_again_or_not_yet(HOMES.index(home))
        self.reachable = before - {home}
        self._scan(home, code, "answers")
        self.reachable = before

    def _scan(self, gate: str, code: str, mood: Mood) -> None:
        self.gates[gate].line.mood = mood
        self.gates[gate].line.is_connected = gate in self.reachable
        self.clock.forward(0.01)
        self.gates[gate].scan(code)

    def _sweep(self) -> None:
        for name in self.reachable:
            self.hub.ingest(self.gates[name].records())
            self.hub.sweep(name)

    @rule()
    def the_hub_takes_back_grants_nothing_came_of(self) -> None:
        self.clock.forward(SWEPT_S)
        self._sweep()

    @rule(gate=GATES)
    def a_gate_is_cut_off_or_back(self, gate: int) -> None:
        self.reachable ^= {HOMES[gate]}

    @rule(loses=st.booleans())
    def answers_to_lend_are_lost_or_not(self, loses: bool) -> None:
        self.loses_answers = loses

    @rule(gate=GATES)
    def a_cache_is_lost_and_configured_again_or_not_yet(self, gate: int) -> None:
        """What was lent is then known from the hub only, which has asked for it before."""
        one = self.gates[HOMES[gate]]
        one.cache._db.execute("delete from lent")
        one.link(knows_lent=False)

    @rule(gate=GATES)
    def the_hub_configures(self, gate: int) -> None:
        one = self.gates[HOMES[gate]]
        if one.gate_id in self.reachable:
            for code in self.asked_for:
                if home_of(code, HOMES) == one.gate_id:
                    one.cache.put_lent(code, "event-1", "another", self.clock.wall)
            one.link(knows_lent=True)

    @property
    def asked_for(self) -> set[str]:
        """The hub stores that it asks for a ticket before it asks; here: all it may have asked for."""
        return {code_hash(code) for code in TICKETS}

    @rule(gate=GATES)
    def the_last_guest_did_not_walk(self, gate: int) -> None:
        one = self.gates[HOMES[gate]]
        scans = [scan for scan in standing(one.records()) if scan.reason is Reason.FIRST_ENTRY]
        if scans:
            one.annul(scans[-1])

    @invariant()
    def invariant_8_there_is_no_double_admission(self) -> None:
        if hasattr(self, "gates"):
            admitted = [one for gate in self.gates.values() for one in standing(gate.records())]
            every = Counter(one.code_hash for one in admitted)
            assert all(count <= 1 for count in every.values()), every


class TestHomeGateMachine:
    @pytest.mark.parametrize("part", range(2))
    def test_no_run_breaks_a_rule(self, part: int) -> None:
        play(HomeGateMachine, part, examples=cases(10, long=40), steps=25)


def test_a_decision_stopped_at_any_place_admits_nobody_twice(tmp_path: Path) -> None:
    """Each place, each mood of its line, and a stop shorter and longer than the hub waits."""
    wall, hub, tickets = StoppedClock(synced=True), HubInMemory(EVENT), iter(MANY)
    gates = {name: Gate(tmp_path, name, hub, wall) for name in HOMES}
    hub.lend = lambda home, claim, to: gates[home].lend(claim, to)
    moods: tuple[Mood, ...] = ("answers", "is silent", "is late")
    admitted: Counter[int] = Counter()
    for first, mood, stopped_s, place in itertools.product(HOMES[::2], moods, (0.0, 40.0), range(1, 13)):
        code, second = next(tickets), "gate-2"

        def meanwhile(code: str = code, first: str = first, stopped_s: float = stopped_s) -> None:
            wall.forward(stopped_s)
            hub.ingest(gates[first].records())
            if stopped_s > 30:
                hub.sweep(first)
            gates["gate-2"].scan(code)

        gates[first].line.mood = mood
        gates[first].interrupted.at(place, meanwhile)
        gates[first].scan(code)
        gates[first].interrupted.at(0, meanwhile)
        entered = [one for gate in (first, second) for one in standing(gates[gate].records())]
        admitted[sum(one.code_hash == code_hash(code) for one in entered)] += 1
    assert set(admitted) <= {0, 1}, admitted
    assert admitted[1] > admitted[0]
    for gate in gates.values():
        gate.close()


@pytest.mark.parametrize("lender", ["home", "elsewhere"])
def test_tickets_do_enter(tmp_path: Path, lender: str) -> None:
    """The machine would also be content with a club nobody gets into."""
    hub = HubInMemory(EVENT)
    gates = {name: Gate(tmp_path, name, hub, StoppedClock(synced=True)) for name in HOMES}
    hub.lend = lambda home, claim, to: gates[home].lend(claim, to)
    at = "gate-1" if lender == "home" else "gate-3"
    assert gates[at].scan(BY_HOME["gate-1"]).reason is Reason.FIRST_ENTRY
    for name in HOMES:
        assert gates[name].scan(BY_HOME["gate-1"]).reason is Reason.ALREADY_USED
    gates["gate-2"].line.is_connected = False
    assert gates["gate-2"].scan(BY_HOME["gate-2"]).reason is Reason.FIRST_ENTRY
    for gate in gates.values():
        gate.close()

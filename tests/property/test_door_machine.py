"""Any night at one door, against a model: scans, claims, passage, annulment, fire, refunds, sync, crash.

Hypothesis drives the whole door on its bench; the model beside it is a dozen lines that know
nothing of how the door works. Quality 7.1, invariants 6, 10 and 11.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import gate
from gate.common.errors import HardwareError, Step
from gate.rules.model import (
    Admission,
    Entry,
    FeedRow,
    Flag,
    Kind,
    ReservationStatus,
    Ruling,
    ScanRecord,
    Status,
)
from gate.rules.passage import FIRE_MS, MOST_SILENT, OrderAction, Rules, Way
from gate.rules.payload import code_hash
from sync.wire.messages import Change
from tests.claims import HubInMemory, Line, Mood
from tests.doors import Bench, WitnessedTurnstile
from tests.factories import a_table, an_admission, an_event, code_id, pass_id
from tests.long import cases
from tests.machines import play

FRAME_MS = 250
TIMEOUT_MS = 7_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)

GA = [code_id(1), code_id(2)]
VIP = {code_id(11): Kind.VIP_LINKED, pass_id(12): Kind.VIP_PASS}
UNSYNCED = code_id(20)
REFUSED = {
    "https://example.org": "malformed",
    code_id(404): "unknown",
    code_id(405)[:-1] + ("A" if code_id(405)[-1] != "A" else "B"): "bad_checksum",
    code_id(406) + ".K1" + "A" * 103: "forged",
}


def signed(code: str) -> str:
    return f"{code}.K1{base64.b32encode(KEY.sign(code.encode())).decode().rstrip('=')}"


def shown(code: str) -> str:
    return signed(code) if code == UNSYNCED else code


ONE_TIME = {code_hash(code): code for code in [*GA, UNSYNCED]}
KNOWN = {code_hash(code) for code in [*GA, *VIP]}
CODES = st.sampled_from([*GA, *VIP, UNSYNCED])
GATE = str(Path(gate.__file__).parent)


class Killed(BaseException):
    """The process ends here."""


class Model:
    """What should be so. `entries`: by code, the admissions that count."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self.refunded: set[str] = set()
        self.taken: set[str] = set()
        self.awaited: list[str] = []
        self.due_ms = 0
        self.silent = 0
        self.ordered = Way.NORMAL
        self.fire = False

    @property
    def is_open(self) -> bool:
        return self.fire or self.ordered is Way.HELD_OPEN

    def expected(self, code: str, *, hub_answers: bool = False) -> str | None:
        """The reason a scan must have; None: it must not be recorded."""
        if self.fire or self.ordered is Way.CLOSED or code in self.awaited:
            return None
        if code in REFUSED:
            return REFUSED[code]
        if code in self.refunded:
            return "refunded"
        if not self.entries[code]:
            return "already_used" if hub_answers and code in self.taken else "first_entry"
        return "reentry" if code in VIP else "already_used"

    def admitted(self, code: str, now_ms: int) -> None:
        self.entries[code] += 1
        if self.is_open:
            return
        if not self.awaited:
            self.due_ms = now_ms + TIMEOUT_MS
        self.awaited.append(code)

    def sense(self, now_ms: int, bodies: int = 0) -> None:
        if self.is_open:
            self.awaited.clear()
            return
        for _ in range(bodies):
            self.silent = 0
            if self.awaited:
                self.awaited.pop(0)
                self.due_ms = now_ms + TIMEOUT_MS
        if self.awaited and now_ms >= self.due_ms:
            code = self.awaited.pop(0)
            self.due_ms = now_ms + TIMEOUT_MS
            if self.silent < MOST_SILENT:
                self.entries[code] -= 1
                self.silent += 1


class DoorMachine(RuleBasedStateMachine):
    """See the module's text."""

    @initialize()
    def open_the_doors(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="door-machine-"))
        self.line = Line(HubInMemory(an_event()), "gate-1")
        self.table = a_table(status=ReservationStatus.CONFIRMED)
        self.version = 1
        feed: tuple[FeedRow, ...] = (self.table, *(self._row(code) for code in [*GA, *VIP]))
        self.bench = Bench(
            self.folder,
            Rules(sensor=True, timeout_ms=TIMEOUT_MS),
            feed,
            {"K1": KEY.public_key()},
            1000 // FRAME_MS,
            claims=self.line,
        )
        self.relay = WitnessedTurnstile(self.folder, lambda: self.bench.clock.monotonic_ms / 1000)
        self.bench.relay = self.relay
        self.model = Model()
        self.crashes = 0
        self.last = GA[0]
        self._pass(FRAME_MS * 2)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.close()
            shutil.rmtree(self.folder)

    def _row(self, code: str, first: Entry | None = None, last: Entry | None = None) -> Admission:
        kind = VIP.get(code, Kind.GA)
        row = an_admission(code, subject_id=f"subject-{code_hash(code)[:6]}", kind=kind)
        status = Status.CHECKED_IN if first else Status.ISSUED
        return msgspec.structs.replace(
            row,
            status=Status.REFUNDED if hasattr(self, "model") and code in self.model.refunded else status,
            reservation_id=None if kind is Kind.GA else self.table.reservation_id,
            first_entry=first,
            last_entry=last,
        )

    def _pass(self, ms: int) -> None:
        for _ in range(ms // FRAME_MS):
            self.bench.clock.forward(FRAME_MS / 1000)
            if hasattr(self, "model"):
                self.model.sense(self.bench.clock.monotonic_ms)
            self.bench.look()

    def _present(self, code: str) -> None:
        self.bench.eye.show(shown(code).encode())
        self.bench.door.step()

    @rule(code=CODES | st.sampled_from(sorted(REFUSED)))
    def scan(self, code: str) -> None:
        self._scan(code)

    @rule(seconds=st.sampled_from([0, 2, 6]))
    def scan_the_same_again(self, seconds: int) -> None:
        self._pass(seconds * 1_000)
        self._scan(self.last)

    @rule(code=CODES, walks=st.booleans())
    def scan_and_walk_or_not(self, code: str, walks: bool) -> None:
        self._scan(code)
        if walks:
            self.walk(1)
        self._pass(TIMEOUT_MS)

    def _scan(self, code: str) -> None:
        self.last = code
        hub_answers = self.line.is_connected and self.line.mood == "answers"
        expected, before = self.model.expected(code, hub_answers=hub_answers), len(self.bench.records())
        self._present(code)
        scans = [one for one in self.bench.records()[before:] if one.record == "scan"]
        assert [one.reason.value for one in scans] == ([expected] if expected else [])
        if scans and scans[0].verdict is Ruling.ADMIT:
            assert scans[0].released is not self.model.is_open
            self.model.admitted(code, self.bench.clock.monotonic_ms)
        self._pass(2_000)

    @rule(bodies=st.integers(1, 3))
    def walk(self, bodies: int) -> None:
        self.bench.inputs.bodies(bodies)
        self.model.sense(self.bench.clock.monotonic_ms, bodies)
        self.bench.look()

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self._pass(seconds * 1_000)

    @rule()
    def fire_begins_or_ends(self) -> None:
        burns = not self.model.fire
        self.bench.inputs.fire(on=burns)
        if burns:
            self.model.fire = True
            self.model.sense(self.bench.clock.monotonic_ms)
            self.bench.look()
        else:
            self._pass(FIRE_MS - FRAME_MS)  # an alarm that falls silent is over only after a while
            self.model.fire = False
            self._pass(FRAME_MS * 2)
        assert self.relay.is_open is self.model.is_open

    @rule(code=CODES, seconds=st.integers(1, 9))
    def a_fire_alarm_while_somebody_walks(self, code: str, seconds: int) -> None:
        self._scan(code)
        self.fire_begins_or_ends()
        self._pass(seconds * 1_000)
        self.fire_begins_or_ends()

    @rule(order=st.sampled_from([(OrderAction.HOLD_OPEN, Way.HELD_OPEN), (OrderAction.CLOSE, Way.CLOSED)]))
    @precondition(lambda self: self.model.ordered is Way.NORMAL)
    def staff_orders(self, order: tuple[OrderAction, Way]) -> None:
        self.bench.order(order[0])
        self.model.ordered = order[1]
        self.model.sense(self.bench.clock.monotonic_ms)
        self.bench.look()

    @rule()
    @precondition(lambda self: self.model.ordered is not Way.NORMAL)
    def staff_resumes(self) -> None:
        self.bench.order(OrderAction.RESUME)
        self.model.ordered = Way.NORMAL
        self.model.sense(self.bench.clock.monotonic_ms)
        self.bench.look()

    @rule(code=st.sampled_from([*GA, *VIP]))
    def refund(self, code: str) -> None:
        self.model.refunded.add(code)
        self.version += 1
        change = Change(version=self.version, row=self._row(code))
        self.bench.hub.put_changes("event-1", [change], self.bench.clock.wall)

    @rule(mood=st.sampled_from(["answers", "is silent", "is late"]), is_connected=st.booleans())
    def the_line_to_the_hub(self, mood: Mood, is_connected: bool) -> None:
        self.line.mood, self.line.is_connected = mood, is_connected

    @rule(code=st.sampled_from([*GA, UNSYNCED]))
    def another_gate_is_granted_a_ticket(self, code: str) -> None:
        if not self.model.entries[code]:
            self.model.taken.add(code)
            self.line.hub.entries[code_hash(code)] = Entry(
                at=self.bench.clock.wall, gate="gate-2", scan="there"
            )

    @rule(share=st.sampled_from([0.5, 1.0]), scans_only=st.booleans())
    def the_hub_catches_up_with_a_part_of_the_journal(self, share: float, scans_only: bool) -> None:
        """It may know of an admission and not yet of its annulment."""
        records = self.bench.records()
        known = records[: round(len(records) * share)]
        if scans_only:
            known = [one for one in known if one.record == "scan"]
        self.version += 1
        rows = [self._row(code, *_ends(known, code_hash(code))) for code in [*GA, *VIP]]
        self.bench.hub.put_snapshot(
            "event-1", self.version, self.bench.hub.spool.fill([self.table, *rows]), self.bench.clock.wall
        )

    @rule(code=CODES)
    def scan_while_the_relay_is_broken(self, code: str) -> None:
        self.relay.break_down(HardwareError("turnstile", "Gone.", "Look.", Step.TURNSTILE_WIRING))
        before = [one for one in self.bench.records() if one.record == "scan"]
        self._present(code)
        assert [one for one in self.bench.records() if one.record == "scan"] == before
        self.relay.break_down(None)
        self._pass(4_000)

    @rule()
    def crash(self) -> None:
        self._restart()

    @rule(code=CODES, statement=st.integers(1, 900))
    def crash_in_the_middle_of_a_scan(self, code: str, statement: int) -> None:
        before = sys.gettrace()
        sys.settrace(_killer(statement))
        try:
            self._present(code)
        except Killed:
            pass
        finally:
            sys.settrace(before)
        self._restart()

    def _restart(self) -> None:
        """What is in memory is gone; what counts afterwards, and what staff ordered, is in the journal."""
        self.crashes += 1
        self.bench.kill()
        while not self.bench.eye.exhausted():  # a frame nobody looked at is gone as well
            self.bench.eye.look(0)
        pulses = len(self.relay.releases)
        self.bench.start()
        self.model.awaited, self.model.silent = [], 0
        self._pass(FRAME_MS * 2)
        assert len(self.relay.releases) == pulses, "a pulse at the start"
        standing = Counter(one.code_hash for one in _standing(self.bench.records()))
        for code in [*GA, *VIP, UNSYNCED]:
            self.model.entries[code] = standing[code_hash(code)]
        self._pass(2_000)

    @invariant()
    def invariant_6_no_one_time_ticket_is_admitted_twice(self) -> None:
        if hasattr(self, "bench"):
            standing = Counter(one.code_hash for one in _standing(self.bench.records()))
            assert all(standing[one] <= 1 for one in ONE_TIME), standing

    @invariant()
    def invariant_7_what_the_hub_granted_to_another_enters_only_unclaimed(self) -> None:
        if hasattr(self, "bench"):
            for one in _standing(self.bench.records()):
                is_claimed = one.code_hash in ONE_TIME and Flag.UNCLAIMED not in one.flags
                assert not is_claimed or one.scan_id in self.line.asked

    @invariant()
    def invariant_10_an_admission_has_its_reason(self) -> None:
        if hasattr(self, "bench"):
            for one in self.bench.records():
                if one.verdict is Ruling.ADMIT:
                    assert one.code_hash in KNOWN | {code_hash(UNSYNCED)}
                    assert (one.line == 6) == (
                        one.code_hash == code_hash(UNSYNCED) and one.reason == "first_entry"
                    )

    @invariant()
    def invariant_11_the_relay_follows_the_commit(self) -> None:
        if hasattr(self, "bench"):
            assert all(count > n for n, count in enumerate(self.relay.witnessed)), self.relay.witnessed
            records = self.bench.records()
            released = sum(one.released for one in records if one.record == "scan")
            unopened = sum(one.reason == "not_opened" for one in records)
            pulses = len(self.relay.releases)
            # killed between mark and pulse: an admission without its pulse, at most one a crash
            assert released - unopened - self.crashes <= pulses <= released - unopened

    @invariant()
    def the_journal_has_no_gap(self) -> None:
        if hasattr(self, "bench"):
            records = self.bench.records()
            assert [one.seq for one in records] == list(range(1, len(records) + 1))


def _standing(records: list[ScanRecord]) -> list[ScanRecord]:
    """Admissions that were not annulled."""
    annulled = {one.refers_to for one in records if one.record == "annulled"}
    return [one for one in records if one.verdict is Ruling.ADMIT and one.scan_id not in annulled]


def _ends(records: list[ScanRecord], one_hash: str) -> tuple[Entry | None, Entry | None]:
    entries = [
        Entry(at=one.occurred_at, gate="gate-1") for one in _standing(records) if one.code_hash == one_hash
    ]
    return (entries[0], entries[-1]) if entries else (None, None)


def _killer(statement: int) -> Any:
    left = statement

    def line(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if not left:
            sys.settrace(None)
            raise Killed
        return line

    def called(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(GATE) else None

    return called


class TestDoorMachine:
    @pytest.mark.parametrize("part", range(5))
    def test_no_run_breaks_a_rule(self, part: int) -> None:
        play(DoorMachine, part, examples=cases(10, long=40), steps=40)

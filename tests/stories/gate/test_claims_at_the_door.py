"""First scan wins, at the desk: which tickets are claimed, what an answer does, and what is returned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gate.common.errors import CacheError, StoreError
from gate.door.desk import LENDING_S, RELIABLE_MS, Desk
from gate.rules.decide import Policy
from gate.rules.first_entry import Grant
from gate.rules.home_gate import division_of, home_of
from gate.rules.model import (
    Entry,
    Event,
    EventKind,
    Flag,
    Heard,
    IsolationPolicy,
    Kind,
    Reason,
    ReservationStatus,
    ScanRecord,
    Status,
)
from gate.rules.passage import Outcome
from gate.rules.payload import code_hash
from gate.rules.presence import Presented
from gate.rules.records import record_of
from gate.store.cache import STALE_MS, CacheReader
from gate.store.file_errors import DamagedError
from gate.store.journal import Journal
from gate.store.link_row import Behind, LinkNote
from gate.store.locks import LOCK_FILE, lending_lock
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.claims import HubInMemory, Line, Mood, records_in
from tests.factories import (
    NOW,
    StoppedClock,
    a_record,
    a_table,
    an_admission,
    an_event,
    code_id,
)

GA, VIP, USED, GONE, STRANGER = (code_id(number) for number in range(1, 6))
FEED = (
    a_table(status=ReservationStatus.CONFIRMED),
    an_admission(GA),
    an_admission(VIP, kind=Kind.VIP_LINKED, reservation_id="reservation-1"),
    an_admission(
        USED, status=Status.CHECKED_IN, first_entry=Entry(at=NOW, gate="gate-2", scan=a_record(9).scan_id)
    ),
    an_admission(GONE, status=Status.REFUNDED),
)
HEARD = (Heard(gate="gate-2", epoch="epoch-1", first=1, last=7),)


class Gate:
    """A desk with its files, and its line to a hub in memory."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoppedClock(synced=True)
        self.folder = folder
        self.cache = Cache(folder / "cache.db")
        self.night()
        self.cache.put_snapshot("event-1", 1, self.cache.spool.fill(FEED), NOW)
        self.journal = Journal(folder / "journal.db", "gate-1", "epoch-1")
        self.reader = CacheReader(folder / "cache.db")
        self.line = Line(HubInMemory(an_event(), perks={code_hash(VIP)}), "gate-1")
        self.link()
        self.desk = Desk(
            gate_id="gate-1",
            journal=self.journal,
            cache=self.reader,
            clock=self.clock,
            claims=self.line,
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )

    def night(self, policy: IsolationPolicy = "admit", homes: tuple[str, ...] = ()) -> Event:
        event = an_event(isolation=policy, homes=homes)
        self.cache.put_config(
            GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(event,))
        )
        self.cache.put_snapshot("event-1", 2, self.cache.spool.fill((event, *FEED)), NOW)
        return event

    def link(self, **changes: Any) -> None:
        now_ms = self.clock.monotonic_ms
        note = LinkNote(
            connected=True,
            hub_heard=True,
            since_ms=now_ms,
            beat_ms=now_ms,
            boot_id="boot-1",
            epoch="epoch-1",
            acked_seq=0,
            heard=HEARD,
        )
        self.cache.put_link(msgspec.structs.replace(note, **changes), None)

    def mood(self, mood: Mood) -> None:
        self.line.mood = mood

    def scan(self, code: str = GA, **changes: Any) -> ScanRecord:
        self.clock.forward(0.001)
        record = self.desk.answer(Presented.of(code.encode()), **changes).record
        assert record is not None
        return record

    def annul(self, scan: ScanRecord) -> None:
        outcome = Outcome(record="annulled", reason=EventKind.EXPIRED, scan=scan)
        with self.journal.turn() as turn:
            turn.append(record_of(outcome, self.clock.now(), f"annulled-{scan.seq}", "gate-1"))

    def records(self) -> list[ScanRecord]:
        return records_in(self.journal.path)


def spoil(file: Cache | Journal, statement: str) -> None:
    file._db.execute(statement)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.journal.close()
    gate.reader.close()
    gate.cache.close()


def test_situation_1_a_granted_ticket_enters_under_the_claims_id(gate: Gate) -> None:
    record = gate.scan()
    assert (record.reason, record.flags) == (Reason.FIRST_ENTRY, ())
    assert gate.line.asked == [record.scan_id]
    assert gate.line.returned == []


def test_situation_1_a_ticket_taken_elsewhere_says_where_and_when(gate: Gate) -> None:
    there = Entry(at=NOW, gate="gate-2", scan="scan-at-gate-2")
    gate.line.hub.entries[code_hash(GA)] = there
    code = Presented.of(GA.encode())
    answered = gate.desk.answer(code)
    assert (answered.verdict.reason, answered.verdict.line) == (Reason.ALREADY_USED, 13)
    assert answered.verdict.entry == there
    assert gate.line.returned == []


@pytest.mark.parametrize("reason", [Reason.REFUNDED, Reason.CANCELLED])
def test_situation_1_a_refund_the_cache_does_not_have_yet_is_refused(gate: Gate, reason: Reason) -> None:
    gate.line.hub.revoked[code_hash(GA)] = Grant(scan_id="", answer="revoked", reason=reason)
    assert gate.scan().reason is reason


@pytest.mark.parametrize("code", [VIP, USED, GONE, STRANGER, "https://example.org"])
def test_only_the_first_entry_of_a_one_time_ticket_is_claimed(gate: Gate, code: str) -> None:
    assert gate.scan(code).reason is not None
    assert gate.scan(code).seq == 2
    assert gate.line.asked == []


@pytest.mark.parametrize("mood", ["is silent", "is late"])
def test_situation_2_without_an_answer_a_ticket_enters_unclaimed(gate: Gate, mood: Mood) -> None:
    gate.mood(mood)
    record = gate.scan()
    assert (record.reason, record.flags) == (Reason.FIRST_ENTRY, (Flag.UNCLAIMED,))
    assert gate.line.returned == []  # the record of the entry uses up a late grant


def test_situation_2_an_entry_elsewhere_heard_of_while_waiting_counts(gate: Gate) -> None:
    gate.mood("is silent")

    def is_heard() -> None:
        gate.cache.peers.put([a_record(7, gate_id="gate-2")])

    gate.line.while_waiting = is_heard
    assert gate.scan().reason is Reason.ALREADY_USED
    assert gate.line.returned == gate.line.asked


def test_situation_3_an_isolated_gate_under_deny_returns_the_claim(gate: Gate) -> None:
    gate.night("deny")
    gate.mood("is late")
    gate.line.while_waiting = lambda: gate.link(connected=False, since_ms=0)
    assert gate.scan().reason is Reason.ISOLATED
    assert gate.line.returned == gate.line.asked
    assert gate.line.hub.live == {}


def test_a_claim_whose_commit_fails_is_returned(gate: Gate) -> None:
    gate.line.while_waiting = lambda: spoil(gate.journal, "pragma query_only=on")
    with pytest.raises(StoreError):
        gate.scan()
    assert gate.line.returned == gate.line.asked
    assert gate.line.hub.live == {}


def test_a_grant_that_is_no_longer_fresh_is_not_used(gate: Gate) -> None:
    """The process may have been stopped while the hub revoked the grant and gave it to another gate."""
    gate.line.while_waiting = lambda: gate.clock.forward((RELIABLE_MS + 100) / 1000)
    assert gate.scan().reason is Reason.ISOLATED
    assert gate.line.returned == gate.line.asked
    gate.line.while_waiting = lambda: None
    gate.link()
    assert gate.scan().reason is Reason.FIRST_ENTRY


def test_an_annulled_ticket_is_claimed_again_under_another_id(gate: Gate) -> None:
    first = gate.scan()
    gate.annul(first)
    gate.line.hub.ingest(gate.records())
    second = gate.scan()
    assert (second.reason, second.flags) == (Reason.FIRST_ENTRY, ())
    assert second.scan_id != first.scan_id


def test_an_annulment_the_hub_does_not_have_yet_leaves_the_ticket_good(gate: Gate) -> None:
    first = gate.scan()
    gate.line.hub.ingest(gate.records())
    gate.annul(first)
    again = gate.scan()
    assert (again.reason, again.flags) == (Reason.FIRST_ENTRY, (Flag.UNCLAIMED,))


@pytest.mark.parametrize(("code", "heard"), [(GA, HEARD), (VIP, ()), (USED, ()), (GONE, ())])
def test_first_entries_of_one_time_tickets_record_what_was_heard_from_others(
    gate: Gate, code: str, heard: tuple[Heard, ...]
) -> None:
    assert gate.scan(code).heard == heard
    assert gate.records()[-1].heard == heard


# --- what a gate may admit alone ---

HOMES = ("gate-1", "gate-2")
AT_HOME = {home_of(code_hash(code), HOMES): code for code in map(code_id, range(1, 20))}
OURS, THEIRS = AT_HOME["gate-1"], AT_HOME["gate-2"]


@pytest.fixture
def home(gate: Gate) -> Gate:
    """A night under the policy ``home_gate``, at an isolated gate that knows what it has lent."""
    event = gate.night("home_gate", HOMES)
    gate.cache.put_snapshot(
        "event-1", 3, gate.cache.spool.fill((event, an_admission(OURS), an_admission(THEIRS))), NOW
    )
    gate.line.is_connected = False
    gate.line.hub.event = event
    gate.link(connected=False, since_ms=0, lent_as_of={"event-1": division_of(event)})
    return gate


def test_home_gate_admits_its_own_tickets_and_sends_others_to_their_gate(home: Gate) -> None:
    own = home.scan(OURS)
    assert (own.reason, own.flags) == (Reason.FIRST_ENTRY, (Flag.ISOLATED, Flag.UNCLAIMED))
    answered = home.desk.answer(Presented.of(THEIRS.encode()))
    assert (answered.verdict.reason, answered.verdict.other_gate) == (Reason.OTHER_GATE, "gate-2")
    assert answered.screen.place == "gate-2"


def test_home_gate_a_lent_ticket_waits_for_the_hub(home: Gate) -> None:
    home.cache.put_lent(code_hash(OURS), "event-1", "gate-2", NOW)
    assert home.scan(OURS).reason is Reason.ISOLATED


def test_home_gate_admits_nobody_alone_before_it_knows_what_is_lent(home: Gate) -> None:
    home.link(connected=False, since_ms=0, lent_as_of={})
    assert home.scan(OURS).reason is Reason.ISOLATED


def test_home_gate_admits_nobody_alone_after_a_new_division_until_lending_is_known(
    home: Gate,
) -> None:
    """The feed announces a retired gate at once; which of its tickets are already granted comes later."""
    night = an_event(isolation="home_gate", homes=(*HOMES, "gate-3"), retired=("gate-3",))
    home.cache.put_snapshot(
        "event-1", 4, home.cache.spool.fill((night, an_admission(OURS), an_admission(THEIRS))), NOW
    )
    assert home.scan(OURS).reason is Reason.ISOLATED
    home.link(connected=False, since_ms=0, lent_as_of={"event-1": division_of(night)})
    assert home.scan(OURS).reason is Reason.FIRST_ENTRY


def test_home_gate_notices_a_ticket_lent_after_the_guest_came(home: Gate) -> None:
    """It is read again under the lock, not from the view opened when the guest came."""
    home.line.is_connected = True
    home.mood("is silent")
    home.line.while_waiting = lambda: home.cache.put_lent(code_hash(OURS), "event-1", "gate-2", NOW)
    assert home.scan(OURS).reason is Reason.ISOLATED


@pytest.mark.parametrize("mood", ["answers", "is silent"])
def test_home_gate_asks_the_guest_to_wait_while_sync_is_lending(home: Gate, mood: Mood) -> None:
    home.line.is_connected = True
    home.mood(mood)
    with lending_lock(home.folder / LOCK_FILE, LENDING_S):
        assert home.scan(OURS).reason is Reason.ISOLATED
    assert home.line.returned == home.line.asked
    assert home.scan(OURS).reason is Reason.FIRST_ENTRY


def test_home_gate_admits_another_gates_ticket_the_hub_grants(home: Gate) -> None:
    home.line.is_connected = True
    home.line.hub.lend = lambda *_: True
    assert home.scan(THEIRS).flags == ()


def test_home_gate_sends_a_guest_to_a_home_the_hub_cannot_reach(home: Gate) -> None:
    home.line.is_connected = True
    record = home.scan(THEIRS)
    assert (record.reason, home.line.returned) == (Reason.OTHER_GATE, [])


def test_home_gate_decides_nothing_if_the_cache_cannot_be_read_under_the_lock(home: Gate) -> None:
    home.line.is_connected = True
    home.mood("is silent")
    home.line.while_waiting = lambda: spoil(home.cache, "drop table lent")
    with pytest.raises(CacheError):
        home.scan(OURS)
    assert home.records() == []
    assert home.line.returned == home.line.asked


# --- a journal restored from a backup ---


def test_a_journal_restored_from_a_backup_uses_no_number_twice(gate: Gate) -> None:
    gate.link(hub_seq=3)
    with pytest.raises(DamagedError, match="put back from a backup"):
        gate.scan()
    assert gate.records() == []
    assert gate.journal.damage is not None


def test_the_hubs_last_number_of_another_epoch_does_not_count(gate: Gate) -> None:
    gate.link(hub_seq=3, epoch="epoch-0")
    assert gate.scan().seq == 1


# --- what another gate annulled ---


def test_a_checked_in_row_whose_entry_its_own_gate_annulled_does_not_count(gate: Gate) -> None:
    annulled = a_record(10, gate_id="gate-2", record="annulled", refers_to=a_record(9).scan_id)
    gate.cache.peers.put([annulled])
    assert gate.scan(USED).reason is Reason.FIRST_ENTRY


def test_no_gate_can_annul_another_gates_entry(gate: Gate) -> None:
    annulled = a_record(10, gate_id="gate-3", record="annulled", refers_to=a_record(9).scan_id)
    gate.cache.peers.put([annulled])
    assert gate.scan(USED).reason is Reason.ALREADY_USED


# --- a list that is known to be behind ---


@pytest.fixture
def old(gate: Gate) -> Gate:
    """A gate whose sync has known for ten seconds that the hub has four more changes."""
    behind = Behind(since_ms=gate.clock.monotonic_ms - STALE_MS, generation=1, version=6, missing=4)
    gate.link(behind={"event-1": behind})
    return gate


@pytest.mark.parametrize("code", [GA, VIP])
def test_with_a_list_known_to_be_behind_vip_entries_are_claimed_too(old: Gate, code: str) -> None:
    record = old.scan(code)
    assert (record.reason, record.flags) == (Reason.FIRST_ENTRY, (Flag.STALE,))
    assert old.line.asked == [record.scan_id]


def test_with_a_list_known_to_be_behind_a_reentry_is_claimed(old: Gate) -> None:
    old.cache.peers.put([a_record(7, gate_id="gate-2", code_hash=code_hash(VIP))])
    record = old.scan(VIP)
    assert (record.reason, record.kind, record.flags) == (
        Reason.REENTRY,
        Kind.VIP_LINKED,
        (Flag.STALE, Flag.PASSBACK_SUSPECT),
    )
    assert old.line.asked == [record.scan_id]


@pytest.mark.parametrize("mood", ["is silent", "is late"])
def test_without_an_answer_a_list_that_is_behind_decides_and_flags(old: Gate, mood: Mood) -> None:
    old.mood(mood)
    assert (old.scan(VIP).reason, old.records()[-1].flags) == (Reason.FIRST_ENTRY, (Flag.STALE,))
    assert old.scan(GA).flags == (Flag.STALE, Flag.UNCLAIMED)


def test_a_gate_that_cannot_ask_decides_by_the_old_list_at_once_and_flags(old: Gate) -> None:
    old.line.is_connected = False
    assert (old.scan(VIP).reason, old.records()[-1].flags) == (Reason.FIRST_ENTRY, (Flag.STALE,))
    assert old.line.asked == []


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Reason.WRONG_EVENT, 7),
        (Reason.EVENT_CANCELLED, 8),
        (Reason.CANCELLED, 8),
        (Reason.REFUNDED, 8),
        (Reason.TABLE_NOT_CONFIRMED, 9),
    ],
)
@pytest.mark.parametrize("code", [GA, VIP])
def test_a_ticket_the_hub_has_revoked_is_refused_despite_a_list_that_is_behind(
    old: Gate, code: str, reason: Reason, line: int
) -> None:
    answer = Grant(scan_id="", answer="revoked", reason=reason)
    old.line.hub.revoked[code_hash(code)] = answer
    record = old.scan(code)
    assert (record.reason, record.line, record.flags) == (reason, line, ())


def test_a_vip_perk_the_hub_has_withdrawn_leaves_a_one_time_ticket(old: Gate) -> None:
    """A ticket since unlinked, or whose table was cancelled, is plain GA and admits once (domain 2.2)."""
    old.line.hub.perks.clear()
    first = old.scan(VIP)
    assert (first.reason, first.kind) == (Reason.FIRST_ENTRY, Kind.GA)
    old.line.hub.ingest(old.records())
    again = old.scan(VIP)
    assert (again.reason, again.line) == (Reason.ALREADY_USED, 13)
    assert old.line.asked == [first.scan_id, again.scan_id]


def test_vip_is_decided_here_before_ten_seconds_and_after_catching_up(gate: Gate) -> None:
    fresh = Behind(since_ms=gate.clock.monotonic_ms - STALE_MS + 100, generation=1, version=6)
    for behind in ({"event-1": fresh}, {}, {"event-2": Behind(since_ms=0)}):
        gate.link(behind=behind)
        assert gate.scan(VIP).flags in ((), (Flag.PASSBACK_SUSPECT,))
    assert gate.line.asked == []


@pytest.mark.parametrize("code", [USED, GONE, STRANGER])
def test_a_ticket_that_is_refused_anyway_is_not_claimed(old: Gate, code: str) -> None:
    assert not old.desk.answer(Presented.of(code.encode())).verdict.admits
    assert old.line.asked == []

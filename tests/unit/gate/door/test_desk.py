"""From a presented code to its durable record, with a real journal and a real cache."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gate.common.errors import CacheError, StoreError
from gate.door.desk import Answered, Desk
from gate.hotline.client import HubLine
from gate.rules.decide import Policy
from gate.rules.model import Entry, FeedRow, Flag, Kind, Reason, Ruling, Status
from gate.rules.payload import Several, code_hash
from gate.rules.presence import Presented
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.doors import SilentHub
from tests.factories import (
    NOW,
    StoppedClock,
    a_record,
    a_table,
    an_admission,
    an_event,
    code_id,
    pass_id,
)

SATURDAY = an_event(event_id="event-2", code="PS", name="Perreo Saturdays", served=False)


class Gate:
    """A desk with its files, and a hub that fills its cache."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoppedClock()
        self.cache = Cache(folder / "cache.db")
        self.cache.put_config(
            GateConfig(
                gate_id="gate-1",
                gate_name="GATE 1",
                venue="maguey",
                events=(an_event(), SATURDAY),
                gate_names={"gate-1": "GATE 1", "gate-2": "GATE 2"},
            )
        )
        self.journal = Journal(folder / "journal.db", "gate-1", "epoch-1")
        self.reader = CacheReader(folder / "cache.db")
        self.claims: HubLine = SilentHub()
        self.desk = self._desk()

    def _desk(self) -> Desk:
        return Desk(
            gate_id="gate-1",
            journal=self.journal,
            cache=self.reader,
            clock=self.clock,
            claims=self.claims,
            random=bytes,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )

    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.journal.path, "gate-1", "epoch-2")
        self.desk = self._desk()

    def sell(self, *rows: FeedRow, version: int = 1) -> None:
        self.cache.put_snapshot("event-1", version, self.cache.spool.fill(rows), self.clock.wall)

    def link(self, **changes: Any) -> None:
        note = LinkNote(
            connected=True,
            hub_heard=True,
            since_ms=self.clock.monotonic_ms,
            beat_ms=self.clock.monotonic_ms,
            boot_id="boot-1",
            epoch="epoch-1",
            acked_seq=0,
        )
        self.cache.put_link(msgspec.structs.replace(note, **changes), None)

    def scan(self, text: str = code_id(), **changes: Any) -> Answered:
        self.clock.forward(0.001)  # so that no two scans have the same id
        raw = text.encode()
        return self.desk.answer(Presented.of(raw), **changes)

    def reasons(self, *texts: str) -> list[Reason]:
        return [self.scan(text).verdict.reason for text in texts]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    gate.link()
    yield gate
    gate.journal.close()
    gate.reader.close()
    gate.cache.close()


def test_a_scan_is_on_disk_when_it_is_answered(gate: Gate) -> None:
    gate.sell(an_admission())
    answered = gate.scan()
    assert answered.record is not None and answered.record.released
    with sqlite3.connect(gate.journal.path) as db:
        written = db.execute("select seq, verdict, reason, subject_id, released, cache_version from scans")
        assert written.fetchall() == [(1, "admit", "first_entry", "ticket-1", 1, 1)]


def test_every_scan_of_every_kind_is_recorded(gate: Gate) -> None:
    gate.sell(an_admission())
    assert gate.reasons(code_id(), code_id(), code_id(9), "https://example.org") == [
        Reason.FIRST_ENTRY,
        Reason.ALREADY_USED,
        Reason.UNKNOWN,
        Reason.MALFORMED,
    ]
    assert gate.journal.last_seq() == 4


def test_two_codes_at_once_are_not_recorded_as_a_scan(gate: Gate) -> None:
    answered = gate.desk.answer(Presented(Several(2), b""))
    assert (answered.verdict.ruling, answered.record) == (Ruling.NONE, None)
    assert gate.journal.last_seq() == 0


def test_a_one_time_ticket_is_not_admitted_twice_though_the_gate_restarted(gate: Gate) -> None:
    gate.sell(an_admission())
    assert gate.scan().verdict.admits
    gate.restart()
    assert gate.reasons(code_id()) == [Reason.ALREADY_USED]


def test_a_download_cannot_erase_what_this_gate_admitted(gate: Gate) -> None:
    gate.sell(an_admission())
    assert gate.scan().verdict.admits
    gate.sell(an_admission(), version=2)  # the hub has not heard of it yet
    assert gate.reasons(code_id()) == [Reason.ALREADY_USED]


def test_a_ticket_another_gate_admitted_is_refused_with_that_gates_name(gate: Gate) -> None:
    gate.sell(an_admission())
    gate.cache.peers.put([a_record(gate_id="gate-2", occurred_at=NOW)])
    answered = gate.scan()
    assert answered.verdict.reason is Reason.ALREADY_USED
    assert answered.verdict.entry == Entry(at=NOW, gate="gate-2", scan=a_record().scan_id)
    assert answered.screen.place == "GATE 2"


def test_a_ticket_another_gate_annulled_is_good_again(gate: Gate) -> None:
    gate.sell(an_admission())
    admitted = a_record(gate_id="gate-2")
    annulled = a_record(2, gate_id="gate-2", record="annulled", refers_to=admitted.scan_id)
    gate.cache.peers.put([admitted, annulled])
    assert gate.reasons(code_id()) == [Reason.FIRST_ENTRY]


def test_a_vip_who_comes_back_is_shown_the_time_of_the_last_entry(gate: Gate) -> None:
    linked = an_admission(kind=Kind.VIP_LINKED, reservation_id="reservation-1")
    gate.sell(an_event(), a_table(), linked)
    first = gate.scan().record
    assert first is not None and first.reason is Reason.FIRST_ENTRY
    gate.clock.forward(600)
    verdict = gate.scan().verdict
    assert verdict.reason is Reason.REENTRY
    assert verdict.entry == Entry(at=NOW + timedelta(milliseconds=1), gate="gate-1", scan=first.scan_id)


def test_the_table_counts_guests_the_hub_has_not_heard_of(gate: Gate) -> None:
    codes = [pass_id(number) for number in range(3)]
    passes = [
        an_admission(
            code,
            kind=Kind.VIP_PASS,
            subject_id=f"pass-{code}",
            reservation_id="reservation-1",
            status=Status.CHECKED_IN if code == codes[0] else Status.ISSUED,
        )
        for code in codes
    ]
    gate.sell(a_table(arrived=1), *passes)

    def arrived(text: str) -> int | None:
        table = gate.scan(text).verdict.table
        return table.arrived if table else None

    assert [arrived(codes[1]), arrived(codes[2]), arrived(codes[2])] == [2, 3, 3]


def test_a_ticket_for_saturday_names_saturday(gate: Gate) -> None:
    other = an_admission(event_id="event-2")
    gate.cache.put_snapshot("event-2", 1, gate.cache.spool.fill([other]), NOW)
    verdict = gate.scan().verdict
    assert (verdict.reason, verdict.event) == (Reason.WRONG_EVENT, SATURDAY)


def test_a_gate_without_a_cache_raises_instead_of_deciding(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.cache.close()
    for file in tmp_path.glob("cache.db*"):
        file.unlink()
    with pytest.raises(CacheError, match="maguey-sync"):
        gate.reasons(code_id())


@pytest.mark.parametrize(("cut_s", "isolated"), [(9, False), (11, True)])
def test_admissions_are_flagged_after_isolated_after_without_a_broker(
    gate: Gate, cut_s: float, isolated: bool
) -> None:
    gate.sell(an_admission())
    lost = gate.clock.monotonic_ms
    gate.clock.forward(cut_s)
    gate.link(connected=False, since_ms=lost)
    assert (Flag.ISOLATED in gate.scan().verdict.flags) is isolated


def test_a_silent_sync_counts_as_offline(gate: Gate) -> None:
    gate.sell(an_admission(), an_admission(code_id(2)))
    assert gate.scan().screen.link.online
    gate.clock.forward(60)
    answered = gate.scan(code_id(2))
    assert not answered.screen.link.online
    assert answered.verdict.flags == (Flag.ISOLATED, Flag.UNCLAIMED)


def test_a_full_disk_admits_nobody_and_skips_no_number(gate: Gate) -> None:
    gate.sell(an_admission())
    pages = gate.journal._db.execute("pragma page_count").fetchone()[0]
    gate.journal._db.execute(f"pragma max_page_count={pages}")
    with pytest.raises(StoreError, match="nobody is admitted"):
        for _ in range(1000):
            gate.scan()
    last = gate.journal.last_seq()
    gate.journal._db.execute("pragma max_page_count=1000000")
    record = gate.scan().record
    assert record is not None
    assert record.seq == last + 1


def test_no_secret_is_in_any_file_of_the_gate(gate: Gate, tmp_path: Path) -> None:
    gate.sell(an_admission(), a_table())
    gate.scan()
    gate.scan(code_id(77))
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert code_hash(code_id()).encode() in everything
    for secret in (code_id(), code_id(77)):
        assert secret.encode() not in everything

"""Other gates' admissions and annulments, in whatever order their messages come (domain 2.3)."""

from __future__ import annotations

import itertools

import pytest
from structlog.testing import capture_logs

from gate.rules.alert import Alert
from gate.rules.model import EventKind, Ruling, ScanRecord
from sync.broker.mqtt import Message
from sync.wire.scans import encode_scans
from tests.factories import NOW, a_record
from tests.sync_bench import TOPICS, Bench

SCAN = a_record(1, gate_id="gate-2")
HASH = SCAN.code_hash or ""


def annulled(seq: int = 2, gate: str = "gate-2", scan: ScanRecord = SCAN) -> ScanRecord:
    return a_record(
        seq,
        gate_id=gate,
        verdict=Ruling.NONE,
        reason=EventKind.EXPIRED,
        line=0,
        released=False,
        record="annulled",
        refers_to=scan.scan_id,
    )


def tell(bench: Bench, *records: ScanRecord) -> None:
    bench.step(*(Message(TOPICS.scans(record.gate_id), encode_scans([record])) for record in records))


def entries(bench: Bench) -> list[str]:
    return [entry.gate for entry in bench.reader.find(HASH).peers]


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.connect()
    return bench


def test_an_annulment_removes_the_peers_entry(bench: Bench) -> None:
    tell(bench, SCAN)
    assert entries(bench) == ["gate-2"]
    tell(bench, annulled())
    assert entries(bench) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_annulled_entry_stays_removed_in_any_order_and_with_repeats(
    bench: Bench, order: tuple[int, ...]
) -> None:
    told = (SCAN, SCAN, annulled(2), annulled(2))
    tell(bench, *(told[number] for number in order))
    assert entries(bench) == []


def test_a_scan_and_its_annulment_in_one_message_are_no_entry(bench: Bench) -> None:
    for records in ([SCAN, annulled()], [annulled(), SCAN]):
        bench.step(Message(TOPICS.scans("gate-2"), encode_scans(records)))
        assert entries(bench) == []


@pytest.mark.parametrize("first", [True, False])
def test_only_the_gate_that_admitted_may_annul(bench: Bench, first: bool) -> None:
    told = [annulled(gate="gate-3"), SCAN]
    tell(bench, *(told if first else reversed(told)))
    assert entries(bench) == ["gate-2"]


def test_a_record_in_another_gates_name_annuls_nothing(bench: Bench) -> None:
    tell(bench, SCAN)
    bench.step(Message(TOPICS.scans("gate-3"), encode_scans([annulled()])))
    assert entries(bench) == ["gate-2"]


def test_another_admission_of_the_same_ticket_stays(bench: Bench) -> None:
    tell(bench, SCAN, a_record(7, gate_id="gate-3"), annulled(), a_record(8, gate_id="gate-2"))
    assert sorted(entries(bench)) == ["gate-2", "gate-3"]


def test_a_passage_and_an_event_of_a_peer_change_no_entry(bench: Bench) -> None:
    passed = a_record(
        3,
        gate_id="gate-2",
        verdict=Ruling.NONE,
        reason=EventKind.PASSED,
        record="passed",
        refers_to=SCAN.scan_id,
    )
    fire = a_record(4, gate_id="gate-2", verdict=Ruling.NONE, reason=EventKind.FREE_PASSAGE, record="event")
    tell(bench, SCAN, passed, fire)
    assert entries(bench) == ["gate-2"]


def test_an_annulment_is_remembered_across_a_restart(bench: Bench) -> None:
    tell(bench, annulled())
    bench.sync = bench.start()
    bench.connect()
    tell(bench, SCAN)
    assert entries(bench) == []


def test_an_alert_from_the_hub_is_logged_and_an_unreadable_one_stops_nothing(bench: Bench) -> None:
    with capture_logs() as lines:
        bench.step(Message(TOPICS.alerts(), b'{"v": 9}'))
        bench.hear(TOPICS.alerts(), Alert(id="1", gate="gate-2", reason="guessing", at=NOW))
    assert [line["event"] for line in lines] == ["message rejected", "alert received"]
    assert (lines[1]["at_gate"], lines[1]["reason"]) == ("gate-2", "guessing")
    assert TOPICS.alerts() in bench.links[-1].topics

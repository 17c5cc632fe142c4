"""The whole loop with real parts: pictures in, rows in Postgres out, whatever is killed on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

import psycopg
import pytest

from demo.club import Club, GateBox, await_true, open_club
from demo.night import Ticket, phone
from gate.rules.model import Ruling, ScanRecord
from gate.rules.payload import code_hash
from gate.store.cache import CacheReader
from hub.keeping.backup import BackupOrder, take_backup
from hub.keeping.restore import restore_backup
from sync.wire.scans import record_hash
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    """One evening for all tests of this file: each continues with whatever the one before has killed."""
    with open_club(tmp_path_factory.mktemp("evening") / "club", print) as club:
        yield club


@pytest.fixture(scope="module")
def unseen(club: Club) -> Iterator[Ticket]:
    """Tickets nobody has shown yet, general admission."""
    return iter(club.night.of(lambda t: t.kind == "ga" and t.status == "issued" and t.event == "PF"))


@pytest.fixture
def queue(club: Club, unseen: Iterator[Ticket]) -> Queue:
    """Who comes in this test, and what is recorded about them."""
    await_true(lambda: all(gate.status().online for gate in club.gates), PATIENCE_S, "all online", club)
    await_true(lambda: not any(map(_held_up, club.gates)), PATIENCE_S, "nobody at the doors", club)
    return Queue(club, unseen)


def _held_up(gate: GateBox) -> bool:
    return any((gate.folder / "camera").glob("*.*"))


class Queue:
    """Guests, and the records since the first of them came."""

    def __init__(self, club: Club, unseen: Iterator[Ticket]) -> None:
        self.club = club
        self.expected = 0
        self._before = {record.scan_id for record in records(club)}
        self._unseen = unseen
        self._rng = Random(5)

    def records(self) -> list[ScanRecord]:
        return [record for record in records(self.club) if record.scan_id not in self._before]

    def admitted(self) -> list[str | None]:
        return [record.subject_id for record in self.records() if record.verdict is Ruling.ADMIT]

    def next(self) -> Ticket:
        return next(self._unseen)

    def come(self, count: int) -> None:
        for number in range(count):
            self.show(self.next(), number % 2)

    def show(self, ticket: Ticket, gate: int) -> None:
        self.club.gates[gate].present(phone(ticket.printed, self._rng))
        self.expected += 1

    def scanned(self) -> None:
        """Wait until every presentation is in a journal."""
        await_true(lambda: len(self.records()) >= self.expected, PATIENCE_S, "all scanned", self.club)


def records(club: Club) -> list[ScanRecord]:
    return [record for gate in club.gates for record in gate.records()]


def drained(club: Club) -> None:
    """Wait until the hub has acknowledged everything."""
    waiting: Callable[[], int] = lambda: sum(gate.status().journal.waiting for gate in club.gates)  # noqa: E731
    await_true(lambda: waiting() == 0, PATIENCE_S, "everything acknowledged", club)


def committed(club: Club) -> list[tuple[str, str]]:
    with psycopg.connect(club.dsn) as db:
        return db.execute("select scan_id::text, payload_hash from scan_logs").fetchall()


def assert_nothing_lost_doubled_or_altered(club: Club) -> None:
    """Invariants 1 to 4 of the quality document."""
    written = sorted((record.scan_id, record_hash(record)) for record in records(club))
    assert sorted(committed(club)) == written
    for gate in club.gates:
        assert [record.seq for record in gate.records()] == list(range(1, len(gate.records()) + 1))


def checked_in(club: Club) -> set[str]:
    with psycopg.connect(club.dsn) as db:
        rows = db.execute("select id::text from tickets where status = 'checked_in'").fetchall()
    return {ticket_id for (ticket_id,) in rows}


@pytest.mark.parametrize("victim", ["hub", "broker", "sync", "postgres", "web"])
def test_killing_any_part_but_the_door_loses_nothing_and_doubles_nothing(
    club: Club, queue: Queue, victim: str
) -> None:
    queue.come(8)
    kill, start = {
        "hub": (club.ingest.kill, club.ingest.start),
        "web": (club.web.kill, club.web.start),
        "broker": (club.broker.kill, club.broker.start),
        "postgres": (club.database.kill, club.database.start),
        "sync": (club.gates[0].sync.kill, club.gates[0].sync.start),
    }[victim]
    await_true(lambda: len(queue.records()) > 3, PATIENCE_S, "first scans", club)
    kill()
    queue.come(12)
    queue.scanned()  # the door goes on whatever is gone
    start()
    queue.come(4)
    queue.scanned()
    drained(club)
    assert len(queue.admitted()) == len(set(queue.admitted())) == 24
    assert_nothing_lost_doubled_or_altered(club)
    assert checked_in(club) >= set(queue.admitted())


def test_a_door_that_is_killed_admits_nobody_twice_and_loses_no_scan(club: Club, queue: Queue) -> None:
    queue.come(6)
    queue.scanned()
    gate = club.gates[0]
    gate.door.kill()
    once = next(t for t in club.night.tickets if t.subject_id == queue.admitted()[0])
    gate.door.start()
    queue.show(once, 0)
    queue.come(2)
    # a picture still held up when the door died is seen a second time, so scans are not counted here
    await_true(lambda: len(queue.admitted()) >= 8, PATIENCE_S, "the two newcomers", club)
    await_true(lambda: not _held_up(gate), PATIENCE_S, "all looked at", club)
    drained(club)
    assert len(queue.admitted()) == len(set(queue.admitted())) == 8
    assert_nothing_lost_doubled_or_altered(club)


def test_a_gate_that_starts_without_broker_and_hub_runs_says_so_and_catches_up(
    club: Club, queue: Queue
) -> None:
    club.broker.kill()
    for program in (club.ingest, club.web, *(gate.sync for gate in club.gates)):
        program.kill()
    for gate in club.gates:
        gate.door.kill()
        gate.door.start()
        gate.sync.start()
    await_true(lambda: not any(gate.status().online for gate in club.gates), PATIENCE_S, "offline", club)
    queue.come(4)
    queue.scanned()
    assert len(queue.admitted()) == 4
    assert not any(gate.status().online for gate in club.gates)
    club.broker.start()
    club.ingest.start()
    club.web.start()
    drained(club)
    await_true(lambda: all(gate.status().online for gate in club.gates), PATIENCE_S, "online again", club)
    assert_nothing_lost_doubled_or_altered(club)


def test_each_admission_gave_one_pulse_and_no_refusal_did(club: Club, queue: Queue) -> None:
    for gate in club.gates:
        gate.pulses(), gate.scans()  # skip those of earlier tests
    queue.come(6)
    queue.scanned()
    queue.show(next(t for t in club.night.tickets if t.status == "cancelled"), 0)
    known = next(t for t in club.night.tickets if t.subject_id == queue.admitted()[0])
    await_true(
        lambda: _has_heard_of(club.gates[1], known), PATIENCE_S, "the entry, known at both gates", club
    )
    queue.show(known, 1)
    queue.scanned()
    pulses = 0

    def given() -> bool:
        nonlocal pulses
        pulses += sum(gate.pulses() for gate in club.gates)
        return pulses >= 6

    await_true(given, PATIENCE_S, "six pulses", club)
    assert pulses == len(queue.admitted()) == 6
    assert len(queue.records()) == 8
    logged = [scan["reason"] for gate in club.gates for scan in gate.scans()]
    assert sorted(map(str, logged)) == sorted(record.reason for record in queue.records())


def _has_heard_of(gate: GateBox, ticket: Ticket) -> bool:
    """Whether this gate knows by itself that somebody entered with it."""
    here = any(record.subject_id == ticket.subject_id for record in gate.records())
    with contextlib.closing(CacheReader(gate.folder / "state" / "cache.db")) as cache:
        return here or bool(cache.find(code_hash(ticket.code)).peers)


def test_a_ticket_for_tomorrow_is_refused_by_the_name_of_its_night(club: Club, queue: Queue) -> None:
    queue.show(next(t for t in club.night.tickets if t.event == "PS"), 0)
    queue.scanned()
    assert [record.reason for record in queue.records()] == ["wrong_event"]


def test_a_refund_at_the_hub_is_refused_at_the_door(club: Club, queue: Queue) -> None:
    ticket = queue.next()
    before = club.gates[0].status().event
    with psycopg.connect(club.dsn) as db:
        db.execute("update tickets set status = 'refunded' where id = %s", (ticket.subject_id,))
    assert before is not None
    await_true(lambda: _version(club) > (before.cache_version or 0), PATIENCE_S, "the delta", club)
    queue.show(ticket, 0)
    queue.scanned()
    assert [record.reason for record in queue.records()] == ["refunded"]


def _version(club: Club) -> int:
    event = club.gates[0].status().event
    return (event.cache_version if event else 0) or 0


def test_a_night_restored_from_its_backup_goes_on_and_no_scan_is_lost(club: Club, queue: Queue) -> None:
    queue.come(4)
    queue.scanned()
    drained(club)
    backups = club.folder / "backups"
    backups.mkdir()
    order = BackupOrder(dsn=club.dsn, venue="maguey", folder=backups, files=(), keep=1)
    backup = take_backup(order, datetime.now(UTC))
    queue.come(6)
    queue.scanned()
    drained(club)  # acknowledged, by a database that is now lost
    club.ingest.kill()
    club.web.kill()
    with psycopg.connect(club.database.dsn, autocommit=True) as admin:
        admin.execute("drop database maguey with (force)")
        admin.execute("create database maguey")
    restore_backup(backup.file, club.dsn, "Ana")
    assert len(committed(club)) == len(records(club)) - 6
    club.web.start()
    club.ingest.start()
    await_true(lambda: len(committed(club)) == len(records(club)), PATIENCE_S, "the six again", club)
    assert_nothing_lost_doubled_or_altered(club)
    assert checked_in(club) >= set(queue.admitted())
    # what changes from now on reaches the gates, although they have seen higher versions
    ticket = queue.next()
    with psycopg.connect(club.dsn) as db:
        db.execute("update tickets set status = 'refunded' where id = %s", (ticket.subject_id,))
    await_true(lambda: _says_refunded(club, ticket), PATIENCE_S, "the refund at every gate", club)
    queue.show(ticket, 0)
    queue.scanned()
    assert "refunded" in [record.reason for record in queue.records()]


def _says_refunded(club: Club, ticket: Ticket) -> bool:
    for gate in club.gates:
        with contextlib.closing(CacheReader(gate.folder / "state" / "cache.db")) as cache:
            admission = cache.find(code_hash(ticket.code)).admission
        if admission is None or admission.status != "refunded":
            return False
    return True


def test_hostile_pictures_stop_nothing_and_the_next_scan_works(club: Club, queue: Queue) -> None:
    gate = club.gates[0]
    rng = Random(3)
    hostile = [
        phone("A" * 4000, rng),
        phone("'; drop table scan_logs; --", rng),
        phone("🪩" * 40, rng),
        phone("\x00\x01\x02", rng),
    ]
    for picture in hostile:
        gate.present(picture)
    refused = club.folder / "big.png"
    refused.write_bytes(_png_header(10_000, 5_000))
    gate.present_file(refused)
    (club.folder / "text.png").write_text("this is no picture")
    gate.present_file(club.folder / "text.png")
    await_true(lambda: not _held_up(gate), PATIENCE_S, "all looked at", club)
    queue.come(1)
    await_true(lambda: len(queue.admitted()) == 1, PATIENCE_S, "the good ticket", club)
    assert {record.reason for record in queue.records() if record.verdict is Ruling.DENY} == {"malformed"}


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be 50 megapixels; its data never comes."""
    import struct
    import zlib

    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data = zlib.compress(b"\x00" * 1000)
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", len(data)) + b"IDAT" + data + b"\x00" * 4

"""Unreadable rows stop nothing, and what a gate sends is within every hop's limit (protocol 4.5)."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gate.rules.model import Flag, Heard
from gate.store.live_file import Live, LiveReading, PartsReport
from hub.gates.status_message import decode_status
from sync.broker.mqtt import Message
from sync.feed.fetcher import WantEvent
from sync.upload.sender import SENT_LIMIT
from sync.wire.messages import MOST_NIGHTS, PACKET, STATUS_TEXT, Change, Delta, GateConfig, Head
from sync.wire.scans import BATCH_LIMIT, MESSAGE_LIMIT, decode_scans
from tests.factories import NOW, an_admission, an_event, code_id
from tests.sync_bench import TOPICS, Bench

UNREAD = "1 of 5 lines, first line 3: Expected `str`"


def loaded_but_for_a_line(bench: Bench, version: int = 7, unread: str = UNREAD) -> None:
    bench.step(msgspec.structs.replace(bench.snapshot(version, an_event(), an_admission()), unread=unread))


def whole(bench: Bench) -> list[WantEvent]:
    return [want for want in bench.wanted if isinstance(want, WantEvent) and want.whole]


def test_an_unreadable_row_is_reported_once_everywhere_and_the_rest_is_loaded(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_event(), an_admission())
    with capture_logs() as lines:
        loaded_but_for_a_line(bench)
        loaded_but_for_a_line(bench)
        bench.step(seconds=11)
    assert [line["why"] for line in lines if line["log_level"] == "error"] == [bench.sync._follower.trouble]
    assert UNREAD in bench.status().parts["tickets"]
    assert bench.reader.unread() == {"event-1": UNREAD}
    assert bench.reader.find(an_admission().code_hash).admission is not None
    bench.sync = bench.start()
    assert UNREAD in bench.sync._follower.trouble  # even after a restart, until the list is loaded again


def test_a_partly_unreadable_list_is_loaded_again_after_a_change(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_event(), an_admission())
    loaded_but_for_a_line(bench)

    def change(version: int) -> None:
        row = an_admission(code_id(version))
        bench.hear(
            TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(Change(version=version, row=row),))
        )

    change(8)
    assert whole(bench) == [WantEvent("event-1", 8, 1, whole=True)]
    bench.wanted.clear()
    loaded_but_for_a_line(bench, 8)
    change(9)
    assert whole(bench) == []  # not at every change of a busy night
    bench.step(seconds=301)
    change(10)
    assert len(whole(bench)) == 1
    with capture_logs() as lines:
        loaded_but_for_a_line(bench, 10, unread="")
    assert "list read in full again" in [line["event"] for line in lines]
    assert bench.sync._follower.trouble == ""
    assert bench.reader.unread() == {}


def test_an_unreadable_delta_is_fetched_over_http(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_event(), an_admission())
    bench.wanted.clear()
    bench.step(
        Message(TOPICS.deltas("event-1"), b'{"v":1,"event_id":"event-1","changes":[{"version":6,"row":{}}]}')
    )
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=6, count=1))
    assert bench.wanted == [WantEvent("event-1", 5)]


# --- what a gate sends ---


def at_the_bounds(number: int) -> dict[str, Any]:
    """The fields of the largest possible record."""
    name = "g" * 64
    return dict(
        scan_id=f"{number:064}",
        boot_id=name,
        event_id=name,
        subject_id=name,
        code_hash=name,
        raw_hash=name,
        refers_to=name,
        flags=tuple(Flag),
        heard=tuple(Heard(gate=f"{n:064}", epoch="e" * 64, first=2**62, last=2**63 - 1) for n in range(64)),
        actor="\x01" * 200,
        note="\U0001f600" * 200,
    )


def test_a_batch_of_the_largest_records_is_within_the_hubs_and_brokers_limits(bench: Bench) -> None:
    for number in range(BATCH_LIMIT + 3):
        bench.scan(**at_the_bounds(number))
    bench.connect()
    payloads = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/scans")]
    assert max(map(len, payloads)) <= SENT_LIMIT < MESSAGE_LIMIT <= PACKET
    assert [record.seq for record in bench.sent()] == list(range(1, BATCH_LIMIT + 4))


@pytest.mark.parametrize("column", ["note", "actor", "subject_id", "boot_id", "flags"])
def test_a_row_of_the_journal_longer_than_any_record_is_sent_as_spoiled(bench: Bench, column: str) -> None:
    """The hub could read neither the row nor its number, and would acknowledge nothing after it."""
    bench.scan(3)
    bench.journal.close()
    with sqlite3.connect(bench.folder / "journal.db") as db:
        db.execute(f"update scans set {column} = ? where seq = 2", ("x" * 300_000,))
    bench.connect()
    [payload] = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/scans")]
    good, bad = decode_scans(payload, "gate-1")
    assert [record.seq for record in good] == [1, 3]
    assert [(one.seq, one.epoch) for one in bad] == [(2, "epoch-1")]


def test_the_largest_status_is_accepted_by_the_hub(bench: Bench) -> None:
    """The hub refuses a longer one as a whole, and would know nothing about this gate."""
    nights = [
        an_event(event_id=f"00000000-0000-4000-8000-{n:012}", ends_at=NOW + timedelta(days=n))
        for n in range(-3, MOST_NIGHTS + 50)
    ]
    bench.connect()
    bench.step(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=tuple(nights)))
    for night in nights:
        bench.cache.put_snapshot(night.event_id, 2**52, bench.cache.spool.fill([night]), NOW, 2**52)
    parts = PartsReport(**{name: "\x01" * 10_000 for name in PartsReport.__struct_fields__})
    bench.door = LiveReading(
        live=Live(at=NOW, monotonic_ms=0, boot_id="b", pid=1, version="1", parts=parts), is_fresh=True
    )
    bench.clock.wall = NOW
    bench.step(seconds=11)
    payload = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/status")][-1]
    status = decode_status(payload, "gate-1")
    assert len(payload) < PACKET
    assert status.parts["camera"] == "\x01" * STATUS_TEXT
    assert [held.event_id for held in status.held] == [night.event_id for night in nights[4:][:MOST_NIGHTS]]

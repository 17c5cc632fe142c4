"""A journal row that is no longer a record is logged once, sent as what is left of it, and passed over."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from sync.wire.scans import BATCH_LIMIT, MESSAGE_LIMIT, UnreadableRecord, decode_scans
from tests.sync_bench import Bench, seqs


def change(bench: Bench, sql: str, *values: Any) -> None:
    with sqlite3.connect(bench.folder / "journal.db") as db:
        db.execute(sql, values)


def sent_places(bench: Bench) -> list[UnreadableRecord]:
    """What was sent in place of records."""
    batches = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/scans")]
    return [place for batch in batches for place in decode_scans(batch, "gate-1")[1]]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("flags", "no such flag"),
        ("flags", 7),
        ("flags", b"\xff\xfe"),
        ("verdict", "perhaps"),
        ("reason", b"already_used"),
        ("occurred_at", "yesterday"),
        ("occurred_at", "2026-11-20T23:00:00"),
        ("monotonic_ms", 1.5),
        ("boot_id", b"\xc3\x28"),
        ("epoch", "epoch-9"),
        ("gate_id", "gate-9"),
    ],
)
def test_a_spoiled_row_does_not_hold_back_the_rows_after_it(bench: Bench, column: str, value: Any) -> None:
    bench.scan(3)
    # `cast`, because the driver does not put bytes that are not UTF-8 into a text column
    cast = "cast(? as text)" if isinstance(value, bytes) and value != b"already_used" else "?"
    change(bench, f"update scans set {column} = {cast} where seq = 2", value)
    with capture_logs() as lines:
        bench.connect()
        bench.step()
    assert seqs(bench.sent()) == [1, 3]
    (place,) = sent_places(bench)
    assert (place.epoch, place.seq) == ("epoch-1", 2)
    assert place.error.startswith("spoiled in the gate's journal: ")
    left = msgspec.json.decode(place.raw)["row"]
    assert left["scan_id"] == "00000000-0000-0000-0000-000000000002"
    (told,) = [line for line in lines if line["log_level"] == "error"]
    assert told["numbers"] == [2]
    bench.ack(3)
    assert bench.reader.link(bench.clock.now()).acked_seq == 3


def test_a_spoiled_row_is_logged_once_however_often_it_is_sent(bench: Bench) -> None:
    bench.scan(3)
    change(bench, "update scans set verdict = 'perhaps' where seq = 2")
    with capture_logs() as lines:
        bench.connect()
        for _ in range(10):
            bench.step(seconds=5)
    assert len(sent_places(bench)) > 1
    assert len([line for line in lines if line["log_level"] == "error"]) == 1


def test_a_missing_row_is_sent_as_an_empty_place(bench: Bench) -> None:
    bench.scan(6)
    change(bench, "delete from scans where seq in (2, 4, 5)")
    bench.connect()
    assert seqs(bench.sent()) == [1, 3, 6]
    assert [(place.seq, msgspec.json.decode(place.raw)["row"]) for place in sent_places(bench)] == [
        (2, {}), (4, {}), (5, {})
    ]  # fmt: skip


def test_a_missing_row_right_after_the_acknowledged_ones_is_noticed(bench: Bench) -> None:
    bench.scan(4)
    bench.connect()
    bench.ack(2)
    change(bench, "delete from scans where seq = 3")
    bench.step(seconds=2.1)
    assert [place.seq for place in sent_places(bench)] == [3]


def test_pruned_rows_do_not_count_as_missing(bench: Bench) -> None:
    bench.scan(6)
    change(bench, "delete from scans where seq < 4")
    bench.connect()
    assert seqs(bench.sent()) == [4, 5, 6]
    assert sent_places(bench) == []


def test_a_number_beyond_the_last_one_makes_no_empty_places(bench: Bench) -> None:
    bench.scan(3)
    change(bench, "update scans set seq = 900000000000 where seq = 3")
    bench.connect()
    bench.step()
    assert seqs(bench.sent()) == [1, 2]
    assert sent_places(bench) == []
    bench.scan()
    bench.step()
    assert seqs(bench.sent()) == [1, 2, 4]
    assert [place.seq for place in sent_places(bench)] == [3]


def test_a_thousand_missing_rows_are_sent_in_batches(bench: Bench) -> None:
    bench.scan(1)
    change(bench, "update meta set value = '1200' where key = 'last_seq'")
    bench.scan(1)
    bench.connect()
    for acked in range(0, 1201, 100):
        bench.ack(acked)
        bench.step()
    assert [place.seq for place in sent_places(bench)] == list(range(2, 1201))
    assert seqs(bench.sent()) == [1, 1201]


def test_long_spoiled_rows_are_sent_in_messages_the_hub_can_read(bench: Bench) -> None:
    bench.scan(BATCH_LIMIT)
    columns = (
        "reason",
        "kind",
        "clock",
        "flags",
        "boot_id",
        "code_hash",
        "raw_hash",
        "scan_method",
        "verdict",
    )
    changes = ", ".join(f"{column} = ?" for column in columns)
    change(bench, f"update scans set {changes}", *["\1" * 9999] * len(columns))
    bench.connect()
    batches = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/scans")]
    assert len(batches) > 1
    assert all(len(batch) <= MESSAGE_LIMIT for batch in batches)
    assert [place.seq for place in sent_places(bench)] == list(range(1, BATCH_LIMIT + 1))

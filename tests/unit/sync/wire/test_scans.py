"""Scan records on the wire: protocol 4.2."""

from __future__ import annotations

import msgspec
import pytest

from gate.rules.payload import code_hash
from sync.wire.messages import WireError
from sync.wire.scans import (
    BATCH_LIMIT,
    MESSAGE_LIMIT,
    UnreadableRecord,
    decode_scans,
    encode_scans,
    record_hash,
)
from tests.factories import a_record, code_id


def test_a_batch_is_read_back_as_it_was_sent() -> None:
    records = [a_record(seq) for seq in range(1, BATCH_LIMIT + 1)]
    received, bad = decode_scans(encode_scans(records), "gate-1")
    assert (received, bad) == (records, [])
    assert [record_hash(a) for a in received] == [record_hash(b) for b in records]


def test_a_batch_holds_one_to_fifty_records() -> None:
    for count in (0, BATCH_LIMIT + 1):
        with pytest.raises(WireError):
            encode_scans([a_record()] * count)
        with pytest.raises(WireError):
            decode_scans(msgspec.json.encode({"v": 1, "scans": [{}] * count}), "gate-1")


def test_an_unreadable_record_spoils_only_itself_and_keeps_its_place() -> None:
    good = msgspec.to_builtins(a_record(1))
    wrong = {**good, "seq": 2, "verdict": "perhaps"}
    payload = msgspec.json.encode({"v": 1, "scans": [good, wrong, "what?"]})
    received, bad = decode_scans(payload, "gate-1")
    assert received == [a_record(1)]
    assert [(entry.epoch, entry.seq) for entry in bad] == [("epoch-1", 2), (None, None)]


@pytest.mark.parametrize("name", ["monotonic_ms", "clock_offset_ms", "clock_uncertainty_ms", "cache_age_s"])
def test_an_impossible_number_spoils_only_its_own_record(name: str) -> None:
    wild = a_record(2, **{name: 2**63 - 1})
    good, bad = decode_scans(encode_scans([a_record(1), wild, a_record(3)]), "gate-1")
    assert [record.seq for record in good] == [1, 3]
    assert [(one.seq, name in one.error) for one in bad] == [(2, True)]


def test_a_record_of_a_gate_other_than_the_topics_is_refused() -> None:
    received, bad = decode_scans(encode_scans([a_record(gate_id="gate-2")]), "gate-1")
    assert received == []
    assert [(type(entry), entry.seq) for entry in bad] == [(UnreadableRecord, None)]


def test_a_message_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(WireError, match="more than"):
        decode_scans(b" " * (MESSAGE_LIMIT + 1), "gate-1")


def test_no_scan_message_contains_the_tickets_secret() -> None:
    payload = encode_scans([a_record()])
    assert code_hash(code_id()).encode() in payload
    assert code_id().encode() not in payload


def one_bad(**fields: object) -> UnreadableRecord:
    payload = msgspec.json.encode({"v": 1, "scans": [{**msgspec.to_builtins(a_record(7)), **fields}]})
    received, (bad,) = decode_scans(payload, "gate-1")
    assert received == []
    assert len(bad.error) <= 500
    return bad


@pytest.mark.parametrize("epoch", ["ab" * 6000, "", "a\0b", "é", "a b"])
def test_a_record_with_an_invalid_epoch_has_no_place(epoch: str) -> None:
    bad = one_bad(epoch=epoch)
    assert (bad.epoch, bad.seq) == (None, None)
    assert one_bad(epoch=epoch, verdict="perhaps").seq is None


@pytest.mark.parametrize(
    "at",
    [
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2026-01-30T23:00:00",
    ],
)
def test_a_record_with_an_impossible_time_is_refused_and_keeps_its_place(at: str) -> None:
    bad = one_bad(occurred_at=at)
    assert (bad.epoch, bad.seq) == ("epoch-1", 7)


def test_a_sequence_number_written_as_text_still_gives_the_place() -> None:
    bad = one_bad(seq="51")
    assert (bad.epoch, bad.seq) == ("epoch-1", 51)

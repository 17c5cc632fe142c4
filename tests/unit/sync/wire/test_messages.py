"""Messages between gates and hub: protocol 4.2."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.rules.first_entry import Grant
from gate.rules.model import FeedRow
from sync.wire.messages import VERSION, Ack, Change, Delta, WireError, decode, encode, to_gate
from sync.wire.scans import decode_scans
from tests.factories import a_record, a_table, an_admission, an_event


def test_unknown_fields_are_ignored_and_unknown_versions_refused() -> None:
    record = {**msgspec.to_builtins(a_record()), "mood": "good"}
    assert decode_scans(msgspec.json.encode({"v": 1, "scans": [record], "x": 1}), "gate-1")[0] == [a_record()]
    for version in (0, 2):
        with pytest.raises(WireError, match="schema version"):
            decode_scans(msgspec.json.encode({"v": version, "scans": [record]}), "gate-1")
        with pytest.raises(WireError, match="schema version"):
            decode(msgspec.json.encode({"v": version, "epoch": "e", "seq": 1}), Ack)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_raise_a_wire_error(payload: bytes) -> None:
    for attempt in (lambda: decode_scans(payload, "gate-1"), lambda: decode(payload, Delta)):
        try:
            attempt()
        except WireError as error:
            assert str(error)


def test_every_kind_of_feed_row_survives_the_wire() -> None:
    rows: tuple[FeedRow, ...] = (an_event(), a_table(guests=("José",)), an_admission())
    delta = Delta(
        event_id="event-1", changes=tuple(Change(version=n, row=row) for n, row in enumerate(rows, start=1))
    )
    assert decode(encode(delta), Delta) == delta


def test_a_removal_names_its_event() -> None:
    with pytest.raises(msgspec.ValidationError, match="event_id"):
        msgspec.json.decode(b'{"t": "removed", "code_hash": "x"}', type=FeedRow)


def test_a_grant_with_an_unknown_reason_can_be_read() -> None:
    said = b'{"t":"grant","scan_id":"scan-1","answer":"revoked","reason":"a_word_of_a_later_hub","v":1}'
    grant = to_gate(said.replace(b'"v":1', f'"v":{VERSION}'.encode()))
    assert isinstance(grant, Grant)
    assert grant.reason == "a_word_of_a_later_hub"

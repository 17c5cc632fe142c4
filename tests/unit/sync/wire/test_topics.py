"""Topics between gates and hub: protocol 4.2."""

from __future__ import annotations

import pytest

from sync.wire.topics import Topics

TOPICS = Topics(venue="maguey")


def test_topics_follow_the_protocol_and_name_their_gate() -> None:
    assert TOPICS.scans("gate-1") == "maguey/v1/maguey/gates/gate-1/scans"
    assert TOPICS.ack("gate-1") == "maguey/v1/maguey/gates/gate-1/ack"
    assert TOPICS.head("e") == "maguey/v1/maguey/admissions/e/head"
    assert TOPICS.gate_of(TOPICS.scans("gate-1")) == "gate-1"
    for foreign in ("maguey/v1/other/gates/gate-1/scans", "maguey/v1/maguey/gates/gate-1", "x"):
        assert TOPICS.gate_of(foreign) is None


@pytest.mark.parametrize("gate_id", ["a" * 65, "ab" * 6000, "é", "a b", "", "$x"])
def test_a_topic_with_an_invalid_gate_id_belongs_to_no_gate(gate_id: str) -> None:
    assert TOPICS.gate_of(TOPICS.scans(gate_id)) is None

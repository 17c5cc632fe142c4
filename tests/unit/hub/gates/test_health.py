"""A gate's health in plain words, and whether somebody should look at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.gates.health import health_of, order_line, span

NOW = datetime(2026, 1, 30, 23, tzinfo=UTC)
NIGHT: dict[str, Any] = {"code": "PF", "version": 7, "state": "in sync", "behind": 0}


def row(**changes: Any) -> dict[str, Any]:
    """A healthy gate, with the changes a test needs."""
    return {
        "gate_id": "gate-1", "name": "GATE 1", "revoked": False, "link": "online", "heard_at": NOW,
        "said_at": NOW, "version": "0.1.0", "epoch": "e1", "last_seq": 40, "isolated": False, "door": True,
        "way": "normal", "parts": {"camera": "ok"}, "clock": "synced", "clock_offset_ms": -3,
        "clock_uncertainty_ms": 12, "lag": 0, "gap": 0, "oldest_unacked_s": None, "nights": [NIGHT],
        "unused_grants": 0, "flooding_at": None, "sees_flooding": [], "revoked_at": None, "evidence": 0,
    } | changes  # fmt: skip


def test_a_healthy_gate_worries_nobody() -> None:
    line = health_of(row(), NOW)
    words = (line.gate, line.link, line.scans, line.nights, line.clock, line.door, line.version)
    assert words == ("gate-1", "online", "all 40 here", "in sync", "±12 ms", "ok", "0.1.0")
    assert not line.worry


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"link": "offline", "heard_at": NOW - timedelta(minutes=3)}, "link", "offline for 3 min"),
        ({"link": "silent", "heard_at": NOW - timedelta(seconds=50)}, "link", "silent for 50 s"),
        ({"link": "silent", "heard_at": None}, "link", "silent, never heard"),
        ({"link": "never", "heard_at": None}, "link", "never heard"),
        ({"isolated": True}, "link", "online, on its own"),
        ({"lag": 12, "oldest_unacked_s": 75}, "scans", "12 missing since 1 min"),
        ({"lag": 12, "gap": 4}, "scans", "12 missing, 4 behind a gap"),
        ({"nights": [NIGHT | {"state": "behind", "behind": 12}]}, "nights", "12 behind"),
        ({"nights": [NIGHT | {"state": "behind"}]}, "nights", "from before the restore"),
        ({"nights": [NIGHT | {"state": "differs"}]}, "nights", "DIFFERS"),
        ({"nights": [NIGHT | {"state": "unknown", "version": None}]}, "nights", "not loaded"),
        (
            {"nights": [NIGHT, NIGHT | {"code": "PS", "state": "behind", "behind": 2}]},
            "nights",
            "PF in sync, PS 2 behind",
        ),
        ({"clock": "untrusted"}, "clock", "UNTRUSTED"),
        ({"clock_uncertainty_ms": 2000}, "clock", "±2000 ms"),
        ({"door": False}, "door", "NOT RUNNING"),
        ({"way": "held_open", "parts": {"camera": "gone"}}, "door", "held open, 1 trouble"),
    ],
)
def test_a_state_that_needs_attention_is_marked(changes: dict[str, Any], field: str, words: str) -> None:
    line = health_of(row(**changes), NOW)
    assert (getattr(line, field), line.worry) == (words, True)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"revoked": True, "link": "offline"}, "link", "revoked"),
        ({"revoked": True, "revoked_at": NOW - timedelta(hours=2)}, "link", "revoked 2 h ago"),
        ({"revoked": True, "lag": 7, "evidence": 12}, "scans", "12 since, as evidence"),
        ({"revoked": True, "lag": 7}, "scans", "none since"),
        ({"revoked": True, "clock": "untrusted", "door": False}, "door", "NOT RUNNING"),
        ({"nights": [NIGHT | {"state": "unknown"}]}, "nights", "not compared yet"),
        ({"nights": []}, "nights", "none"),
        ({"way": "closed"}, "door", "closed"),
        ({"clock_offset_ms": 86_400_000}, "clock", "±12 ms, own 1 d slow"),
        ({"clock_offset_ms": -5000}, "clock", "±12 ms, own 5 s fast"),
        ({"last_seq": 0}, "scans", "none yet"),
        ({"name": "YARD"}, "gate", "gate-1 (YARD)"),
    ],
)
def test_a_normal_state_is_shown_without_a_mark(changes: dict[str, Any], field: str, words: str) -> None:
    line = health_of(row(**changes), NOW)
    assert (getattr(line, field), line.worry) == (words, False)


def test_a_gate_that_claims_tickets_and_admits_nobody_is_reported() -> None:
    line = health_of(row(unused_grants=51), NOW)
    assert (line.worry, line.door, "granted 51 tickets" in line.troubles[0]) == (True, "ok", True)


def test_a_gate_that_sends_too_much_is_reported() -> None:
    line = health_of(row(flooding_at=NOW - timedelta(minutes=3)), NOW)
    assert (line.worry, line.door) == (True, "ok")
    assert "more than any door can, seen 3 min ago" in line.troubles[0]


def test_a_gates_report_of_others_that_send_too_much_is_shown() -> None:
    line = health_of(row(sees_flooding=["gate-9", "gate-3"]), NOW)
    assert (line.worry, line.troubles) == (
        True, ("it reports gates that send more than any door can: gate-3, gate-9",),
    )  # fmt: skip


def test_control_characters_from_a_gate_do_not_reach_the_terminal() -> None:
    line = health_of(row(way="\x1b[2J", version="\x1b]0;x", parts={"a\n": "b\x1b[31m"}), NOW)
    assert all(text.isprintable() for text in (line.door, line.version, *line.troubles))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_a_span_is_given_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("state", "outcome", "why", "words"),
    [
        ("waiting", None, "", "not answered yet"),
        ("no answer", None, "", "never answered, and expired"),
        ("done", "done", "", "done; the gate's record of it is not here yet"),
        ("refused", "refused", "it has expired", "refused: it has expired"),
        ("recorded", None, "", "done; the gate's record of it is here"),
        ("recorded", "refused", "it did not open\x1b[2J", "which replied: refused, it did not open?[2J"),
    ],
)
def test_the_outcome_of_an_order_is_given_in_words(
    state: str, outcome: str | None, why: str, words: str
) -> None:
    order = {"gate_id": "gate-1", "action": "release", "actor": "Ana", "reason": "a pram", "issued_at": NOW}
    given, told = order_line(order | {"state": state, "outcome": outcome, "why": why}).splitlines()
    assert "gate-1 release, Ana: a pram" in given
    assert words in told

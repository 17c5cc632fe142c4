"""Ninety days before any end somebody is told, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.authority.ends import end_warnings

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def row(kind: str, days: float, gate_id: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "gate_id": gate_id, "not_after": NOW + timedelta(days=days)}


@pytest.mark.parametrize("kind", ["gates authority", "hub authority", "broker", "web", "hub"])
def test_each_kind_is_named_with_what_to_do(kind: str) -> None:
    assert end_warnings([row(kind, 90)], NOW) == []
    (line,) = end_warnings([row(kind, 89.5)], NOW)
    assert line.startswith(f"The certificate of the {kind} ends in 89 days (2027-02-27). ")
    assert "maguey-hub authority init" in line


def test_gates_are_named_the_first_to_end_first() -> None:
    lines = end_warnings(
        [row("gate", 50, "gate-2"), row("gate", -1, "gate-1"), row("gate", 400, "gate-3")], NOW
    )
    assert [line.split(" (")[0] for line in lines] == [
        "The certificate of gate-1 has ended",
        "The certificate of gate-2 ends in 50 days",
    ]

"""What a finding says, and whom it needs."""

from __future__ import annotations

from gate.common.findings import (
    Severity,
    check_made,
    fault,
    fine,
    lines_of,
)


def test_a_device_is_opened_and_closed_at_once() -> None:
    closed: list[str] = []
    (one,) = check_made("screen", lambda: "panel", closed.append, "It answers.")
    assert (one.level, closed) == (Severity.OK, ["panel"])


def test_the_next_step_stands_under_what_was_found() -> None:
    assert lines_of(fine("disk", "is there")) == ["ok       disk                    is there"]
    assert lines_of(fault("a camera", "is not", "Buy one.")) == [
        "FAULT    a camera                is not",
        "                                 → Buy one.",
    ]

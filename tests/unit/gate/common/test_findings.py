"""The checks go on whatever one of them does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from gate.common.errors import HardwareError, StoreError
from gate.common.findings import (
    Finding,
    Severity,
    check_made,
    fault,
    fine,
    needs_attention,
    run_checks,
    table,
    warning,
)


def raises(error: Exception) -> Iterator[Finding]:
    yield fine("before", "all is well so far")
    raise error


def test_a_check_that_crashes_is_reported_and_the_next_still_runs() -> None:
    found = run_checks(
        [("broken", lambda: raises(ZeroDivisionError("x"))), ("next", lambda: [fine("next", "ok")])]
    )
    assert [(one.check, one.level) for one in found] == [
        ("before", Severity.OK),
        ("broken", Severity.FAULT),
        ("next", Severity.OK),
    ]
    assert found[1].result == "The check itself failed: ZeroDivisionError: x"


def test_an_error_of_our_own_is_reported_in_its_own_words() -> None:
    error = HardwareError("camera", "No camera is connected.", "Check its cable.")
    (_, one, _, other) = run_checks(
        [("eye", lambda: raises(error)), ("journal", lambda: raises(StoreError("x.db: broken.")))]
    )
    assert (one.check, one.result, one.advice) == ("camera", "No camera is connected.", "Check its cable.")
    assert (other.check, other.result) == ("journal", "x.db: broken.")


def test_a_check_that_hangs_is_a_fault() -> None:
    release = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield fine("first", "ok")
        release.wait()

    found = run_checks([("stuck", hangs), ("next", lambda: [fine("next", "ok")])], patience_s=1.0)
    release.set()
    assert [(one.check, one.level) for one in found] == [
        ("first", Severity.OK),
        ("stuck", Severity.FAULT),
        ("next", Severity.OK),
    ]


def test_a_device_is_opened_and_closed_at_once() -> None:
    closed: list[str] = []
    (one,) = check_made("screen", lambda: "panel", closed.append, "It answers.")
    assert (one.level, closed) == (Severity.OK, ["panel"])


def test_anything_but_ok_needs_attention() -> None:
    assert not needs_attention([fine("a", "b")])
    assert needs_attention([fine("a", "b"), warning("a", "b", "c")])
    assert needs_attention([fault("a", "b", "c")])


def test_the_table_shows_the_next_step_under_what_was_found() -> None:
    assert table([fine("disk", "is there"), fault("a camera", "is not", "Buy one.")]) == [
        "ok       disk      is there",
        "FAULT    a camera  is not",
        "                   → Buy one.",
    ]
    assert table([]) == []

"""The checks go on whatever one of them does, and what they find is told when it is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gate.common.check_up import examine, tell_findings
from gate.common.errors import HardwareError, StoreError
from gate.common.findings import Finding, Severity, fault, fine, warning
from tests.patience import PATIENCE_S


def raises(error: Exception) -> Iterator[Finding]:
    yield fine("before", "all is well so far")
    raise error


def test_a_check_that_crashes_is_reported_and_the_next_still_runs() -> None:
    found = list(
        examine([("broken", lambda: raises(ZeroDivisionError("x"))), ("next", lambda: [fine("next", "ok")])])
    )
    assert [(one.check, one.level) for one in found] == [
        ("before", Severity.OK),
        ("broken", Severity.FAULT),
        ("next", Severity.OK),
    ]
    assert found[1].result == "The check itself failed: ZeroDivisionError: x"


def test_an_error_of_our_own_is_reported_in_its_own_words() -> None:
    error = HardwareError("camera", "No camera is connected.", "Check its cable.")
    (_, one, _, other) = list(
        examine([("eye", lambda: raises(error)), ("journal", lambda: raises(StoreError("x.db: broken.")))])
    )
    assert (one.check, one.result, one.advice) == ("camera", "No camera is connected.", "Check its cable.")
    assert (other.check, other.result) == ("journal", "x.db: broken.")


def test_a_check_that_hangs_is_a_fault_and_the_next_still_runs() -> None:
    release = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield fine("first", "ok")
        release.wait()

    found = list(examine([("stuck", hangs), ("next", lambda: [fine("next", "ok")])], patience_s=1.0))
    release.set()
    assert [(one.check, one.level) for one in found] == [
        ("first", Severity.OK),
        ("stuck", Severity.FAULT),
        ("next", Severity.OK),
    ]


def test_a_finding_is_told_before_its_check_is_over() -> None:
    release = threading.Event()

    def goes_on() -> Iterator[Finding]:
        yield fine("first", "ok")
        release.wait()
        yield fine("second", "ok")

    found = examine([("slow", goes_on)], PATIENCE_S, PATIENCE_S)
    assert next(found).check == "first"
    release.set()
    assert [one.check for one in found] == ["second"]


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([fine("a", "b")], 0),
        ([fine("a", "b"), warning("a", "b", "c")], 1),
        ([fault("a", "b", "c"), fine("a", "b")], 1),
    ],
)
def test_anything_but_ok_needs_attention(found: list[Finding], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        tell_findings(found, as_json=False)
    assert ended.value.code == code


def test_when_the_time_for_all_is_over_the_rest_is_named_and_not_done() -> None:
    found = list(examine([("late", lambda: [fine("late", "done")])], whole_s=0.0))
    assert [(one.check, one.level) for one in found] == [("late", Severity.WARNING)]
    assert "Not looked at" in found[0].result


HANGING = """
import subprocess, sys
from gate.common.check_up import examine, tell_findings
from gate.common.findings import fine

def hangs():
    yield fine("before", "told at once")
    child = subprocess.Popen(["sleep", "600"])
    import atexit
    atexit.register(child.wait)  # as libraries do that own a process
    child.wait()

checks = [("stuck", hangs), ("after", lambda: [fine("after", "ok")])]
tell_findings(examine(checks, patience_s=0.5), as_json=True)
"""


def test_a_check_that_hangs_does_not_keep_the_process_alive() -> None:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{HANGING}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert process.wait(PATIENCE_S) == 1
        os.killpg(process.pid, signal.SIGKILL)  # the child is still there
    assert [(one["check"], one["level"]) for one in lines] == [
        ("before", "ok"),
        ("stuck", "fault"),
        ("after", "ok"),
    ]

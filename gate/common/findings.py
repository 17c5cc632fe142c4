"""What a check-up finds: one line per check, in words, with the next step. Pure, but for the checks' threads.

Used by `maguey-gate doctor` and `maguey-sync doctor`; the first prints the findings of both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from gate.common.errors import HardwareError, MagueyError
from gate.common.value import Value

T = TypeVar("T")
PATIENCE_S = 30.0
"""A check that takes longer counts as hanging; a camera that does not come up takes 15 s."""


class Severity(StrEnum):
    """`WARNING`: it works, and somebody should look before the night. `FAULT`: it does not work."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(Value, frozen=True):
    """One line: what was looked at, what was found, what it means and what to do (empty if all is well)."""

    check: str
    level: Severity
    result: str
    advice: str = ""


Check = Callable[[], Iterable[Finding]]


def fine(check: str, result: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Severity.OK, result=result)


def warning(check: str, result: str, advice: str) -> Finding:
    """It works, but somebody should look."""
    return Finding(check=check, level=Severity.WARNING, result=result, advice=advice)


def fault(check: str, result: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check=check, level=Severity.FAULT, result=result, advice=advice)


def finding_of_error(error: HardwareError) -> Finding:
    """What a device reports: what happened, and separately what to do."""
    return fault(error.part, str(error).removesuffix(error.advice).strip(), error.advice)


def check_made(
    name: str, make: Callable[[], T], discard: Callable[[T], None], works: str
) -> Iterator[Finding]:
    """Whether a device can be opened; it is closed again at once.

    :param works: what to say if it can.
    """
    try:
        device = make()
    except HardwareError as error:
        yield finding_of_error(error)
        return
    discard(device)
    yield fine(name, works)


def run_checks(checks: Sequence[tuple[str, Check]], patience_s: float = PATIENCE_S) -> list[Finding]:
    """Do all checks, in order. A check that fails or hangs is a fault, and the others still run."""
    return [finding for name, check in checks for finding in _examine(name, check, patience_s)]


def _examine(name: str, check: Check, patience_s: float) -> list[Finding]:
    found: list[Finding] = []
    thread = threading.Thread(target=_fill, args=(name, check, found), name=f"check {name}", daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive():
        hangs = fault(name, f"No answer within {patience_s:g} s.", "Switch the machine off and on again.")
        return [*found, hangs]
    return found


def _fill(name: str, check: Check, found: list[Finding]) -> None:
    try:
        found.extend(check())
    except HardwareError as error:
        found.append(finding_of_error(error))
    except MagueyError as error:
        found.append(fault(name, str(error), ""))
    except Exception as error:  # a crash is a finding like any other
        why = f"The check itself failed: {type(error).__name__}: {error}"
        found.append(fault(name, why, "Tell whoever looks after this software; the line helps them."))


def needs_attention(findings: Iterable[Finding]) -> bool:
    """Whether anybody has to do anything: exit code 1."""
    return any(finding.level is not Severity.OK for finding in findings)


def table(findings: Sequence[Finding]) -> list[str]:
    """The lines of the table; the next step stands under what was found."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        mark = "ok     " if finding.level is Severity.OK else finding.level.value.upper().ljust(7)
        lines.append(f"{mark}  {finding.check.ljust(width)}  {finding.result}")
        if finding.advice:
            lines.append(f"{' ' * (width + 9)}  → {finding.advice}")
    return lines

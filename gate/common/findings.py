"""What a check-up finds: one line per check, in words, with the next step. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import TypeVar

from gate.common.errors import HardwareError
from gate.common.value import Value

T = TypeVar("T")
WIDTH = 22
"""Of the column of names: a line is printed before the next name is known."""


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


def lines_of(finding: Finding) -> list[str]:
    """As a table has it; the next step stands under what was found."""
    mark = "ok" if finding.level is Severity.OK else finding.level.value.upper()
    lines = [f"{mark:7}  {finding.check:{WIDTH}}  {finding.result}"]
    if finding.advice:
        lines.append(f"{' ' * (WIDTH + 9)}  → {finding.advice}")
    return lines

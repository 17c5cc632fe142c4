"""Does checks one after another, each in a thread with a deadline, and tells what they find.

Used by `maguey-gate doctor` and `maguey-sync doctor`. A finding is told as soon as it is known. A check that
hangs is named and left behind: its thread cannot be ended, so the process ends without it.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import msgspec

from gate.common.errors import HardwareError, MagueyError
from gate.common.findings import Check, Finding, Severity, fault, finding_of_error, lines_of, warning

PATIENCE_S = 30.0
"""A check that takes longer counts as hanging; a camera that does not come up takes 15 s."""
WHOLE_S = 60.0
"""All checks together. What is left then is named and not done."""
_HANGS = "It waits for a device or a disk: journalctl -k -n 30 may say which. If it stays so: reboot."
_Found = queue.SimpleQueue[Finding | None]
"""None: the check is over."""


class _CheckThread(threading.Thread):
    """A daemon, so that Python does not wait for it when it ends."""


def examine(
    checks: Sequence[tuple[str, Check]], patience_s: float = PATIENCE_S, whole_s: float = WHOLE_S
) -> Iterator[Finding]:
    """Each finding when it is known, in the order of the checks, whatever one of them does.

    :param patience_s: for one check.
    :param whole_s: for all.
    """
    until = time.monotonic() + whole_s
    for name, check in checks:
        if (left_s := until - time.monotonic()) > 0:
            yield from _examine_one(name, check, min(patience_s, left_s))
        else:
            yield warning(
                name, f"Not looked at: {whole_s:g} s were over.", "Mend what hangs, then run it again."
            )


def _examine_one(name: str, check: Check, patience_s: float) -> Iterator[Finding]:
    found: _Found = queue.SimpleQueue()
    _CheckThread(target=_fill, args=(name, check, found), name=f"check {name}", daemon=True).start()
    until = time.monotonic() + patience_s
    try:
        while (one := found.get(timeout=max(0.0, until - time.monotonic()))) is not None:
            yield one
    except queue.Empty:
        yield fault(name, f"No answer within {patience_s:.0f} s.", _HANGS)


def _fill(name: str, check: Check, found: _Found) -> None:
    try:
        for one in check():
            found.put(one)
    except HardwareError as error:
        found.put(finding_of_error(error))
    except MagueyError as error:
        found.put(fault(name, str(error), ""))
    except Exception as error:  # a crash is a finding like any other
        why = f"The check itself failed: {type(error).__name__}: {error}"
        found.put(fault(name, why, "Tell whoever looks after this software; the line helps them."))
    finally:
        found.put(None)


def tell_findings(found: Iterable[Finding], *, as_json: bool) -> NoReturn:
    """Print each at once, as a line of JSON or as text, and end: 1 if anything needs attention, else 0."""
    code = 0
    for one in found:
        text = msgspec.json.encode(one).decode() if as_json else "\n".join(lines_of(one))
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        code = code if one.level is Severity.OK else 1
    if any(isinstance(thread, _CheckThread) for thread in threading.enumerate()):
        os._exit(code)  # a check that hangs may have children for which Python would wait
    sys.exit(code)

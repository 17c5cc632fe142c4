"""Ends a process in the middle of whatever it does, at a line of its own code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import gate
import sync
from tests.simulation.database import Killed

OWN = {"gate": str(Path(gate.__file__).parent), "sync": str(Path(sync.__file__).parent)}


@contextlib.contextmanager
def killed_after(lines: int | None, service: str) -> Iterator[None]:
    """`Killed` is raised when so many lines of the service's code have been run; None: it lives."""
    if lines is None:
        yield
        return
    before = sys.gettrace()
    sys.settrace(_killer(lines, OWN[service]))
    try:
        yield
    finally:
        sys.settrace(before)


@contextlib.contextmanager
def others_run() -> Iterator[None]:
    """What runs in this block is other processes' work."""
    before = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(before)


def _killer(lines: int, own: str) -> Any:
    left = lines

    def line(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left == 0:
            sys.settrace(None)
            raise Killed
        return line

    def called(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(own) else None

    return called

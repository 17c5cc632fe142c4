"""The statements at which killing a process makes a difference: those where its files have just changed.

A program that starts again knows of the killed one only what its files say. So of all the statements
between two changes of the files, one is enough.
"""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.long import LONG


class Doom:
    """Kills this process before the `fatal`th statement; if none is fatal, notes where it would matter.

    :param folder: the folder whose files are watched.
    :param is_counted: whose statements count.
    """

    def __init__(self, folder: Path, is_counted: Callable[[CodeType], bool], fatal: int | None) -> None:
        self._folder = folder
        self._is_counted = is_counted
        self._fatal = fatal
        self._seen: int | None = None
        self._files: dict[int, int] = {}
        self.statements = 0
        self.different: list[int] = []
        """Statements before which the files had changed since the last one."""

    def called(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        """For `sys.settrace`."""
        return self._line if self._is_counted(frame.f_code) else None

    def _line(self, _frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line":
            self.statements += 1
            if self.statements == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._fatal is None:
                self._look()
        return self._line

    def _look(self) -> None:
        found = 0
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                found = zlib.crc32(self._content(path), zlib.crc32(path.name.encode(), found))
        if LONG or found != self._seen:
            self.different.append(self.statements)
        self._seen = found

    def _content(self, path: Path) -> bytes:
        """Without closing it: a process that closes a file gives up SQLite's locks on it (fcntl(2))."""
        inode = path.stat().st_ino
        if inode not in self._files:
            self._files[inode] = os.open(path, os.O_RDONLY)
        return os.pread(self._files[inode], 1 << 24, 0)

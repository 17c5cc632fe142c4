"""Remembers a file whose reading ended the process that read it.

Pictures are read by native code, and a picture can be made to crash it. The process that
comes next then has to know, so what is being read is written down beside the pictures.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

TRIES = 2
"""How often a file may end the process that reads it: once may have had another cause."""


class TriedFiles:
    """Keeps one line in `marker`: which file is being read, and for the how many-th time.

    Its methods raise `OSError` when the marker cannot be written.
    """

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def begin(self, key: str) -> bool:
        """Note that reading `key` (no spaces) begins; False if it ended in a crash `TRIES` times."""
        tries = self._tries(key)
        if tries < TRIES:
            self._marker.write_text(f"{key} {tries + 1}")
        return tries < TRIES

    def over(self) -> None:
        """The reading came to an end, good or bad, or the file is gone."""
        self._marker.unlink(missing_ok=True)

    def _tries(self, key: str) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):  # cut short by a loss of power
            name, tries = self._marker.read_text().split()
            return int(tries) if name == key else 0
        return 0

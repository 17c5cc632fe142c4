"""Remembers a file whose reading ended the process that read it.

Native code reads the pictures, and a picture can be made to crash it. The next process has to know that, so
the name of the picture being read is written down beside the pictures.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

TRIES = 2
"""How often a file may end the process that reads it; a single end may have another cause."""

CRASHES = "The camera's process ended twice while reading it. It was probably made to do that."
"""Why such a file is refused."""


class TriedFiles:
    """Keeps one line in `marker`: which file is being read, and the number of the attempt.

    Its methods raise `OSError` if the marker cannot be written.
    """

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def begin(self, key: str) -> bool:
        """Note that reading `key` (no spaces) begins. False if that has crashed `TRIES` times."""
        tries = self._tries(key)
        if tries < TRIES:
            self._marker.write_text(f"{key} {tries + 1}")
        return tries < TRIES

    def over(self) -> None:
        """Reading ended, well or badly, or the file is gone."""
        self._marker.unlink(missing_ok=True)

    def _tries(self, key: str) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):  # cut short by a power failure
            name, tries = self._marker.read_text().split()
            return int(tries) if name == key else 0
        return 0

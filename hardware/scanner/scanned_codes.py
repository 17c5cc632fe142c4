"""What a hand scanner sends, split into codes. Pure: the time is an argument.

A scanner sends a code in one piece and then Enter or Tab; one that is set to send neither pauses. What it
adds (an AIM symbology identifier such as ``]Q1``, the prefix and suffix it is set to) is removed. A code may
itself have lines (a business card): an Enter that more follows at once is part of the code. So such a card is
one foreign code and not six, which would lock the gate. A code is a secret until it is used: neither an error
nor `repr` shows it.
"""

from __future__ import annotations

import re
from collections import deque

MOST_BYTES = 2048
"""Of one code: a code has at most 1 KiB (`gate.rules.payload`), and what a scanner adds is short."""
MOST_CODES = 8
"""Read and not taken yet; if there are more, the oldest are dropped."""
STALE_S = 3.0
"""A code that nobody took for this long is forgotten: whoever showed it may have walked away."""
PAUSE_S = 0.5
"""Ends a code without Enter. The longest pause between two keys that scanners can be set to is 0.1 s."""
JOIN_S = 0.05
"""What comes sooner than this after Enter or Tab belongs to the same code: no trigger is pulled so fast."""
ENDLESS_BYTES = 32 * 1024
"""This much without an end is not a code: a key is stuck, or this is not a scanner."""

_ENDS = frozenset(b"\r\n\t\x03\x04")
_LINE = 0x0A
"""Stands for an Enter or Tab inside a code."""
_FRAME = bytes(range(0x21)) + b"\x7f"
"""Control characters and spaces around a code: STX, GS of a GS1 code, and the like."""
_AIM = rb"(?:\][A-Za-z][0-9A-Za-z])?"
"""ISO/IEC 15424: ``]``, a letter for the symbology, a character for its options."""
_SWAPPED = re.compile(rb'\{.*"TOKEN"\s*:\s*"[a-z]', re.DOTALL)


class ScannedCodes:
    """The code being sent, and the codes sent but not taken yet. Used from one thread at a time.

    :param prefix, suffix: what the scanner is set to send before and after each code, besides Enter or Tab.
    """

    def __init__(self, prefix: bytes = b"", suffix: bytes = b"") -> None:
        self._start = re.compile(_AIM + rb"(?:" + re.escape(prefix) + rb")?" + _AIM)
        self._suffix = suffix
        self._done: deque[tuple[bytes, float]] = deque(maxlen=MOST_CODES)
        self._last_s = self._began_s = 0.0
        self._is_ended = False
        self._begin()

    def __repr__(self) -> str:
        return f"ScannedCodes({len(self._done)} codes, {len(self._code)} bytes)"

    @property
    def is_ended(self) -> bool:
        """Whether a code is complete unless more comes within `JOIN_S`."""
        return self._is_ended

    @property
    def is_endless(self) -> bool:
        """Whether far more came without an end than any code has."""
        return self._sent >= ENDLESS_BYTES

    def feed(self, some: bytes, now_s: float) -> None:
        """Add what the scanner sent."""
        if self._is_ended and now_s - self._last_s >= JOIN_S:
            self._end(now_s)
        for byte in some:
            if byte not in _ENDS:
                self._add(byte, now_s)
            elif self._sent and not self._is_ended:
                self._is_ended = True
                if now_s - self._began_s >= PAUSE_S and len(self._lines()) == 1:
                    self._end(now_s)  # the same code again and again, without a pause
        if some:
            self._last_s = now_s

    def silence(self, now_s: float) -> None:
        """There is nothing more to read: after a pause the code is complete."""
        if now_s - self._last_s >= (JOIN_S if self._is_ended else PAUSE_S):
            self._end(now_s)

    def spoil(self) -> None:
        """A part was lost: what is left up to the next end is not a code."""
        self._is_spoilt = True

    def forget(self) -> None:
        """The scanner is gone, and half a code with it; a complete one is kept."""
        if self._is_ended:
            self._end(self._last_s)
        self._begin()

    def take(self, now_s: float) -> bytes | None:
        """The oldest code that was not taken, None if there is none."""
        while self._done:
            code, at_s = self._done.popleft()
            if now_s - at_s < STALE_S:
                return code
        return None

    def _begin(self) -> None:
        self._code = bytearray()
        self._sent = 0
        self._is_spoilt = False
        self._is_ended = False

    def _add(self, byte: int, now_s: float) -> None:
        if not self._sent:
            self._began_s = now_s
        if self._is_ended:
            self._is_ended = False
            self._keep(_LINE)
        self._sent += 1
        self._keep(byte)

    def _keep(self, byte: int) -> None:
        if len(self._code) < MOST_BYTES:
            self._code.append(byte)

    def _lines(self) -> list[bytes]:
        """The lines of the code, each once."""
        lines = (self._trimmed(line) for line in bytes(self._code).split(b"\n"))
        return [*dict.fromkeys(line for line in lines if line)]

    def _end(self, now_s: float) -> None:
        lines, is_spoilt = self._lines(), self._is_spoilt
        self._begin()
        code = b"\n".join(lines)
        if code and not is_spoilt:
            self._done.append((code, now_s))

    def _trimmed(self, code: bytes) -> bytes:
        code = code.strip(_FRAME)
        start = self._start.match(code)
        code = code[start.end() if start else 0 :].removesuffix(self._suffix).strip(_FRAME)
        # a scanner that assumes Caps Lock to be on swaps the case of every letter of the JSON
        return code.swapcase() if _SWAPPED.match(code) else code

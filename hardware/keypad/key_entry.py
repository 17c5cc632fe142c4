"""What is being typed, key by key, until Enter. Pure: the time is an argument.

A typed code is a secret until it is used: a line is forgotten once it is read, cleared or left half typed,
and neither an error nor `repr` shows it.
"""

from __future__ import annotations

from collections import deque

from gate.ports.devices import Typed

MOST = 64
"""Characters in a line; a ticket's code has up to 63 (`gate.rules.payload`). Further ones are ignored."""
DROP_AFTER_S = 10.0
"""After this long without a key, the person has walked away. The screen shows the line equally long."""
_MOST_LINES = 8


class TypedLine:
    """The line being typed and those entered but not read yet. Used from one thread."""

    def __init__(self) -> None:
        self._typed: list[str] = []
        self._entered: deque[str] = deque(maxlen=_MOST_LINES)
        self._is_news = False
        self._last_key_s = 0.0

    def __repr__(self) -> str:
        return f"TypedLine({len(self._typed)} characters)"

    def put(self, character: str, now_s: float) -> None:
        """Add a character, in capitals; beyond `MOST` it is ignored."""
        self._touch(now_s)
        if len(self._typed) < MOST:
            self._typed.append(character.upper())

    def back(self, now_s: float) -> None:
        """Backspace: remove the last character."""
        self._touch(now_s)
        del self._typed[-1:]

    def clear(self, now_s: float) -> None:
        """Esc: start again."""
        self._touch(now_s)
        self._typed.clear()

    def forget(self) -> None:
        """Forget everything typed: the keypad is gone, or the person is."""
        self._is_news = self._is_news or bool(self._typed)
        self._typed.clear()
        self._entered.clear()

    def enter(self, now_s: float) -> None:
        """Enter; an empty line is ignored."""
        self._touch(now_s)
        if self._typed:
            self._entered.append("".join(self._typed))
            self._typed.clear()
            self._is_news = False

    def read(self, now_s: float) -> Typed | None:
        """What is new since the last reading: each entered line once, then the one being typed.

        A line that nobody finished is read once more, as empty, so that the screen can forget it too.
        """
        if now_s - self._last_key_s >= DROP_AFTER_S:
            self.forget()
        if self._entered:
            return Typed(text=self._entered.popleft(), done=True)
        if not self._is_news:
            return None
        self._is_news = False
        return Typed(text="".join(self._typed), done=False)

    def _touch(self, now_s: float) -> None:
        """A key was pressed. What somebody left half typed must not become part of the next person's line."""
        if now_s - self._last_key_s >= DROP_AFTER_S:
            self.forget()
        self._last_key_s, self._is_news = now_s, True

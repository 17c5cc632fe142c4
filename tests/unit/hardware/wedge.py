"""The kernel's key events of a hand scanner that types a text.

The place of each sign on each keyboard was written down here by hand, from the keyboards themselves and
independently of `hardware.scanner.layouts`, whose tables it checks.
"""

from __future__ import annotations

import string

from hardware.keypad import evdev

SHIFT, ALT_GR, CTRL = 42, 100, 29
Key = tuple[int, ...]
"""The modifiers to hold, then the key."""

_QWERTY = dict(
    zip("qwertyuiopasdfghjklzxcvbnm", [*range(16, 26), *range(30, 39), *range(44, 51)], strict=True)
)
_DIGITS = {**{str(digit): digit + 1 for digit in range(1, 10)}, "0": 11}
_IBERIAN: dict[str, Key] = {
    '"': (SHIFT, 3), "/": (SHIFT, 8), "=": (SHIFT, 11), "+": (27,), ",": (51,), ".": (52,), ":": (SHIFT, 52),
    "-": (53,), "_": (SHIFT, 53), " ": (57,),
}  # fmt: skip
_SIGNS: dict[str, dict[str, Key]] = {
    "us": {
        '"': (SHIFT, 40), "/": (53,), "=": (13,), "+": (SHIFT, 13), ",": (51,), ".": (52,), ":": (SHIFT, 39),
        "-": (12,), "_": (SHIFT, 12), " ": (57,), "{": (SHIFT, 26), "}": (SHIFT, 27), "[": (26,), "]": (27,),
    },
    "gb": {
        '"': (SHIFT, 3), "/": (53,), "=": (13,), "+": (SHIFT, 13), ",": (51,), ".": (52,), ":": (SHIFT, 39),
        "-": (12,), "_": (SHIFT, 12), " ": (57,), "{": (SHIFT, 26), "}": (SHIFT, 27), "[": (26,), "]": (27,),
    },
    "es": {**_IBERIAN, "{": (ALT_GR, 40), "}": (ALT_GR, 43), "[": (ALT_GR, 26), "]": (ALT_GR, 27)},
    "latam": {**_IBERIAN, "{": (40,), "}": (43,), "[": (SHIFT, 40), "]": (SHIFT, 43)},
    "de": {**_IBERIAN, "{": (ALT_GR, 8), "}": (ALT_GR, 11), "[": (ALT_GR, 9), "]": (ALT_GR, 10)},
    "fr": {
        '"': (4,), "/": (SHIFT, 52), "=": (13,), "+": (SHIFT, 13), ",": (50,), ".": (SHIFT, 51), ":": (52,),
        "-": (7,), "_": (9,), " ": (57,), "{": (ALT_GR, 5), "}": (ALT_GR, 13), "[": (ALT_GR, 6),
        "]": (ALT_GR, 12),
    },
}  # fmt: skip
_MOVED = {"de": {"y": "z", "z": "y"}, "fr": {"a": "q", "q": "a", "z": "w", "w": "z"}}
LAYOUTS = tuple(_SIGNS)
CHARACTERS = string.ascii_letters + string.digits + '"/=+,.:-_ {}[]'
"""The characters of the three carriers and of an AIM identifier."""


def key_of(character: str, layout: str) -> Key:
    """The keys a scanner set to this layout presses for a character."""
    if character in "\n\t":
        return (28,) if character == "\n" else (15,)
    if character in _DIGITS:
        return (SHIFT, _DIGITS[character]) if layout == "fr" else (_DIGITS[character],)
    if character.lower() in _QWERTY:
        small = character.lower()
        place = 39 if layout == "fr" and small == "m" else _QWERTY[_MOVED.get(layout, {}).get(small, small)]
        return (SHIFT, place) if character.isupper() else (place,)
    return _SIGNS[layout][character]


def event(kind: int, code: int, value: int) -> bytes:
    return evdev.EVENT.pack(1_700_000_000, 0, kind, code, value)


def report(*changes: tuple[int, int]) -> bytes:
    """One report of the device: a scan code and a key each, then its end."""
    told = (event(4, 4, 0x70000 + code) + event(evdev.KEY, code, value) for code, value in changes)
    return b"".join(told) + event(evdev.SYN, 0, 0)


def press(key: Key) -> bytes:
    """The modifiers down, the key down and up, the modifiers up."""
    *held, code = key
    down, up = [(one, evdev.DOWN) for one in held], [(one, evdev.UP) for one in held]
    return report(*down, (code, evdev.DOWN)) + report((code, evdev.UP), *up)


def typed(text: str, layout: str = "us") -> bytes:
    """All events of the kernel while a scanner types this."""
    return b"".join(press(key_of(character, layout)) for character in text)

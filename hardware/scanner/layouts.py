"""What the keys of a keyboard type under the layouts that hand scanners can be set to. Pure.

A scanner that poses as a keyboard presses the keys that give the characters of the code under the layout it
assumes the computer to have: `]` is on another key for a French computer than for an American one. So the
layout here is a setting of the *scanner*; nearly all leave the factory as ``us``.

Sources: the layouts of X (xkeyboard-config: us, gb, es, latam, de, fr, each "basic"). Those of Windows differ
only in keys that codes do not need. Dead keys (accents that wait for the next letter) are left out: no code
of ours contains such a letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Literal

from hardware.keypad import evdev

LayoutName = Literal["us", "gb", "es", "latam", "de", "fr"]
KeyLevel = Mapping[int, str]
"""Characters by key code."""

_NOTHING = "\0"
_PLACES = (41, *range(2, 14), *range(16, 28), *range(30, 41), 43, 86, *range(44, 54))
"""Codes of the typing keys, row by row: from the keys left of 1, of Q and of A, and between Shift and Z."""

_ROWS: Mapping[LayoutName, tuple[str, str, str]] = {
    # without Shift, with Shift, with AltGr; \0: nothing that a code has
    "us": (
        "`1234567890-=" "qwertyuiop[]" "asdfghjkl;'\\" "\\zxcvbnm,./",
        "~!@#$%^&*()_+" "QWERTYUIOP{}" 'ASDFGHJKL:"|' "|ZXCVBNM<>?",
        "",
    ),
    "gb": (
        "`1234567890-=" "qwertyuiop[]" "asdfghjkl;'#" "\\zxcvbnm,./",
        '¬!"£$%^&*()_+' "QWERTYUIOP{}" "ASDFGHJKL:@~" "|ZXCVBNM<>?",
        "|\0\0\0€",
    ),
    "es": (
        "º1234567890'¡" "qwertyuiop\0+" "asdfghjklñ\0ç" "<zxcvbnm,.-",
        'ª!"·$%&/()=?¿' "QWERTYUIOP\0*" "ASDFGHJKLÑ\0Ç" ">ZXCVBNM;:_",
        "\\|@#~€¬\0\0\0\0\0\0" "\0\0€\0\0\0\0\0\0\0[]" "\0\0\0\0\0\0\0\0\0\0{}",
    ),
    "latam": (
        "|1234567890'¿" "qwertyuiop\0+" "asdfghjklñ{}" "<zxcvbnm,.-",
        '°!"#$%&/()=?¡' "QWERTYUIOP\0*" "ASDFGHJKLÑ[]" ">ZXCVBNM;:_",
        "¬\0\0\0\0\0\0\0\0\0\0\\\0" "@\0\0\0\0\0\0\0\0\0\0~" "\0\0\0\0\0\0\0\0\0\0^`",
    ),
    "de": (
        "\0001234567890ß\0" "qwertzuiopü+" "asdfghjklöä#" "<yxcvbnm,.-",
        '°!"§$%&/()=?\0' "QWERTZUIOPÜ*" "ASDFGHJKLÖÄ'" ">YXCVBNM;:_",
        "\0\0²³\0\0\0{[]}\\\0" "@\0€\0\0\0\0\0\0\0\0~" "\0\0\0\0\0\0\0\0\0\0\0\0" "|\0\0\0\0\0\0µ",
    ),
    "fr": (
        "²&é\"'(-è_çà)=" "azertyuiop\0$" "qsdfghjklmù*" "<wxcvbn,;:!",
        "\0001234567890°+" "AZERTYUIOP\0£" "QSDFGHJKLM%µ" ">WXCVBN?./§",
        "\0\0~#{[|`\\^@]}" "\0\0€\0\0\0\0\0\0\0\0¤",
    ),
}  # fmt: skip

_EVERYWHERE: KeyLevel = {
    evdev.SPACE: " ",
    evdev.TAB: "\t",
    evdev.ENTER: "\n",
    evdev.KEYPAD_ENTER: "\n",
    **dict(zip(range(71, 84), "789-456+1230.", strict=True)),  # KEY_KP7 … KEY_KPDOT
    55: "*",
    98: "/",
}


class KeyboardLayout:
    """One layout: what each key types alone, with Shift and with AltGr."""

    def __init__(self, name: LayoutName) -> None:
        self.plain, self.shifted, self.third = (_level(row) for row in _ROWS[name])


def _level(row: str) -> KeyLevel:
    typed = {code: character for code, character in zip(_PLACES, row, strict=False) if character != _NOTHING}
    return {**_EVERYWHERE, **typed}


class Keyboard:
    """Which keys of one keyboard are held, and what they type. Caps Lock is that of the scanner alone."""

    def __init__(self, layout: LayoutName = "us") -> None:
        self._layout = KeyboardLayout(layout)
        self.forget()

    def forget(self) -> None:
        """The device is gone: no key of the next one is held."""
        self._held: set[int] = set()
        self._has_caps_lock = False

    def event(self, code: int, value: int) -> str:
        """A key went down or up. Returns the character that it types, empty if none.

        :param value: as in `hardware.keypad.evdev`: up, down, or repeated because it is held (a scanner holds
            no key).
        """
        if code in _MODIFIERS:
            (self._held.discard if value == evdev.UP else self._held.add)(code)
            return ""
        if value != evdev.DOWN:
            return ""
        if code == evdev.CAPS_LOCK:
            self._has_caps_lock = not self._has_caps_lock
            return ""
        return self._typed(code)

    def _typed(self, code: int) -> str:
        if evdev.ALT_GR in self._held:
            return self._layout.third.get(code, UNKNOWN)
        is_shifted = bool(self._held & evdev.SHIFTS)
        typed = (self._layout.shifted if is_shifted else self._layout.plain).get(code, UNKNOWN)
        if self._held & evdev.CTRLS:  # ASCII: Ctrl and a letter give its control character
            return chr(ord(typed) & 0x1F) if typed.isascii() and typed.isalpha() else UNKNOWN
        if self._held & evdev.ALTS:  # a shortcut
            return UNKNOWN
        return typed.swapcase() if self._has_caps_lock and typed.isalpha() else typed


UNKNOWN = "\ufffd"
"""Stands for a key that types no character of a code: a wrong key must not turn one code into another."""

_MODIFIERS = frozenset(chain(evdev.SHIFTS, evdev.CTRLS, evdev.ALTS))

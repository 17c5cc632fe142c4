"""A scanner's keys under every layout: all three carriers are read exactly as printed."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.config import ScannerSection
from hardware.keypad import evdev
from hardware.scanner.layouts import UNKNOWN, Keyboard, KeyboardLayout, LayoutName
from tests.codes import printed, signed
from tests.factories import code_id
from tests.unit.hardware.wedge import ALT_GR, CHARACTERS, CTRL, LAYOUTS, SHIFT, key_of, typed

NAMES: tuple[LayoutName, ...] = get_args(LayoutName)


def read(some: bytes, layout: LayoutName) -> str:
    keyboard, events = Keyboard(layout), evdev.EventParser()
    keys = [(code, value) for kind, code, value in events.cut(some) if kind == evdev.KEY]
    return "".join(keyboard.event(code, value) for code, value in keys)


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("text", [code_id(), signed(), printed(signature="aB+/9w=="), "]Q1" + code_id()])
def test_every_carrier_is_read_under_every_layout(text: str, layout: LayoutName) -> None:
    assert read(typed(text + "\n", layout), layout) == text + "\n"


@given(st.text(CHARACTERS, max_size=40), st.sampled_from(NAMES))
def test_every_character_a_code_may_contain_is_read(text: str, layout: LayoutName) -> None:
    assert read(typed(text, layout), layout) == text


def test_the_configuration_knows_the_same_layouts() -> None:
    assert get_args(get_type_hints(ScannerSection)["layout"]) == NAMES
    assert set(NAMES) == set(LAYOUTS)


@pytest.mark.parametrize("layout", NAMES)
def test_no_two_keys_type_the_same_letter_or_digit(layout: LayoutName) -> None:
    one = KeyboardLayout(layout)
    for level in (one.plain, one.shifted):
        main = [c for code, c in level.items() if code < 71 and c.isascii() and c.isalnum()]
        assert len(main) == len(set(main))


def test_under_a_wrong_layout_a_code_does_not_become_another_code() -> None:
    """A German scanner read as an American one: Y and Z are swapped, and the hyphen becomes a slash."""
    assert read(typed("MGY-PF", "de"), "us") == "MGZ/PF"


def test_keys_that_no_code_contains_spoil_the_code() -> None:
    keyboard = Keyboard("us")
    assert [keyboard.event(code, evdev.DOWN) for code in (59, 113, 240, 700)] == [UNKNOWN] * 4


def test_a_held_key_is_typed_once() -> None:
    keyboard = Keyboard("us")
    assert [keyboard.event(30, value) for value in (1, 2, 2, 2, 0)] == ["a", "", "", "", ""]


def test_ctrl_and_a_letter_make_its_control_character() -> None:
    keyboard = Keyboard("us")
    keyboard.event(CTRL, 1)
    assert [keyboard.event(code, 1) for code in (50, 23, 2)] == ["\r", "\t", UNKNOWN]


def test_alt_with_a_letter_spoils_the_code() -> None:
    keyboard = Keyboard("us")
    keyboard.event(56, 1)
    assert keyboard.event(30, 1) == UNKNOWN
    keyboard.event(56, 0)
    assert keyboard.event(30, 1) == "a"


def test_caps_lock_pressed_by_the_scanner_inverts_the_case_of_letters() -> None:
    keyboard = Keyboard("us")
    for value in (1, 0):
        keyboard.event(evdev.CAPS_LOCK, value)
    assert keyboard.event(30, 1) == "A"
    keyboard.event(SHIFT, 1)
    assert keyboard.event(30, 1) == "a"
    assert keyboard.event(2, 1) == "!"


def test_a_scanner_plugged_in_again_has_no_modifier_held() -> None:
    keyboard = Keyboard("es")
    keyboard.event(ALT_GR, 1)
    keyboard.event(evdev.CAPS_LOCK, 1)
    keyboard.forget()
    assert keyboard.event(30, 1) == "a"


def test_a_number_pad_types_digits() -> None:
    keyboard = Keyboard("fr")
    assert "".join(keyboard.event(code, 1) for code in (79, 80, 81, 82, 74, 83, 96)) == "1230-.\n"


def test_every_character_has_a_key_in_every_layout() -> None:
    assert all(key_of(c, layout) for c in CHARACTERS for layout in LAYOUTS)

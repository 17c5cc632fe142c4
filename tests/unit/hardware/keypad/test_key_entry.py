"""A line being typed, until Enter, Esc or a long pause."""

from __future__ import annotations

from gate.ports.devices import Typed
from hardware.keypad.key_entry import DROP_AFTER_S, MOST, TypedLine


def _typed(text: str, at: float = 0.0) -> TypedLine:
    line = TypedLine()
    for character in text:
        line.put(character, at)
    return line


def test_what_is_typed_is_shown_in_capitals_and_only_when_it_changes() -> None:
    line = _typed("mg")
    assert line.read(0.0) == Typed("MG", done=False)
    assert line.read(0.0) is None
    line.put("y", 0.1)
    assert line.read(0.1) == Typed("MGY", done=False)


def test_enter_gives_the_line_once_and_forgets_it() -> None:
    line = _typed("abc")
    line.enter(0.0)
    assert line.read(0.0) == Typed("ABC", done=True)
    assert line.read(0.0) is None


def test_a_line_and_what_is_typed_after_it_are_read_separately() -> None:
    line = _typed("one")
    line.enter(0.0)
    line.put("t", 0.0)
    assert line.read(0.0) == Typed("ONE", done=True)
    assert line.read(0.0) == Typed("T", done=False)


def test_enter_on_an_empty_line_enters_nothing() -> None:
    line = TypedLine()
    line.enter(0.0)
    assert line.read(0.0) == Typed("", done=False)


def test_backspace_deletes_the_last_character_and_esc_all() -> None:
    line = _typed("abc")
    line.back(0.0)
    assert line.read(0.0) == Typed("AB", done=False)
    line.clear(0.0)
    assert line.read(0.0) == Typed("", done=False)
    line.back(0.0)
    line.enter(0.0)
    assert line.read(0.0) == Typed("", done=False)


def test_the_length_of_a_line_is_bounded() -> None:
    line = _typed("A" * (MOST + 5))
    line.enter(0.0)
    assert line.read(0.0) == Typed("A" * MOST, done=True)


def test_half_typed_text_is_dropped_after_a_pause() -> None:
    line = _typed("SECRET")
    line.read(0.0)
    assert line.read(DROP_AFTER_S - 0.1) is None
    assert line.read(DROP_AFTER_S) == Typed("", done=False), "so that the screen forgets it too"
    assert line.read(DROP_AFTER_S) is None
    line.enter(DROP_AFTER_S)
    assert line.read(DROP_AFTER_S) == Typed("", done=False)


def test_typing_after_a_pause_starts_a_new_line() -> None:
    line = _typed("LEFT")
    line.put("N", DROP_AFTER_S)
    assert line.read(DROP_AFTER_S) == Typed("N", done=False)


def test_an_entered_line_that_is_not_read_in_time_is_dropped() -> None:
    line = _typed("OLD")
    line.enter(0.0)
    assert line.read(DROP_AFTER_S) is None


def test_typed_text_is_not_in_the_lines_repr() -> None:
    line = _typed("SECRET")
    line.enter(0.0)
    line.put("X", 0.0)
    assert "SECRET" not in repr(line)
    assert "X" not in repr(line)

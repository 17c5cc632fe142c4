"""Bitmap glyphs, wrapping, and characters the font lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from display import fonts


@pytest.mark.parametrize("size", fonts.SIZES)
def test_every_size_is_monospaced_and_fits_its_height(size: int) -> None:
    assert len({fonts.width(character, size) for character in "iMW0·ñ"}) == 1
    assert fonts.ink("H", size).height < size


def test_spanish_text_is_left_unchanged() -> None:
    text = "¿Peña? ¡Córdova, Íñigo & Güemes! · € ª º"
    assert fonts.plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ǻsa", "Asa"),
        ("ﬁesta", "fiesta"),
        ("①", "1"),
        ("e\u0301", "é"),
        ("Ana 🎉 Sofía", "Ana Sofía"),
        ("王", "Wang"),
        ("派对 at Maguey", "PaiDui at Maguey"),
        ("パーティー", "patei"),
        ("محمد علي", "mhmd ly"),
        ("שרה לוי", "srh lvy"),  # the font has these letters, but would set them backwards
        ("Mesa דוד 12", "Mesa dvd 12"),
        ("Жара", "Жара"),
        ("ΑΘΗΝΑ", "ΑΘΗΝΑ"),
        ("١٢", "12"),
        ("１２", "12"),
        ("1️⃣2️⃣", "12"),
        ("🔥🔥🔥", "fire"),
        ("🥂🎉", "champagne glass tada"),
        ("🔥 PF 🔥", "PF"),
        ("א", "?"),
        ("\U000f0000\ufe0f", ""),
        ("a\tb\n c\u00a0d", "a b c d"),
        ("\u202eabc\u200b\x00\ud800", "abc"),
    ],
)
def test_characters_the_font_lacks_become_ones_it_has(text: str, shown: str) -> None:
    assert fonts.plain(text) == shown


def test_wrapping_is_balanced() -> None:
    assert fonts.wrap("TABLE 12 NOT CONFIRMED", 110, 16) == ["TABLE 12 NOT", "CONFIRMED"]
    assert fonts.wrap("a b c d", 1000, 12) == ["a b c d"]
    assert fonts.wrap("", 100, 12) == []


def test_only_a_word_that_is_too_wide_breaks_at_its_hyphen() -> None:
    assert fonts.wrap("RE-ENTRY GRANTED", 64, 16) == ["RE-ENTRY", "GRANTED"]
    assert fonts.wrap("Hernández-Villaseñor", 100, 14) == ["Hernández-", "Villaseñor"]


def test_a_single_word_is_never_cut() -> None:
    assert fonts.wrap("x" * 50, 122, 12) == ["x" * 50]
    assert fonts.largest("x" * 50, 122, 60) is None


def test_largest_takes_the_largest_that_fits() -> None:
    assert fonts.largest("WELCOME", 122, 40) == (32, ["WELCOME"])
    assert fonts.largest("WELCOME", 90, 40) == (24, ["WELCOME"])


@given(st.text(max_size=80), st.sampled_from(fonts.SIZES), st.integers(20, 256))
def test_wrapping_loses_nothing(text: str, size: int, limit: int) -> None:
    plain = fonts.plain(text)
    lines = fonts.wrap(plain, limit, size)
    assert "".join(lines).replace(" ", "") == plain.replace(" ", "")


@given(st.text(max_size=40))
def test_no_text_ever_shows_an_empty_box(text: str) -> None:
    assert all(fonts.plain(character) == character for character in fonts.plain(text) if character != " ")

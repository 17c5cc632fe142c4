"""Cutting a hand scanner's bytes into codes: prefixes, suffixes, AIM identifiers, pauses, floods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.rules.payload import MAX_BYTES, Code, Malformed, parse
from hardware.scanner.scanned_codes import (
    ENDLESS_BYTES,
    JOIN_S,
    MOST_BYTES,
    MOST_CODES,
    PAUSE_S,
    STALE_S,
    ScannedCodes,
)
from tests.codes import printed, signed
from tests.factories import code_id

CARRIERS = [code_id(), signed(), printed()]


def read(some: bytes, prefix: str = "", suffix: str = "") -> list[bytes]:
    codes = ScannedCodes(prefix.encode(), suffix.encode())
    codes.feed(some, 1.0)
    codes.silence(1.0 + PAUSE_S)
    return taken(codes, 1.0 + PAUSE_S)


def taken(codes: ScannedCodes, now: float = 1.0) -> list[bytes]:
    found = []
    while (code := codes.take(now)) is not None:
        found.append(code)
    return found


@pytest.mark.parametrize("text", CARRIERS)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\t", "\x03", "\x04", ""])
@pytest.mark.parametrize("start", ["", "]Q1", "]Q3\x1d", "]d2", "\x02", "\x02]Q1"])
def test_characters_that_scanners_add_by_default_are_removed(text: str, end: str, start: str) -> None:
    assert read((start + text + end).encode()) == [text.encode()]


@pytest.mark.parametrize("text", CARRIERS)
@pytest.mark.parametrize(
    "sent", ["<{}>\n", "]Q1<{}>\n", "<]Q1{}>\t", "{}\n", "<{}\n", "{}>\n", " <{}> \n", "<{}>"]
)
def test_a_configured_prefix_and_suffix_are_removed_if_present(text: str, sent: str) -> None:
    assert read(sent.replace("{}", text, 1).encode(), "<", ">") == [text.encode()]


def test_two_codes_with_a_pause_between_are_two() -> None:
    codes = ScannedCodes()
    codes.feed(b"ONE\r\n", 1.0)
    codes.feed(b"TWO\n\n\r\n", 1.0 + JOIN_S)
    codes.silence(1.1 + JOIN_S)
    assert taken(codes) == [b"ONE", b"TWO"]


CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Perez;Ana\r\nTEL:555\r\nEMAIL:a@b.c\r\nEND:VCARD\r"


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_foreign_code_of_several_lines_is_one_code(piece: int) -> None:
    codes = ScannedCodes()
    for number, start in enumerate(range(0, len(CARD), piece)):
        codes.feed(CARD[start : start + piece], 1.0 + number / 100)
        codes.silence(1.0 + number / 100 + JOIN_S / 2)
    codes.silence(1.0 + len(CARD) / 100 + JOIN_S)
    (code,) = taken(codes)
    assert isinstance(parse(code), Malformed)


@pytest.mark.parametrize("text", CARRIERS)
def test_a_ticket_among_other_lines_is_malformed_and_the_next_one_is_read(text: str) -> None:
    codes = ScannedCodes()
    codes.feed(f"NOTE\n{text}\n".encode(), 1.0)
    codes.feed(f"{text}\n".encode(), 1.1)
    codes.silence(1.2)
    first, second = taken(codes)
    assert isinstance(parse(first), Malformed)
    assert second == text.encode()


def test_a_code_repeated_without_a_pause_is_still_read() -> None:
    codes = ScannedCodes()
    for number in range(100):
        codes.feed(b"SAME\r\n", number / 100)
    assert set(taken(codes)) == {b"SAME"}


def test_without_enter_only_a_long_enough_pause_ends_a_code() -> None:
    codes = ScannedCodes()
    codes.feed(b"MGY-", 1.0)
    codes.silence(1.0 + PAUSE_S / 2)
    codes.feed(b"PF", 1.0 + PAUSE_S / 2)
    codes.silence(1.2 + PAUSE_S)
    assert taken(codes) == []
    codes.silence(1.6 + PAUSE_S)
    assert taken(codes, 2.2) == [b"MGY-PF"]


def test_half_a_code_is_dropped() -> None:
    codes = ScannedCodes()
    codes.feed(b"MGY-PF-2026", 1.0)
    codes.forget()
    codes.feed(code_id().encode() + b"\n", 1.9)
    codes.feed(b"MGY-PF", 2.0)
    codes.spoil()
    codes.feed(b"-2026\n", 2.0)
    codes.feed(b"WHOLE\n", 2.1)
    codes.silence(2.2)
    assert taken(codes, 2.2) == [code_id().encode(), b"WHOLE"]


def test_the_largest_json_code_is_read_and_a_larger_one_is_too_long() -> None:
    ticket = printed()
    longest = ticket[:-1] + " " * (MAX_BYTES - len(ticket)) + "}"
    (whole,) = read(b"]Q1" + longest.encode() + b"\r\n")
    assert isinstance(parse(whole), Code)
    (cut,) = read(b"x" * (MOST_BYTES * 3) + b"\n")
    assert isinstance(parse(cut), Malformed)


def test_a_stuck_key_takes_bounded_memory_and_is_reported_until_it_ends() -> None:
    codes = ScannedCodes()
    for _ in range(40):
        codes.feed(b"7" * 1024, 1.0)
    assert codes.is_endless
    assert codes._sent > ENDLESS_BYTES
    assert len(codes._code) == MOST_BYTES
    codes.feed(b"\n", 1.0)
    codes.silence(1.0 + JOIN_S)
    assert not codes.is_endless


def test_only_the_newest_untaken_codes_are_kept_and_not_for_long() -> None:
    codes = ScannedCodes()
    for number in range(101):
        codes.feed(b"%d\n" % number, number / 10)
    assert taken(codes, 10.0) == [b"%d" % number for number in range(100 - MOST_CODES, 100)]
    codes.silence(10.1)
    assert codes.take(10.1 + STALE_S) is None


@pytest.mark.parametrize("text", CARRIERS)
def test_codes_typed_with_caps_lock_are_read(text: str) -> None:
    """Case does not matter in a plain or signed code, and is restored in a JSON code."""
    (code,) = read(text.swapcase().encode() + b"\n")
    assert parse(code) == parse(text.encode())


def test_json_in_capitals_only_is_malformed_and_not_forged() -> None:
    """Its signature cannot be restored, so nothing proves a forgery."""
    (code,) = read(printed(signature="aBc=").upper().encode() + b"\n")
    assert isinstance(parse(code), Malformed)


@given(st.lists(st.binary(max_size=300), max_size=12), st.binary(max_size=3), st.binary(max_size=3))
def test_any_bytes_are_cut_into_codes_and_never_shown(
    parts: list[bytes], prefix: bytes, suffix: bytes
) -> None:
    codes = ScannedCodes(prefix, suffix)
    for number, part in enumerate(parts):
        codes.feed(part, number / 10)
        codes.silence(number / 10)
    for code in taken(codes, len(parts) / 10):
        assert len(code) <= MOST_BYTES
        assert not set(code) & set(b"\r\t\x03\x04")
        parse(code)
    codes.feed(b"SECRET", 9.0)
    assert "SECRET" not in repr(codes)

"""Invisible characters are removed around a code, and make it malformed inside (domain 2.3)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gate.ports.screen import VerdictScreen
from gate.rules.model import Reason
from gate.rules.payload import MAX_AROUND, MAX_BYTES, Code, Malformed, parse
from tests.codes import printed, signed
from tests.doors import Bench, guests
from tests.factories import a_code, code_id

CARRIERS = (code_id, signed, printed)
BOM, ZWSP = "\ufeff", "\u200b"
AROUND = [
    BOM, ZWSP, " ", "\t", "\n", "\r\n", "\u00a0", "\u200c", "\u200d", "\u200e", "\u2060", "\u3000", "\u202a",
    "\u00ad", "\ufe0f", f" {BOM}{ZWSP}\r\n",
]  # fmt: skip


@pytest.mark.parametrize("make", CARRIERS)
@pytest.mark.parametrize("around", AROUND, ids=[ascii(one) for one in AROUND])
def test_invisible_characters_around_a_code_are_removed(make: Callable[[], str], around: str) -> None:
    for text in (around + make(), make() + around, around + make() + around):
        found = parse(text.encode())
        assert isinstance(found, Code), found
        assert found == a_code(make())


@pytest.mark.parametrize("make", [code_id, signed])
@pytest.mark.parametrize("inside", AROUND, ids=[ascii(one) for one in AROUND])
def test_invisible_characters_inside_a_code_make_it_malformed(make: Callable[[], str], inside: str) -> None:
    code = make()
    for at in range(1, len(code)):
        assert isinstance(parse((code[:at] + inside + code[at:]).encode()), Malformed)
    token = printed().replace("MGY-", "MGY" + inside + "-")
    assert isinstance(parse(token.encode()), Malformed)


@example("\x1d").via("GS, as FNC1 is read")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
def test_no_visible_character_is_removed(around: str) -> None:
    seen = [c for c in around if unicodedata.category(c)[0] in "LNPS" or unicodedata.category(c) == "Cc"]
    seen = [c for c in seen if not c.isspace()]
    found = parse((around + code_id()).encode())
    assert not seen or isinstance(found, Malformed) or seen == ["\u2800"]


def test_removed_characters_do_not_count_towards_the_length_limit() -> None:
    ticket = printed()
    longest = ticket[:-1] + " " * (MAX_BYTES - len(ticket)) + "}"
    assert len(longest) == MAX_BYTES
    assert isinstance(parse((BOM + longest + "\r\n").encode()), Code)
    assert isinstance(parse(longest.replace("}", " }").encode()), Malformed)


def test_too_many_characters_around_a_code_are_refused_unparsed() -> None:
    assert isinstance(parse(b" " * (MAX_BYTES + MAX_AROUND) + code_id().encode()), Malformed)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    found = parse(printed().replace('"meta"', '"año"').encode(encoding))
    assert isinstance(found, Malformed)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, feed=guests(9))
    yield bench
    bench.close()


def test_valid_tickets_with_a_byte_order_mark_do_not_count_as_guesses(bench: Bench) -> None:
    for number in range(1, 8):
        shown = bench.show(BOM + code_id(number) + ZWSP)
        assert isinstance(shown, VerdictScreen)
        assert shown.verdict.reason is Reason.FIRST_ENTRY
    assert ("event", "guessing") not in bench.told()


def test_a_ticket_with_and_without_a_byte_order_mark_is_the_same_ticket(bench: Bench) -> None:
    bench.show(BOM + code_id())
    shown = bench.show(code_id())
    assert isinstance(shown, VerdictScreen)
    assert shown.verdict.reason is Reason.ALREADY_USED

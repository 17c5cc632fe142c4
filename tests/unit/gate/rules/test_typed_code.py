"""Typed codes: domain 2.3 ("Guessing"), protocol 4.1."""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from gate.rules.code_starts import NightCode, Starts, starts_of
from gate.rules.payload import Code, Malformed, code_hash
from gate.rules.typed_code import MOST_CANDIDATES, Typist, candidates, crockford, may_type, read_typed
from hub.ticketing.codes import CROCKFORD, pass_code, ticket_code
from tests.codes import signed
from tests.factories import NOW, an_event
from tests.long import cases

MEXICO = ZoneInfo("America/Mexico_City")
TONIGHT = "MGY-PF-20261120-"
NIGHT = Starts(nights=(NightCode(code="PF", day=date(2026, 11, 20)),))
OLD = "MGY-PF-20261120-ABC123XYZ"


def ticket(seed: int = 7, event: str = "PF") -> str:
    return ticket_code(event, date(2026, 11, 20), random.Random(seed))


def guest_pass(seed: int = 7) -> str:
    return pass_code(random.Random(seed))


def entered_as(text: str, *cache: str, starts: Starts = NIGHT) -> Code | Malformed | None:
    """How a gate whose cache knows these codes reads a typed text."""
    hashes = {code_hash(code) for code in cache}
    presented = read_typed(text, starts, lambda hashed: hashed in hashes)
    if presented is None:
        return None
    assert isinstance(presented.what, Code | Malformed)
    return presented.what


def id_of(what: Code | Malformed | None) -> str:
    assert isinstance(what, Code), what
    return what.id


def spellings(code: str, tail: int) -> Collection[str]:
    """Ways of writing a code whose random part has `tail` characters."""
    random_part = code[-tail:]
    grouped = " ".join(random_part[at : at + 4] for at in range(0, tail, 4))
    return (
        code,
        code.lower(),
        f"  {code} ",
        code.replace("-", " "),
        code.replace("-", ""),
        code.replace("-", "").lower(),
        code.replace("-", "--"),
        code.replace("-", "–"),
        code.replace("-", "_"),
        code.replace("-", "."),
        code.replace("-", " - "),
        code[:-tail] + grouped,
        code[:-tail] + grouped.replace(" ", "-"),
        "".join(chr(ord(char) + 0xFEE0) for char in code),  # full-width, as some keyboards write
        code.partition("-")[2],
        code.partition("-")[2].replace("-", ""),
        random_part,
        random_part.lower(),
        grouped,
    )


@pytest.mark.parametrize("text", [*spellings(ticket(), 17), ticket()[7:], ticket()[7:].replace("-", "")])
def test_a_ticket_is_found_however_it_is_typed(text: str) -> None:
    assert id_of(entered_as(text, ticket())) == ticket()


@pytest.mark.parametrize("text", spellings(guest_pass(), 17))
def test_a_guest_pass_is_found_however_it_is_typed(text: str) -> None:
    assert id_of(entered_as(text, guest_pass())) == guest_pass()


@pytest.mark.parametrize("text", spellings(OLD, 9))
def test_an_old_id_is_found_however_it_is_typed(text: str) -> None:
    assert id_of(entered_as(text, OLD)) == OLD


@pytest.mark.parametrize("old", ["MGY-PF-20261120-OIL0UL1O", "MGY-PF-20261120-O0O0O0O0O", "VIP-PASS-OLIO01"])
def test_an_old_id_keeps_its_letters_o_i_and_l(old: str) -> None:
    assert id_of(entered_as(old.lower(), old)) == old
    assert id_of(entered_as(old.rpartition("-")[2], old)) == old


def test_an_old_guest_pass_with_hyphens_in_its_random_part_is_found() -> None:
    old = "VIP-PASS-550E8400-E29B-41D4-A716-446655440000"
    for text in (old, old.lower(), old.replace("-", " ")):
        assert id_of(entered_as(text, old)) == old


@pytest.mark.parametrize("make", [ticket, guest_pass])
def test_0_and_1_may_be_typed_as_the_letters_that_look_like_them(make: object) -> None:
    changed = 0
    for seed in range(60):
        code = make(seed)  # type: ignore[operator]
        for zero, one in (("O", "I"), ("O", "L"), ("o", "l")):
            text = code[:-17] + code[-17:].replace("0", zero).replace("1", one)
            changed += text != code
            assert id_of(entered_as(text, code)) == code
            assert id_of(entered_as(text[-17:], code)) == code
    assert changed > 60


def test_o_i_and_l_in_the_date_are_digits() -> None:
    saturday = "MGY-PS-20261101-" + ticket(event="PS")[-17:]
    assert id_of(entered_as("MGY-PS-2O26LIOI-" + saturday[-17:], saturday)) == saturday
    assert id_of(entered_as("mgypf2O26ll2O" + ticket()[-17:], ticket())) == ticket()


def test_a_check_character_that_is_a_letter_is_not_turned_into_a_digit() -> None:
    """It is one of 36 characters, so a 0 typed for a check character O means O."""
    for letter, digit in (("O", "0"), ("I", "1"), ("L", "1")):
        code = next(code for code in map(ticket, range(1000)) if code.endswith(letter))
        assert crockford(code) == code
        assert id_of(entered_as(code[:-1] + digit, code)) == code


def test_a_check_character_is_not_changed_after_letters_that_no_code_has() -> None:
    """Reading the 1 as L would satisfy the check here, but it is the U that is wrong."""
    assert crockford("MGY-PF-20261120-JMT8MWX5MKGYGUYM1") == "MGY-PF-20261120-JMT8MWX5MKGYGUYM1"


def test_crockford_leaves_correct_codes_unchanged() -> None:
    for seed in range(200):
        assert crockford(ticket(seed)) == ticket(seed)
        assert crockford(guest_pass(seed)) == guest_pass(seed)
        assert crockford(ticket(seed)[:-1]) == ticket(seed)[:-1]


def test_a_ticket_of_another_night_keeps_that_night() -> None:
    other = ticket(event="PS")
    assert id_of(entered_as(other.replace("-", " ").lower())) == other
    assert id_of(entered_as(other[4:])) == other


def test_without_a_night_only_whole_codes_and_passes_are_found() -> None:
    assert starts_of((), NOW, MEXICO).tonight == ""
    assert id_of(entered_as(ticket().lower(), starts=Starts())) == ticket()
    assert id_of(entered_as(guest_pass()[-17:], guest_pass(), starts=Starts())) == guest_pass()


def test_the_first_candidate_the_cache_knows_is_taken() -> None:
    tail = ticket()[-17:]
    assert id_of(entered_as(tail, TONIGHT + tail, "VIP-PASS-" + tail)) == TONIGHT + tail
    assert id_of(entered_as(tail, "VIP-PASS-" + tail)) == "VIP-PASS-" + tail


def test_an_unknown_random_part_alone_is_taken_for_a_ticket_of_tonight() -> None:
    """Even if it happens to fit a guest pass."""
    for seed in range(40):
        tail = guest_pass(seed)[-17:]
        what = entered_as(tail)
        assert isinstance(what, Code)
        assert what.id[:-1].endswith("-" + tail[:-1])
        assert what.event_code == "PF"
        assert what.id.startswith(TONIGHT) or what.check_ok


def test_an_unknown_code_is_read_in_the_spelling_whose_check_character_holds() -> None:
    code = next(code for code in map(ticket, range(1000)) if "0" in code[-17:-1])
    wanted = entered_as(code[:-17] + code[-17:].replace("0", "O"))
    assert id_of(wanted) == code


def test_a_wrong_character_is_never_corrected() -> None:
    for seed in range(cases(12, long=50)):
        code = ticket(seed)
        for at in range(-17, 0):
            wrong = code[:at] + CROCKFORD[(CROCKFORD.find(code[at]) + 1) % 32] + code[len(code) + at + 1 :]
            if wrong != code:
                assert id_of(entered_as(wrong, code)) != code
                assert id_of(entered_as(wrong[-17:], code)) != code


@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_nothing_typed_is_not_a_scan(text: str) -> None:
    assert entered_as(text) is None


@pytest.mark.parametrize("text", ["HOLA", "-----", "ÑANDÚ", "12345", "\ud800", "x" * 5000, "MGY", "🪩" * 20])
def test_text_that_cannot_be_a_code_is_malformed(text: str) -> None:
    assert isinstance(entered_as(text), Malformed)


def test_a_hand_scanners_signed_code_stays_signed() -> None:
    code = entered_as(signed(ticket()), ticket())
    assert isinstance(code, Code)
    assert (code.id, code.carrier) == (ticket(), "signed")


def test_a_damaged_signature_is_malformed_and_not_dropped() -> None:
    assert isinstance(entered_as(signed(ticket())[:-1] + "1", ticket()), Malformed)


def test_the_candidates_are_few_distinct_and_all_ours() -> None:
    source = random.Random(1)
    for _ in range(2000):
        text = "".join(source.choices("MGYPFVIPASS012OIL-. 26" + CROCKFORD, k=source.randrange(1, 60)))
        found = candidates(text, source.choice(["", TONIGHT]))
        assert len(found) <= MOST_CANDIDATES
        assert len(found) == len({one.raw for one in found})
        assert len(found) <= 1 or all(isinstance(one.what, Code) for one in found)


@pytest.mark.parametrize(
    ("doors", "prefix"),
    [
        (datetime(2026, 11, 21, 4, 0, tzinfo=UTC), "MGY-PF-20261120-"),  # 22:00 in Mexico City
        (datetime(2026, 11, 21, 7, 0, tzinfo=UTC), "MGY-PF-20261120-"),  # 01:00, after a late show
        (datetime(2026, 11, 20, 18, 0, tzinfo=UTC), "MGY-PF-20261120-"),  # noon
    ],
)
def test_the_night_in_a_code_is_the_evening_in_the_clubs_own_time(doors: datetime, prefix: str) -> None:
    assert starts_of((an_event(doors_open_at=doors),), NOW, MEXICO).tonight == prefix


def test_at_most_five_codes_are_typed_in_a_minute() -> None:
    typist, answers = Typist(), list[bool]()
    for second in (0, 1, 2, 3, 4, 5, 30, 59, 60, 60, 61):
        typist, allowed = may_type(typist, second * 1000)
        answers.append(allowed)
    assert answers == [True] * 5 + [False] * 3 + [True, False, True]

"""What the check character finds, and where a typed code is then said to be wrong.

ISO 7064 MOD 37,36 finds every single wrong character. Of two neighbours swapped it finds all
but one pair: at every place of every code there is one pair of characters, next to each other
in the alphabet, whose swap leaves the sum as it was. That is 1 of 630, and a code so swapped
is another valid code, which the cache does not know.
"""

from __future__ import annotations

import itertools
import random
from datetime import date

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stdnum.iso7064 import mod_37_36

from gate.rules.code_starts import NightCode, Starts
from gate.rules.payload import Code, code_hash, parse
from gate.rules.typed_code import read_typed
from gate.rules.typo import Typo, find_typo
from hub.ticketing.codes import CROCKFORD, pass_code, ticket_code
from tests.long import cases

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NIGHT = Starts(nights=(NightCode(code="PF", day=date(2026, 11, 20)),))
TICKETS = st.integers(0, 10**9).map(lambda seed: ticket_code("PF", date(2026, 11, 20), random.Random(seed)))
PASSES = st.integers(0, 10**9).map(lambda seed: pass_code(random.Random(seed)))
CODES = TICKETS | PASSES


def holds(code_id: str) -> bool:
    code = parse(code_id.encode())
    return isinstance(code, Code) and code.check_ok


def swapped(code: str, at: int) -> str:
    return code[:at] + code[at + 1] + code[at] + code[at + 2 :]


@settings(max_examples=cases(30, long=100))
@given(CODES)
def test_every_single_wrong_character_at_every_place_is_found(code: str) -> None:
    assert holds(code)
    for at, char in enumerate(code):
        if char != "-":
            assert not any(holds(code[:at] + other + code[at + 1 :]) for other in ALPHABET if other != char)


def test_of_neighbours_swapped_exactly_one_pair_at_each_sum_is_not_found() -> None:
    """Exhaustive: the sum so far is one of 36, and all that matters of what stands before."""
    before = {mod_37_36.checksum(first + second): first + second for first in ALPHABET for second in ALPHABET}
    assert set(before) == set(range(36))
    for start in before.values():
        missed = [
            {a, b}
            for a, b in itertools.combinations(ALPHABET, 2)
            if mod_37_36.checksum(start + a + b) == mod_37_36.checksum(start + b + a)
        ]
        assert len(missed) == 1
        first, second = sorted(ALPHABET.index(char) for char in missed[0])
        assert second - first in (1, 35)


@given(CODES, st.data())
def test_neighbours_swapped_are_found_or_make_another_code_that_is_not_the_ticket(
    code: str, data: st.DataObject
) -> None:
    start = code.rindex("-") + 1
    at = data.draw(st.integers(start, len(code) - 2))
    assume(code[at] != code[at + 1])
    first, second = sorted(ALPHABET.index(char) for char in code[at : at + 2])
    if holds(swapped(code, at)):
        assert second - first in (1, 35)
    assert code_hash(swapped(code, at)) != code_hash(code)


@given(CODES, st.booleans(), st.data())
def test_the_wrong_character_of_a_ticket_in_the_cache_is_pointed_at(
    code: str, only_random: bool, data: st.DataObject
) -> None:
    start = code.rindex("-") + 1
    at = data.draw(st.integers(start, len(code) - 1))
    letters = CROCKFORD if at < len(code) - 1 else ALPHABET
    wrong = code[:at] + data.draw(st.sampled_from(letters)) + code[at + 1 :]
    point_at(code, wrong, at, start if only_random else 0)


@given(CODES, st.booleans(), st.data())
def test_swapped_neighbours_in_a_ticket_in_the_cache_are_pointed_at(
    code: str, only_random: bool, data: st.DataObject
) -> None:
    start = code.rindex("-") + 1
    at = data.draw(st.integers(start, len(code) - 2))
    assume(code[at] != code[at + 1])
    point_at(code, swapped(code, at), at, start if only_random else 0)


def point_at(code: str, wrong: str, at: int, typed_from: int) -> None:
    """Type a wrong code from a place on: the place that is wrong is named, and it is not admitted."""

    def known(hashed: str) -> bool:
        return hashed == code_hash(code)

    presented = read_typed(wrong[typed_from:], NIGHT, known)
    assert presented is not None
    assert isinstance(presented.what, Code)
    assume(not known(presented.what.code_hash))  # 0 typed for a check character O means O
    assume(not holds(wrong))  # see above: 1 swap of 630
    start = wrong.rindex("-") + 1
    before = 0 if typed_from else wrong.count("-")  # groups: between hyphens, then the random part in fours
    group, place = divmod(at - start, 4)
    expected = Typo(group=before + group + 1, place=place + 1, wrote=wrong[at])
    assert find_typo(wrong[typed_from:], NIGHT, known) == expected

"""Which character of a typed code is likely wrong (issue 3)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date

import pytest

from display.text.words import grouped
from gate.rules.code_starts import NightCode, Starts
from gate.rules.payload import code_hash
from gate.rules.typo import MOST_LOOKUPS, Typo, corrections, find_typo
from hub.ticketing.codes import CROCKFORD, pass_code, ticket_code

TONIGHT = "MGY-PF-20261120-"
NIGHT = Starts(nights=(NightCode(code="PF", day=date(2026, 11, 20)),))


def ticket(seed: int = 7, event: str = "PF", day: int = 20) -> str:
    return ticket_code(event, date(2026, 11, day), random.Random(seed))


def likely_in(text: str, *cache: str, starts: Starts = NIGHT) -> Typo | None:
    hashes = {code_hash(code) for code in cache}
    return find_typo(text, starts, lambda hashed: hashed in hashes)


class Asked:
    """A cache that knows nothing and records what was looked up in it."""

    def __init__(self) -> None:
        self.hashes: list[str] = []

    def __call__(self, hashed: str) -> bool:
        self.hashes.append(hashed)
        return False


def shown_at(at: int) -> tuple[int, int]:
    """Group and place of a character of `ticket()`: MGY, PF and the date, then the random part in fours."""
    return 4 + (at - len(TONIGHT)) // 4, 1 + (at - len(TONIGHT)) % 4


def named(at: int, wrote: str) -> Typo:
    group, place = shown_at(at)
    return Typo(group=group, place=place, wrote=wrote)


def replaced(code: str, at: int, char: str) -> str:
    return code[:at] + char + code[at + 1 :]


def test_a_ticket_one_slip_away_is_located() -> None:
    good = ticket()
    wrong = replaced(good, 20, "3" if good[20] != "3" else "4")
    assert likely_in(wrong, good) == Typo(group=5, place=1, wrote=wrong[20])


@pytest.mark.parametrize(
    ("typed", "group"),
    [
        (lambda code: code, 5),
        (lambda code: code.lower(), 5),
        (lambda code: code[4:], 4),
        (lambda code: code[-17:], 2),
        (lambda code: code[-17:].lower(), 2),
        (lambda code: code.replace("-", ""), 5),  # MGYP F202 6112 0A4M 2HB1
    ],
)
def test_the_place_is_counted_in_the_groups_the_screen_showed(
    typed: Callable[[str], str], group: int
) -> None:
    good = ticket()
    wrong = replaced(good, 20, "3" if good[20] != "3" else "4")
    told = likely_in(typed(wrong), good)
    assert told is not None
    assert told.group == group
    assert grouped(typed(wrong)).split()[group - 1][told.place - 1].upper() == told.wrote == wrong[20]


def test_a_character_that_was_not_typed_is_not_named() -> None:
    """If only the random part was typed, the date before it came from the gate and is no typing error."""
    good = ticket()
    one = next(one for one in corrections(replaced(good, 14, "1")) if one.right == good)
    assert one.typo(good) is not None
    assert one.typo(good[-17:]) is None


def test_a_guest_pass_one_slip_away_is_located() -> None:
    good = pass_code(random.Random(7))
    wrong = replaced(good, 10, "3" if good[10] != "3" else "4")
    assert likely_in(wrong, good) == Typo(group=3, place=2, wrote=wrong[10])
    assert likely_in(wrong[-17:], good) == Typo(group=1, place=2, wrote=wrong[10])


def test_a_wrong_letter_or_digit_of_the_night_is_found_too() -> None:
    good = ticket()
    assert likely_in(replaced(good, 4, "B"), good) == Typo(group=2, place=1, wrote="B")
    assert likely_in(replaced(good, 15 - 1, "1"), good) == Typo(group=3, place=8, wrote="1")


def test_a_slip_is_found_though_another_reading_of_the_check_character_would_hold() -> None:
    """With the slip, a final I would satisfy the check; the ticket the cache knows ends in 1."""
    good, wrong = "MGY-PF-20261120-E1GXX9VXB0HZ66Z21", "MGY-PF-20261120-1EGXX9VXB0HZ66Z21"
    assert likely_in(wrong, good) == Typo(group=4, place=1, wrote="1")


def test_two_swapped_neighbours_are_located_by_the_first_of_them() -> None:
    good = ticket()
    at = next(at for at in range(18, 30) if good[at] != good[at + 1])
    wrong = good[:at] + good[at + 1] + good[at] + good[at + 2 :]
    assert likely_in(wrong, good) == named(at, wrong[at])


def test_a_slip_in_tonights_event_or_date_is_found_without_the_cache() -> None:
    for at, char in ((4, "B"), (5, "T"), (14, "5"), (13, "3")):
        assert likely_in(replaced(ticket(), at, char)) == Typo(
            group=2 if at < 6 else 3, place=at - (3 if at < 6 else 6), wrote=char
        )


def test_another_nights_code_is_not_taken_for_one_of_tonight() -> None:
    """Its event and date are taken as right; only its random part may be wrong."""
    for seed in range(40):
        other = ticket(seed, "PS", 21)
        typo = likely_in(replaced(other, 20, "3" if other[20] != "3" else "4"))
        assert typo is None or typo.group >= 4


def test_a_letter_that_no_code_has_is_found_without_the_cache() -> None:
    for seed in range(20):
        good = ticket(seed)
        for at in range(16, 32):
            assert likely_in(replaced(good, at, "U")) == named(at, "U")


def test_two_letters_that_no_code_has_are_more_than_one_slip() -> None:
    assert likely_in(replaced(replaced(ticket(), 20, "U"), 25, "U")) is None


ALIKE = {"0": "D", "D": "0", "2": "Z", "Z": "2", "5": "S", "S": "5", "6": "G", "G": "6", "8": "B", "B": "8"}


def test_without_the_cache_a_look_alike_is_located_rightly_or_not_at_all() -> None:
    told = total = 0
    for seed in range(20):
        good = ticket(seed)
        for at in range(16, 32):
            if good[at] in ALIKE:
                typo = likely_in(replaced(good, at, ALIKE[good[at]]))
                assert typo is None or (typo.group, typo.place) == shown_at(at)
                told += typo is not None
                total += 1
    assert told > 0.7 * total


def test_swapped_neighbours_are_found_without_the_cache_more_often_than_not() -> None:
    right = total = 0
    for seed in range(12):
        good = ticket(seed)
        for at in range(16, 31):
            if good[at] != good[at + 1]:
                typo = likely_in(good[:at] + good[at + 1] + good[at] + good[at + 2 :])
                right += typo is not None and (typo.group, typo.place) == shown_at(at)
                total += 1
    assert right > 0.5 * total


def test_a_slip_the_cache_confirms_wins_over_one_that_looks_likelier() -> None:
    for seed in range(300):
        good = ticket(seed)
        wrong = replaced(good, 20, "7" if good[20] != "7" else "4")
        without = likely_in(wrong)
        if without is not None and without != named(20, wrong[20]):
            assert likely_in(wrong, good) == named(20, wrong[20])
            return
    raise AssertionError("none of 300 codes has a slip that looks likely and is wrong")


def test_between_two_known_tickets_one_slip_away_none_is_named() -> None:
    wrong = ticket()[:-1] + ("A" if ticket()[-1] != "A" else "B")
    first, second = [one.right for one in corrections(wrong)][3:5]
    assert likely_in(wrong, first, second) is None


def test_a_code_whose_check_character_holds_has_no_typo() -> None:
    for seed in range(100):
        for text in (ticket(seed), ticket(seed).lower(), ticket(seed)[-17:]):
            assert likely_in(text) is None


@pytest.mark.parametrize(
    "text", ["", "HOLA", "MGY-PF-20261120-ABC123XYZ", "ABC123XYZ", "VIP-PASS-ABC123", "É" * 40, "x" * 2000]
)
def test_without_a_check_character_nothing_is_named_and_nothing_looked_up(text: str) -> None:
    asked = Asked()
    assert find_typo(text, NIGHT, asked) is None
    assert asked.hashes == []


def test_the_lookups_a_guesser_can_cause_are_bounded() -> None:
    source = random.Random(3)
    for _ in range(60):
        asked = Asked()
        tail = "".join(source.choices(CROCKFORD, k=source.choice((17, 17, 26, 40))))
        text = source.choice(("", TONIGHT, "MGY-ABCDEF-20261231-", "VIP-PASS-")) + tail
        find_typo(text, NIGHT, asked)
        assert len(asked.hashes) <= MOST_LOOKUPS
    asked = Asked()
    find_typo(
        "0" * 39 + "1", Starts(nights=(*NIGHT.nights, NightCode(code="PS", day=date(2026, 11, 19)))), asked
    )
    assert 64 < len(asked.hashes) <= MOST_LOOKUPS


def test_a_correction_is_one_slip_and_its_check_character_holds() -> None:
    wrong = ticket()[:-1] + ("A" if ticket()[-1] != "A" else "B")
    found = list(corrections(wrong))
    assert len(found) > 15
    for one in found:
        changed = [at for at in range(len(wrong)) if wrong[at] != one.right[at]]
        assert changed == ([one.at, one.at + 1] if one.swapped else [one.at])
        assert sorted(one.right) == sorted(wrong) or not one.swapped
        assert list(corrections(one.right)) == []

"""Finds where a typed code is likely wrong. Pure.

The check character (ISO 7064 MOD 37,36) leaves exactly one character per place that would make a wrong code
right, so there are about as many *corrections* as places. What tells the one that was meant is, in this
order:

1. the cache: the correction is a ticket that it knows;
2. the alphabet and the night: nothing else can be right;
3. characters that look alike;
4. neighbours swapped.

If the first of these that applies leaves more than one place, the gate says nothing. It never corrects
anything: the guest looks at the ticket and types it again. If the random part was typed alone, its date is
unknown and so is the right check character. Then only the cache (on tonight's date and those beside it) and
letters that no code has are evidence; the others might accuse a right character. Neighbours on the keyboard
are no fifth rule: each key has so many that, measured, they found 6 % of slips of just that kind and named a
false place for 11 % of the others.

What somebody who makes codes up learns: rules 2 to 4 follow from the typed code alone. Rule 1 says that a
ticket is one slip away, and where, and with the check character that gives away all of it. So one typed code
tries up to `MOST_LOOKUPS` codes instead of one: at 5 a minute (`gate.rules.typed_code`) 1,280 a minute,
against the 80 random bits of a code; with a million tickets and a whole night that is a chance below 1 in
10**12. Only codes long enough to have a check character are looked up, and the door counts each damaged one
as a guess (`gate.rules.guesses`); during that lock it must not look any up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from gate.common.value import Value
from gate.rules.code_starts import Starts
from gate.rules.payload import Code, Secret, code_hash
from gate.rules.typed_code import (
    CROCKFORD,
    NEW_CHARS,
    candidates,
    check_character_fits,
    code_groups,
    is_random_part_alone,
)


class Typo(Value, frozen=True):
    """Where a typed code is likely wrong: the `place`th character of its `group`th group, both from 1.

    Groups are those that the screen shows while somebody types (`gate.rules.typed_code.code_groups`).
    `wrote`: the character that was typed there.
    """

    group: int
    place: int
    wrote: str


MOST_LOOKUPS = 256
"""Most corrections looked up for one typed code; a random part has some 50 on each date it may have."""

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID = re.compile(
    rf"(?:MGY-(?P<event>[A-Z]{{2,6}})-(?P<date>[0-9]{{8}})|VIP-PASS)"
    rf"-(?P<body>[A-Z0-9]{{{NEW_CHARS - 1},39}})(?P<check>[A-Z0-9])"
)
_MAY_BE = {"event": _LETTERS, "date": _DIGITS, "body": sorted(CROCKFORD), "check": _DIGITS + _LETTERS}
_ALIKE = ("0OQD", "1IL", "2Z", "5S", "6G", "8B", "UV")

_LOOKS_LIKE = frozenset(a + b for alike in _ALIKE for a in alike for b in alike if a != b)


class Correction(Secret, frozen=True, kw_only=True):
    """One slip that may have turned `right` into `wrong`: one character, or two neighbours swapped.

    `at`: index in the id of the (first) wrong character.
    """

    wrong: str
    right: str
    at: int
    swapped: bool = False

    def shown(self) -> str:
        """Only the place."""
        return f"at {self.at}"

    @property
    def slip(self) -> str:
        """The character that was typed there, and the right one."""
        return self.wrong[self.at] + self.right[self.at]

    def typo(self, text: str) -> Typo | None:
        """The place as people count it in what they typed and the screen showed; None if it was not typed.

        Counted from the end, because the hyphens and the start of the code may be missing.
        """
        typed = [at for at, char in enumerate(text) if char.isalnum()]
        from_end = sum(map(str.isalnum, self.wrong[self.at :]))
        if from_end > len(typed):
            return None
        at = typed[-from_end]
        number, begin = next(
            (number, begin) for number, (begin, end) in enumerate(code_groups(text), 1) if begin <= at < end
        )
        return Typo(group=number, place=at - begin + 1, wrote=self.wrong[self.at])


def find_typo(text: str, starts: Starts, known: Callable[[str], bool]) -> Typo | None:
    """Where a typed code is likely wrong; None if nothing stands out.

    :param starts: of the nights served, from `gate.rules.code_starts.starts_of`.
    :param known: whether the cache knows a code's hash; called at most `MOST_LOOKUPS` times.
    """
    is_dated = not is_random_part_alone(text, starts.tonight)
    begun_with = [starts.tonight] if is_dated else starts.near()
    read = {one.raw: one.what for start in begun_with for one in candidates(text, start)}
    codes = [what for what in read.values() if isinstance(what, Code)]
    every = chain.from_iterable(corrections(code.id) for code in codes)
    tickets = [one for one in islice(every, MOST_LOOKUPS) if known(code_hash(one.right))]
    if tickets:
        return _only(tickets, text)
    if not codes:
        return None
    found = list(corrections(codes[0].id))
    return _only(_standing_out(found, starts) if is_dated else _foreign_letters(found), text)


def corrections(wrong: str) -> Iterator[Correction]:
    """Every single slip that may have turned a valid id into `wrong`; none for an old, short id."""
    parts = _ID.fullmatch(wrong)
    if parts is None or check_character_fits(wrong):
        return
    for one in chain(_replaced(wrong, parts), _swapped(wrong, parts)):
        if CROCKFORD.issuperset(one.right[slice(*parts.span("body"))]) and check_character_fits(one.right):
            yield one


def _replaced(wrong: str, parts: re.Match[str]) -> Iterator[Correction]:
    for name, may_be in _MAY_BE.items():
        for at in range(*parts.span(name)):
            for meant in may_be:
                yield Correction(wrong=wrong, right=wrong[:at] + meant + wrong[at + 1 :], at=at)


def _swapped(wrong: str, parts: re.Match[str]) -> Iterator[Correction]:
    for at in _before_a_neighbour(parts):
        right = wrong[:at] + wrong[at + 1] + wrong[at] + wrong[at + 2 :]
        yield Correction(wrong=wrong, right=right, at=at, swapped=True)


def _before_a_neighbour(parts: re.Match[str]) -> Iterator[int]:
    """Places that may be swapped with the next place, which is in the same group."""
    yield from range(parts.start("event"), parts.end("event") - 1)
    yield from range(parts.start("date"), parts.end("date") - 1)
    yield from range(parts.start("body"), parts.end("check") - 1)


def _foreign_letters(found: Sequence[Correction]) -> list[Correction]:
    """Letters that no random part has; they are wrong whatever the date."""
    random = [one for one in found if not one.swapped and one.at > one.wrong.rfind("-")]
    return [one for one in random if one.at < len(one.wrong) - 1 and one.wrong[one.at] not in CROCKFORD]


def _standing_out(found: Sequence[Correction], starts: Starts) -> list[Correction]:
    """What is left after the night, or the way people slip, rules out the others.

    A date beside tonight's may well be right, so then nothing is left.
    """
    tonights = [one for one in found if starts.tonight and one.right.startswith(starts.tonight)]
    corrected = [one for one in tonights if not one.wrong.startswith(starts.tonight)]
    if corrected and corrected[0].wrong.startswith(starts.near()):
        return []
    if corrected:
        return corrected
    random = [one for one in found if one.at > one.wrong.rfind("-")]
    if len(random) == 1:
        return random
    by_kind = ([one for one in random if slip(one)] for slip in (_looks_alike, _is_swapped))
    return next((slips for slips in by_kind if slips), [])


def _only(found: Sequence[Correction], text: str) -> Typo | None:
    """The place they agree on, if they do."""
    places = {one.at for one in found}
    return found[0].typo(text) if len(places) == 1 else None


def _looks_alike(one: Correction) -> bool:
    return not one.swapped and one.slip in _LOOKS_LIKE


def _is_swapped(one: Correction) -> bool:
    return one.swapped

"""Typed codes: which codes a typed text may mean, and how often somebody may try. Pure.

Domain 2.3 ("Guessing"): at most 5 typed codes a minute. People leave out hyphens, put in spaces, leave out
what every ticket of the night begins with, and cannot tell 0 from O. Each reading of the text is a
*candidate*; the first one that the cache knows is the one that was meant. A candidate is only another
spelling of what was typed: a wrong character is never corrected here, only pointed out (`gate.rules.typo`).
A date that was not typed may be any date (`gate.rules.code_starts`), so up to `MOST_FAR` further codes are
looked up. That helps no guesser, because every ticket has only one date.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from stdnum.iso7064 import mod_37_36

from gate.common.value import Value
from gate.rules.code_starts import Starts
from gate.rules.payload import Code, code_hash
from gate.rules.presence import Presented

MOST_CANDIDATES = 6
MOST_FAR = 2000
"""Most codes looked up on other dates: an old id, without a check character, on every date of two nights."""
MOST_TYPED = 5
WINDOW_MS = 60_000
NEW_CHARS = 17
"""From this length on RANDOM is Crockford base32 with a check character: 80 bits (protocol 4.1)."""
CROCKFORD = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
"""The characters of RANDOM without its check character: no I, L, O, U."""

_PASS = "VIP-PASS-"
_NIGHT = re.compile(r"(?:MGY)?(?P<event>[A-Z]{2,6})(?P<date>2[0O][0-9OIL]{6})(?P<rest>[A-Z0-9]+)")
_DATED = re.compile(r"(?P<date>2[0O][0-9OIL]{6})(?P<rest>[A-Z0-9]{6,})")
_WORDS = re.compile(r"[^\W_]+")
_LOOK_ALIKE = str.maketrans("OIL", "011")
"""Crockford's base32 has no O, I or L: people who type them mean 0 and 1."""


class Typist(Value, frozen=True):
    """When codes were typed within the last minute, oldest first; monotonic ms."""

    typed_ms: tuple[int, ...] = ()


def may_type(typist: Typist, now_ms: int) -> tuple[Typist, bool]:
    """Whether one more typed code may be tried now. One that is refused here does not count.

    :returns: the state for the next code, and the answer.
    """
    recent = tuple(at for at in typist.typed_ms if now_ms - at < WINDOW_MS)
    if len(recent) >= MOST_TYPED:
        return Typist(typed_ms=recent), False
    return Typist(typed_ms=(*recent, now_ms)), True


def read_typed(text: str, starts: Starts, known: Callable[[str], bool]) -> Presented | None:
    """What was typed, as something to decide.

    :param starts: of the nights served, from `gate.rules.code_starts.starts_of`.
    :param known: whether the cache knows a code's hash; called at most `MOST_CANDIDATES` times, and
        `MOST_FAR` times more if the date, or the event before it, was not typed.
    :returns: the first candidate that the cache knows, else the likeliest; None if nothing was typed.
    """
    found = candidates(text, starts.tonight)
    for one in found:
        if isinstance(one.what, Code) and known(one.what.code_hash):
            return one
    elsewhere = next((one for one in islice(_elsewhere(text, starts), MOST_FAR) if known(code_hash(one))), "")
    if elsewhere:
        return Presented.of(elsewhere.encode())
    return _likeliest([*found, *_nearby(text, starts)])


def _elsewhere(text: str, starts: Starts) -> Iterator[str]:
    """Ids on other dates than tonight's that a random part typed alone may belong to, the nearest date first.

    With a check character about one date in 36 fits; without, any date does.
    """
    compact = "".join(_words(text))
    dated = _DATED.fullmatch(compact)
    if dated is not None:
        yield from _ids(starts.on(dated["date"].translate(_LOOK_ALIKE)), dated["rest"])
    if is_random_part_alone(text, starts.tonight):
        far = _ids(starts.far(), compact)
        yield from _ids(starts.near(), compact)
        yield from filter(check_character_fits, far) if len(compact) >= NEW_CHARS else far


def _ids(starts: Iterable[str], rest: str) -> Iterator[str]:
    """Whole ids with this random part."""
    for start in starts:
        yield from dict.fromkeys((crockford(start + rest), start + rest))


def _nearby(text: str, starts: Starts) -> list[Presented]:
    """Ids beside tonight's date whose check character fits: they are not damaged, only not in the list."""
    if not is_random_part_alone(text, starts.tonight):
        return []
    ids = _ids(starts.near(), "".join(_words(text)))
    return [Presented.of(one.encode()) for one in ids if check_character_fits(one)]


def code_groups(code: str) -> list[tuple[int, int]]:
    """Where the groups of a code begin and end, as the screen shows them and people count them.

    Hyphens separate groups, and the random part is split into fours; event and date stay whole (protocol
    4.1).
    """
    found, at, named = [], 0, 3 if code[:4].upper() == "MGY-" else 2
    for number, part in enumerate(code.split("-")):
        size = max(len(part), 1) if number < named and len(part) <= 8 else 4
        starts = range(0, max(len(part), 1), size)
        found += [(at + start, at + min(start + size, len(part))) for start in starts]
        at += len(part) + 1
    return found


def is_random_part_alone(text: str, prefix: str) -> bool:
    """Whether only the random part of an id was typed, so that its date may be any."""
    compact = "".join(_words(text))
    return compact.isascii() and 6 <= len(compact) <= 40 and not _begun(compact, prefix)


def check_character_fits(code_id: str) -> bool:
    """Whether an id's check character fits."""
    return bool(mod_37_36.checksum(code_id.replace("-", "")) == 1)


def _likeliest(found: Sequence[Presented]) -> Presented | None:
    """The first, or another spelling of it whose check character fits.

    A pass is no other spelling of a ticket: read as a pass, a ticket's random part fits by chance, 1 in 36.
    """
    if not found:
        return None
    same = [one for one in found if _is_pass(one) == _is_pass(found[0])]
    return next((one for one in same if isinstance(one.what, Code) and one.what.check_ok), found[0])


def _is_pass(one: Presented) -> bool:
    return isinstance(one.what, Code) and one.what.event_code is None


def candidates(text: str, prefix: str) -> list[Presented]:
    """The codes that a typed text may mean, the likeliest first.

    A text that cannot be completed is returned as it is: a foreign text, to be refused as such, or what a
    hand scanner types, so that the signature stays with its id.
    """
    words = _words(text)
    spelt = [*_completed("".join(words), prefix), "-".join(words)]
    read = [Presented.of(code_id.encode()) for code_id in dict.fromkeys(spelt)]
    ours = [one for one in read if isinstance(one.what, Code)][:MOST_CANDIDATES]
    verbatim = text.strip().encode("utf-8", "replace")
    return ours or ([Presented.of(verbatim)] if verbatim else [])


def _words(text: str) -> list[str]:
    """What was typed, in capitals, split at everything but letters and digits."""
    return _WORDS.findall(unicodedata.normalize("NFKC", text).upper())


def _completed(compact: str, prefix: str) -> Iterator[str]:
    """Whole ids, from what was typed, without its hyphens."""
    if not compact.isascii():
        return
    for start, rest in _split(compact, prefix):
        yield crockford(start + rest)
        yield start + rest


def _split(compact: str, prefix: str) -> list[tuple[str, str]]:
    """What may come before an id's random part, and that part."""
    return _begun(compact, prefix) or [(start, compact) for start in (prefix, _PASS) if start]


def _begun(compact: str, prefix: str) -> list[tuple[str, str]]:
    """The same, if some of what comes before the random part was typed."""
    starts = [start for start in (prefix, _PASS) if start]
    begun = [(start, rest) for start in starts if (rest := _after(compact, start))]
    night = _NIGHT.fullmatch(compact)
    if night is not None:
        begun.append((f"MGY-{night['event']}-{night['date'].translate(_LOOK_ALIKE)}-", night["rest"]))
    return begun


def _after(compact: str, start: str) -> str:
    """What follows the start of an id; people may leave out the first groups of the start."""
    parts = start.strip("-").split("-")
    for first in range(len(parts)):
        typed = "".join(parts[first:])
        if compact.translate(_LOOK_ALIKE).startswith(typed.translate(_LOOK_ALIKE)):
            return compact[len(typed) :]
    return ""


def crockford(code_id: str) -> str:
    """An id with 0 for O, and 1 for I and L, where its random part can only have 0 and 1.

    The check character may be any of 36, so of two that look alike the one that fits is taken. Old ids are
    shorter than `NEW_CHARS` and may have any letter, so they stay as they are.
    """
    start, _, random = code_id.rpartition("-")
    if len(random) < NEW_CHARS:
        return code_id
    body, wrote = random[:-1].translate(_LOOK_ALIKE), random[-1]
    check: str = mod_37_36.calc_check_digit(f"{start}{body}".replace("-", ""))
    same = CROCKFORD.issuperset(body) and wrote.translate(_LOOK_ALIKE) == check.translate(_LOOK_ALIKE)
    return f"{start}-{body}{check if same else wrote}"

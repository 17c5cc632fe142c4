"""No printed value contains a ticket's secret: quality 7.1, invariant 17, for the pure parts of the door.

The canaries are parts of a ticket's id and of its signatures, as the carriers have them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import date

import pytest
from rich.pretty import pretty_repr

from gate.rules.code_starts import NightCode, Starts
from gate.rules.decide import decide
from gate.rules.payload import Code, Malformed, parse, prove
from gate.rules.presence import Presence, Presented, Sighting, observe
from gate.rules.typed_code import read_typed
from gate.rules.typo import corrections
from tests.codes import KEYS, printed, signed
from tests.factories import a_code, a_question, code_id, pass_id

NIGHT = Starts(nights=(NightCode(code="PF", day=date(2026, 11, 20)),))
HMAC = "Q0FOQVJZLUhNQUMtQ0FOQVJZLUhNQUMtQ0FOQVJZLUg="
CARRIED = {
    "ticket": code_id(),
    "pass": pass_id(),
    "lower case": code_id().lower(),
    "signed": signed(),
    "json": printed(signature=HMAC),
}
BROKEN = {
    "too long": code_id() + "A" * 1100,
    "control character": code_id() + "\x00",
    "not the shape": code_id() + "/",
    "broken signature": signed()[:-1] + "1",
    "signature spelt otherwise": signed()[:-1] + "B",
    "json cut off": printed(signature=HMAC)[:-2],
    "json, signature no text": printed(signature=HMAC).replace(f'"{HMAC}"', f'["{HMAC}"]'),
    "json, token no ticket": printed(code_id() + "?", signature=HMAC),
}
CANARIES = (code_id()[-17:], pass_id()[-17:], signed()[-40:], HMAC[:20])


def assert_silent(*things: object) -> None:
    for thing in things:
        for text in (repr(thing), str(thing), f"{thing}", pretty_repr(thing), pretty_repr([thing])):
            for canary in CANARIES:
                assert canary.lower() not in text.lower(), type(thing)
                assert repr(canary.encode())[2:-1].lower() not in text.lower(), type(thing)


@pytest.mark.parametrize("text", CARRIED.values(), ids=CARRIED)
def test_a_code_is_never_printed(text: str) -> None:
    code = a_code(text)
    question = a_question(presented=code, proof=prove(code, None, KEYS))
    sighting = Sighting.of(text.encode())
    presence, presented = observe(Presence(), [sighting], 0)
    assert_silent(code, question, decide(question), sighting, presence, presented)
    assert code.code_hash[:12] in repr(code)


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_damaged_code_is_never_printed(text: str) -> None:
    """A damaged code may still contain a valid secret."""
    refused = parse(text.encode())
    assert isinstance(refused, Malformed)
    presence, presented = observe(Presence(), [Sighting.of(text.encode())], 0)
    assert_silent(refused, a_question(presented=refused), presence, presented)


def test_a_typed_code_and_its_corrections_are_never_printed() -> None:
    damaged = code_id()[:-3] + "7" + code_id()[-2:]
    typed = read_typed(damaged, NIGHT, lambda _hash: False)
    found = list(corrections(damaged))
    assert found
    assert_silent(typed, *found)


def mistakes() -> list[Callable[[], object]]:
    code = a_code(signed())
    return [
        lambda: prove(code, None, {"K1": object()}),  # type: ignore[dict-item]
        lambda: setattr(code, "id", code_id()),
        lambda: dict[Code, object]()[code],
        lambda: Presented(code, signed().encode(), "one too many"),  # type: ignore[call-arg]
        lambda: decide(a_question(presented=code, now=None)),
    ]


@pytest.mark.parametrize("mistake", mistakes())
def test_an_error_while_handling_a_code_never_contains_it(mistake: Callable[[], object]) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError)) as raised:
        mistake()
    told = "".join(traceback.TracebackException.from_exception(raised.value).format(chain=True))
    assert_silent(raised.value)
    for canary in CANARIES:
        assert canary not in told

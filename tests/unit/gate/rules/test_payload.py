"""The contents of a QR code: protocol 4.1."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from gate.rules.decide import decide
from gate.rules.model import Entry, History, Reason
from gate.rules.payload import CARRIERS, MAX_BYTES, Code, Malformed, Proof, code_hash, parse, prove
from tests.codes import printed, signed
from tests.factories import NOW, a_code, a_question, code_id, pass_id


@pytest.mark.parametrize("text", [code_id(), pass_id(), signed(), printed(), "MGY-PF-20250115-ABC123XYZ"])
def test_the_three_carriers_and_old_ids_are_read_as_ours(text: str) -> None:
    assert isinstance(parse(text.encode()), Code)


@pytest.mark.parametrize(
    ("text", "carrier"), [(code_id(), "plain"), (signed(), "signed"), (printed(), "json")]
)
def test_each_carrier_is_recognised(text: str, carrier: str) -> None:
    assert a_code(text).carrier == carrier
    assert set(CARRIERS) == {"plain", "signed", "json"}


@pytest.mark.parametrize("make", [code_id, pass_id])
def test_all_carriers_of_one_ticket_in_any_case_have_the_same_hash(make: Callable[[], str]) -> None:
    plain = make()
    texts = (
        plain,
        plain.lower(),
        plain.title(),
        signed(plain),
        signed(plain).lower(),
        printed(plain.lower()),
    )
    assert {a_code(text).code_hash for text in texts} == {hashlib.sha256(plain.encode()).hexdigest()}


@pytest.mark.parametrize("first", [code_id(), code_id().lower(), signed(), printed()])
@pytest.mark.parametrize("second", [code_id(), code_id().lower(), signed(), printed()])
def test_a_one_time_ticket_is_one_time_across_carriers(first: str, second: str) -> None:
    entered = {a_code(first).code_hash: Entry(at=NOW, gate="gate-1")}
    last = entered.get(a_code(second).code_hash)
    verdict = decide(a_question(presented=a_code(second), history=History(first=last, last=last)))
    assert verdict.reason is Reason.ALREADY_USED


def test_codes_with_look_alike_letters_of_another_alphabet_are_malformed() -> None:
    for char, other in (("M", "М"), ("G", "Ｇ"), ("P", "Ρ"), ("1", "１"), ("-", "‐"), ("S", "ſ"), ("I", "ı")):
        text = "MGY-PSI-20250115-ABC123XYZ".replace(char, other, 1)
        assert text != "MGY-PSI-20250115-ABC123XYZ"
        assert isinstance(parse(text.encode()), Malformed), other


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"https://example.org/menu",
        b"MGY-1",
        b"MGY-PF-20250115-",
        "MGY-PF-20250115-ÑÑÑÑÑÑÑÑ".encode(),
        "MGY-PF-２０２５０１１５-ABC123XYZ".encode(),
        b"MGY-PF-20250115\r\n-ABC123XYZ",
        b"MGY-PF-20250115-ABC\x00123XYZ",
        bytes(range(256)),
        b"\xff\xfe",
        b"'; drop table scans; --",
        "🪩🪩🪩".encode(),
        b"{",
        b"{}",
        b'{"token": 7}',
        b'{"token": "https://example.org", "signature": "x"}',
        b'{"token": ["MGY-PF-20250115-ABC123XYZ"], "signature": "x"}',
        b'{"token": "MGY-PF-20250115-ABC123XYZ", "signature": 7}',
        b'{"token": "MGY-PF-20250115-ABC123XYZ", "signature": "\\ud800"}',
        b'{"token": "MGY-PF-20250115-ABC123XYZ"}{',
        b"[" * 900,
        b'{"a":' * 200,
        b"A" * 4000,
        code_id().encode() + b".K1" + b"A" * 102,
    ],
)
def test_everything_else_is_malformed(raw: bytes) -> None:
    assert isinstance(parse(raw), Malformed)


def test_more_than_a_kibibyte_is_not_parsed() -> None:
    padded = json.dumps({"token": code_id(), "signature": "x", "pad": "x" * MAX_BYTES})
    assert parse(padded.encode()) == Malformed(f"{len(padded)} bytes, more than {MAX_BYTES}")


def test_the_check_character_finds_any_single_wrong_character() -> None:
    good = code_id(42)
    assert a_code(good).check_ok
    for place in range(len("MGY-PF-20261120-"), len(good)):
        for other in "0A9Z":
            if other != good[place]:
                assert not a_code(good[:place] + other + good[place + 1 :]).check_ok


def test_a_plain_code_proves_nothing() -> None:
    assert prove(a_code(), hashlib.sha256(b"c2ln").hexdigest(), {}) is Proof.NONE


def test_a_json_code_is_compared_with_the_hash_the_hub_sent() -> None:
    expected = hashlib.sha256(b"c2ln").hexdigest()
    assert prove(a_code(printed(signature="c2ln")), expected, {}) is Proof.VALID
    for wrong in ("c2lO", "C2LN", "c2ln=", "c2ln "):
        assert prove(a_code(printed(signature=wrong)), expected, {}) is Proof.INVALID


def test_a_json_code_the_cache_does_not_know_proves_nothing() -> None:
    assert prove(a_code(printed()), None, {}) is Proof.NONE


@pytest.mark.parametrize("held", ["", "é", "0", "🪩" * 64])
def test_a_json_code_is_forged_whatever_invalid_hash_the_cache_holds(held: str) -> None:
    assert prove(a_code(printed()), held, {}) is Proof.INVALID


def test_a_json_code_without_its_signature_is_refused() -> None:
    for without in (printed(signature=None), printed(signature="")):
        for expected in (None, "", hashlib.sha256(b"").hexdigest()):
            assert prove(a_code(without), expected, {}) is Proof.INVALID


def test_the_last_of_two_tokens_in_one_json_counts() -> None:
    twice = f'{{"token": "{code_id(1)}", "token": "{code_id(2)}", "signature": "c2ln"}}'
    assert a_code(twice).code_hash == code_hash(code_id(2))

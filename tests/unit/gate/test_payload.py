"""What is in a QR code: protocol 4.1."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.payload import MAX_BYTES, Code, Malformed, Proof, code_hash, parse, prove
from tests.factories import a_code, code_id, pass_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {"K1": KEY.public_key()}


def signed(key_id: str = "K1", text: str | None = None) -> str:
    text = text or code_id()
    signature = base64.b32encode(KEY.sign(text.encode())).decode().rstrip("=")
    return f"{text}.{key_id}{signature}"


def printed(signature: str | None = "c2ln", token: str | None = None) -> str:
    body = {"token": token or code_id(), "signature": signature, "meta": {"reservationId": "r1"}}
    return json.dumps({key: value for key, value in body.items() if value is not None})


@pytest.mark.parametrize("text", [code_id(), pass_id(), signed(), printed(), "MGY-PF-20250115-ABC123XYZ"])
def test_the_three_carriers_and_old_ids_are_ours(text: str) -> None:
    assert isinstance(parse(text.encode()), Code)


def test_all_carriers_of_one_ticket_have_one_hash() -> None:
    hashes = {a_code(text).code_hash for text in (code_id(), signed(), printed(), code_id().lower())}
    assert hashes == {hashlib.sha256(code_id().encode()).hexdigest()}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"https://example.org/menu",
        b"MGY-1",
        b"MGY-PF-20250115-",
        "MGY-PF-20250115-ÑÑÑÑÑÑÑÑ".encode(),
        "MGY-PF-２０２５０１１５-ABC123XYZ".encode(),
        b"MGY-PF-20250115-ABC123XYZ\r\n",
        b"MGY-PF-20250115-ABC\x00123XYZ",
        bytes(range(256)),
        b"\xff\xfe",
        b"'; drop table scans; --",
        "🪩🪩🪩".encode(),
        b"{",
        b"{}",
        b'{"token": 7}',
        b'{"token": "https://example.org", "signature": "x"}',
        b"[" * 900,
        b'{"a":' * 200,
        b"A" * 4000,
        code_id().encode() + b".K1" + b"A" * 102,
    ],
)
def test_everything_else_is_malformed(raw: bytes) -> None:
    assert isinstance(parse(raw), Malformed)


def test_more_than_a_kibibyte_is_not_looked_at() -> None:
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
    assert prove(a_code(), None, KEYS) is Proof.NONE


def test_a_signature_by_a_known_key_is_valid_and_any_bit_flip_is_not() -> None:
    code = a_code(signed())
    assert prove(code, None, KEYS) is Proof.VALID
    assert code.signature is not None
    for bit in range(0, 512, 37):
        flipped = bytearray(code.signature)
        flipped[bit // 8] ^= 1 << bit % 8
        forged = Code(
            id=code.id, code_hash=code.code_hash, carrier="signed", key_id="K1", signature=bytes(flipped)
        )
        assert prove(forged, None, KEYS) is Proof.INVALID


def test_a_signature_for_another_ticket_is_invalid() -> None:
    moved = signed(text=code_id(1)).replace(code_id(1), code_id(2))
    assert prove(a_code(moved), None, KEYS) is Proof.INVALID


def test_an_unknown_key_proves_nothing_either_way() -> None:
    assert prove(a_code(signed("K9")), None, KEYS) is Proof.NONE


def test_a_json_code_is_compared_with_the_hash_the_hub_sent() -> None:
    expected = hashlib.sha256(b"c2ln").hexdigest()
    assert prove(a_code(printed("c2ln")), expected, {}) is Proof.VALID
    assert prove(a_code(printed("c2lO")), expected, {}) is Proof.INVALID


def test_a_json_code_without_its_signature_is_refused() -> None:
    assert prove(a_code(printed(None)), None, {}) is Proof.INVALID


def test_the_secret_is_not_in_the_repr() -> None:
    code = a_code(signed())
    assert code_id() not in repr(code)
    assert code_hash(code_id())[:12] in repr(code)

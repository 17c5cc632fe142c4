"""Keys under which anybody can sign are refused when the configuration is read."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gate.common.public_key import read_public_key

PRIME, SIGN = 2**255 - 19, 1 << 255
ORDER_8 = (
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
)
POINTS = (0, 1, PRIME - 1, *ORDER_8)
SPELLINGS = sorted({y | sign for y in (*POINTS, PRIME, PRIME + 1) for sign in (0, SIGN)})
IDENTITY = (1).to_bytes(32, "little")


def encoded(y: int) -> bytes:
    return y.to_bytes(32, "little")


def test_under_the_worst_of_these_keys_one_signature_fits_every_ticket() -> None:
    key = Ed25519PublicKey.from_public_bytes(IDENTITY)
    for text in (b"MGY-PF-20250115-AAAAAAAAAAAAAAAAA", b"VIP-PASS-ANYTHING", b""):
        key.verify(IDENTITY + bytes(32), text)


@pytest.mark.parametrize("y", SPELLINGS)
def test_each_point_of_small_order_is_refused_in_every_spelling(y: int) -> None:
    with pytest.raises(ValueError, match="anybody can make signatures"):
        read_public_key(base64.b64encode(encoded(y)).decode())


@pytest.mark.parametrize("y", SPELLINGS)
def test_under_each_refused_key_somebody_without_a_private_key_can_sign(y: int) -> None:
    """The refusal has a reason: a forged signature fits at least one of 64 texts."""
    key = Ed25519PublicKey.from_public_bytes(encoded(y))
    assert (
        any(verifies(key, IDENTITY + bytes(32), str(number).encode()) for number in range(64)) or y in REFUSED
    )


REFUSED = {PRIME, PRIME + 1, PRIME | SIGN, (PRIME + 1) | SIGN, 1 | SIGN, (PRIME - 1) | SIGN}
"""Spellings that this library's own check may refuse to use; another version may not."""


def verifies(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", base64.b64encode(bytes(31)).decode()])
def test_what_is_not_a_public_key_is_refused_as_such(text: str) -> None:
    with pytest.raises(ValueError, match="not an Ed25519 public key"):
        read_public_key(text)


@pytest.mark.parametrize("seed", range(20))
def test_an_honest_key_is_read(seed: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key()
    read = read_public_key(base64.b64encode(key.public_bytes_raw()).decode())
    assert read.public_bytes_raw() == key.public_bytes_raw()

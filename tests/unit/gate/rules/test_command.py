"""Sealed orders: a gate opens only genuine ones for itself that are valid now (domain 2.3, "Overrides")."""

from __future__ import annotations

import base64
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gate.rules.command import LONGEST_ENVELOPE, LONGEST_LIFE_S, Command, Envelope, RefusedOrder, seal, unseal
from tests.factories import NOW, StoppedClock

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"s", b"o"))
KEYS = {"S1": KEY.public_key()}
SURE = StoppedClock(synced=True).now()


def an_order(**changes: Any) -> Command:
    return msgspec.structs.replace(
        Command(
            id=str(uuid.UUID(int=7)),
            gate_id="gate-1",
            action="release",
            reason="forgot her phone",
            actor="ana",
            issued_at=NOW,
            expires_at=NOW + timedelta(seconds=30),
        ),
        **changes,
    )


def opened(sealed: bytes, **changes: Any) -> Command | RefusedOrder:
    return unseal(sealed, KEYS, "gate-1", msgspec.structs.replace(SURE, **changes))


def why(sealed: bytes, **changes: Any) -> str:
    found = opened(sealed, **changes)
    assert isinstance(found, RefusedOrder), found
    return found.why


def test_what_the_hub_seals_the_gate_opens() -> None:
    assert opened(seal(an_order(), "S1", KEY)) == an_order()


def test_an_order_signed_with_another_key_is_refused() -> None:
    assert "signature is wrong" in why(seal(an_order(), "S1", OTHER))
    assert "not known here" in why(seal(an_order(), "S2", KEY))


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_an_order_with_any_bit_flipped_is_refused(place: int, bit: int) -> None:
    envelope = msgspec.json.decode(seal(an_order(), "S1", KEY), type=Envelope)
    for name in ("body", "signature"):
        raw = bytearray(base64.b64decode(getattr(envelope, name)))
        raw[place % len(raw)] ^= 1 << bit
        turned = msgspec.structs.replace(envelope, **{name: base64.b64encode(raw).decode()})
        assert why(msgspec.json.encode(turned)) == "its signature is wrong"


@given(st.binary(max_size=300) | st.just(b"x" * (LONGEST_ENVELOPE + 1)))
def test_noise_is_refused_in_words_and_raises_nothing(noise: bytes) -> None:
    assert why(noise) in ("it cannot be read", "it is too long")


def test_an_order_for_another_gate_is_refused() -> None:
    assert "it is for gate 'gate-2'" in why(seal(an_order(gate_id="gate-2"), "S1", KEY))


def test_an_order_expires() -> None:
    sealed = seal(an_order(), "S1", KEY)
    assert isinstance(opened(sealed, wall=NOW + timedelta(seconds=29)), Command)
    assert why(sealed, wall=NOW + timedelta(seconds=30)) == "it has expired"


def test_a_gate_that_does_not_know_the_time_refuses_every_order() -> None:
    found = opened(seal(an_order(), "S1", KEY), clock="untrusted")
    assert isinstance(found, RefusedOrder)
    assert "does not know the time" in found.why
    assert found.id == an_order().id  # it comes from staff, so it is answered


@pytest.mark.parametrize("issued", [NOW, NOW + timedelta(days=365)])
def test_an_order_for_longer_than_ten_minutes_or_for_the_future_is_refused(issued: Any) -> None:
    late = an_order(issued_at=issued, expires_at=issued + timedelta(seconds=LONGEST_LIFE_S + 1))
    assert "valid for longer" in why(seal(late, "S1", KEY))
    soon = an_order(issued_at=issued, expires_at=issued + timedelta(seconds=30))
    assert isinstance(opened(seal(soon, "S1", KEY)), Command) is (issued == NOW)


@pytest.mark.parametrize(
    "wrong", ["", "7", "00000000-0000-0000-0000-00000000000G", str(uuid.UUID(int=0xAB)).upper()]
)
def test_an_id_that_is_not_a_uuid_in_canonical_form_is_refused(wrong: str) -> None:
    assert why(seal(an_order(id=wrong), "S1", KEY)) == "its id is not a UUID"


@pytest.mark.parametrize("text", [b"[" * 1_500, b'{"zz":' + b"[" * 1_500, b'{"body":' + b'{"a":' * 400])
def test_deep_nesting_is_refused_in_words_in_the_envelope_and_in_the_body(text: bytes) -> None:
    assert why(text) == "it cannot be read"
    inside = Envelope(
        body=base64.b64encode(text).decode(),
        key="S1",
        signature=base64.b64encode(KEY.sign(text)).decode(),
    )
    assert "cannot be read" in why(msgspec.json.encode(inside))

"""A wipe is for one gate with one certificate, and says who signed it."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gate.rules.command import Command, Envelope, seal, unseal
from gate.rules.model import Now
from sync.wire.wipe import Wipe, seal_wipe, why_not_wiped
from tests.factories import NOW

KEY = Ed25519PrivateKey.generate()
KEYS = {"C1": KEY.public_key()}
MINE, OTHER = "a" * 64, "b" * 64
SEALED = seal_wipe(Wipe(gate_id="gate-3", certificates=(OTHER, MINE)), "C1", KEY)


def test_it_is_for_the_gate_and_the_certificates_it_names() -> None:
    assert why_not_wiped(SEALED, KEYS, "gate-3", MINE) == ""
    assert "for gate 'gate-3'" in why_not_wiped(SEALED, KEYS, "gate-4", MINE)
    assert "another certificate" in why_not_wiped(SEALED, KEYS, "gate-3", "c" * 64)
    assert "another certificate" in why_not_wiped(SEALED, KEYS, "gate-3", "")


def test_nobody_else_can_make_one() -> None:
    assert "not known here" in why_not_wiped(SEALED, {}, "gate-3", MINE)
    forged = seal_wipe(Wipe(gate_id="gate-3", certificates=(MINE,)), "C1", Ed25519PrivateKey.generate())
    assert "signature" in why_not_wiped(forged, KEYS, "gate-3", MINE)
    other = msgspec.structs.replace(
        SEALED, body=base64.b64encode(b'{"order":"wipe","gate_id":"gate-3"}').decode()
    )
    assert "signature" in why_not_wiped(other, KEYS, "gate-3", MINE)


def test_an_order_is_no_wipe_and_a_wipe_is_no_order() -> None:
    order = Command(
        id="11111111-1111-4111-8111-111111111111", gate_id="gate-3", action="release", reason="r", actor="a",
        issued_at=NOW, expires_at=NOW,
    )  # fmt: skip
    envelope = msgspec.json.decode(seal(order, "C1", KEY), type=Envelope)
    assert why_not_wiped(envelope, KEYS, "gate-3", MINE) == "it cannot be read"
    now = Now(wall=NOW, monotonic_ms=0, boot_id="b", clock="synced")
    assert "cannot be read" in getattr(unseal(msgspec.json.encode(SEALED), KEYS, "gate-3", now), "why", "")


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_is_sent_is_refused(body: str, signature: str) -> None:
    assert why_not_wiped(Envelope(body=body, key="C1", signature=signature), KEYS, "gate-3", MINE)


@pytest.mark.parametrize("count", [1, 64, 1000])
def test_a_gate_that_had_many_certificates_is_told_of_its_newest(count: int) -> None:
    many = tuple(f"{number:064x}" for number in range(count))
    sealed = seal_wipe(Wipe(gate_id="gate-3", certificates=many), "C1", KEY)
    assert why_not_wiped(sealed, KEYS, "gate-3", many[0]) == ""

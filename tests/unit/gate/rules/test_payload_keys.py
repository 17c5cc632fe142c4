"""Signed codes and the keys they are checked with: protocol 4.1, docs/adr/0008."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.rules.decide import decide
from gate.rules.model import Flag, Reason, Verdict
from gate.rules.payload import Code, Keys, Malformed, Proof, parse, prove
from tests.codes import KEY, KEYS, NEXT_KEY, signed
from tests.factories import a_code, a_question, an_admission, code_id, pass_id

BOTH = {"K1": KEY.public_key(), "K2": NEXT_KEY.public_key()}
ONLY_NEW = {"K2": NEXT_KEY.public_key()}
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def new(text: str | None = None) -> str:
    return signed(text, "K2", NEXT_KEY)


def answer(text: str, keys: Keys, *, known: bool = False) -> Verdict:
    """The answer of a gate with these keys, whose cache may know the ticket."""
    code = a_code(text)
    return decide(
        a_question(
            presented=code,
            admission=an_admission() if known else None,
            ticket_event=None,
            proof=prove(code, None, keys),
        )
    )


def test_a_signature_by_a_held_key_is_valid() -> None:
    assert prove(a_code(signed()), None, KEYS) is Proof.VALID
    assert prove(a_code(signed(pass_id())), None, KEYS) is Proof.VALID


def test_a_signature_with_any_bit_flipped_is_invalid() -> None:
    code = a_code(signed())
    assert code.signature is not None
    for bit in range(512):
        flipped = bytearray(code.signature)
        flipped[bit // 8] ^= 1 << bit % 8
        forged = Code(
            id=code.id, code_hash=code.code_hash, carrier="signed", key_id="K1", signature=bytes(flipped)
        )
        assert prove(forged, None, KEYS) is Proof.INVALID, bit


def test_a_signature_has_only_one_valid_spelling() -> None:
    """103 characters of base32 have three bits more than 64 bytes; they must be 0."""
    text = signed()
    accepted = [last for last in BASE32 if isinstance(parse((text[:-1] + last).encode()), Code)]
    assert len(accepted) == len(BASE32) // 8
    assert text[-1] in accepted
    assert [prove(a_code(text[:-1] + last), None, KEYS) for last in accepted].count(Proof.VALID) == 1


def test_a_signature_that_is_too_short_or_not_base32_is_malformed() -> None:
    text = signed()
    for broken in (text[:-1], text[:-1] + "1", text[:-1] + "=", text.replace(".", ""), text + "A" * 9):
        assert isinstance(parse(broken.encode()), Malformed), broken


def test_a_signature_for_another_ticket_is_invalid() -> None:
    moved = signed(code_id(1)).replace(code_id(1), code_id(2))
    assert prove(a_code(moved), None, KEYS) is Proof.INVALID


def test_several_keys_are_held_at_once() -> None:
    assert prove(a_code(signed()), None, BOTH) is Proof.VALID
    assert prove(a_code(new()), None, BOTH) is Proof.VALID


def test_only_the_key_named_by_the_key_id_is_tried() -> None:
    assert prove(a_code(signed(key_id="K2")), None, BOTH) is Proof.INVALID
    assert prove(a_code(signed(key_id="K1", key=NEXT_KEY)), None, BOTH) is Proof.INVALID


def test_key_ids_have_one_to_eight_characters() -> None:
    for key_id in ("K", "K1", "20261120", "7ABCDEF2"):
        code = a_code(signed(key_id=key_id))
        assert (code.key_id, prove(code, None, {key_id: KEY.public_key()})) == (key_id, Proof.VALID)
    for key_id in ("", "TOOLONGID"):
        assert isinstance(parse(signed(key_id=key_id).encode()), Malformed)


def test_a_ticket_under_an_unknown_key_is_admitted_only_if_the_cache_knows_it() -> None:
    """As at a gate that does not have tonight's new key yet."""
    assert prove(a_code(new()), None, KEYS) is Proof.NONE
    assert answer(new(), KEYS, known=True).admits
    assert answer(new(), KEYS).reason is Reason.UNKNOWN


def test_a_ticket_under_a_retired_key_is_admitted_only_if_the_cache_knows_it() -> None:
    assert prove(a_code(signed()), None, ONLY_NEW) is Proof.NONE
    assert answer(signed(), ONLY_NEW, known=True).admits
    assert answer(signed(), ONLY_NEW).reason is Reason.UNKNOWN


def test_a_reused_key_id_refuses_the_old_keys_tickets_known_or_not() -> None:
    reused = {"K1": NEXT_KEY.public_key()}
    assert answer(signed(), reused).reason is Reason.FORGED
    assert answer(signed(), reused, known=True).reason is Reason.FORGED


def test_signed_tickets_are_admitted_as_long_as_their_key_is_held() -> None:
    """Through a rotation in the middle of the night: old key, both keys, new key."""
    old_ticket, new_ticket = signed(), new()
    admitted = [
        (answer(old_ticket, keys).admits, answer(new_ticket, keys).admits) for keys in (KEYS, BOTH, ONLY_NEW)
    ]
    assert admitted == [(True, False), (True, True), (False, True)]
    assert answer(old_ticket, BOTH).flags == (Flag.UNSYNCED, Flag.UNCLAIMED)
    for keys in (KEYS, BOTH, ONLY_NEW):
        assert answer(old_ticket, keys, known=True).admits
        assert answer(new_ticket, keys, known=True).admits


def test_a_stranger_who_signs_with_a_key_of_their_own_gains_nothing() -> None:
    own = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert answer(signed(key=own), BOTH).reason is Reason.FORGED
    assert answer(signed(key_id="K9", key=own), BOTH).reason is Reason.UNKNOWN

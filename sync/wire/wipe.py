"""A stolen gate is told to erase what it knows when it asks for its configuration. Signed as an order. Pure.

Bound to the gate and to its certificates, so that it erases no other gate, nor the same one after it was
enrolled anew.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value
from gate.rules.command import Envelope

LONGEST_WIPE = 16 * 1024
_MOST_CERTIFICATES = 64


class Wipe(Value, frozen=True, tag="wipe", tag_field="order"):
    """`certificates`: the SHA-256 of each that the gate has had, in hexadecimal."""

    gate_id: str
    certificates: tuple[str, ...]


class RevokedAnswer(Value, frozen=True):
    """What a gate reads that was revoked as stolen: a problem (RFC 9457) with a wipe."""

    wipe: Envelope | None = None
    detail: str = ""


def seal_wipe(wipe: Wipe, key_id: str, key: Ed25519PrivateKey) -> Envelope:
    """A signed wipe, ready to travel; the newest certificates, if there are very many."""
    body = msgspec.json.encode(
        msgspec.structs.replace(wipe, certificates=wipe.certificates[:_MOST_CERTIFICATES])
    )
    signature = base64.b64encode(key.sign(body)).decode()
    return Envelope(body=base64.b64encode(body).decode(), key=key_id, signature=signature)


def why_not_wiped(
    sealed: Envelope, keys: Mapping[str, Ed25519PublicKey], gate_id: str, certificate: str
) -> str:
    """Why this is no wipe for the gate with this certificate; empty if it is. Never raises."""
    key = keys.get(sealed.key)
    if key is None:
        return f"its key {sealed.key[:16]!r} is not known here: see [command_keys]"
    try:
        body = base64.b64decode(sealed.body, validate=True)
        key.verify(base64.b64decode(sealed.signature, validate=True), body)
        wipe = read_json(body, Wipe, limit=LONGEST_WIPE)
    except InvalidSignature:
        return "its signature is wrong"
    except (UnreadableError, ValueError):
        return "it cannot be read"
    if wipe.gate_id != gate_id:
        return f"it is for gate {wipe.gate_id[:64]!r}"
    return "" if certificate in wipe.certificates else "it is for another certificate of this gate"

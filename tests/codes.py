"""Codes in the carriers of protocol 4.1, signed with keys of the tests."""

from __future__ import annotations

import base64
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.factories import code_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEYS = {"K1": KEY.public_key()}


def signed(text: str | None = None, key_id: str = "K1", key: Ed25519PrivateKey = KEY) -> str:
    """Protocol 4.1, carrier 2."""
    text = text or code_id()
    signature = base64.b32encode(key.sign(text.encode())).decode().rstrip("=")
    return f"{text}.{key_id}{signature}"


def printed(text: str | None = None, signature: str | None = "c2ln") -> str:
    """Protocol 4.1, carrier 3; None: without its signature."""
    body = {"token": text or code_id(), "signature": signature, "meta": {"reservationId": "r1"}}
    return json.dumps({key: value for key, value in body.items() if value is not None})

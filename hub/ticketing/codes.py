"""Codes of tickets and guest passes, and their printed forms: protocol 4.1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from datetime import date

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stdnum.iso7064 import mod_37_36

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no I, L, O, U."""
RANDOM_CHARS = 16
"""5 bits each make the 80 bits a code needs (protocol 4.1)."""


def ticket_code(event_code: str, day: date, source: random.Random) -> str:
    """``MGY-{EVENT}-{YYYYMMDD}-{RANDOM}`` with its check character.

    :param source: `secrets.SystemRandom()` for tickets that are sold, a seeded one in tests.
    """
    return _checked(f"MGY-{event_code}-{day:%Y%m%d}-{_random(source)}")


def pass_code(source: random.Random) -> str:
    """``VIP-PASS-{RANDOM}`` with its check character."""
    return _checked(f"VIP-PASS-{_random(source)}")


def sign(code: str, key: bytes) -> str:
    """The signature printed in the JSON form: base64 of HMAC-SHA256 over the code."""
    return base64.b64encode(hmac.digest(key, code.encode(), hashlib.sha256)).decode()


def signed_form(code: str, key_id: str, key: Ed25519PrivateKey) -> str:
    """The signed carrier: a gate that was dark since before the sale admits it."""
    signature = base64.b32encode(key.sign(code.encode())).decode().rstrip("=")
    return f"{code}.{key_id}{signature}"


def printed_json(code: str, signature: str, reservation_id: str | None = None) -> str:
    """The Maguey JSON, which the purchase site prints as QR."""
    meta = {"reservationId": reservation_id} if reservation_id else {}
    return json.dumps({"token": code, "signature": signature, "meta": meta}, separators=(",", ":"))


def _random(source: random.Random) -> str:
    return "".join(source.choices(CROCKFORD, k=RANDOM_CHARS))


def _checked(code: str) -> str:
    """Adds the ISO 7064 MOD 37,36 check character of the code without its hyphens."""
    digit: str = mod_37_36.calc_check_digit(code.replace("-", ""))
    return code + digit

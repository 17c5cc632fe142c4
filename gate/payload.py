"""From the bytes of a QR code to one of our codes, or to the refusal of it.

Protocol 4.1: three carriers (plain, Ed25519-signed, Maguey JSON) of the same id. Pure.
A code's id is a secret: it lives in memory for one scan and is never printed or stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_37_36

MAX_BYTES = 1024
"""Longest input that is looked at (protocol 4.1)."""

_TICKET = re.compile(r"MGY-(?P<event>[A-Z]{2,6})-(?P<date>\d{8})-[A-Z0-9]{6,40}", re.ASCII)
_PASS = re.compile(r"VIP-PASS-[A-Z0-9-]{6,64}", re.ASCII)
_SIGNATURE_CHARS = 103  # 64 bytes in base32 without padding
_SIGNED = re.compile(rf"(?P<id>[A-Z0-9-]+)\.(?P<key>[A-Z0-9]{{1,8}}?)(?P<sig>[A-Z2-7]{{{_SIGNATURE_CHARS}}})")


class Proof(StrEnum):
    """What a code's signature says. `NONE`: unsigned, or nothing here to check it with."""

    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A code in our format. `id` is the secret; its repr shows only the hash."""

    id: str
    code_hash: str
    carrier: Literal["plain", "signed", "json"] = "plain"
    event_code: str | None = None
    event_date: str | None = None
    key_id: str | None = None
    signature: bytes | None = None

    def __repr__(self) -> str:
        return f"Code({self.carrier}, {self.code_hash[:12]}…)"

    @property
    def check_ok(self) -> bool:
        """Whether the ISO 7064 MOD 37,36 check character over the whole id holds."""
        try:
            mod_37_36.validate(self.id.replace("-", ""))
        except ValidationError:
            return False
        return True


class Malformed(msgspec.Struct, frozen=True):
    """Not one of our codes; `why` is for the log."""

    why: str


class _Json(msgspec.Struct):
    token: str
    signature: str | None = None


def code_hash(code_id: str) -> str:
    """SHA-256 of a code's id, lower-case hex; what gates and hub call the code by.

    Codes are compared without regard to case (a typed code), so the upper-case form is hashed.
    """
    return hashlib.sha256(code_id.upper().encode()).hexdigest()


def parse(raw: bytes) -> Code | Malformed:
    """Read what a scanner or a keypad gave.

    :param raw: the bytes, at most `MAX_BYTES` are considered.
    """
    if len(raw) > MAX_BYTES:
        return Malformed(f"{len(raw)} bytes, more than {MAX_BYTES}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Malformed("not UTF-8")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text):
        return Malformed("control characters")
    if text.startswith("{"):
        return _parse_json(raw)
    return _parse_text(text)


def _parse_text(text: str) -> Code | Malformed:
    signed = _SIGNED.fullmatch(text)
    if signed is None:
        return _code(text)
    try:
        signature = base64.b32decode(signed["sig"] + "=")
    except (binascii.Error, ValueError):
        return Malformed("signature is not base32")
    return _code(signed["id"], carrier="signed", key_id=signed["key"], signature=signature)


def _parse_json(raw: bytes) -> Code | Malformed:
    try:
        body = msgspec.json.decode(raw, type=_Json)
    except (msgspec.DecodeError, RecursionError):
        return Malformed("JSON, but not a Maguey ticket")
    signature = body.signature.encode() if body.signature else None
    return _code(body.token, carrier="json", signature=signature)


def _code(
    text: str,
    carrier: Literal["plain", "signed", "json"] = "plain",
    key_id: str | None = None,
    signature: bytes | None = None,
) -> Code | Malformed:
    code_id = text.upper() if text.isascii() else text
    ticket = _TICKET.fullmatch(code_id)
    if ticket is None and _PASS.fullmatch(code_id) is None:
        return Malformed("not the shape of a Maguey code")
    return Code(
        id=code_id,
        code_hash=code_hash(code_id),
        carrier=carrier,
        event_code=ticket["event"] if ticket else None,
        event_date=ticket["date"] if ticket else None,
        key_id=key_id,
        signature=signature,
    )


def prove(code: Code, signature_hash: str | None, keys: Mapping[str, Ed25519PublicKey]) -> Proof:
    """Check a code's signature with what a gate may hold: public keys and hashes.

    :param signature_hash: SHA-256 hex of the HMAC the hub issued; empty for a ticket issued without
        one, on which any HMAC is forged; None for a code the cache does not know.
    :param keys: Ed25519 public keys by key id.

    A JSON code without its signature is refused (protocol 4.1). An unknown key id proves
    nothing either way, so that a gate without the newest key still admits from its cache.
    """
    if code.carrier == "plain":
        return Proof.NONE
    if code.signature is None:
        return Proof.INVALID
    if code.carrier == "json":
        return _prove_json(code.signature, signature_hash)
    key = keys.get(code.key_id or "")
    return Proof.NONE if key is None else _prove_signed(code.id, code.signature, key)


def _prove_json(signature: bytes, signature_hash: str | None) -> Proof:
    if signature_hash is None:
        return Proof.NONE
    same = hmac.compare_digest(hashlib.sha256(signature).hexdigest(), signature_hash)
    return Proof.VALID if same else Proof.INVALID


def _prove_signed(code_id: str, signature: bytes, key: Ed25519PublicKey) -> Proof:
    try:
        key.verify(signature, code_id.encode())
    except InvalidSignature:
        return Proof.INVALID
    return Proof.VALID

"""Reads the bytes of a QR code as one of our codes, or says why they are not one.

Protocol 4.1: three carriers (plain, Ed25519-signed, Maguey JSON) of the same id; `CARRIERS` is the table of
them. Pure. A code's id is a secret: it is in memory for one scan, and never printed or stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_37_36

from gate.common.foreign import UnreadableError, read_json


class Several(msgspec.Struct, frozen=True):
    """Two or more different codes of ours in one picture."""

    count: int


MAX_BYTES = 1024
"""The longest code that is read (protocol 4.1), without the invisible bytes around it."""
MAX_AROUND = 64
"""The most invisible bytes around a code. Nobody prints more; anything longer is refused unread."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TICKET = re.compile(r"MGY-(?P<event>[A-Z]{2,6})-(?P<date>\d{8})-[A-Z0-9]{6,40}", re.ASCII)
_PASS = re.compile(r"VIP-PASS-[A-Z0-9-]{6,64}", re.ASCII)
_SIGNATURE_CHARS = 103  # 64 bytes in base32 without padding
_SIGNED = re.compile(rf"(?P<id>[A-Z0-9-]+)\.(?P<key>[A-Z0-9]{{1,8}}?)(?P<sig>[A-Z2-7]{{{_SIGNATURE_CHARS}}})")

CarrierName = Literal["plain", "signed", "json"]
Keys = Mapping[str, Ed25519PublicKey]
"""Public keys by key id. During a rotation there are several."""


class Proof(StrEnum):
    """What a code's signature proves. `NONE`: the code is unsigned, or there is no key here to check it."""

    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"


class Secret(msgspec.Struct, frozen=True):
    """A value that holds a code's id, or the bytes it was read from. Only `shown` is ever printed.

    Otherwise `repr`, tracebacks with values, and rich would print every field.
    """

    def shown(self) -> str:
        """What may appear in a log."""
        return "…"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown()})"

    def __rich_repr__(self) -> Iterator[str]:  # type: ignore[override]
        yield self.shown()


class Code(Secret, frozen=True, kw_only=True):
    """A code in our format. `id` and `signature` are secret; only the hash is shown."""

    id: str
    code_hash: str
    carrier: CarrierName = "plain"
    event_code: str | None = None
    event_date: str | None = None
    key_id: str | None = None
    signature: bytes | None = None

    def shown(self) -> str:
        """The carrier and the start of the hash."""
        return f"{self.carrier}, {self.code_hash[:12]}…"

    @property
    def check_ok(self) -> bool:
        """Whether the ISO 7064 MOD 37,36 check character of the whole id is right."""
        try:
            mod_37_36.validate(self.id.replace("-", ""))
        except ValidationError:
            return False
        return True


class Malformed(msgspec.Struct, frozen=True):
    """Not one of our codes. `why` is for the log and contains nothing of what was presented."""

    why: str


class Carrier(NamedTuple):
    """One way of carrying an id. `recognise`: whether a text is of this carrier.

    `prove` checks codes that `read` made, given the hash of the issued HMAC and the keys.
    """

    recognise: Callable[[str], bool]
    read: Callable[[str], Code | Malformed]
    prove: Callable[[Code, str | None, Keys], Proof]


class _Json(Secret, frozen=True):
    token: str
    signature: str | None = None


def code_hash(code_id: str) -> str:
    """SHA-256 of a code's id in lower-case hex: what gates and hub call the code.

    Case does not matter, because codes are typed too, so the upper-case form is hashed.
    """
    return hashlib.sha256(code_id.upper().encode()).hexdigest()


def parse(raw: bytes) -> Code | Malformed:
    """Read what a scanner or a keypad gave. Never raises.

    :param raw: invisible bytes around the code are ignored (domain 2.3, "Invisible bytes").
    """
    text = _text(raw)
    if isinstance(text, Malformed):
        return text
    return next(one.read(text) for one in CARRIERS.values() if one.recognise(text))


def prove(code: Code, signature_hash: str | None, keys: Keys) -> Proof:
    """Check a code's signature with what a gate may hold: public keys and hashes.

    :param signature_hash: SHA-256 hex of the HMAC that the hub issued; empty for a ticket issued without one,
        on which any HMAC is forged; None for a code that the cache does not know.
    :param keys: Ed25519 public keys by key id.

    A JSON code without its signature is refused (protocol 4.1). An unknown key id proves nothing either way,
    so that a gate without the newest key still admits from its cache. A key id that now belongs to another
    key makes the old key's codes forged.
    """
    return CARRIERS[code.carrier].prove(code, signature_hash, keys)


def _text(raw: bytes) -> str | Malformed:
    if len(raw) > MAX_BYTES + MAX_AROUND:
        return Malformed(f"{len(raw)} bytes, more than {MAX_BYTES}")
    try:
        text = visible(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Malformed("not UTF-8")
    length = len(text.encode())
    if length > MAX_BYTES:
        return Malformed(f"{length} bytes, more than {MAX_BYTES}")
    if _CONTROL.search(text):
        return Malformed("control characters")
    return text


def visible(text: str) -> str:
    """The text without invisible characters at its ends: byte-order marks, zero-width spaces, white space.

    Some web libraries put a mark before a text with an accent, some keyboards a zero-width space.
    """
    start, end = 0, len(text)
    while start < end and _is_invisible(text[start]):
        start += 1
    while start < end and _is_invisible(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_invisible(character: str) -> bool:
    """White space; format characters (Unicode's Cf: marks, joiners, directions); variation selectors.

    Not the separators of ASCII (FS to US), which Python counts as white space: they are there for some other
    purpose.
    """
    if character <= "\x7f":
        return character in " \t\n\r\v\f"
    return character.isspace() or unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _upper(text: str) -> str:
    """In capitals, if it is ASCII: the capitals of ı and ſ would be I and S."""
    return text.upper() if text.isascii() else text


def _read_plain(text: str) -> Code | Malformed:
    return _code(text, "plain")


def _read_signed(text: str) -> Code | Malformed:
    signed = _SIGNED.fullmatch(_upper(text))
    if signed is None:
        return Malformed("not the shape of a signed Maguey code")
    signature = _from_base32(signed["sig"])
    if signature is None:
        return Malformed("signature is not base32")
    return _code(signed["id"], "signed", key_id=signed["key"], signature=signature)


def _from_base32(text: str) -> bytes | None:
    """The bytes; None also for other spellings of them, which differ in the unused last bits."""
    try:
        signature = base64.b32decode(text + "=")
    except binascii.Error:
        return None
    return signature if base64.b32encode(signature).decode().rstrip("=") == text else None


def _read_json(text: str) -> Code | Malformed:
    try:
        body = read_json(text, _Json, limit=MAX_BYTES)
    except UnreadableError:
        return Malformed("JSON, but not a Maguey ticket")
    return _code(body.token, "json", signature=body.signature.encode() if body.signature else None)


def _code(
    text: str, carrier: CarrierName, key_id: str | None = None, signature: bytes | None = None
) -> Code | Malformed:
    code_id = _upper(text)
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


def _prove_plain(_code: Code, _signature_hash: str | None, _keys: Keys) -> Proof:
    return Proof.NONE


def _prove_signed(code: Code, _signature_hash: str | None, keys: Keys) -> Proof:
    if code.signature is None:
        return Proof.INVALID
    key = keys.get(code.key_id or "")
    if key is None:
        return Proof.NONE
    try:
        key.verify(code.signature, code.id.encode())
    except InvalidSignature:
        return Proof.INVALID
    return Proof.VALID


def _prove_json(code: Code, signature_hash: str | None, _keys: Keys) -> Proof:
    if code.signature is None:
        return Proof.INVALID
    if signature_hash is None:
        return Proof.NONE
    presented = hashlib.sha256(code.signature).hexdigest()
    # as bytes: compare_digest raises for text that is not ASCII, and a broken cache may hold some
    same = hmac.compare_digest(presented.encode(), signature_hash.encode())
    return Proof.VALID if same else Proof.INVALID


CARRIERS: Mapping[CarrierName, Carrier] = {
    "json": Carrier(lambda text: text.startswith("{"), _read_json, _prove_json),
    "signed": Carrier(lambda text: "." in text, _read_signed, _prove_signed),
    "plain": Carrier(lambda _text: True, _read_plain, _prove_plain),
}
"""The three carriers. The first that recognises a text reads it."""

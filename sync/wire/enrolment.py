"""How a machine becomes a gate: what it says to the hub, and what it is told. Pure; the hub reads it too.

Key and token are born on the gate. The hub gets a signing request of the one and the hash of the other, so
neither can be lost on the way, and the same request may be sent again if its answer was.
"""

from __future__ import annotations

import base64
import hashlib
import re

import msgspec

from gate.common.value import Value

LIMIT = 16 * 1024
"""Largest request or answer, in bytes; real ones have about 2,000."""
_TOKEN = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})")
_ED25519 = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
"""What the wire form of such a key begins with (RFC 8709, 4)."""
_CONTEXT = b"maguey enrolment 1\0"
"""No message of SSH, for which the host's key is, begins like this: those are hashes of at most 64 bytes."""


class EnrolRequest(Value, frozen=True):
    """`token`: the secret part of the one the hub made. `request`: PKCS #10, PEM. `token_sha256`: of the
    token that the gate will show from now on. `host_key`: the machine's SSH host key, in its wire form, in
    base64; `signature`: with that, of `enrolment_statement`, in base64."""

    gate_id: str
    token: str
    request: str
    token_sha256: str
    host_key: str
    signature: str
    v: int = 1

    def signed(self, signature: str) -> EnrolRequest:
        """The same with a signature."""
        return msgspec.structs.replace(self, signature=signature)

    def __repr__(self) -> str:
        return f"EnrolRequest({self.gate_id!r})"


class EnrolAnswer(Value, frozen=True):
    """`certificate`, `authority`: in PEM. `command_keys`: of the hub's orders, as in gate.toml."""

    gate_id: str
    gate_name: str
    venue: str
    certificate: str
    authority: str
    command_keys: dict[str, str] = {}
    v: int = 1


class RenewRequest(Value, frozen=True):
    """A signing request with a new key."""

    request: str
    v: int = 1


class RenewAnswer(Value, frozen=True):
    """The certificate for it, in PEM."""

    certificate: str
    v: int = 1


class EnrolToken(Value, frozen=True):
    """What a person carries from the hub to the gate. `authority`: the SHA-256 of the authority's
    certificate, by which the gate knows the hub the first time."""

    secret: str
    authority: str

    def __repr__(self) -> str:
        return "EnrolToken(…)"

    @property
    def text(self) -> str:
        """As one word."""
        return f"{self.secret}.{self.authority}"

    @property
    def sha256(self) -> str:
        """What the hub keeps of it."""
        return sha256_hex(self.secret)


def read_token(text: str) -> EnrolToken:
    """The token in a text. Raises `ValueError`, without repeating it."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise ValueError("this is no enrolment token")
    return EnrolToken(secret=found[1], authority=found[2])


def sha256_hex(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def enrolment_statement(said: EnrolRequest) -> bytes:
    """What the machine signs with its host key: all that it asks for, and for whom."""
    parts = (sha256_hex(said.token), said.gate_id, said.token_sha256, said.request)
    return _CONTEXT + b"\0".join(part.encode() for part in parts)


def ssh_fingerprint(wire_form: bytes) -> str:
    """How ``ssh-keygen -l`` names a public key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire_form).digest()).decode().rstrip("=")


def ed25519_of_ssh(wire_form: bytes) -> bytes:
    """The 32 bytes of a public SSH key. Raises `ValueError`: it is no Ed25519 key."""
    if len(wire_form) != len(_ED25519) + 32 or not wire_form.startswith(_ED25519):
        raise ValueError("the host key is not of the kind ssh-ed25519")
    return wire_form[len(_ED25519) :]


def ssh_of_ed25519(raw: bytes) -> bytes:
    """The wire form of a public key of 32 bytes."""
    return _ED25519 + raw

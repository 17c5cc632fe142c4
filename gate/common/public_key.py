"""Reads an Ed25519 public key from a configuration, and refuses keys that prove nothing. Pure."""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PRIME = 2**255 - 19
_SIGN = 1 << 255
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
        ),
    }
)
"""The y of the eight points of order 1, 2, 4 and 8. Any multiple of them is one of the eight again, so
anybody can make, without a private key, a signature that fits every eighth text, or all of them (libsodium's
blocklist in ``crypto_sign/ed25519/ref10/open.c``; Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs",
2020)."""


def read_public_key(text: str) -> Ed25519PublicKey:
    """A key from the base64 of its 32 bytes.

    :raises ValueError: it is not a key, or one that nobody should trust; the message says why.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        raise ValueError("not an Ed25519 public key; expected its 32 bytes in base64") from None
    y = int.from_bytes(raw, "little") & ~_SIGN
    if y >= _PRIME or y in _SMALL_ORDER:
        raise ValueError(
            "a key for which anybody can make signatures (a point of small order, or not on the curve): "
            "no honest program makes such a key. Find out where it comes from, and use the hub's own"
        )
    return key

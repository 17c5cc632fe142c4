"""The operator's key that vouches for releases, Ed25519, in a file of its own."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.errors import FleetError
from gate.common.errors import ConfigError

_LONGEST_FILE = 4096
_MAKE = "Make one: maguey-fleet key"


def make_release_key(file: Path) -> None:
    """Write a new key, readable by its owner only.

    :raises FleetError: the file exists already, or cannot be written.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(pem)
    except FileExistsError:
        raise FleetError(
            f"{file}: exists already, and was not changed: machines that know its key would refuse releases "
            "signed with another."
        ) from None
    except OSError as error:
        raise FleetError(f"{file}: {error.strerror}. Choose a folder you may write to: --out FILE.") from None


def read_signing_key(file: Path) -> Ed25519PrivateKey:
    """The key in a file.

    :raises ConfigError: it cannot be read, is no such key, or others may read it.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            pem = opened.read(_LONGEST_FILE)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}. {_MAKE}, or name it with --key FILE.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{file}: others than its owner may read or change it (mode {stat.S_IMODE(mode):04o}). Whoever "
            f"has this key can run anything on every machine. If nobody has read it: chmod 600 {file}"
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: not an Ed25519 key. {_MAKE}")
    return key


def release_key_line(key: Ed25519PrivateKey) -> str:
    """What a machine's ``/etc/maguey/release-key.pub`` says."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode() + "\n"

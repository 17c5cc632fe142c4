"""Keys that sign orders to gates and printed tickets, in files only their owner may read (ADR 0017)."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.common.errors import ConfigError
from hub.config import Commands, Tickets
from hub.errors import HubError

_LONGEST_FILE = 4096


class KeyFileError(HubError):
    """The key was not made."""


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs orders. `key_id`: its name at the gates."""

    key_id: str
    key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r}, key=…)"


def make_key(file: Path) -> None:
    """Write a new key, readable by its owner only.

    :raises KeyFileError: the file exists already, or cannot be written.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(pem)
    except FileExistsError:
        raise KeyFileError(
            f"{file}: exists already, and was not changed. Gates that know its key would not follow "
            "another. Print its line with --show."
        ) from None
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}. Choose a folder you may write to.") from None


def read_key(file: Path) -> Ed25519PrivateKey:
    """The key in a file.

    :raises ConfigError: it cannot be read, is no such key, or others may read it.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            pem = opened.read(_LONGEST_FILE)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}. Name the key's file in hub.toml, [commands] or [tickets] key_file, "
            "and run this as a user who may read it. A new key: maguey-hub command-key --out FILE; for "
            "tickets: maguey-hub tickets key --out FILE."
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{file}: others than its owner may read or change it (mode {stat.S_IMODE(mode):04o}). This key "
            f"opens every gate. If nobody has read it: chmod 600 {file}. If you are not sure, make a "
            "new one: maguey-hub command-key --out FILE."
        )
    return _private_key(file, pem)


def _private_key(file: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: not an Ed25519 key. Make one: maguey-hub command-key --out FILE.")
    return key


def public_line(key_id: str, key: Ed25519PrivateKey) -> str:
    """The key's line for ``[command_keys]`` or ``[keys]`` of every gate.toml."""
    public = key.public_key().public_bytes_raw()
    return f'{key_id} = "{base64.b64encode(public).decode()}"'


def command_keys_of(config: Commands) -> dict[str, str]:
    """The configured key's public half, as ``[command_keys]`` has it; empty if there is none to use."""
    try:
        made = signer(config)
    except ConfigError:
        return {}
    return {made.key_id: base64.b64encode(made.key.public_key().public_bytes_raw()).decode()}


def signer(config: Commands) -> Signer:
    """The configured key. Raises `ConfigError`: there is none, or it cannot be used."""
    if config.key_file is None or config.key_id is None:
        raise ConfigError(
            "hub.toml names no key in [commands], so this hub cannot sign orders. Make one: maguey-hub "
            "command-key --out FILE; it prints the lines for hub.toml and for every gate.toml."
        )
    return Signer(key_id=config.key_id, key=read_key(Path(config.key_file)))


def ticket_signer(config: Tickets) -> Signer | None:
    """The key for printed tickets; None if they are plain. Raises `ConfigError`: it cannot be used."""
    if config.key_file is None or config.key_id is None:
        return None
    return Signer(key_id=config.key_id, key=read_key(Path(config.key_file)))

"""Whether this gate's token, key and certificates can be used, and by nobody else. Shows none of them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from gate.common.findings import Finding, fault, fine, warning
from gate.config import GateFile

SOON_DAYS = 21
"""Three weekends to get a new one."""
ENROL = "Enrol the gate at the hub again."
_OTHERS = stat.S_IRWXO
_GROUP = stat.S_IRWXG


def check_credentials(config: GateFile, now: datetime) -> Iterator[Finding]:
    """Token, private key, and how long the certificates hold."""
    hub = config.hub
    yield _secret("token", Path(hub.token_file))
    for name, file, owner in (
        ("hub's certificate", hub.ca_file, None),
        ("gate's certificate", hub.cert_file, config.gate_id),
    ):
        if file:
            yield _certificate(name, Path(file), now, owner)
        else:
            yield warning(name, "None is configured.", "Anybody on the network could pretend. " + ENROL)
    if hub.key_file:
        yield _secret("private key", Path(hub.key_file))
        yield from _belongs(Path(hub.key_file), Path(hub.cert_file))


def _secret(name: str, file: Path) -> Finding:
    try:
        mode, size = file.stat().st_mode, file.stat().st_size
    except OSError as error:
        return fault(name, f"{file}: {error.strerror}.", ENROL)
    if size == 0:
        return fault(name, f"{file}: empty.", ENROL)
    if mode & _OTHERS:
        return fault(
            name, f"{file}: everybody on this machine may read it.", f"chmod 0400 {file}, and {ENROL}"
        )
    if mode & _GROUP:
        return warning(name, f"{file}: the door may read it as well as sync.", f"chmod 0400 {file}")
    return fine(name, f"{file}: for its owner alone.")


def _certificate(name: str, file: Path, now: datetime, owner: str | None) -> Finding:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        return fault(name, f"{file}: cannot be used: {error}", ENROL)
    until = certificate.not_valid_after_utc
    days = (until - now).days
    if now < certificate.not_valid_before_utc:
        began = certificate.not_valid_before_utc
        return fault(name, f"{file}: holds only from {began:%Y-%m-%d}.", "Is the clock of this gate right?")
    if now >= until:
        return fault(name, f"{file}: expired on {until:%Y-%m-%d}.", f"The broker refuses it. {ENROL}")
    names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if owner is not None and names != [owner]:
        return fault(name, f"{file}: made out to {', '.join(names) or 'nobody'}, not to {owner}.", ENROL)
    if days < SOON_DAYS:
        return warning(name, f"{file}: expires in {days} days.", ENROL)
    return fine(name, f"{file}: holds until {until:%Y-%m-%d}, {days} days.")


def _belongs(key_file: Path, cert_file: Path) -> Iterator[Finding]:
    """Nothing to say where either cannot be read: that was said already."""
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    except (OSError, ValueError, TypeError):
        return
    ours, theirs = (
        one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in (key.public_key(), certificate.public_key())
    )
    if ours != theirs:
        yield fault("private key", f"{key_file}: belongs to another certificate than {cert_file}.", ENROL)

"""Whether this gate can use its token, key and certificates, and nobody else can. Shows none of them."""

from __future__ import annotations

import os
import pwd
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

SOON_DAYS = 90
"""Sync renews a certificate eight months before its end."""
ENROL = "Enrol it: maguey-hub enrol at the hub, then maguey-sync enrol here."
RENEW = f"Sync renews the gate's own: journalctl -u maguey-sync says why it did not. {ENROL}"
SERVICE = "maguey-sync"
"""The account that has to read them (systemd/sysusers.d)."""
AS_ROOT = "Run doctor with sudo: only root and maguey-sync may look at it."
_OTHERS = stat.S_IRWXO
_GROUP = stat.S_IRWXG


def check_credentials(config: GateFile, now: datetime) -> Iterator[Finding]:
    """Token, private key, and how long the certificates are valid."""
    hub = config.hub
    yield _secret("token", Path(hub.token_file))
    for name, file, owner in (
        ("hub's certificate", hub.ca_file, None),
        ("gate's certificate", hub.cert_file, config.gate_id),
    ):
        if file:
            yield _certificate(name, Path(file), now, owner)
        else:
            yield warning(name, "Not configured.", f"Anybody on the network could pose as it. {ENROL}")
    if hub.key_file:
        yield _secret("private key", Path(hub.key_file))
        yield from _belongs(Path(hub.key_file), Path(hub.cert_file))


def _secret(name: str, file: Path) -> Finding:
    if hindrance := _hindrance(name, file):
        return hindrance
    mode = file.stat().st_mode
    if mode & _OTHERS:
        return fault(
            name, f"{file}: everybody on this machine can read it.", f"Run chmod 0400 {file}. {ENROL}"
        )
    if mode & _GROUP:
        return warning(name, f"{file}: the door can read it, not only sync.", f"Run chmod 0400 {file}.")
    return fine(name, f"{file}: only its owner can read it.")


def _hindrance(name: str, file: Path) -> Finding | None:
    """What keeps sync, or whoever runs this, from reading the file."""
    try:
        found = file.stat()
        with file.open("rb"):
            pass
    except PermissionError:
        return warning(name, f"{file}: this account may not look at it.", AS_ROOT)
    except OSError as error:
        return fault(name, f"{file}: {error.strerror}.", ENROL)
    if found.st_size == 0:
        return fault(name, f"{file}: empty.", ENROL)
    if why := unreadable_for_service(file, found):
        return fault(name, f"{file}: {why}", f"chown {SERVICE}: {file}; chmod u+r {file}")
    return None


def unreadable_for_service(file: Path, found: os.stat_result, service: str = SERVICE) -> str:
    """Why the service cannot read the file, as when root wrote it; empty if it can, or is not installed."""
    try:
        account = pwd.getpwnam(service)
    except KeyError:
        return ""
    if found.st_uid == account.pw_uid:
        return "" if found.st_mode & stat.S_IRUSR else f"{service} may not read it."
    groups = os.getgrouplist(service, account.pw_gid)
    is_let_in = found.st_mode & (stat.S_IRGRP if found.st_gid in groups else stat.S_IROTH)
    return "" if is_let_in else f"belongs to {_owner(file)}, so {service} cannot read it."


def _owner(file: Path) -> str:
    try:
        return file.owner()
    except KeyError:
        return "nobody on this machine"


def _certificate(name: str, file: Path, now: datetime, owner: str | None) -> Finding:
    if hindrance := _hindrance(name, file):
        return hindrance
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        return fault(name, f"{file}: no certificate.", ENROL)
    return _judged(name, file, certificate, now, owner)


def _judged(
    name: str, file: Path, certificate: x509.Certificate, now: datetime, owner: str | None
) -> Finding:
    until = certificate.not_valid_after_utc
    days = (until - now).days
    if now < certificate.not_valid_before_utc:
        began = certificate.not_valid_before_utc
        return fault(name, f"{file}: not valid before {began:%Y-%m-%d}.", "Check this gate's clock.")
    if now >= until:
        return fault(name, f"{file}: expired on {until:%Y-%m-%d}.", f"The broker refuses it. {ENROL}")
    names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if owner is not None and names != [owner]:
        return fault(name, f"{file}: issued to {', '.join(names) or 'nobody'}, not to {owner}.", ENROL)
    if days < SOON_DAYS:
        return warning(name, f"{file}: expires in {days} days.", RENEW)
    return fine(name, f"{file}: valid until {until:%Y-%m-%d}, {days} days.")


def _belongs(key_file: Path, cert_file: Path) -> Iterator[Finding]:
    """Whether key and certificate match. A file that cannot be read has been reported already."""
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
        yield fault("private key", f"{key_file}: not the key of {cert_file}.", ENROL)

"""What the authority signs: certificates of gates, hub and servers, and the list of revoked ones. Pure.

Nothing of a request is taken over but its public key: name, purpose and life are decided here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.errors import HubError
from sync.wire.topics import GATE_ID

GATES_AUTHORITY = "Maguey gates authority"
HUB_AUTHORITY = "Maguey hub authority"
BROKER = "maguey broker"
WEB = "maguey web"
"""With a space, so that neither server's name is a gate's id."""
HUB = "maguey-hub"
AUTHORITY_LIFE = timedelta(days=20 * 365)
GATE_LIFE = timedelta(days=2 * 365)
SERVER_LIFE = timedelta(days=5 * 365)
TAKE_OVER_LIFE = timedelta(minutes=10)
BACKDATED = timedelta(hours=1)
"""For clocks that are a little behind the hub's."""
LONGEST_REQUEST = 4096
"""Characters of a signing request; with a P-256 key it has about 450."""


class RequestError(HubError):
    """A signing request that is not signed; the message says why."""


class Issuer(msgspec.Struct, frozen=True):
    """An authority's certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return "Issuer(key=…)"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new key of the one kind used here, P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def make_issuer(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> Issuer:
    """An authority that signs end certificates and revocation lists, and no other authorities."""
    subject = _name(name)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        _builder(subject, subject, key.public_key(), now, now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Issuer(made.sign(key, hashes.SHA256()), key)


def requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    """The public key of a signing request (PKCS #10), whose sender has shown that it holds the private one.

    :raises RequestError: it is too long, cannot be read, is of another kind than P-256, or is not signed by
        its own key.
    """
    if len(pem) > LONGEST_REQUEST:
        raise RequestError(f"A signing request of more than {LONGEST_REQUEST} characters.")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        is_its_own = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise RequestError("That is no signing request (PKCS #10, PEM).") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("The key of the signing request is not on the curve P-256.")
    if not is_its_own:
        raise RequestError("The signing request is not signed by its own key.")
    return key


def gate_certificate(
    issuer: Issuer,
    gate_id: str,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta = GATE_LIFE,
) -> x509.Certificate:
    """A gate's certificate, good for nothing but to be this client.

    :raises RequestError: the name is no gate's id, or is kept for the hub.
    """
    if not GATE_ID.fullmatch(gate_id) or gate_id.lower().startswith(HUB):
        raise RequestError(f"{gate_id[:64]!r} is no gate's id, or is kept for the hub.")
    return _end_certificate(issuer, gate_id, key, now, life, ExtendedKeyUsageOID.CLIENT_AUTH)


def hub_certificate(issuer: Issuer, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
    """The hub's own, for the broker."""
    return _end_certificate(issuer, HUB, key, now, SERVER_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH)


def server_certificate(
    issuer: Issuer, name: str, hosts: Sequence[str], key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.Certificate:
    """A server's, good for these names and addresses and never for a client."""
    return _end_certificate(issuer, name, key, now, SERVER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH, hosts)


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """The names and addresses a server's certificate is good for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = found.get_values_for_type(x509.IPAddress)
    return {*found.get_values_for_type(x509.DNSName), *map(str, addresses)}


def revocation_list(
    issuer: Issuer, revoked: Iterable[tuple[int, datetime]], now: datetime
) -> x509.CertificateRevocationList:
    """The list of revoked certificates.

    Its `nextUpdate` is the authority's own end, because a list that has run out locks every gate out.

    :param revoked: serial numbers, and when.
    """
    end = issuer.certificate.not_valid_after_utc
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.certificate.subject, last_update=now - BACKDATED, next_update=end
    )
    for serial, at in sorted(revoked):
        entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256())


def certificate_digest(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def certificate_digest_of_pem(pem: str) -> str:
    """The same of a certificate in PEM. Raises `ValueError`."""
    return certificate_digest(x509.load_pem_x509_certificate(pem.encode()))


def _end_certificate(  # noqa: PLR0913, PLR0917 – all that is in one
    issuer: Issuer,
    name: str,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    purpose: x509.ObjectIdentifier,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    end = min(now + life, issuer.certificate.not_valid_after_utc)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = (
        _builder(_name(name), issuer.certificate.subject, key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(authority, critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if hosts:
        places = x509.SubjectAlternativeName([_place(host) for host in hosts])
        builder = builder.add_extension(places, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - BACKDATED,
        not_valid_after=end,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _place(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

"""A certificate authority for tests: certificates of brokers and clients, and the revocation list."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """Somebody's certificate and key, as files."""

    certificate: Path
    key: Path


@dataclass
class Authority:
    """Signs certificates into a folder."""

    folder: Path
    name: str = "Maguey test authority"
    revoked: list[int] = field(default_factory=list)
    valid_from: datetime | None = None
    """When what it issues becomes valid; None: yesterday."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(self.name, self._key, is_authority=True)
        self.file = self._write("ca.pem", self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, file: str = "", address: str | None = None) -> Identity:
        """A certificate with this common name; with an address it is a server's."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, address=address)
        stem = file or name
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Identity(
            self._write(f"{stem}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{stem}.key", pem),
        )

    def revoke(self, identity: Identity) -> None:
        """Revoke the certificate: it counts no more once the list is written again."""
        self.revoked.append(x509.load_pem_x509_certificate(identity.certificate.read_bytes()).serial_number)

    def list_revoked(self) -> Path:
        """Write the revocation list."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - DAY)
            .next_update(now + DAY)
        )
        for number in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(self._key, hashes.SHA256())
        return self._write("crl.pem", crl.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        address: str | None = None,
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if is_authority else self._certificate.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.valid_from or now - DAY)
            .not_valid_after((self.valid_from or now) + DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if address is not None:
            place = x509.IPAddress(ipaddress.ip_address(address))
            builder = builder.add_extension(x509.SubjectAlternativeName([place]), critical=False)
        if not is_authority:
            usage = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o644)  # the broker runs as an account of its own
        return path

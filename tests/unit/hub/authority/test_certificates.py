"""What the authority signs, and what it refuses. OpenSSL, which Mosquitto uses, is the judge."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from hub.authority.certificates import (
    RequestError,
    gate_certificate,
    hosts_of,
    hub_certificate,
    make_issuer,
    new_key,
    requested_key,
    revocation_list,
    server_certificate,
)
from hub.authority.folders import pem

NOW = datetime.now(UTC).replace(microsecond=0)
ISSUER = make_issuer("Maguey gates authority", new_key(), NOW)


def request(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, name: str = "gate-1", **names: str
) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder(subject).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def verified(
    folder: Path,
    certificate: x509.Certificate,
    purpose: str,
    revoked: list[tuple[int, datetime]],
    at: datetime = NOW,
) -> bool:
    """Whether OpenSSL accepts it, with this list, at that time."""
    (folder / "leaf.pem").write_bytes(pem(certificate))
    (folder / "ca.pem").write_bytes(pem(ISSUER.certificate))
    (folder / "crl.pem").write_bytes(pem(revocation_list(ISSUER, revoked, NOW)))
    command: list[str | Path] = ["openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile"]
    command += [
        folder / "crl.pem",
        "-attime",
        str(int(at.timestamp())),
        "-purpose",
        purpose,
        "-CAfile",
        folder / "ca.pem",
    ]
    return not subprocess.run([*command, folder / "leaf.pem"], capture_output=True, check=False).returncode


def test_a_gates_certificate_is_good_for_a_client_of_its_name_and_for_nothing_else(tmp_path: Path) -> None:
    made = gate_certificate(ISSUER, "gate-3", requested_key(request(new_key(), "maguey-hub")), NOW)
    assert made.subject.rfc4514_string() == "CN=gate-3"
    assert made.not_valid_after_utc - NOW == timedelta(days=730)
    assert verified(tmp_path, made, "sslclient", [])
    assert not verified(tmp_path, made, "sslserver", [])
    # nothing of the request but its key: that one asked to be an authority
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_a_server_is_good_for_its_names_and_never_for_a_client(tmp_path: Path) -> None:
    made = server_certificate(
        ISSUER, "maguey broker", ["hub.club", "192.168.7.5"], new_key().public_key(), NOW
    )
    assert hosts_of(made) == {"hub.club", "192.168.7.5"}
    assert verified(tmp_path, made, "sslserver", [])
    assert not verified(tmp_path, made, "sslclient", [])


def test_the_hubs_certificate_is_of_its_own_authority(tmp_path: Path) -> None:
    hubs = make_issuer("Maguey hub authority", new_key(), NOW)
    assert not verified(tmp_path, hub_certificate(hubs, new_key().public_key(), NOW), "sslclient", [])


def test_the_revocation_list_refuses_who_is_on_it_and_never_runs_out_before_its_authority(
    tmp_path: Path,
) -> None:
    one, other = (
        gate_certificate(ISSUER, name, new_key().public_key(), NOW) for name in ("gate-1", "gate-2")
    )
    revoked = [(one.serial_number, NOW)]
    assert not verified(tmp_path, one, "sslclient", revoked)
    assert verified(tmp_path, other, "sslclient", revoked)
    # an expired list would lock everybody out: it is still good on the last day of this certificate
    assert verified(tmp_path, other, "sslclient", revoked, other.not_valid_after_utc - timedelta(minutes=1))
    made = revocation_list(ISSUER, revoked, NOW)
    assert made.next_update_utc == ISSUER.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "name", ["maguey-hub", "Maguey-Hub-1", "maguey-hub-maguey", "a b", "", "x" * 65, "a/b", "é"]
)
def test_no_certificate_for_the_hubs_names_or_for_what_is_no_gates_id(name: str) -> None:
    with pytest.raises(RequestError, match="no gate's id"):
        gate_certificate(ISSUER, name, new_key().public_key(), NOW)


def test_serial_numbers_are_random() -> None:
    key = new_key().public_key()
    numbers = {gate_certificate(ISSUER, "gate-1", key, NOW).serial_number for _ in range(3)}
    assert len(numbers) == 3
    assert min(numbers).bit_length() > 64


def test_whoever_does_not_hold_the_key_gets_no_certificate() -> None:
    """The request of one key with the signature of another."""
    mine, theirs = (x509.load_pem_x509_csr(request(new_key()).encode()) for _ in range(2))
    forged = mine.public_bytes(serialization.Encoding.DER).replace(mine.signature, theirs.signature)
    if len(mine.signature) != len(theirs.signature):
        forged = mine.public_bytes(serialization.Encoding.DER)[:-1] + b"\0"
    text = _pem(forged)
    with pytest.raises(RequestError):
        requested_key(text)


def _pem(der: bytes) -> str:
    label = "CERTIFICATE REQUEST-----"
    return f"-----BEGIN {label}\n{base64.encodebytes(der).decode()}-----END {label}\n"


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_only_keys_of_one_kind_are_signed(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    with pytest.raises(RequestError, match="P-256"):
        requested_key(request(key))


@given(st.one_of(st.text(max_size=5000), st.binary(max_size=600).map(_pem)))
def test_whatever_is_sent_as_a_request_is_refused_in_words(text: str) -> None:
    with pytest.raises(RequestError):
        requested_key(text)

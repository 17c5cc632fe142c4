"""The four files that make a machine a gate, replaced together.

Each has a successor beside it, ``….new``, until all are there. Then they take their places one after the
other, the certificate last; whoever is cut off in between goes on when it next looks (`finish`). So key and
certificate always belong together, or can be made to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gate.common.errors import MagueyError
from gate.common.value import Value

SECRET, PUBLIC = 0o400, 0o444
_LARGEST = 64 * 1024


class IdentityError(MagueyError):
    """This gate's own files cannot be used or written."""


class IdentityFiles(Value, frozen=True):
    """Where they are.

    :param owner: whom they are given to; empty: whoever runs this.
    """

    authority: Path
    certificate: Path
    key: Path
    token: Path
    owner: str = ""

    def make_folder(self) -> None:
        """The folder, for its owner alone. Raises `IdentityError`."""
        folder = self.key.parent
        with in_words():
            folder.mkdir(parents=True, exist_ok=True)
            if self.owner:
                shutil.chown(folder, user=self.owner)
            folder.chmod(0o700)

    def certificate_in_use(self) -> x509.Certificate | None:
        """The certificate, if it is there and belongs to the key."""
        with in_words():
            return _matching(self.certificate, self.key)

    def new_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that is to be certified: that of an earlier run that was cut off, or a new one."""
        file = successor(self.key)
        with in_words():
            if (known := _key(file)) is not None:
                return known
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(file, _pem_of(key), SECRET)
        return key

    def new_token(self, made: str) -> str:
        """The token to be known by: that of an earlier run that was cut off, or `made`."""
        file = successor(self.token)
        with in_words():
            if (known := _read(file)) is not None and known.strip():
                return known.decode("ascii", "replace").strip()
            self._write(file, made.encode() + b"\n", SECRET)
        return made

    def keep_authority(self, pem: str) -> Path:
        """Write the authority's certificate down before it is in use. Returns the file."""
        file = successor(self.authority)
        with in_words():
            self._write(file, pem.encode(), PUBLIC)
        return file

    def install(self, certificate: str) -> None:
        """A certificate for the new key has come: use both, and what else is new."""
        with in_words():
            self._write(successor(self.certificate), certificate.encode(), PUBLIC)
            self.finish()

    def finish(self) -> bool:
        """Go on with what was cut off. Returns whether there was something.

        Only once the new certificate is there is anything replaced, and it goes last.
        """
        with in_words():
            return self._finish()

    def _finish(self) -> bool:
        new = successor(self.certificate)
        if not new.exists():
            return False
        if _matching(new, successor(self.key)) is None and _matching(new, self.key) is None:
            new.unlink()  # of a key that is gone
            return False
        for file in (self.authority, self.token, self.key, self.certificate):
            if successor(file).exists():
                successor(file).replace(file)
                make_durable(file.parent)
        return True

    def _write(self, file: Path, content: bytes, mode: int) -> None:
        """Whole or not at all, with its mode from the beginning."""
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(handle)
            if self.owner:
                shutil.chown(made, user=self.owner)
            made.chmod(mode)
            made.replace(file)
            make_durable(file.parent)
        finally:
            made.unlink(missing_ok=True)


def successor(file: Path) -> Path:
    """The file that is to take this one's place."""
    return file.with_name(f"{file.name}.new")


def signing_request(key: ec.EllipticCurvePrivateKey) -> str:
    """A request without a name, because the hub takes over nothing but the key."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def names_gate(certificate: x509.Certificate, gate_id: str) -> bool:
    """Whether it is this gate's."""
    return certificate.subject.rfc4514_string() == f"CN={gate_id}"


def is_good(certificate: x509.Certificate | None, gate_id: str, now: datetime) -> bool:
    """Whether this gate can use it today."""
    return (
        certificate is not None and names_gate(certificate, gate_id) and certificate.not_valid_after_utc > now
    )


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Errors of these files, for a person."""
    try:
        yield
    except LookupError as error:
        raise IdentityError(
            f"{error}. Install the gate's sysusers.d file, and run systemd-sysusers."
        ) from None
    except OSError as error:
        raise IdentityError(
            f"{error.filename}: {error.strerror}. The folder has to belong to maguey-sync; 'maguey-sync "
            "enrol' runs as root."
        ) from None


def check_issued(certificate: str, authority: Path, key: ec.EllipticCurvePrivateKey, gate_id: str) -> None:
    """Whether what the hub sent is this gate's certificate for this key. Raises `IdentityError`."""
    try:
        made = x509.load_pem_x509_certificate(certificate.encode())
        made.verify_directly_issued_by(x509.load_pem_x509_certificate(_read(authority) or b""))
    except (ValueError, TypeError, InvalidSignature):
        raise IdentityError(
            "The hub sent a certificate that its authority did not sign. Nothing was changed."
        ) from None
    if made.public_key() != key.public_key() or not names_gate(made, gate_id):
        raise IdentityError("The hub sent a certificate of another gate. Nothing was changed.")


def _matching(certificate: Path, key: Path) -> x509.Certificate | None:
    known = _key(key)
    try:
        found = x509.load_pem_x509_certificate(_read(certificate) or b"")
    except ValueError:
        return None
    return found if known is not None and known.public_key() == found.public_key() else None


def _key(file: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        found = serialization.load_pem_private_key(_read(file) or b"", password=None)
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, ec.EllipticCurvePrivateKey) else None


def _read(file: Path) -> bytes | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST)
    except FileNotFoundError:
        return None


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_durable(folder: Path) -> None:
    """What was renamed or removed in it stays so after a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

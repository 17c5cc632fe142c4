"""Where the authority's files lie, and how all of them are made once: ``maguey-hub authority init``.

Three folders, because three users read them: the authorities' keys are for `maguey-ca` alone, the broker's
files for Mosquitto, the hub's own for the hub. Whatever is there stays; what is missing is added.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.authority.certificates import (
    BROKER,
    GATES_AUTHORITY,
    HUB_AUTHORITY,
    WEB,
    Issuer,
    hosts_of,
    hub_certificate,
    make_issuer,
    new_key,
    revocation_list,
    server_certificate,
)
from hub.errors import HubError
from hub.gates.atomic_file import give_to, replace_file
from hub.gates.broker_list import broker_list_text

RENEWED_BEFORE = timedelta(days=90)
"""A server's certificate that ends sooner is made anew."""
AUTHORITY_USER, HUB_USER, BROKER_GROUP = "maguey-ca", "maguey-hub", "mosquitto"
_PUBLIC, _KEY = 0o644, 0o400
LARGEST_FILE = 64 * 1024
"""Bytes that are read of a file of ours; none is longer."""

MakeCertificate = Callable[[ec.EllipticCurvePublicKey], x509.Certificate]


class AuthorityError(HubError):
    """The authority cannot be used, or was not made."""


class Folders(msgspec.Struct, frozen=True, kw_only=True):
    """`authority`: the keys that sign; `broker`: what Mosquitto reads; `hub`: what ingest and web read."""

    authority: Path
    broker: Path
    hub: Path


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the files are given to; None: they stay whoever's they are."""

    authority: str | None = None
    hub: str | None = None
    broker_group: str | None = None


PRODUCTION = Owners(authority=AUTHORITY_USER, hub=HUB_USER, broker_group=BROKER_GROUP)


def make_missing(folders: Folders, hosts: Sequence[str], owners: Owners, now: datetime) -> list[str]:
    """Make the two authorities, the certificates of broker, web and hub, and an empty revocation list.

    :param hosts: names and addresses by which gates reach broker and web.
    :returns: what was made, in words; empty if everything was there.
    :raises AuthorityError: it cannot be written, or an authority's key is gone.
    """
    maker = _Maker(folders, tuple(hosts), owners, now)
    with _in_words(), _alone(folders, owners):
        return list(maker.make())


def read_issuer(folder: Path, name: str = "ca") -> Issuer:
    """An authority with its key.

    :raises AuthorityError: there is none, or this user may not read it.
    """
    with _in_words():
        certificate = x509.load_pem_x509_certificate(read_short(folder / f"{name}.pem"))
        key = serialization.load_pem_private_key(read_short(folder / f"{name}.key"), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityError(f"{folder}/{name}.key is not the key of {name}.pem. Restore both from a backup.")
    return Issuer(certificate, key)


def read_short(file: Path) -> bytes:
    """A file of ours, bounded. Raises `OSError`."""
    with file.open("rb") as opened:
        return opened.read(LARGEST_FILE)


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM, unencrypted: its file's mode keeps it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(made: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """In PEM."""
    return made.public_bytes(serialization.Encoding.PEM)


class _Maker:
    """Makes what is missing, and says so."""

    def __init__(self, folders: Folders, hosts: tuple[str, ...], owners: Owners, now: datetime) -> None:
        self._folders = folders
        self._hosts = hosts
        self._owners = owners
        self._now = now

    def make(self) -> Iterator[str]:
        to, folders = self._owners, self._folders
        gates, said = self._authority("ca", GATES_AUTHORITY)
        yield from said
        hubs, said = self._authority("hub-ca", HUB_AUTHORITY)
        yield from said
        yield from self._copy(gates, folders.broker / "ca.pem", to.authority, to.broker_group)
        yield from self._copy(hubs, folders.broker / "hub-ca.pem", to.authority, to.broker_group)
        yield from self._copy(gates, folders.hub / "ca.pem", None, to.hub)
        yield from self._server(
            gates, folders.broker / "broker", BROKER, (to.authority, to.broker_group, 0o440)
        )
        yield from self._server(gates, folders.hub / "web", WEB, (to.hub, to.hub, _KEY))
        key_goes_to = (to.hub, to.hub, _KEY)
        yield from self._pair(
            folders.hub / "hub", lambda key: hub_certificate(hubs, key, self._now), key_goes_to
        )
        yield from self._empty_lists(gates)

    def _authority(self, name: str, title: str) -> tuple[Issuer, list[str]]:
        folder, owner = self._folders.authority, self._owners.authority
        file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
        if file.exists() and not key_file.exists():
            raise AuthorityError(
                f"{key_file} is gone, so nothing can be signed for the gates that know {name}.pem. Restore "
                f"it from a backup. Only if there is none: remove {file}, run this again, and enrol every "
                "gate again."
            )
        if file.exists():
            return read_issuer(folder, name), []
        if not key_file.exists():
            replace_file(key_file, pem_of_key(new_key()), _KEY, owner, owner)
        key = serialization.load_pem_private_key(read_short(key_file), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = make_issuer(title, key, self._now)
        replace_file(file, pem(issuer.certificate), _PUBLIC, owner, owner)
        return issuer, [f"made {file}: {title}, until {_day(issuer.certificate)}"]

    def _copy(self, issuer: Issuer, file: Path, user: str | None, group: str | None) -> Iterator[str]:
        content = pem(issuer.certificate)
        if not file.exists() or read_short(file) != content:
            replace_file(file, content, _PUBLIC, user, group)
            yield f"made {file}"

    def _server(
        self, issuer: Issuer, stem: Path, name: str, key_goes_to: tuple[str | None, str | None, int]
    ) -> Iterator[str]:
        there = _certificate(stem.with_suffix(".pem"))
        hosts = sorted({*self._hosts, *(hosts_of(there) if there else ())})
        yield from self._pair(
            stem,
            lambda key: server_certificate(issuer, name, hosts, key, self._now),
            key_goes_to,
            is_good=there is not None and set(hosts) == hosts_of(there),
        )

    def _pair(
        self,
        stem: Path,
        certify: MakeCertificate,
        key_goes_to: tuple[str | None, str | None, int],
        *,
        is_good: bool = True,
    ) -> Iterator[str]:
        """The key first: a certificate without its key would look finished."""
        file, key_file = stem.with_suffix(".pem"), stem.with_suffix(".key")
        there = _certificate(file)
        if (
            is_good
            and there
            and _is_of(key_file, there)
            and there.not_valid_after_utc > self._now + RENEWED_BEFORE
        ):
            return
        user, group, mode = key_goes_to
        key = new_key()
        certificate = certify(key.public_key())
        replace_file(key_file, pem_of_key(key), mode, user, group)
        replace_file(file, pem(certificate), _PUBLIC, user, group)
        places = ", ".join(sorted(hosts_of(certificate)))
        yield f"made {file}, until {_day(certificate)}{': ' if places else ''}{places}"

    def _empty_lists(self, issuer: Issuer) -> Iterator[str]:
        """Mosquitto does not start without them. The service fills them from the database."""
        empty = {
            "crl.pem": pem(revocation_list(issuer, (), self._now)),
            "gates.json": broker_list_text("maguey", ()).encode(),
        }
        for name, content in empty.items():
            file = self._folders.broker / name
            if not file.exists():
                replace_file(file, content, 0o640, self._owners.authority, self._owners.broker_group)
                yield f"made {file}"


def _certificate(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(read_short(file))
    except (FileNotFoundError, ValueError):
        return None


def _is_of(key_file: Path, certificate: x509.Certificate) -> bool:
    try:
        key = serialization.load_pem_private_key(read_short(key_file), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return key.public_key() == certificate.public_key()


def _day(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


@contextlib.contextmanager
def _alone(folders: Folders, owners: Owners) -> Iterator[None]:
    """The folders, made if they are missing, and nobody else at it."""
    _make_folder(folders.authority, 0o700, owners.authority, owners.authority)
    _make_folder(folders.broker, 0o2750, owners.authority, owners.broker_group)
    _make_folder(folders.hub, 0o750, None, owners.hub)
    handle = os.open(folders.authority, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make_folder(folder: Path, mode: int, user: str | None, group: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    give_to(folder, user, group)
    folder.chmod(mode)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except LookupError as error:
        raise AuthorityError(
            f"{error}. Install the hub's sysusers.d files and Mosquitto, run systemd-sysusers, then this "
            "again."
        ) from None
    except FileNotFoundError as error:
        raise AuthorityError(
            f"{error.filename}: there is no such file. Make the authority first, as root: maguey-hub "
            "authority init."
        ) from None
    except OSError as error:
        raise AuthorityError(
            f"{error.filename}: {error.strerror}. 'authority init' runs as root, 'authority serve' as "
            f"{AUTHORITY_USER}."
        ) from None
    except (ValueError, TypeError, AssertionError):
        raise AuthorityError(
            "A file of the authority cannot be read as what it is. Restore it from a backup."
        ) from None

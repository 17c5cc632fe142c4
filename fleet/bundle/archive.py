"""Writes a bundle as `fleet.release.manifest` describes it: one tar file, the signed manifest first."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.bundle.lock import Target
from fleet.errors import FleetError
from fleet.release.manifest import MANIFEST, SIGNATURE, BundledFile, Manifest, encode_manifest
from gate.common.value import Value

Contents = Mapping[str, bytes | Path]
"""By the path in the bundle: the bytes themselves, or the file that has them."""


class Release(Value, frozen=True):
    """What a bundle says of itself. `lock`: see `Manifest`."""

    version: str
    target: Target
    lock: str


def write_bundle(out: Path, release: Release, contents: Contents, key: Ed25519PrivateKey) -> None:
    """Write and sign it; `out` is whole or not there.

    :raises FleetError: it cannot be written.
    :raises fleet.release.manifest.BundleRefused: no machine would take it.
    """
    files = tuple(_described(path, contents[path]) for path in sorted(contents))
    raw = encode_manifest(
        Manifest(
            version=release.version,
            kind=release.target.kind,
            python=release.target.python,
            machine=release.target.machine,
            files=files,
            lock=release.lock,
        )
    )
    fresh = out.with_name(f".{out.name}.new")
    try:
        with tarfile.open(fresh, "w", format=tarfile.USTAR_FORMAT) as tar:
            for path, data in ((MANIFEST, raw), (SIGNATURE, key.sign(raw))):
                _add(tar, path, data)
            for path in sorted(contents):
                _add(tar, path, contents[path])
        fresh.replace(out)
    except OSError as error:
        raise FleetError(f"{out}: {error.strerror}. Look at the disk, or choose another --out.") from None
    finally:
        fresh.unlink(missing_ok=True)


def sha256_of(data: bytes | Path) -> str:
    """The digest of a file or of bytes, in hex."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(path: str, data: bytes | Path) -> BundledFile:
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    return BundledFile(path=path, sha256=sha256_of(data), size=size)


def _add(tar: tarfile.TarFile, path: str, data: bytes | Path) -> None:
    """Owner and time are left out, so that the same contents make the same bundle."""
    member = tarfile.TarInfo(path)
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        member.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        tar.addfile(member, file)

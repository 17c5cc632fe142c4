"""What is in a release bundle, and who vouches for it. Pure.

A bundle is one tar file: ustar (`tarfile.USTAR_FORMAT`), not compressed, regular files only. Its first
member is `MANIFEST`, its second `SIGNATURE`: 64 bytes, Ed25519 over the bytes of the first. Every other
member stands in the manifest with its size and SHA-256, so whoever has checked the signature knows what may
follow before reading it. `fleet.bundle` writes bundles, `fleet.release.bundle_file` reads them.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fleet.errors import FleetError
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value

FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
SIGNATURE_BYTES = 64
MANIFEST_BYTES = 1024 * 1024
"""The longest manifest; one of 100 files with its lock takes some 100 KiB."""
MOST_FILES = 2000
LARGEST_FILE = 256 * 1024 * 1024
LARGEST_BUNDLE = 1024 * 1024 * 1024
"""All files together, in bytes; a gate's take some 60 MiB."""

VERSION = r"^[0-9][0-9A-Za-z.+_-]{0,63}\Z"
"""A version is the name of a folder, and part of arguments."""
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._+~@%-]{0,199}"
_PATH = rf"^(sbom\.json|(wheels|debs|systemd|config)(/{_NAME}){{1,3}})\Z"
"""No segment begins with a dot or a dash, so no path leads out of its folder or is taken for an option."""


class BundleRefused(FleetError):
    """The bundle is not installed; nothing on the machine has changed."""


class BundledFile(Value, frozen=True):
    """One file. `path`: in the bundle, with ``/``; `sha256`: lower-case hex; `size`: bytes."""

    path: Annotated[str, msgspec.Meta(pattern=_PATH)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FILE)]


class Manifest(Value, frozen=True):
    """A release for one kind of machine.

    `python`: the only CPython it is for, such as ``cp313``; `machine`: as ``uname -m`` says it. `lock`: the
    text of pip's requirements file: every package with version and hash, our own wheel with its extra among
    them (``maguey-gate[pi]==1.2.0 --hash=sha256:…``). Their wheels are in ``wheels/``, and the wheel of a pip
    that installs them.
    """

    version: Annotated[str, msgspec.Meta(pattern=VERSION)]
    kind: Literal["gate", "hub"]
    python: Annotated[str, msgspec.Meta(pattern="^cp3[0-9]{1,2}\\Z")]
    machine: Literal["aarch64", "x86_64"]
    files: Annotated[tuple[BundledFile, ...], msgspec.Meta(max_length=MOST_FILES)]
    lock: Annotated[str, msgspec.Meta(min_length=1, max_length=MANIFEST_BYTES)]
    format: Literal[1] = FORMAT

    @property
    def total(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.size for file in self.files)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes that are signed, and stand in the bundle as `MANIFEST`.

    :raises BundleRefused: no machine would take it.
    """
    raw = msgspec.json.encode(manifest)
    _read(raw)
    return raw


def verified_manifest(raw: bytes, signature: bytes, key: Ed25519PublicKey) -> Manifest:
    """Read a manifest, once its signature is found good.

    :param key: the operator's, from the machine (`gate.common.public_key.read_public_key`).
    :raises BundleRefused: somebody else signed it, it was changed, or it cannot be used.
    """
    try:
        key.verify(signature, raw)
    except InvalidSignature:
        raise BundleRefused(
            "The bundle's signature does not fit this machine's release key: it was changed on the way, or "
            "another operator built it. Build it again, or compare the keys."
        ) from None
    return _read(raw)


def _read(raw: bytes) -> Manifest:
    try:
        manifest = read_json(raw, Manifest, limit=MANIFEST_BYTES)
    except UnreadableError as error:
        raise BundleRefused(
            f"The bundle's manifest cannot be used: {error}. Was it built by a much newer maguey-fleet?"
        ) from None
    again = [path for path, count in Counter(file.path for file in manifest.files).items() if count > 1]
    if again:
        raise BundleRefused(f"The bundle's manifest names a file twice: {again[0]}.")
    if manifest.total > LARGEST_BUNDLE:
        raise BundleRefused(
            f"The bundle has {manifest.total} bytes, more than the {LARGEST_BUNDLE} that a machine takes."
        )
    return manifest

"""Reads a release bundle: nothing is looked at before its signature, nothing written that is not in its
manifest.

The header of each member is read by itself and has to be that of a regular file, so links, devices and the
extensions of tar, in which names and sizes may hide, do not come up at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fleet.release.manifest import (
    LARGEST_BUNDLE,
    MANIFEST,
    MANIFEST_BYTES,
    MOST_FILES,
    SIGNATURE,
    SIGNATURE_BYTES,
    BundledFile,
    BundleRefused,
    Manifest,
    verified_manifest,
)
from gate.common.owned_files import create_own, open_own
from gate.common.public_key import read_public_key
from gate.common.text_file import NotTextError, read_text

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1024 * 1024
_LARGEST = LARGEST_BUNDLE + MANIFEST_BYTES + (MOST_FILES + 20) * 2 * _BLOCK
"""Bytes of a whole bundle: each file has a header, and is filled up to a block."""
_KEY_BYTES = 4096


def read_release_key(path: Path) -> Ed25519PublicKey:
    """The operator's key on this machine: one line, base64.

    :raises BundleRefused: there is none, or it is no key.
    """
    try:
        if path.stat().st_size > _KEY_BYTES:
            raise BundleRefused(f"{path}: too long for a key. Put the operator's release key there.")
        return read_public_key(read_text(path).strip())
    except OSError as error:
        raise BundleRefused(
            f"{path}: {error.strerror}. Without the operator's key no release is installed. Put it there: "
            "maguey-fleet install does."
        ) from None
    except (ValueError, NotTextError) as error:
        raise BundleRefused(f"{path}: {error}.") from None


class BundleFile:
    """A bundle whose signature is good. Use `open_bundle`."""

    def __init__(self, file: BinaryIO, manifest: Manifest, raw: bytes) -> None:
        self._file = file
        self.manifest = manifest
        self.raw = raw
        """The bytes that were signed."""

    def unpack(self, into: Path, is_wanted: Callable[[str], bool]) -> None:
        """Check every file, and write those that are wanted below `into`, which is empty.

        :param is_wanted: asked with the path in the bundle.
        :raises BundleRefused: a file is missing, changed, or not in the manifest.
        """
        missing = {file.path: file for file in self.manifest.files}
        for name, size in self._members():
            file = missing.pop(name, None)
            if file is None or file.size != size:
                raise BundleRefused(
                    f"The bundle has {name[:100]!r}, which its manifest does not have like that."
                )
            self._take(file, into if is_wanted(name) else None)
        if missing:
            raise BundleRefused(
                f"The bundle ends before {sorted(missing)[0]}: it did not arrive whole. Upload it again."
            )

    def _members(self) -> Iterator[tuple[str, int]]:
        while (found := _header(self._file)) is not None:
            yield found

    def _take(self, file: BundledFile, into: Path | None) -> None:
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            out = None if into is None else stack.enter_context(_created(into / file.path))
            for chunk in _content(self._file, file.size):
                digest.update(chunk)
                if out is not None:
                    out.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise BundleRefused(f"{file.path}: not what was signed. Upload the bundle again.")


@contextlib.contextmanager
def open_bundle(path: Path, key: Ed25519PublicKey) -> Iterator[BundleFile]:
    """Open a bundle and check its signature.

    :raises BundleRefused: it is no bundle, or not one that was signed with this key.
    """
    try:
        opened = os.fdopen(open_own(path, os.O_RDONLY), "rb")
    except OSError as error:
        raise BundleRefused(f"{path}: {error.strerror}. Upload the bundle, and name it here.") from None
    with opened as file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            raise BundleRefused(f"{path}: larger than any bundle.")
        raw = _named(file, MANIFEST, MANIFEST_BYTES)
        signature = _named(file, SIGNATURE, SIGNATURE_BYTES)
        yield BundleFile(file, verified_manifest(raw, signature, key), raw)


def _named(file: BinaryIO, name: str, limit: int) -> bytes:
    found = _header(file)
    if found is None or found[0] != name or found[1] > limit:
        raise BundleRefused("This is no release bundle: it does not begin with a signed manifest.")
    return b"".join(_content(file, found[1]))


def _header(file: BinaryIO) -> tuple[str, int] | None:
    """Name and size of the next member; None at the end."""
    block = file.read(_BLOCK)
    if block in (b"", b"\0" * _BLOCK):
        return None
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        raise BundleRefused("This is no release bundle, or it is damaged. Upload it again.") from None
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
        raise BundleRefused(f"The bundle has {member.name[:100]!r}, which is no regular file.")
    return member.name, member.size


def _content(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of a member; what fills its last block is passed over."""
    left = size
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise BundleRefused("The bundle breaks off: it did not arrive whole. Upload it again.")
        left -= len(chunk)
        yield chunk
    file.seek(-size % _BLOCK, os.SEEK_CUR)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(create_own(path, 0o644), "wb") as file:
        yield file

"""A backup as one file: a tar of the database's dump, files beside it, and a manifest, which comes last.

A file that was cut off has no manifest, and what the manifest says of the rest is compared before anything is
restored.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from gate.common.foreign import UnreadableError, read_json
from hub.errors import HubError

DUMP = "database.dump"
MANIFEST = "manifest.json"
FORMAT = 1
MODE = 0o600
MOST_FILES = 1000
"""Files beside the dump."""
FILE_BYTES = 16 << 20
"""Of one of them, and of the manifest."""
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


class BackupError(HubError):
    """A backup was not made, or cannot be used."""


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file beside the dump. `path`: where it was; `member`: its name in the tar."""

    path: str
    member: str
    sha256: str
    mode: int
    owner: str
    group: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    `rows`: of each table, as the dump has them. `version`: of this software. `server`: of Postgres.
    """

    format: int
    taken_at: datetime
    venue: str
    version: str
    server: str
    database: str
    sha256: str
    size: int
    rows: dict[str, int]
    files: tuple[KeptFile, ...] = ()

    @property
    def row_count(self) -> int:
        """The rows of all tables."""
        return sum(self.rows.values())


class BackupWriter:
    """Writes a backup into an empty, seekable file. Raises `OSError`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 – `finish`

    def add_stream(self, name: str, source: IO[bytes], at: datetime) -> tuple[int, str]:
        """Add what comes, whose size nobody knows yet. Returns its size in bytes and its SHA-256."""
        place = self._file.tell()
        self._file.write(bytes(_BLOCK))
        size, digest = 0, hashlib.sha256()
        while chunk := source.read(_CHUNK):
            self._file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        self._file.write(bytes(-size % _BLOCK))
        end = self._file.tell()
        self._file.seek(place)
        self._file.write(_header(name, size, at).tobuf(tarfile.GNU_FORMAT))
        self._file.seek(end)
        return size, digest.hexdigest()

    def add_bytes(self, name: str, data: bytes, at: datetime) -> None:
        """Add a small file."""
        self._tar.addfile(_header(name, len(data), at), io.BytesIO(data))

    def finish(self, manifest: BackupManifest) -> None:
        """Add the manifest, without which it is no backup."""
        self.add_bytes(MANIFEST, msgspec.json.encode(manifest), manifest.taken_at)
        self._tar.close()


def _header(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, MODE, int(at.timestamp())
    return info


def read_manifest(file: Path) -> BackupManifest:
    """What a backup says it holds; nothing of it was compared.

    :raises BackupError: it is no backup, or was cut off.
    """
    with open_backup(file) as tar:
        manifest = _manifest(file, tar)
    if manifest.format != FORMAT:
        raise BackupError(
            f"{file}: a backup of format {manifest.format}, made by version {manifest.version}. This version "
            f"reads format {FORMAT}: use that one."
        )
    return manifest


def check_backup(file: Path) -> BackupManifest:
    """Compare all of a backup with its manifest.

    :raises BackupError: it is damaged; the message names what.
    """
    manifest = read_manifest(file)
    wanted = {DUMP: manifest.sha256, **{kept.member: kept.sha256 for kept in manifest.files}}
    with open_backup(file) as tar:
        for name, sha256 in wanted.items():
            if _sha256(file, tar, name) != sha256:
                raise BackupError(f"{file}: {name} is not as it was written. Use another backup.")
    return manifest


@contextlib.contextmanager
def open_backup(file: Path) -> Iterator[tarfile.TarFile]:
    """The tar, to read. Raises `BackupError`, also for what goes wrong in the block."""
    try:
        with tarfile.open(file, mode="r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        raise BackupError(f"{file}: no backup, or cut off ({error}). Use another one.") from None
    except OSError as error:
        raise BackupError(f"{file}: {error.strerror}.") from None


def member(file: Path, tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """One file of it. Raises `BackupError`: it is not there."""
    info = next((info for info in _members(file, tar) if info.name == name and info.isreg()), None)
    opened = tar.extractfile(info) if info is not None else None
    if opened is None:
        raise BackupError(f"{file}: it has no {name}. It is no backup, or was cut off; use another one.")
    return opened


def small_member(file: Path, tar: tarfile.TarFile, name: str) -> bytes:
    """All of a file beside the dump. Raises `BackupError`: it is not there, or too large for one."""
    data = member(file, tar, name).read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise BackupError(f"{file}: {name} has more than {FILE_BYTES >> 20} MiB. It is no backup of a hub.")
    return data


def _members(file: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, info in enumerate(tar):
        if count > MOST_FILES + 2:
            raise BackupError(f"{file}: more than {MOST_FILES} files. It is no backup of a hub.")
        yield info


def _manifest(file: Path, tar: tarfile.TarFile) -> BackupManifest:
    try:
        return read_json(small_member(file, tar, MANIFEST), BackupManifest, limit=FILE_BYTES)
    except UnreadableError as error:
        raise BackupError(f"{file}: its {MANIFEST} cannot be read: {error}. Use another backup.") from None


def _sha256(file: Path, tar: tarfile.TarFile, name: str) -> str:
    digest, opened = hashlib.sha256(), member(file, tar, name)
    while chunk := opened.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()

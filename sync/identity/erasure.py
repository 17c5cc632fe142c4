"""A stolen gate erases its key, its token and its guests' names; the journal stays, which has no names.

A marker is written first and removed by nobody but the next enrolment: whoever pulls the plug in between only
puts off the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.rules.command import Envelope
from sync.identity.files import IdentityFiles, in_words, make_durable, successor
from sync.wire.wipe import why_not_wiped

WIPED = "This gate was revoked as stolen: its key, token and guest list are erased. Add and enrol a new gate."
_NO_CACHE = b"This gate was revoked as stolen, and its guest list was erased.\n"
"""Instead of the cache: no database, so the door is out of order and decides nothing."""
_log = structlog.get_logger()


class Erasure:
    """Erases what a thief could use.

    :param keys: of the hub's orders.
    :param cache: sync's file with the guest list.
    """

    def __init__(
        self, files: IdentityFiles, cache: Path, keys: Mapping[str, Ed25519PublicKey], gate_id: str
    ) -> None:
        self._files, self._cache = files, cache
        self._keys, self._gate_id = keys, gate_id

    @property
    def has_begun(self) -> bool:
        """Whether this gate was told to, in this run or an earlier one."""
        return erased_mark(self._files).exists()

    def obey(self, sealed: Envelope) -> bool:
        """Begin, if the hub says so to this very gate. Returns whether it does.

        :raises IdentityError: it says so, and the folder cannot be written.
        """
        with in_words():
            own = self._files.certificate_in_use()
        mine = own.fingerprint(hashes.SHA256()).hex() if own is not None else ""
        why = why_not_wiped(sealed, self._keys, self._gate_id, mine)
        if why:
            _log.error("wipe refused", why=why)
            return False
        with in_words():
            erased_mark(self._files).touch(0o400)
            make_durable(self._files.key.parent)
        _log.error("gate wiped", advice=WIPED)
        return True

    def finish(self) -> None:
        """Erase everything. Nobody may have the cache open for writing. Raises `IdentityError`."""
        identity = (self._files.key, self._files.token, self._files.certificate)
        with in_words():
            for file in (*identity, *map(successor, identity)):
                file.unlink(missing_ok=True)
            make_durable(self._files.key.parent)
            stem = self._cache.stem
            for file in self._cache.parent.glob(f"{stem}.*"):
                if file != self._cache:
                    file.unlink(missing_ok=True)
            new = self._cache.with_name(f".{self._cache.name}.wiped")
            new.write_bytes(_NO_CACHE)
            new.chmod(0o660)
            new.replace(self._cache)
            make_durable(self._cache.parent)


def erased_mark(files: IdentityFiles) -> Path:
    """Says that this machine was told to erase itself. An enrolment removes it."""
    return files.key.with_name("wiped")

"""A stolen gate erases itself if the hub says so to this very gate, and to the end, if cut off too."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.common.errors import CacheError
from gate.rules.command import Envelope
from gate.store.cache import CacheReader
from sync.cache.writer import Cache
from sync.identity.erasure import Erasure
from sync.wire.wipe import Wipe, seal_wipe
from tests.unit.sync.identity.test_files import files_in, installed

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def erasure(tmp_path: Path) -> Erasure:
    installed(files_in(tmp_path / "id"))
    Cache(tmp_path / "cache.db").close()
    (tmp_path / "journal.db").write_text("stays")
    (tmp_path / "cache.damaged-1.db").write_text("Ana")
    return again(tmp_path)


def again(home: Path) -> Erasure:
    return Erasure(files_in(home / "id"), home / "cache.db", {"C1": KEY.public_key()}, "gate-1")


def wipe(home: Path, gate_id: str = "gate-1") -> Envelope:
    own = files_in(home / "id").certificate_in_use()
    assert own is not None
    mine = own.fingerprint(hashes.SHA256()).hex()
    return seal_wipe(Wipe(gate_id=gate_id, certificates=(mine,)), "C1", KEY)


def test_key_token_certificate_and_names_go_and_the_journal_stays(erasure: Erasure, tmp_path: Path) -> None:
    assert erasure.obey(wipe(tmp_path))
    erasure.finish()
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert left == ["cache.db", "id/ca.pem", "id/wiped", "journal.db"]
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "cache.db").execute("select * from events")


def test_the_door_then_decides_nothing(erasure: Erasure, tmp_path: Path) -> None:
    reader = CacheReader(tmp_path / "cache.db")
    assert reader.events() == ()
    assert erasure.obey(wipe(tmp_path))
    erasure.finish()
    with pytest.raises(CacheError), reader.view():
        reader.find("0" * 64)


def test_one_that_was_cut_off_is_finished_at_the_next_start(erasure: Erasure, tmp_path: Path) -> None:
    assert not again(tmp_path).has_begun
    erasure.obey(wipe(tmp_path))
    (tmp_path / "id" / "gate.key").unlink()
    later = again(tmp_path)
    assert later.has_begun
    later.finish()
    later.finish()
    assert not (tmp_path / "id" / "token").exists()


def test_one_for_another_gate_or_by_somebody_else_changes_nothing(erasure: Erasure, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    forged = seal_wipe(Wipe(gate_id="gate-1", certificates=()), "C1", Ed25519PrivateKey.generate())
    for sealed in (wipe(tmp_path, "gate-2"), forged):
        assert not erasure.obey(sealed)
    assert not erasure.has_begun
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before

"""Key and certificate of a gate are replaced together, wherever the machine is cut off."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.authority.certificates import gate_certificate, make_issuer, new_key
from hub.authority.folders import pem
from sync.identity.files import IdentityError, IdentityFiles, is_good, signing_request, successor

NOW = datetime.now(UTC).replace(microsecond=0)
ISSUER = make_issuer("Maguey gates authority", new_key(), NOW)
AUTHORITY = pem(ISSUER.certificate).decode()


def files_in(folder: Path) -> IdentityFiles:
    files = IdentityFiles(
        authority=folder / "ca.pem",
        certificate=folder / "gate.pem",
        key=folder / "gate.key",
        token=folder / "token",
    )
    files.make_folder()
    return files


def certified(files: IdentityFiles, gate_id: str = "gate-1") -> str:
    key = files.new_key().public_key()
    return pem(gate_certificate(ISSUER, gate_id, key, NOW)).decode()


def installed(files: IdentityFiles, token: str = "a secret") -> None:
    files.keep_authority(AUTHORITY)
    files.new_token(token)
    files.install(certified(files))


def contents(files: IdentityFiles) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in files.key.parent.iterdir()}


def test_the_four_files_are_there_with_their_modes_and_nothing_else(tmp_path: Path) -> None:
    files = files_in(tmp_path / "id")
    installed(files)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "id").iterdir()}
    assert modes == {"ca.pem": 0o444, "gate.pem": 0o444, "gate.key": 0o400, "token": 0o400}
    assert is_good(files.certificate_in_use(), "gate-1", NOW)
    assert not is_good(files.certificate_in_use(), "gate-2", NOW)


def test_until_the_certificate_is_there_key_and_token_stay_the_same(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    first, token = files.new_key(), files.new_token("one")
    assert files.new_key().private_numbers() == first.private_numbers()
    assert (token, files.new_token("another")) == ("one", "one")
    assert not files.finish()
    assert files.certificate_in_use() is None


@pytest.mark.parametrize("places_taken", range(4))
def test_whoever_is_cut_off_between_two_files_goes_on(tmp_path: Path, places_taken: int) -> None:
    files = files_in(tmp_path)
    installed(files)
    after = contents(files)
    for file in (files.authority, files.token, files.key, files.certificate)[places_taken:]:
        file.rename(successor(file))
    assert files.finish()
    assert contents(files) == after


@pytest.mark.parametrize("places_taken", range(2))
def test_a_renewal_that_is_cut_off_is_finished_with_the_new_pair(tmp_path: Path, places_taken: int) -> None:
    files = files_in(tmp_path)
    installed(files)
    old = contents(files)
    files.install(certified(files))
    new = contents(files)
    assert new["gate.key"] != old["gate.key"]
    for file in (files.key, files.certificate)[places_taken:]:
        file.rename(successor(file))
        file.write_bytes(old[file.name])
    assert files.finish()
    assert contents(files) == new


def test_a_certificate_whose_key_is_gone_is_no_use_and_the_old_pair_stays(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    installed(files)
    old = contents(files)
    successor(files.certificate).write_bytes(
        pem(gate_certificate(ISSUER, "gate-1", new_key().public_key(), NOW))
    )
    assert not files.finish()
    assert contents(files) == old


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN", b"\xff" * 100])
def test_a_damaged_file_is_no_identity(tmp_path: Path, damage: bytes) -> None:
    files = files_in(tmp_path)
    installed(files)
    for file in (files.key, files.certificate):
        file.chmod(0o600)
        file.write_bytes(damage)
        assert files.certificate_in_use() is None


def test_a_request_names_nobody(tmp_path: Path) -> None:
    from cryptography import x509

    made = x509.load_pem_x509_csr(signing_request(files_in(tmp_path).new_key()).encode())
    assert (made.subject.rfc4514_string(), made.is_signature_valid) == ("", True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(IdentityError, match="has to belong to maguey-sync"):
        files_in(tmp_path / "file" / "id")

"""The machine shows who it is with its SSH host key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sync.identity.enrolment import read_host_key
from sync.identity.hub_line import EnrolError
from sync.wire.enrolment import read_token, ssh_fingerprint, ssh_of_ed25519


def made(folder: Path, kind: str, passphrase: str = "") -> Path:
    file = folder / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(file)], check=True)
    return file


def test_its_fingerprint_is_the_one_ssh_shows(tmp_path: Path) -> None:
    file = made(tmp_path, "ed25519")
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(file)], capture_output=True, text=True, check=True)
    public = read_host_key(file).public_key().public_bytes_raw()
    assert ssh_fingerprint(ssh_of_ed25519(public)) == shown.stdout.split()[1]


def test_another_kind_of_key_or_none_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(EnrolError, match="ssh-keygen -A"):
        read_host_key(tmp_path / "none")
    with pytest.raises(EnrolError, match="not an Ed25519 key"):
        read_host_key(made(tmp_path, "ecdsa"))
    (tmp_path / "text").write_text("no key")
    with pytest.raises(EnrolError, match="no SSH key"):
        read_host_key(tmp_path / "text")


@pytest.mark.parametrize("text", ["", "x", "0" * 64, f"{'0' * 64}.{'g' * 64}", f"{'0' * 64}.{'0' * 64}.0"])
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^this is no enrolment token$"):
        read_token(text)

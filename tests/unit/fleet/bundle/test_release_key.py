"""The key that vouches for releases: made once, kept to its owner, known to machines by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.bundle.release_key import make_release_key, read_signing_key, release_key_line
from fleet.errors import FleetError
from fleet.release.bundle_file import read_release_key
from gate.common.errors import ConfigError


def test_a_machine_reads_the_public_half(tmp_path: Path) -> None:
    make_release_key(tmp_path / "release.key")
    made = read_signing_key(tmp_path / "release.key")
    (tmp_path / "release-key.pub").write_text(release_key_line(made))
    assert read_release_key(tmp_path / "release-key.pub") == made.public_key()


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    make_release_key(tmp_path / "release.key")
    before = (tmp_path / "release.key").read_bytes()
    with pytest.raises(FleetError, match="exists already"):
        make_release_key(tmp_path / "release.key")
    assert (tmp_path / "release.key").read_bytes() == before


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_release_key(tmp_path / "release.key")
    (tmp_path / "release.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_signing_key(tmp_path / "release.key")


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_with_the_next_step(text: str, tmp_path: Path) -> None:
    file = tmp_path / "release.key"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(ConfigError, match="maguey-fleet key"):
        read_signing_key(file)

"""Of a bundle nothing is written that was not signed, and nothing outside of its folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.release.bundle_file import open_bundle, read_release_key
from fleet.release.manifest import MANIFEST, SIGNATURE, BundleRefused, encode_manifest
from tests.bundles import KEY, a_bundle, a_manifest_of, files_of, key_line, written


def unpacked(bundle: Path, into: Path) -> dict[str, bytes]:
    with open_bundle(bundle, KEY.public_key()) as opened:
        opened.unpack(into, lambda path: not path.startswith("debs/"))
    return {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}


def members(bundle: Path) -> dict[str, bytes]:
    with tarfile.open(bundle) as tar:
        return {one.name: file.read() for one in tar for file in [tar.extractfile(one)] if file is not None}


def test_what_is_wanted_is_written_as_it_was_signed(tmp_path: Path) -> None:
    wanted = {name: data for name, data in files_of().items() if not name.startswith("debs/")}
    assert unpacked(a_bundle(tmp_path), tmp_path / "into") == wanted


Change = Callable[[dict[str, bytes]], object]
CHANGES: dict[str, Change] = {
    "another content": lambda files: files.update({"systemd/maguey-gate.service": b"[Service]!"}),
    "longer": lambda files: files.update({"systemd/maguey-gate.service": b"[Service]\n\n"}),
    "one that is not wanted changed": lambda files: files.update({"debs/x.deb": b"dex"}),
    "one missing": lambda files: files.pop("debs/x.deb"),
    "one too many": lambda files: files.update({"wheels/evil.whl": b""}),
    "out of the folder": lambda files: files.update({"../evil": b""}),
    "absolute": lambda files: files.update({"/tmp/evil": b""}),
    "no signature": lambda files: files.pop(SIGNATURE),
    "no manifest": lambda files: files.pop(MANIFEST),
    "a signature of something else": lambda files: files.update({SIGNATURE: KEY.sign(b"something else")}),
    "a longer signature": lambda files: files.update({SIGNATURE: bytes(65)}),
    "a shorter signature": lambda files: files.update({SIGNATURE: b""}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_bundle_that_was_changed_is_refused(change: Change, tmp_path: Path) -> None:
    files = members(a_bundle(tmp_path))
    change(files)
    with pytest.raises(BundleRefused):
        unpacked(written(tmp_path / "changed.tar", files), tmp_path / "into" / "here")
    assert not (tmp_path / "into" / "evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"x", b"L"]
)
def test_links_devices_and_hidden_headers_are_refused(kind: bytes, tmp_path: Path) -> None:
    """Even of a name that was signed."""
    files = files_of()
    raw = encode_manifest(a_manifest_of(files))
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in {MANIFEST: raw, SIGNATURE: KEY.sign(raw)}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        odd = tarfile.TarInfo("systemd/maguey-gate.service")
        odd.type, odd.linkname = kind, "/etc/passwd"
        tar.addfile(odd)
    with pytest.raises(BundleRefused, match="no regular file"):
        unpacked(tmp_path / "b.tar", tmp_path / "into")


def test_a_file_named_twice_is_refused(tmp_path: Path) -> None:
    files = members(a_bundle(tmp_path))
    with tarfile.open(tmp_path / "1.0.tar", "a", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("systemd/maguey-gate.service")
        member.size = len(files["systemd/maguey-gate.service"])
        tar.addfile(member, io.BytesIO(files["systemd/maguey-gate.service"]))
    with pytest.raises(BundleRefused, match="manifest"):
        unpacked(tmp_path / "1.0.tar", tmp_path / "into")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 20_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_spoilt_bundle_is_refused_in_words_or_is_as_it_was(
    at: int, bit: int, cut: bool, tmp_path: Path
) -> None:
    import shutil

    shutil.rmtree(tmp_path / "into", ignore_errors=True)
    data = bytearray(a_bundle(tmp_path).read_bytes())
    place = at % len(data)
    if cut:
        data = data[:place]
    else:
        data[place] ^= 1 << bit
    (tmp_path / "spoilt.tar").write_bytes(data)
    try:
        found = unpacked(tmp_path / "spoilt.tar", tmp_path / "into")
    except BundleRefused:
        return
    assert found == {name: data for name, data in files_of().items() if not name.startswith("debs/")}


@pytest.mark.parametrize("text", [None, "", "not a key", "A" * 5000, "AA" * 22, "\xff"])
def test_without_a_good_key_nothing_is_installed(text: str | None, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    if text is not None:
        key.write_text(text, "latin-1")
    with pytest.raises(BundleRefused):
        read_release_key(key)
    key.write_text(key_line())
    assert read_release_key(key) == KEY.public_key()


@pytest.mark.parametrize("what", ["nothing", "a folder", "a pipe", "a link", "no bundle"])
def test_what_is_no_bundle_is_refused_and_never_waited_for(what: str, tmp_path: Path) -> None:
    import os

    path = tmp_path / "bundle"
    match what:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a link":
            path.symlink_to(a_bundle(tmp_path))
        case "no bundle":
            path.write_bytes(os.urandom(2000))
    with pytest.raises(BundleRefused):
        unpacked(path, tmp_path / "into")

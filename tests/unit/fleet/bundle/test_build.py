"""A bundle is built without a network from a folder of wheels, and is what a machine takes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from fleet.bundle.build import LOCKS, Sources, build_bundle
from fleet.bundle.lock import Target, lock_text, locked_packages
from fleet.bundle.wheels import PACKAGES
from fleet.errors import FleetError
from fleet.release.bundle_file import open_bundle
from fleet.release.manifest import BundleRefused
from gate.common.errors import ConfigError
from tests.bundles import KEY

TARGET = Target(kind="gate", python="cp313", machine="aarch64")
PLATFORMS = "manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.manylinux_2_31_aarch64"
"""A name with all of them has more than the 100 characters of a tar's header."""
LIBRARY = f"a_library_with_a_long_name-1.0-cp313-cp313-{PLATFORMS}.whl"


def wheel(tag: str) -> bytes:
    info = "a_library_with_a_long_name-1.0.dist-info"
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: a-library-with-a-long-name\nVersion: 1.0\n"
        )
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")
    return held.getvalue()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As small as a checkout can be, with a lock of one library, whose wheel is in `wheels/`."""
    root = tmp_path_factory.mktemp("checkout")
    for name in PACKAGES:
        (root / name).mkdir()
        (root / name / "__init__.py").touch()
    for name in ("README.md", "LICENSE"):
        (root / name).touch()
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "maguey-gate"\nversion = "0.1.0"\n[tool.setuptools]\n'
        f"packages = {json.dumps(PACKAGES)}\n"
    )
    for file in ("systemd/hub/tmpfiles.d/maguey.conf", "config/gate.toml", f"wheels/{LIBRARY}"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "systemd/hub/tmpfiles.d/maguey.conf").write_text("d /run/maguey\n")
    (root / "config/gate.toml").write_text("venue = 1\n")
    data = wheel(f"cp313-cp313-{PLATFORMS.split('.', maxsplit=1)[0]}")
    (root / "wheels" / LIBRARY).write_bytes(data)
    (root / "requirements").mkdir()
    (root / LOCKS["gate"]).write_text(
        lock_text([("a-library-with-a-long-name", "1.0", hashlib.sha256(data).hexdigest())])
    )
    return root


def sources(checkout: Path, version: str = "1.2.3") -> Sources:
    return Sources(checkout=checkout, version=version, wheels=checkout / "wheels")


@pytest.fixture(scope="module")
def bundle(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(sources(checkout), TARGET, KEY, tmp_path_factory.mktemp("out"))


def test_a_machine_takes_it_and_finds_every_file_as_it_was(
    bundle: Path, checkout: Path, tmp_path: Path
) -> None:
    with open_bundle(bundle, KEY.public_key()) as opened:
        opened.unpack(tmp_path / "into", lambda _: True)
        manifest = opened.manifest
    assert (manifest.version, manifest.kind, manifest.python) == ("1.2.3", "gate", "cp313")
    for name in ("systemd/hub/tmpfiles.d/maguey.conf", "config/gate.toml"):
        assert (tmp_path / "into" / name).read_bytes() == (checkout / name).read_bytes()
    locked = {one.name: one for one in locked_packages(manifest.lock, "lock")}
    wheels = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "into/wheels").iterdir()}
    assert set(locked) == {"maguey-gate", "a-library-with-a-long-name"}
    assert {digest for one in locked.values() for digest in one.hashes} == wheels


def test_its_bill_of_materials_names_every_wheel(bundle: Path, tmp_path: Path) -> None:
    with open_bundle(bundle, KEY.public_key()) as opened:
        opened.unpack(tmp_path / "into", lambda path: path == "sbom.json")
    said = json.loads((tmp_path / "into" / "sbom.json").read_text())
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    assert [one["purl"] for one in said["components"]] == [
        "pkg:pypi/a-library-with-a-long-name@1.0",
        "pkg:pypi/maguey-gate@1.2.3",
    ]


def test_a_byte_changed_anywhere_is_noticed(bundle: Path, tmp_path: Path) -> None:
    """Except what fills the blocks of the tar file, and its headers' times and owners."""
    data = bytearray(bundle.read_bytes())
    data[data.index(b"d /run/maguey")] ^= 1
    (tmp_path / "changed.tar").write_bytes(data)
    with (
        pytest.raises(BundleRefused, match="not what was signed"),
        open_bundle(tmp_path / "changed.tar", KEY.public_key()) as opened,
    ):
        opened.unpack(tmp_path / "into", lambda _: True)


def test_the_same_source_makes_the_same_bundle(bundle: Path, checkout: Path, tmp_path: Path) -> None:
    again = build_bundle(sources(checkout), TARGET, KEY, tmp_path)
    assert again.read_bytes() == bundle.read_bytes()


def test_a_library_without_a_wheel_for_the_machine_is_named(checkout: Path, tmp_path: Path) -> None:
    other = Target(kind="gate", python="cp311", machine="aarch64")
    with pytest.raises(FleetError, match=r"(?s)cp311 on aarch64 failed.*a-library-with-a-long-name"):
        build_bundle(sources(checkout), other, KEY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkout of maguey-gate"):
        build_bundle(sources(tmp_path), TARGET, KEY, tmp_path / "out")

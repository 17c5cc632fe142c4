"""A manifest counts only if the operator signed exactly these bytes, and no path leads out of its folder."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fleet.release.manifest import (
    LARGEST_FILE,
    BundledFile,
    BundleRefused,
    Manifest,
    encode_manifest,
    verified_manifest,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
A_FILE = BundledFile(path="wheels/maguey_gate-1.2.0-py3-none-any.whl", sha256="0" * 64, size=10)


def a_manifest(*files: BundledFile, version: str = "1.2.0") -> Manifest:
    return Manifest(
        version=version,
        kind="gate",
        python="cp313",
        machine="aarch64",
        files=files or (A_FILE,),
        lock=f"maguey-gate[pi]=={version} --hash=sha256:{'0' * 64}\n",
    )


def verified(raw: bytes, signature: bytes | None = None) -> Manifest:
    return verified_manifest(raw, KEY.sign(raw) if signature is None else signature, KEY.public_key())


def test_what_the_operator_signed_is_read_back() -> None:
    assert verified(encode_manifest(a_manifest())) == a_manifest()


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_is_refused_before_anything_is_read(at: int, bit: int) -> None:
    raw = bytearray(encode_manifest(a_manifest()))
    signature = KEY.sign(bytes(raw))
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(BundleRefused, match="signature"):
        verified(bytes(raw), signature)


@given(st.binary(max_size=70))
def test_another_signature_is_refused_in_the_same_words(signature: bytes) -> None:
    with pytest.raises(BundleRefused, match="does not fit this machine's release key"):
        verified(encode_manifest(a_manifest()), signature)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists, max_leaves=5).map(msgspec.json.encode)
)
def test_whatever_else_was_signed_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(BundleRefused, match="cannot be used"):
        verified(raw)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "wheels/../../etc/passwd",
        "wheels/.hidden",
        "wheels/-r.whl",
        "wheels//a.whl",
        "wheels/",
        "wheels",
        "bin/python",
        "manifest.json",
        "wheels/a\n.whl",
        "wheels/a.whl\n",
        "wheels/a\0.whl",
        "wheels/" + "a" * 300,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(BundleRefused):
        encode_manifest(a_manifest(msgspec.structs.replace(A_FILE, path=path)))


@pytest.mark.parametrize("version", ["", "..", ".1", "-1", "1/2", "1 2", "1\n", "x" * 65, "v1"])
def test_a_version_that_is_no_name_of_a_folder_is_refused(version: str) -> None:
    with pytest.raises(BundleRefused):
        encode_manifest(a_manifest(version=version))


def test_a_file_named_twice_is_refused() -> None:
    with pytest.raises(BundleRefused, match="twice"):
        encode_manifest(a_manifest(A_FILE, A_FILE))


def test_more_than_a_machine_takes_is_refused() -> None:
    many = [msgspec.structs.replace(A_FILE, path=f"debs/{n}.deb", size=LARGEST_FILE) for n in range(5)]
    with pytest.raises(BundleRefused, match="more than"):
        encode_manifest(a_manifest(*many))

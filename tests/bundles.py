"""Release bundles for tests: signed with a key of the test's, with a wheel of ours that has nothing to do."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.release.manifest import MANIFEST, SIGNATURE, BundledFile, Manifest, encode_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
PROGRAM = "def main():\n    import sys\n    print(sys.prefix)\n"


def key_line() -> str:
    return base64.b64encode(KEY.public_key().public_bytes_raw()).decode() + "\n"


def a_wheel(version: str) -> tuple[str, bytes]:
    """Name and bytes of a wheel with one program, `maguey-release`, that says where it is installed."""
    info = f"maguey_gate-{version}.dist-info"
    files = {
        "maguey_program.py": PROGRAM,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: maguey-gate\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nmaguey-release = maguey_program:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return f"maguey_gate-{version}-py3-none-any.whl", held.getvalue()


def a_manifest_of(files: Mapping[str, bytes], version: str = "1.0", **others: Any) -> Manifest:
    _, wheel = a_wheel(version)
    facts: dict[str, Any] = {"kind": "gate", "python": PYTHON, "machine": "x86_64"} | others
    lock = f"maguey-gate=={version} --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
    return Manifest(
        version=version,
        files=tuple(
            BundledFile(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for path, data in files.items()
        ),
        **({"lock": lock} | facts),
    )


def files_of(version: str = "1.0") -> dict[str, bytes]:
    name, wheel = a_wheel(version)
    return {f"wheels/{name}": wheel, "systemd/maguey-gate.service": b"[Service]\n", "debs/x.deb": b"deb"}


def pip_wheel() -> dict[str, bytes]:
    """The pip that Python brings along."""
    bundled = Path(str(resources.files("ensurepip"))) / "_bundled"
    [wheel] = [*bundled.glob("pip-*.whl")] or [*Path("/usr/share/python-wheels").glob("pip-*.whl")]
    return {f"wheels/{wheel.name}": wheel.read_bytes()}


def a_bundle(
    folder: Path, version: str = "1.0", more: Mapping[str, bytes] | None = None, **others: Any
) -> Path:
    """A bundle that is as it should be.

    :param more: files besides those of `files_of`.
    """
    files = files_of(version) | dict(more or {})
    raw = encode_manifest(a_manifest_of(files, version, **others))
    return written(folder / f"{version}.tar", {MANIFEST: raw, SIGNATURE: KEY.sign(raw), **files})


def written(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path

"""The first release of a machine, out of a bundle alone: what installs releases is in the release itself.

The bundle's wheels are unpacked into a folder that Python imports from, so nothing but python3 has to be
there, and `maguey-release` in them installs the bundle as it installs every later one.
"""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.bundle.release_key import release_key_line
from fleet.errors import FleetError
from fleet.machine.ssh import MachineError, Ran, RootShell
from fleet.release.bundle_file import open_bundle
from fleet.setup.facts import MachineFacts

UPLOAD_S, INSTALL_S = 1800.0, 2400.0
_UPLOADED = "/var/lib/maguey-release/upload.tar"
_KEY = "/etc/maguey/release-key.pub"
_START = "/var/lib/maguey-release/start"
_UNPACK = f"""
import sys, tarfile, zipfile
with tarfile.open({_UPLOADED!r}) as tar:
    for one in tar:
        if one.isfile() and one.name.startswith("wheels/") and one.name.endswith(".whl"):
            zipfile.ZipFile(tar.extractfile(one)).extractall({_START!r})
"""


def fitting_bundle(folder: Path, kind: str, facts: MachineFacts) -> Path:
    """The newest bundle in a folder that a machine can install.

    :raises FleetError: there is none.
    """
    named = f"maguey-{kind}-*-{facts.python}-{facts.processor}.tar"
    found = sorted(folder.glob(named), key=lambda file: file.stat().st_mtime)
    if not found:
        raise FleetError(
            f"{folder}: has no {named}. Build it: maguey-fleet build --kind {kind} --python {facts.python} "
            f"--machine {facts.processor}"
        )
    return found[-1]


def install_first(machine: RootShell, bundle: Path, key: Ed25519PrivateKey) -> str:
    """Install a release on a machine that has none, and make it the current one.

    :returns: its version.
    :raises MachineError: a step failed; run again, it begins anew and leaves nothing half-done.
    """
    with open_bundle(bundle, key.public_key()) as opened:
        version = opened.manifest.version
    _trust(machine, release_key_line(key))
    _upload(machine, bundle)
    script = base64.b64encode(_UNPACK.encode()).decode()
    unpack = f'rm -rf {_START}; umask 022; python3 -c "$(echo {script} | base64 -d)"'
    _must(machine, unpack, "unpacking it", limit_s=UPLOAD_S)
    release = f"PYTHONPATH={_START} PYTHONDONTWRITEBYTECODE=1 python3 -m fleet.release.main"
    _must(machine, f"{release} stage {_UPLOADED}", "maguey-release stage", limit_s=INSTALL_S)
    _must(machine, f"{release} apply {shlex.quote(version)}", "maguey-release apply", limit_s=INSTALL_S)
    _must(machine, f"rm -rf {_START} {_UPLOADED}", "removing what was uploaded")
    return version


def _trust(machine: RootShell, line: str) -> None:
    """A key that is there already is never replaced."""
    there = _must(
        machine, f"mkdir -p /etc/maguey; cat {_KEY} 2>/dev/null; true", "reading its release key"
    ).out
    if there.strip() and there != line:
        raise MachineError(
            f"{machine.name}: takes releases of another key, {there.strip()[:60]}. Use that key; if it is "
            f"lost, remove {_KEY} there."
        )
    if not there.strip():
        write = f"umask 022; cat > {_KEY}.new && mv {_KEY}.new {_KEY}"
        _must(machine, write, "writing the release key", line.encode())


def _upload(machine: RootShell, bundle: Path) -> None:
    folder = _UPLOADED.rpartition("/")[0]
    command = f"mkdir -p -m 0700 {folder} && umask 077 && cat > {_UPLOADED}"
    _must(machine, command, "uploading the bundle", bundle.read_bytes(), UPLOAD_S)


def _must(machine: RootShell, command: str, what: str, given: bytes = b"", limit_s: float = 60.0) -> Ran:
    ran = machine.run(command, given, limit_s)
    if ran.code != 0:
        raise MachineError(f"{machine.name}: {what} failed ({ran.code}): {ran.last_words}")
    return ran

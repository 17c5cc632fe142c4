"""The Python environment of a release: made without a network, and only from files whose hashes are known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.errors import FleetError
from fleet.release.manifest import Manifest

INSTALL_S = 1800.0
"""Longest installation; a Pi 3 unpacks and compiles a gate's packages in some 4 minutes."""
_MAKE_S = 300.0
_ANSWER_S = 60.0
_SAID = 600
"""Characters of a program's last words that are repeated."""
_NOT = "The release is not installed"
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INPUT": "1",
}
"""Nothing of the caller's: a setting of pip's could name an index."""


class InstallFailed(FleetError):
    """The release could not be installed; what runs has not changed."""


def make_environment(folder: Path, final: Path, manifest: Manifest, wheels: Path) -> None:
    """Make the environment of a release.

    :param folder: empty; where it is made.
    :param final: where it will stand: what is in ``bin/`` names this.
    :param wheels: the folder with the wheels of `Manifest.lock`.
    :raises InstallFailed: no Python can make it, or a wheel is missing.
    """
    make = ["--without-pip", "--system-site-packages", f"--prompt={manifest.version}", str(folder)]
    _call([sys.executable, "-m", "venv", *make], _MAKE_S, "making it")
    lock = folder / "requirements.txt"
    lock.write_text(manifest.lock, "utf-8")
    python = str(folder / "bin" / "python")
    sources = ["--no-index", f"--find-links={wheels}", "--require-hashes", "--only-binary=:all:"]
    quiet = ["--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    install = [python, str(_pip(wheels)), "install", *sources, *quiet, "-r", str(lock)]
    _call(install, INSTALL_S, "installing its packages")
    _check_version(python, manifest)
    _name_final(folder, final)


def _pip(wheels: Path) -> Path:
    """pip runs out of its own wheel, which is in the bundle: Debian's Python may have none."""
    found = next(iter(sorted(wheels.glob("pip-*.whl"))), None)
    if found is None:
        raise InstallFailed(f"{_NOT}: the bundle has no wheels/pip-….whl. Build it again.")
    return found / "pip"


def _check_version(python: str, manifest: Manifest) -> None:
    ask = "from importlib import metadata; print(metadata.version('maguey-gate'))"
    found = _call([python, "-c", ask], _ANSWER_S, "asking for its version").strip()
    if found != manifest.version:
        raise InstallFailed(
            f"The bundle says it is {manifest.version}, but the package in it is {found}. Build it again."
        )


def _name_final(folder: Path, final: Path) -> None:
    """pip writes the path of the interpreter into each program; Python itself finds its files by its own
    place."""
    old, new = os.fsencode(folder), os.fsencode(final)
    for program in (folder / "bin").iterdir():
        if program.is_symlink() or not program.is_file():
            continue
        text = program.read_bytes()
        if old in text:
            program.write_bytes(text.replace(old, new))


def _call(command: Sequence[str], limit_s: float, what: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False,
            stdin=subprocess.DEVNULL, env=_ENVIRONMENT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"{_NOT}: {what} took longer than {limit_s:.0f} s.") from None
    except OSError as error:
        raise InstallFailed(f"{_NOT}: {command[0]}: {error.strerror}.") from None
    if done.returncode != 0:
        raise InstallFailed(f"{_NOT}: {what} failed: {_last_words(done)}{_advice(done)}")
    return done.stdout


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(f"{done.stdout}\n{done.stderr}".split())[-_SAID:]


def _advice(done: subprocess.CompletedProcess[str]) -> str:
    return " Is the disk full? df -h" if "No space left" in done.stdout + done.stderr else ""

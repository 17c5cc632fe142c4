"""The wheels of a release: ours, built from the source, and those of its lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import parse_wheel_filename

from fleet.bundle.archive import sha256_of
from fleet.bundle.lock import Locked, Target
from fleet.errors import FleetError

PACKAGES = ("gate", "display", "hardware", "sync", "hub", "fleet")
_BUILD_S = 300.0
_FETCH_S = 1800.0
_SAID = 1500
_VERSION_LINE = re.compile(r'(?m)^version = "[^"]*"')
_EPOCH = "1767225600"
"""The time of all files in our wheel (reproducible-builds.org, SOURCE_DATE_EPOCH)."""


def build_own_wheel(source: Path, into: Path, work: Path, version: str | None) -> Path:
    """Build our own wheel.

    :param work: an empty folder, where it is built: the source is left as it is.
    :param version: instead of the one in pyproject.toml.
    :raises FleetError: `source` has no such project, or it cannot be built.
    """
    project = source / "pyproject.toml"
    if not project.is_file() or 'name = "maguey-gate"' not in project.read_text("utf-8"):
        raise FleetError(
            f"{source}: not the source of maguey-gate. Call this in a checkout, or name one: --source FOLDER."
        )
    for name in PACKAGES:
        shutil.copytree(source / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(source / name, work)
    text = project.read_text("utf-8")
    (work / "pyproject.toml").write_text(
        _VERSION_LINE.sub(f'version = "{version}"', text, count=1) if version else text, "utf-8"
    )
    _pip(["wheel", "--no-deps", "--no-build-isolation", "-w", str(into), str(work)], _BUILD_S, "building it")
    return next(into.glob("maguey_gate-*.whl"))


def fetch_wheels(locked: Sequence[Locked], target: Target, into: Path, found_in: Path | None) -> None:
    """Put the wheel of every package into a folder: those for this target, whatever machine this is.

    :param found_in: take them from this folder only, and use no network.
    :raises FleetError: one has no wheel for it, or another content than the lock says.
    """
    file = into / "wanted.txt"
    file.write_text("".join(_line(one) for one in locked if one.is_for(target)), "utf-8")
    where = ["--no-index", f"--find-links={found_in}"] if found_in else []
    tags = [f"--platform={platform}" for platform in target.platforms]
    abis = [f"--abi={target.python}", "--abi=abi3", "--abi=none"]
    which = ["--only-binary=:all:", "--implementation=cp", f"--python-version={target.python_version}"]
    what = ["--no-deps", "--require-hashes", "-r", str(file), "-d", str(into)]
    call = ["download", *where, *which, *abis, *tags, *what]
    _pip(call, _FETCH_S, f"taking the wheels for {target.python} on {target.machine}")
    file.unlink()
    for wheel in into.glob("*.whl"):
        wheel.rename(wheel.with_name(_short_name(wheel.name, target)))


def wheel_facts(wheels: Path) -> list[tuple[str, str, str]]:
    """Name, version and SHA-256 of every wheel in a folder."""
    facts = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        facts.append((str(name), str(version), sha256_of(wheel)))
    return facts


def _short_name(name: str, target: Target) -> str:
    """With one platform instead of a list of all that fit: a header of tar has room for 100 characters."""
    head, _, platforms = name.removesuffix(".whl").rpartition("-")
    fitting = [one for one in platforms.split(".") if one in (*target.platforms, "any")]
    return f"{head}-{min(fitting, key=len, default=platforms)}.whl"


def _line(one: Locked) -> str:
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in sorted(one.hashes))
    return f"{one.name}=={one.version} {hashes}\n"


def _pip(arguments: Sequence[str], limit_s: float, what: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        *arguments,
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    environment = os.environ | {"SOURCE_DATE_EPOCH": _EPOCH}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False,
            stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FleetError(f"The bundle was not built: {what} took longer than {limit_s:.0f} s.") from None
    if done.returncode != 0:
        raise FleetError(
            f"The bundle was not built: {what} failed. pip says:\n{done.stderr[-_SAID:].strip()}"
        )

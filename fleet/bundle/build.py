"""Builds a release bundle from a checkout: wheels, Debian packages, units, bill of materials."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from packaging.utils import parse_wheel_filename

from fleet.bundle.archive import Contents, Release, sha256_of, write_bundle
from fleet.bundle.lock import Target, lock_text, locked_packages
from fleet.bundle.sbom import Component, sbom_json
from fleet.bundle.wheels import build_own_wheel, fetch_wheels, wheel_facts
from fleet.errors import FleetError
from gate.common.errors import ConfigError
from gate.common.value import Value

LOCKS = {"gate": "requirements/gate.txt", "hub": "requirements/hub.txt"}


class Sources(Value, frozen=True):
    """What a bundle is made of. `wheels`: taken from there, not from an index; `debs`: Debian packages."""

    checkout: Path
    version: str | None = None
    wheels: Path | None = None
    debs: Path | None = None


def build_bundle(sources: Sources, target: Target, key: Ed25519PrivateKey, out: Path) -> Path:
    """Build the bundle for one kind of machine.

    :param out: a folder; it is made.
    :returns: the file, named after what it is for.
    :raises FleetError: it cannot be built; the message says why.
    """
    lock = sources.checkout / LOCKS[target.kind]
    try:
        locked = locked_packages(lock.read_text("utf-8"), str(lock))
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{error}. Call this in a checkout of maguey-gate, or see --source, --out."
        ) from None
    with tempfile.TemporaryDirectory(prefix="maguey-bundle-") as work:
        wheels, build = Path(work) / "wheels", Path(work) / "build"
        wheels.mkdir()
        build.mkdir()
        fetch_wheels(locked, target, wheels, sources.wheels)
        ours = build_own_wheel(sources.checkout, wheels, build, sources.version)
        return _written(sources, target, key, out, ours)


def _written(sources: Sources, target: Target, key: Ed25519PrivateKey, out: Path, ours: Path) -> Path:
    version = str(parse_wheel_filename(ours.name)[1])
    facts = wheel_facts(ours.parent)
    debs = {f"debs/{file.name}": file for file in _debs(sources.debs)}
    components = [
        *(Component(ecosystem="pypi", name=name, version=its, sha256=digest) for name, its, digest in facts),
        *map(_deb, debs.values()),
    ]
    contents: Contents = {
        **{f"wheels/{file.name}": file for file in ours.parent.glob("*.whl")},
        **debs,
        **dict(_files(sources.checkout, "systemd")),
        **dict(_files(sources.checkout, "config")),
        "sbom.json": sbom_json(version, target, components),
    }
    bundle = out / f"maguey-{target.kind}-{version}-{target.python}-{target.machine}.tar"
    write_bundle(bundle, Release(version=version, target=target, lock=lock_text(facts)), contents, key)
    return bundle


def _files(checkout: Path, folder: str) -> Iterator[tuple[str, Path]]:
    for file in sorted((checkout / folder).rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            yield file.relative_to(checkout).as_posix(), file


def _debs(folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    found = sorted(folder.glob("*.deb"))
    if not found:
        raise FleetError(f"{folder}: has no .deb. Put Debian's packages there, or leave out --debs.")
    return found


def _deb(file: Path) -> Component:
    """Debian policy 3.2, 5.6.12: name_version_architecture.deb, with the colon of an epoch escaped."""
    name, _, rest = file.stem.partition("_")
    version = rest.rpartition("_")[0].replace("%3a", ":")
    return Component(ecosystem="deb", name=name, version=version or "unknown", sha256=sha256_of(file))

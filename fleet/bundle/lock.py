"""Which of the locked packages a machine needs, each with its version and hashes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fleet.release.services import MachineKind
from gate.common.errors import ConfigError
from gate.common.value import Value

PythonTag = Literal["cp311", "cp313"]
Processor = Literal["aarch64", "x86_64"]

GLIBC = {"cp311": 36, "cp313": 41}
"""The minor version of glibc 2 on Debian 12 and 13, which have these Pythons; wheels need at most that."""
FROM_THE_SYSTEM = {("cp313", "aarch64", "lgpio")}
"""There is no wheel. Raspberry Pi OS has python3-lgpio, and releases see the system's packages (ADR 33)."""
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Target(Value, frozen=True):
    """What a release is for."""

    kind: MachineKind
    python: PythonTag
    machine: Processor

    @property
    def python_version(self) -> str:
        """Such as ``3.13``."""
        return f"{self.python[2]}.{self.python[3:]}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Tags of wheels that run there (PEP 600), the newest first."""
        named = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC[self.python], 4, -1)]
        return (*named, f"manylinux2014_{self.machine}", f"linux_{self.machine}")


class Locked(Value, frozen=True):
    """One package of a lock. `marker`: on which machines it is needed; empty: on all."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    def is_for(self, target: Target) -> bool:
        """Whether this machine needs it as a wheel of ours."""
        if (target.python, target.machine, self.name) in FROM_THE_SYSTEM:
            return False
        return not self.marker or Marker(self.marker).evaluate(_environment(target))


def locked_packages(text: str, name: str) -> tuple[Locked, ...]:
    """Read a requirements file with hashes.

    :param name: what the message calls it.
    :raises ConfigError: a package has no version or no hash.
    """
    return tuple(_locked(line, name) for line in _logical_lines(text))


def lock_text(wheels: Iterable[tuple[str, str, str]]) -> str:
    """The lock of one release: these very wheels and no other file.

    :param wheels: name, version and SHA-256 of each.
    """
    return "".join(f"{name}=={version} --hash=sha256:{digest}\n" for name, version, digest in sorted(wheels))


def _logical_lines(text: str) -> Iterator[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        said = re.sub(r"(^|\s)#.*", "", line).strip()
        if said:
            yield said


def _locked(line: str, name: str) -> Locked:
    hashes = frozenset(_HASH.findall(line))
    try:
        wanted = Requirement(_HASH.sub("", line).strip())
    except InvalidRequirement:
        raise ConfigError(f"{name}: {line[:80]!r} is no locked package. Write it again: make lock") from None
    versions = [one.version for one in wanted.specifier if one.operator == "=="]
    if len(versions) != 1 or not hashes:
        raise ConfigError(
            f"{name}: {wanted.name} has no version or no hash, so anything could be installed. Write the "
            "lock again: make lock"
        )
    marker = str(wanted.marker) if wanted.marker else ""
    return Locked(name=canonicalize_name(wanted.name), version=versions[0], marker=marker, hashes=hashes)


def _environment(target: Target) -> dict[str, str]:
    """PEP 508, "Environment Markers"."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python_version}.0",
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python_version}.0",
        "python_version": target.python_version,
        "sys_platform": "linux",
        "extra": "",
    }

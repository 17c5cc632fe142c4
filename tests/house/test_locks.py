"""The locks: gate, hub and laptop install what was tested, with hashes, from no named place, and no more."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import ROOT

EXTRAS = {"gate": "pi", "hub": "hub", "fleet": "fleet"}
EVERY_PART = pytest.mark.parametrize("part", EXTRAS)
TOOLS = {"pytest", "hypothesis", "ruff", "mypy", "import-linter", "pytest-xdist", "types-requests"}
MACHINES = {
    "gate": [("3.11", "aarch64"), ("3.13", "aarch64")],
    "hub": [("3.11", "x86_64"), ("3.13", "x86_64"), ("3.13", "aarch64")],
    "fleet": [("3.11", "x86_64"), ("3.13", "x86_64")],
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def text(part: str) -> str:
    name = f"requirements/{part}.txt" if part in EXTRAS else "requirements.txt"
    return (ROOT / name).read_text("utf-8")


@cache
def pinned(part: str) -> tuple[Requirement, ...]:
    lines = re.findall(r"^([A-Za-z0-9].*?) *\\?$", text(part), re.MULTILINE)
    return tuple(map(Requirement, lines))


def named(part: str) -> set[tuple[str, str]]:
    return {(canonicalize_name(one.name), str(one.specifier)) for one in pinned(part)}


def on(part: str, python: str, machine: str) -> Iterator[tuple[str, Requirement]]:
    """What pip installs there."""
    here = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    for one in pinned(part):
        if one.marker is None or one.marker.evaluate(here):
            yield canonicalize_name(one.name), one


@EVERY_PART
def test_each_part_has_the_very_versions_that_the_tests_run_with(part: str) -> None:
    assert named(part) <= named("dev")


@EVERY_PART
def test_every_version_is_exact_and_has_hashes(part: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text(part).strip())
    assert len(blocks) == len(pinned(part)) > 5
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("part", [*EXTRAS, "dev"])
def test_no_place_to_load_from_is_named(part: str) -> None:
    assert not re.search(r"://|--index|--find-links|-e |file:", text(part))


@EVERY_PART
def test_no_tool_of_developers_is_installed(part: str) -> None:
    assert {name for name, _ in named(part)} & TOOLS == set()


@pytest.mark.parametrize(
    ("part", "python", "machine"), [(part, *there) for part, places in MACHINES.items() for there in places]
)
def test_the_lock_has_all_that_the_part_asks_for_once_on_each_machine(
    part: str, python: str, machine: str
) -> None:
    found = dict(on(part, python, machine))
    assert len(found) == len(list(on(part, python, machine)))
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][EXTRAS[part]]]
    for line in map(Requirement, asked):
        (version,) = found[canonicalize_name(line.name)].specifier
        assert line.specifier.contains(version.version), line


def test_an_extra_never_brings_another() -> None:
    """A gate has no database driver, a hub no camera, and neither has the operator's SSH."""
    names = {part: {name for name, _ in named(part)} for part in EXTRAS}
    assert not names["gate"] & {"psycopg", "litestar", "uvicorn", "paramiko"}
    assert not names["hub"] & {"numpy", "pillow", "zxing-cpp", "gpiozero", "lgpio", "paramiko"}
    assert not names["fleet"] & {"numpy", "pillow", "lgpio", "psycopg", "litestar"}

"""Of a lock that is good for every machine, each gets what it needs, and nothing without a hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from fleet.bundle.lock import Locked, Processor, PythonTag, Target, lock_text, locked_packages
from gate.common.errors import ConfigError

A, B = "a" * 64, "b" * 64
LOCK = f"""
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via maguey-gate (pyproject.toml)
numpy==2.5.5 ; python_full_version >= '3.12' --hash=sha256:{A}
lgpio==0.2.2.0 ; platform_machine == 'aarch64' --hash=sha256:{A}
colorama==0.4.6 ; sys_platform == 'win32' --hash=sha256:{A}
Typing_Extensions==4.16.0 --hash=sha256:{B}
"""


def needed(python: PythonTag, machine: Processor) -> set[tuple[str, str]]:
    target = Target(kind="gate", python=python, machine=machine)
    return {(one.name, one.version) for one in locked_packages(LOCK, "lock") if one.is_for(target)}


def test_a_machine_gets_what_its_python_and_processor_need() -> None:
    common = {("typing-extensions", "4.16.0")}
    assert needed("cp311", "x86_64") == common | {("numpy", "2.4.6")}
    assert needed("cp311", "aarch64") == common | {("numpy", "2.4.6"), ("lgpio", "0.2.2.0")}


def test_lgpio_is_the_systems_where_no_wheel_exists() -> None:
    assert ("lgpio", "0.2.2.0") not in needed("cp313", "aarch64")


def test_all_hashes_of_a_package_are_kept() -> None:
    assert locked_packages(LOCK, "lock")[0].hashes == {A, B}


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.4.6",
        f"numpy>=2 --hash=sha256:{A}",
        f"numpy --hash=sha256:{A}",
        f"--index-url https://example.com --hash=sha256:{A}",
        f"-e . --hash=sha256:{A}",
        "numpy==2.4.6 --hash=md5:0",
    ],
)
def test_what_could_be_anything_is_no_lock(line: str) -> None:
    with pytest.raises(ConfigError, match="make lock"):
        locked_packages(line, "lock")


names = st.from_regex(r"\A[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9})?\Z")
versions = st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,3}\Z")
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.lists(st.tuples(names, versions, digests), unique_by=lambda one: one[0]))
def test_the_lock_of_a_release_is_read_as_it_was_written(wheels: list[tuple[str, str, str]]) -> None:
    assert set(locked_packages(lock_text(wheels), "lock")) == {
        Locked(name=canonicalize_name(name), version=version, marker="", hashes=frozenset({digest}))
        for name, version, digest in wheels
    }

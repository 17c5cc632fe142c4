"""The house is kept in order: rooms import downwards, names are distinct, tests mirror the rooms."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PRODUCT = ("gate", "display", "hardware", "sync", "hub", "fleet")
WRONG = {
    "gate/: no import goes upwards": ("gate/rules/model.py", "gate.store.journal"),
    "hardware/: no import goes upwards": ("hardware/decoder/symbol.py", "hardware.camera.spec"),
    "display/: no import goes upwards": ("display/text/catalogue.py", "display.picture.layout"),
    "sync/: no import goes upwards": ("sync/wire/scans.py", "sync.broker.mqtt"),
    "hub/: no import goes upwards": ("hub/db/call.py", "hub.mqtt.inbox"),
    "fleet/: no import goes upwards": ("fleet/release/__init__.py", "fleet.bundle"),
    "What runs the door or the hub does not need fleet/": ("hub/gates/health.py", "fleet.errors"),
    "The rules and ports of the door import no IO": ("gate/rules/history.py", "sqlite3"),
    "hardware/, display/ and sync/ never import each other": ("display/preview.py", "sync.wire.scans"),
    "hardware/ and display/ see of the door what everybody shares, its rules and its ports": (
        "hardware/eye/pace.py",
        "gate.store.rows",
    ),
    "Only gate/bootstrap.py knows the adapters": ("gate/door/loop.py", "hardware.eye.pace"),
    "The door has no network code": ("gate/door/loop.py", "requests"),
    "sync/ sees of the door its files, its configuration and the line to it, and no hardware": (
        "sync/upload/window.py",
        "gate.door.desk",
    ),
    "hub/ sees of the Pi what everybody shares, the rules and the wire": (
        "hub/gates/health.py",
        "sync.upload.window",
    ),
}
"""For each contract an import that breaks it: the file it is written into, and what is imported."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the contracts say of a copy in which each of them is broken once."""
    copy = tmp_path_factory.mktemp("house")
    for name in PRODUCT:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for file, module in WRONG.values():
        with (copy / file).open("a") as end:
            end.write(f"\nimport {module}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize("contract", WRONG)
def test_each_contract_notices_an_import_that_breaks_it(contract: str, broken: str) -> None:
    assert f"{contract} BROKEN" in broken


def test_there_is_an_import_that_breaks_each_contract() -> None:
    names = re.findall(r'^name = "(.+ .+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert sorted(names) == sorted(WRONG)


def test_no_file_is_named_with_a_gerund() -> None:
    """A file's name says what is in it, not what it is doing."""
    assert [str(file.relative_to(ROOT)) for file in sources(*PRODUCT) if file.stem.endswith("ing")] == []


ENTRIES = {"app", "main"}
"""Entry points may have the same name in every program."""


def public_names(file: Path) -> Iterator[str]:
    """Classes, functions and names of types. Constants are told apart by their file."""
    for node in ast.parse(file.read_text("utf-8")).body:
        match node:
            case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not node.decorator_list:
                pass  # what is decorated is a command, a migration or a route, and known by that
            case _:
                continue
        if not name.startswith("_") and not name.isupper() and name not in ENTRIES:
            yield name


def test_no_two_public_things_have_the_same_name() -> None:
    where: dict[str, list[str]] = {}
    for file in sources(*PRODUCT):
        for name in public_names(file):
            where.setdefault(name, []).append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_a_unit_test_stands_where_its_file_does() -> None:
    """`tests/unit/<package>/<room>/test_<file>.py`, or `test_<file>_<aspect>.py`.

    What crosses files is a story: `tests/stories`.
    """
    stray = []
    for test in (ROOT / "tests" / "unit").rglob("test_*.py"):
        room = ROOT / test.relative_to(ROOT / "tests" / "unit").parent
        name = test.stem.removeprefix("test_")
        if not any(name == file.stem or name.startswith(f"{file.stem}_") for file in room.glob("*.py")):
            stray.append(str(test.relative_to(ROOT)))
    assert stray == []


def test_functions_are_short_and_no_file_is_long() -> None:
    """Half of them within 6 lines, nine in ten within 15; no file over 400 lines."""
    lengths = []
    for file in sources(*PRODUCT):
        text = file.read_text("utf-8")
        assert text.count("\n") <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append(_code_lines(node))
    lengths.sort()
    assert lengths[len(lengths) // 2] <= 6
    assert lengths[len(lengths) * 9 // 10] <= 15


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of its body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def test_the_names_of_rooms_are_not_those_of_files_beside_them() -> None:
    clashes = Counter(
        str(path.with_suffix("").relative_to(ROOT))
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*")
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    )
    assert [name for name, count in clashes.items() if count > 1] == []

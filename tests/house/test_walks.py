"""The documents: the house is as drawn, walks have no gap, and whatever they name exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

TEXT = (ROOT / "docs" / "development.md").read_text("utf-8")
LAYERS = {
    contract["containers"][0]: contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    if contract["type"] == "layers"
}
EXAMPLES = {
    "A new refusal reason": r"(?i)\b(reason_)?table_not_confirmed\b",
    "A new sensor": r"(?i:\btamper)|HOUSING|_housing",
    "A new screen": r"DoubleEntry|double_entry",
    "A new field on the wire": r"\boldest_unacked_s\b",
}
"""For each walk what the thing it follows is called in code, configuration and documents."""
SEARCHED = ("gate", "hardware", "display", "sync", "hub", "fleet", "config", "docs/*.md")
OTHER_DOCUMENTS = {"docs/development.md", "docs/data-model.md", "docs/glossary.md"}


def below(heading: str) -> str:
    """The text below a heading, up to the next one of any level."""
    _, _, after = TEXT.partition(f"# {heading}\n")
    assert after, heading
    return re.split(r"\n#+ ", after)[0]


@pytest.mark.parametrize("package", LAYERS)
def test_the_house_is_drawn_as_the_contracts_have_it(package: str) -> None:
    drawn = below("The house").split("```")[1].split(f"\n{package}/ ")[1].split("\n\n")[0]
    floors = [re.split(r" {2,}", line.strip())[0] for line in drawn.splitlines()[1:]]
    assert floors == LAYERS[package]


def test_every_package_with_contracts_is_drawn() -> None:
    assert re.findall(r"^(\w+)/", below("The house").split("```")[1], re.MULTILINE) == [*LAYERS]


def steps(walk: str) -> Iterator[tuple[str, bool]]:
    """What each numbered step names before its colon, and whether everybody has to take it."""
    for step in re.split(r"^\d+\. ", below(walk).split("\n\n**")[0], flags=re.MULTILINE)[1:]:
        what, _, _ = step.partition("`: ")
        condition, _, _ = what.partition("`")
        yield from ((file, not condition) for file in re.findall(r"`([^` ]+/[^` ]*)", what))


def files(name: str) -> list[Path]:
    """A file, or all in a folder."""
    path = ROOT / name
    return [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]


def names_it(file: Path, walk: str) -> bool:
    return file.suffix in (".py", ".sql", ".md", ".toml") and bool(
        re.search(EXAMPLES[walk], file.read_text("utf-8"))
    )


DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = r"(?:gate|display|hardware|sync|hub|tests|bench|demo|config|systemd|tools|pibox|trees|docs)"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_whatever_a_document_names_exists(document: Path) -> None:
    """Files, names in modules (`gate.rules.decide.LINES`), and what a link leads to."""
    text = document.read_text("utf-8")
    paths = re.findall(rf"`({FOLDERS}/[\w./*-]+)`", text)
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    names = re.findall(rf"`({FOLDERS}(?:\.\w+)+)`", text)
    assert [path for path in paths if not [*ROOT.glob(path.rstrip("/"))]] == []
    assert [link for link in links if not (document.parent / link).exists()] == []
    code = [name for name in names if not name.endswith((".toml", ".pem", ".key"))]
    assert [name for name in code if not is_there(name)] == []


def is_there(name: str) -> bool:
    """Whether a module, and what it is said to hold, exists."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:length])
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if file.is_file():
            code = file.read_text("utf-8")
            return all(re.search(rf"\b{part}\b", code) for part in parts[length:])
    return False


@pytest.mark.parametrize("walk", EXAMPLES)
def test_every_file_of_the_example_is_a_step_of_its_walk(walk: str) -> None:
    named = {file for name, _ in steps(walk) for file in files(name)}
    found = {
        file
        for place in SEARCHED
        for folder in ROOT.glob(place)
        for file in files(str(folder))
        if names_it(file, walk)
    }
    others = {ROOT / name for name in OTHER_DOCUMENTS}
    assert sorted(str(file.relative_to(ROOT)) for file in found - named - others) == []


@pytest.mark.parametrize("walk", EXAMPLES)
def test_every_step_of_a_walk_has_something_of_the_example(walk: str) -> None:
    """Except those that only some take, and pictures."""
    taken = [name for name, is_for_all in steps(walk) if is_for_all and "golden" not in name]
    assert len(taken) > 5
    assert [name for name in taken if not any(names_it(file, walk) for file in files(name))] == []


def test_whatever_the_glossary_names_exists() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    named = set(re.findall(r"`([A-Z]\w+)`", glossary))
    code = "\n".join(file.read_text("utf-8") for package in LAYERS for file in (ROOT / package).rglob("*.py"))
    assert named - set(re.findall(r"^(?:class )?([A-Z]\w+)\b", code, re.MULTILINE)) == set()

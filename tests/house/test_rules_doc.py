"""docs/rules.md: every test it names exists, and every rule that is a value in the code is in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import get_args, get_type_hints

import pytest

from gate.ports.screen import Notice, Part
from gate.rules.decide import LINES
from gate.rules.model import EventKind, Flag, Reason, RecordReason
from tests.paths import ROOT

RULES = (ROOT / "docs" / "rules.md").read_text("utf-8")
DOMAIN = (ROOT / "docs" / "domain.md").read_text("utf-8")
LINK = re.compile(r"\[`([^`]+)`\]\(\.\./(tests/[^)]+)\)")
LATER = re.compile(r"\*later: ([^*]{20,})\*")
"""What is not built yet, and what is missing, in words."""


def section(name: str) -> dict[str, str]:
    """The rows below a heading of docs/rules.md: what shows each rule, by the rule."""
    _, _, after = RULES.partition(f"# {name}\n")
    lines = re.split(r"\n#+ ", after)[0].splitlines()
    rows = [line.strip("| ").split(" | ", 1) for line in lines if line.startswith("| ")]
    return {rule: shown for rule, shown in rows[1:]}


def headings() -> list[str]:
    return [line.lstrip("# ") for line in RULES.splitlines() if line.startswith("##")]


@cache
def names_in(path: str) -> set[str]:
    """Names of the tests in a file: functions, methods, classes."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test"):
            found.add(node.name)
    return found


def is_shown(name: str, rows: dict[str, str]) -> bool:
    """Whether a row for this word names a test."""
    return any(f"`{name}`" in rule and LINK.search(shown) for rule, shown in rows.items())


@pytest.mark.parametrize(("test", "path"), sorted(set(LINK.findall(RULES))))
def test_every_test_that_is_named_exists(test: str, path: str) -> None:
    assert (ROOT / path).is_file(), path
    assert test in names_in(path)


@pytest.mark.parametrize("heading", headings())
def test_every_rule_is_shown_by_a_test_or_says_when_it_will_be(heading: str) -> None:
    for rule, shown in section(heading).items():
        assert LINK.search(shown) or LATER.search(shown) or "no test can" in shown, rule


def test_what_comes_later_is_said_in_words() -> None:
    assert RULES.count("later:") == len(LATER.findall(RULES))
    assert not re.search(r"\bissue \d", RULES)


@pytest.mark.parametrize("number", range(1, len(LINES) + 1))
def test_every_line_of_the_decision_table_is_in_the_document(number: int) -> None:
    rows = [shown for rule, shown in section("The lines").items() if rule.startswith(f"line {number}, ")]
    assert rows
    assert all(f"test_line_{number}_" in shown for shown in rows)


@pytest.mark.parametrize("reason", [*Reason, *EventKind])
def test_every_reason_is_in_the_document(reason: RecordReason) -> None:
    assert any(is_shown(reason, section(heading)) for heading in headings())


@pytest.mark.parametrize("flag", Flag)
def test_every_flag_is_in_the_document(flag: Flag) -> None:
    assert any(is_shown(flag, section(heading)) for heading in headings())


@pytest.mark.parametrize("word", get_args(get_type_hints(Notice)["word"]))
def test_every_word_of_a_notice_is_in_the_document(word: str) -> None:
    assert is_shown(word, section("The words of a notice"))


@pytest.mark.parametrize("part", Part)
def test_every_part_is_in_the_document(part: Part) -> None:
    assert is_shown(part, section("What can be out of order"))


def test_every_screen_of_the_domain_document_is_in_it() -> None:
    _, _, after = DOMAIN.partition("| screen | shows | stays |\n|---|---|---|\n")
    screens = [line.strip("| ").split(" | ")[0] for line in after.partition("\n\n")[0].splitlines()]
    assert len(screens) == 10
    shown = [re.match(r"\*\*(.+?)\*\*", rule) for rule in section("The rows")]
    assert [match[1] for match in shown if match] == screens


def test_every_headed_rule_of_the_domain_document_is_in_it() -> None:
    """The paragraphs of 2.3 that begin with a bold name have a table of their own."""
    _, _, after = DOMAIN.partition("## 2.3 ")
    named = re.findall(r"^\*\*(.+?)\.?\*\*", after.partition("## 2.4")[0], re.MULTILINE)
    assert named
    assert [name.rstrip(".") for name in named if name.rstrip(".") not in headings()] == []

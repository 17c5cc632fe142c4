"""The table and the JSON."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from bench.figures import Aim, Row
from bench.report import document, markdown, notes, number, table

FAST = Row(
    what="decision", figure=0.2, floor="INSERT", floor_figure=0.1, aim=Aim(limit=1.3), fifths=(1.9, 2.0, 2.1)
)
ABSENT = Row(what="read rates", note="there are no test pictures")
RESULTS = {"decision": [FAST], "reading": [ABSENT]}


@pytest.mark.parametrize(
    ("figure", "unit", "text"),
    [
        (None, "ms", ""),
        (126.0, "", "126"),
        (0.1514, "ms", "0.15 ms"),
        (9.256, "ms", "9.26 ms"),
        (58.21, "MB", "58.2 MB"),
        (168.4, "µs", "168 µs"),
        (1234.5, "ms", "1234 ms"),
    ],
)
def test_figures_have_only_meaningful_digits(figure: float | None, unit: str, text: str) -> None:
    assert number(figure, unit) == text


def test_the_table_shows_figure_floor_ratio_aim_and_whether_it_is_reached() -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table(RESULTS))
    (line,) = [line for line in shown.get().splitlines() if "decision" in line]
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells == ["decision", "INSERT", "0.20 ms", "0.10 ms", "2.00×", "1.90–2.10", "≤ 1.3×", "missed"]


def test_what_was_not_measured_says_so_and_why() -> None:
    assert "not measured" in markdown(RESULTS)
    assert notes(RESULTS) == ["read rates: there are no test pictures"]


def test_the_json_holds_the_machine_and_every_row_with_its_subject() -> None:
    told = json.loads(document(RESULTS, {"cores": "2"}))
    assert told["machine"] == {"cores": "2"}
    assert [(row["subject"], row["what"], row["state"]) for row in told["rows"]] == [
        ("decision", "decision", "missed"),
        ("reading", "read rates", "not measured"),
    ]
    assert told["rows"][0]["ratio"] == 2.0
    assert told["rows"][0]["aim"] == {"limit": 1.3, "of": "ratio", "at_least": False}


def test_the_markdown_is_one_table() -> None:
    lines = markdown(RESULTS).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1

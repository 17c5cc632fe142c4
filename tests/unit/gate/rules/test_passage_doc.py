"""The diagrams in docs/passage.md are generated from the tables, so that the two cannot disagree.

After a change of the tables: MAGUEY_NEW_DOCS=1 pytest on this file, which fails once, on purpose.
"""

from __future__ import annotations

import os
import re

import pytest

from gate.rules.passage import WALK, WAY
from tests.paths import ROOT

DOC = ROOT / "docs" / "passage.md"


def diagram(edges: list[tuple[str, str, str]], first: str, last: list[str]) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}: {why.replace('_', ' ')}" for before, why, after in edges]
    return "\n".join([*lines, *(f"    {state} --> [*]" for state in last)])


DIAGRAMS = {
    "walk": diagram([(b, w, a) for (b, w), a in WALK.items()], "released", ["passed", "expired"]),
    "way": diagram([(b, w, a) for (b, w), a in WAY.items()], "normal", []),
}


@pytest.mark.parametrize("name", list(DIAGRAMS))
def test_the_diagram_in_the_docs_matches_the_table(name: str) -> None:
    pattern = re.compile(rf"(<!-- {name} -->\n```mermaid\n)(.*?)(\n```)", re.DOTALL)
    text = DOC.read_text("utf-8")
    found = pattern.search(text)
    assert found is not None, f"docs/passage.md has no diagram '{name}'"
    if os.environ.get("MAGUEY_NEW_DOCS"):
        DOC.write_text(pattern.sub(lambda m: m[1] + DIAGRAMS[name] + m[3], text), "utf-8")
        pytest.fail("written; look at it, then run without MAGUEY_NEW_DOCS")
    assert found[2] == DIAGRAMS[name]

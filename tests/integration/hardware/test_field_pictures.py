"""Good tickets as the field prints them, through the real eye: `../shared/data/field`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gate.bootstrap import pictures_eye
from gate.rules.payload import Code, parse
from tests.integration.hardware.watching import raws, until
from tests.unit.hardware.scenes import shared

PLAIN = "MGY-PF-20250115-7K3M9QX2VD5RTA0HQ"
JSON = "MGY-PF-20261129-CCQSQ5M88803NS3Y2"
TICKETS = {
    "json-with-bom.png": JSON,
    "json-without-bom.png": JSON,
    "plain-leading-zwsp.png": PLAIN,
    "plain-trailing-space.png": PLAIN,
    "plain-with-bom.png": PLAIN,
}


@pytest.mark.parametrize("name", TICKETS)
def test_a_good_ticket_with_invisible_bytes_around_it_is_that_ticket(name: str) -> None:
    with closing(pictures_eye([Path(shared("field")) / name])) as eye:
        look = until(eye, lambda look: look is not None and bool(raws(look)))
    assert look is not None
    (code,) = [parse(raw) for raw in raws(look)]
    assert isinstance(code, Code), code
    assert code.id == TICKETS[name]


def test_every_picture_in_the_folder_is_tested() -> None:
    assert {path.name for path in shared("field").glob("*.png")} == set(TICKETS)

"""Any night, replayed unchanged, gives no difference."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gate.rules.model import ScanRecord
from tests.factories import code_id, pass_id
from tests.nights import Night

TICKETS = [code_id(number) for number in range(1, 9)]
CODES = [*TICKETS, pass_id(5), "https://example.org", code_id(1)[:-1] + "?"]
WHAT = st.sampled_from(["scan", "scan", "scan", "annul", "locked"])
steps = st.lists(st.tuples(WHAT, st.sampled_from(CODES)), max_size=25)


@settings(max_examples=40)
@given(steps)
def test_any_night_replayed_unchanged_gives_no_difference(evening: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        night = Night(Path(folder))
        admitted: list[ScanRecord] = []
        for what, code in evening:
            if what == "annul" and admitted:
                night.annul(admitted.pop())
            elif what != "annul":
                record = night.scan(code, locked=what == "locked")
                admitted += [record] if record.verdict.value == "admit" else []
        assert night.differences() == ()
        night.close()

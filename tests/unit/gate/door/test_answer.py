"""The order of steps in one answer."""

from __future__ import annotations

from pathlib import Path

import structlog

from tests.doors import Bench
from tests.factories import code_id


def test_the_turnstile_is_released_before_the_answer_is_logged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    released_by_then: list[int] = []

    def note(_logger: object, _method: str, line: structlog.typing.EventDict) -> str:
        if line["event"] == "scan answered":
            released_by_then.append(len(bench.relay.releases))
        return ""

    structlog.configure(processors=[note])
    try:
        bench.show(code_id())
        bench.show(code_id(2))
    finally:
        structlog.reset_defaults()
        bench.close()
    assert released_by_then == [1, 2]

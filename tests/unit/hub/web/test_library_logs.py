"""Lines of libraries reach our log as rarely as our own."""

from __future__ import annotations

import logging

from structlog.testing import capture_logs

from gate.common.seldom import Seldom
from hub.web.library_logs import SeldomHandler


def test_a_librarys_lines_are_grouped_by_their_format_string() -> None:
    seldom = Seldom(lambda: 0.0)
    logger = logging.Logger("library")  # separate from the real loggers
    logger.addHandler(SeldomHandler(seldom))
    with capture_logs() as lines:
        for number in range(100):
            logger.warning("from %s", number)
            logger.info("not so important %s", number)
        try:
            raise ValueError("inside")
        except ValueError:
            logger.exception("it failed\nand more of it")
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "from %s"),
        ("error", "it failed"),
    ]
    assert lines[0]["text"] == "from 0"
    assert isinstance(lines[1]["exc_info"], ValueError)

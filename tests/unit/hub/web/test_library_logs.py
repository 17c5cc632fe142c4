"""What libraries log reaches our log, as seldom as our own lines."""

from __future__ import annotations

import logging

from structlog.testing import capture_logs

from gate.common.seldom import Seldom
from hub.web.library_logs import SeldomHandler


def test_what_a_library_says_is_one_kind_whatever_is_in_it() -> None:
    seldom = Seldom(lambda: 0.0)
    logger = logging.Logger("library")  # of its own, known to nobody
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

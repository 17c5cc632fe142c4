"""A log line that anybody can cause comes once a minute and kind."""

from __future__ import annotations

import logging

from structlog.testing import capture_logs

from hub.web.seldom import MOST_KINDS, Seldom, SeldomHandler


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_is_told_at_once_and_the_others_are_counted() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    with capture_logs() as lines:
        for number in range(5000):
            seldom.say("warning", "wrong", number=number)
            clock.now += 0.01
            seldom.look()
        clock.now = 70.0
        seldom.look()
        clock.now = 200.0
        seldom.look()
        seldom.say("info", "wrong")
    assert lines == [
        {"log_level": "warning", "event": "wrong", "number": 0},
        {"log_level": "warning", "event": "wrong", "number": 4999, "times": 4999, "within_s": 70},
        {"log_level": "info", "event": "wrong"},
    ]


def test_kinds_do_not_hide_each_other_and_are_bounded() -> None:
    seldom = Seldom(Clock())
    with capture_logs() as lines:
        for number in range(1000):
            seldom.say("warning", f"kind {number}")
            seldom.say("warning", f"kind {number}")
    assert len(lines) == MOST_KINDS + 1
    assert {line["event"] for line in lines} >= {"kind 0", "kind 1"}


def test_a_text_is_cut() -> None:
    with capture_logs() as lines:
        Seldom(Clock()).say("warning", "wrong", path="/" * 9000)
    assert len(lines[0]["path"]) == 200


def test_what_a_library_says_is_one_kind_whatever_is_in_it() -> None:
    seldom = Seldom(Clock())
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

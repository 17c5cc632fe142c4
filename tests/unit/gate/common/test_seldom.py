"""A log line that anybody can cause is written once a minute for each kind."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from gate.common.seldom import MINUTE_S, MOST_KINDS, Seldom

LOG = structlog.get_logger()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_line_is_logged_at_once_and_the_others_are_counted() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    with capture_logs() as lines:
        for number in range(5000):
            seldom.say(LOG.warning, "wrong", number=number)
            clock.now += 0.01
            seldom.look()
        clock.now = 70.0
        seldom.look()
        clock.now = 200.0
        seldom.look()
        seldom.say(LOG.info, "wrong")
    assert lines == [
        {"log_level": "warning", "event": "wrong", "number": 0},
        {"log_level": "warning", "event": "wrong", "number": 4999, "count": 4999},
        {"log_level": "info", "event": "wrong"},
    ]


def test_what_goes_on_is_logged_with_its_count_without_calling_look() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    with capture_logs() as lines:
        for second in range(180):
            clock.now = float(second)
            for _ in range(100):
                seldom.say(LOG.warning, "quarantined", gate_id="gate-1")
    assert [line.get("count", 1) for line in lines] == [1, int(MINUTE_S) * 100, int(MINUTE_S) * 100]


def test_one_gate_does_not_hide_another() -> None:
    seldom = Seldom(Clock())
    with capture_logs() as lines:
        for gate in ("gate-1", "gate-1", "gate-2"):
            seldom.say(LOG.warning, "quarantined", gate_id=gate)
    assert [line["gate_id"] for line in lines] == ["gate-1", "gate-2"]


def test_kinds_do_not_hide_each_other_and_are_bounded() -> None:
    seldom = Seldom(Clock())
    with capture_logs() as lines:
        for number in range(3 * MOST_KINDS):
            seldom.say(LOG.warning, f"kind {number}")
            seldom.say(LOG.warning, f"kind {number}")
    assert len(lines) == MOST_KINDS + 1
    assert {line["event"] for line in lines} >= {"kind 0", "kind 1"}


def test_old_kinds_make_room_for_new_ones() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    with capture_logs() as lines:
        for number in range(3 * MOST_KINDS):
            clock.now += 1.0
            seldom.say(LOG.warning, f"kind {number}")
    assert len(lines) == 3 * MOST_KINDS


def test_a_long_text_is_cut() -> None:
    with capture_logs() as lines:
        Seldom(Clock()).say(LOG.warning, "wrong", path="/" * 9000)
    assert len(lines[0]["path"]) == 200


def test_a_count_is_due_once_a_minute_with_all_that_came_in_between() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    assert [seldom.due("dropped", 3), seldom.due("dropped", 4), seldom.due("other")] == [3, 0, 1]
    clock.now = MINUTE_S
    assert seldom.due("dropped") == 5

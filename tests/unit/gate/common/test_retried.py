"""A part that breaks is made again after a wait, and its outage is logged once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from gate.common.errors import HardwareError, MagueyError
from gate.common.retried import RETRY_MS, Retried, RetriedDevice

MISSING = HardwareError("lamp", "It is not there.", "Plug it in.")
LOST = "lamp failed"
BACK = "lamp recovered"


class Lamp:
    """The part that is made; it can be missing, and can refuse to be closed."""

    def __init__(self) -> None:
        self.missing: Exception | None = None
        self.made = self.closed = 0
        self.refuses = False

    def make(self) -> Lamp:
        self.made += 1
        if self.missing is not None:
            raise self.missing
        return self

    def close(self) -> None:
        self.closed += 1
        if self.refuses:
            raise OSError("gone")

    def shine(self) -> str:
        if self.refuses:
            raise OSError("dark")
        return "light"


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """The events logged so far."""
    with capture_logs() as lines:
        yield lambda: [line["event"] for line in lines]


def test_a_part_is_made_once_and_kept(lamp: Lamp) -> None:
    part = Retried("lamp", lamp.make, Lamp.close)
    assert part.part is None
    assert part.get(0) is part.get(1) is part.part is lamp
    assert lamp.made == 1


def test_a_missing_part_is_retried_after_a_wait_and_logged_once(
    lamp: Lamp, logged: Callable[[], list[str]]
) -> None:
    part = Retried("lamp", lamp.make, Lamp.close)
    lamp.missing = MISSING
    for now_ms in (0, 1, RETRY_MS - 1, RETRY_MS):
        assert part.get(now_ms) is None
    assert lamp.made == 2
    assert part.trouble is MISSING
    lamp.missing = None
    assert part.get(2 * RETRY_MS) is lamp
    assert part.trouble is None
    assert logged() == [LOST, BACK]


def test_a_defect_in_our_code_disables_only_its_part(lamp: Lamp) -> None:
    part = Retried("lamp", lamp.make, Lamp.close)
    lamp.missing = ZeroDivisionError("a mistake")
    assert part.get(0) is None
    assert "because of a defect: ZeroDivisionError('a mistake')" in str(part.trouble)


def test_a_broken_part_is_discarded_even_if_it_cannot_be_closed(lamp: Lamp) -> None:
    part = Retried("lamp", lamp.make, Lamp.close)
    part.get(0)
    lamp.refuses = True
    part.broke(MagueyError("It fell."), 5)
    assert (part.part, lamp.closed) == (None, 1)
    assert part.get(RETRY_MS + 4) is None
    assert part.get(RETRY_MS + 5) is lamp


def test_a_device_counts_as_recovered_once_it_has_been_used(
    lamp: Lamp, logged: Callable[[], list[str]]
) -> None:
    device = RetriedDevice("lamp", lamp.make, Lamp.close, lambda _: MISSING, 1.0)
    lamp.refuses = True
    for now in (0.0, 1.0):
        assert device.use(Lamp.shine, now) is None
    assert (lamp.made, lamp.closed) == (2, 2)
    assert device.made(2.0) is lamp
    assert device.trouble is MISSING
    lamp.refuses = False
    assert device.use(Lamp.shine, 2.0) == "light"
    assert device.trouble is None
    assert logged() == [LOST, BACK]


def test_a_closed_device_is_not_made_again(lamp: Lamp) -> None:
    device = RetriedDevice("lamp", lamp.make, Lamp.close, lambda _: MISSING, 1.0)
    device.get(0.0)
    lamp.refuses = True
    device.close()
    assert device.get(10.0) is None
    assert (lamp.made, lamp.closed) == (1, 1)

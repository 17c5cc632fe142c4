"""gpiozero's simulated pins, which a test can wait on and break."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from gpiozero.pins.mock import MockPin, MockPWMPin

from tests.patience import PATIENCE_S


class Watched:
    """A pin that can be waited for, can refuse, and can hang, in any change or only when switched off."""

    def __init__(self, factory: Any, info: Any) -> None:
        self.news = threading.Condition()
        self.refuses = self.stays_on = False
        self.refused = 0
        self.answers = threading.Event()
        self.answers.set()
        self.still_opens = False
        super().__init__(factory, info)  # type: ignore[call-arg]

    def _change_state(self, value: float) -> bool:
        assert (value and self.still_opens) or self.answers.wait(PATIENCE_S)
        if self.refuses or (self.stays_on and not value):
            with self.news:
                self.refused += 1
                self.news.notify_all()
            raise OSError("the wire is cut")
        with self.news:
            changed: bool = super()._change_state(value)  # type: ignore[misc]
            self.news.notify_all()
        return changed

    def wait_for(self, done: Callable[[list[float]], bool]) -> None:
        with self.news:
            assert self.news.wait_for(lambda: done(levels(self)), PATIENCE_S), levels(self)

    def wait_for_refusals(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: self.refused >= count, PATIENCE_S), self.refused


class WatchedPin(Watched, MockPin):  # type: ignore[misc]
    pass


class WatchedPWMPin(Watched, MockPWMPin):  # type: ignore[misc]
    pass


def levels(pin: Any) -> list[float]:
    return [state.state for state in pin.states]

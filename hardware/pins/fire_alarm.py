"""Tells of the fire alarm until it was heard, whatever else is stuck or broken."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gate.common.outage import Outage

LOOK_S = 0.5
"""How often the alarm's level is looked at without an edge, and a telling that failed is repeated."""

CLOSE_S = 2.0
"""What the thread gets to end; longer means that somebody who was told has not come back."""


class FireWatch:
    """Tells that the alarm is on, and that it is off again: once each, repeated only where it failed.

    :param is_on: the alarm's level; from any thread.
    :param on_fire: whom to tell. Called from the thread of `look`, or from this one's own.
    """

    def __init__(self, is_on: Callable[[], bool], on_fire: Callable[[bool], None]) -> None:
        self._is_on, self._on_fire = is_on, on_fire
        self._told = False
        self._telling = threading.Lock()
        self._closing = threading.Event()
        self._outage = Outage("fire alarm's release")
        self.look()
        self._thread = threading.Thread(target=self._run, name="fire", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Tell if there is something new. Never raises."""
        with self._telling:
            if self._closing.is_set():
                return
            try:
                on = self._is_on()
                if on != self._told:
                    self._on_fire(on)
                    self._told = on
            except Exception as error:  # whatever it is: the alarm is looked at and told of again
                self._outage.began(error)
            else:
                self._outage.over()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            self.look()

    def close(self) -> None:
        """Tell nobody any more."""
        self._closing.set()
        self._thread.join(CLOSE_S)

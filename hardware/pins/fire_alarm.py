"""Reports the fire alarm until the report succeeds, whatever else is stuck or broken."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gate.common.outage import Outage

LOOK_S = 0.5
"""How often the alarm's level is checked without an edge, and a failed report is repeated."""

CLOSE_S = 2.0
"""How long the thread may take to end; longer means that `on_fire` has not returned."""


class FireWatch:
    """Reports that the alarm is on, and that it is off again: once each, repeated only after a failure.

    :param is_on: the alarm's level; called from any thread.
    :param on_fire: gets the report. Called from the thread of `look`, or from the watch's own.
    """

    def __init__(self, is_on: Callable[[], bool], on_fire: Callable[[bool], None]) -> None:
        self._is_on, self._on_fire = is_on, on_fire
        self._reported = False
        self._reporting = threading.Lock()
        self._closing = threading.Event()
        self._outage = Outage("fire alarm's release")
        self.look()
        self._thread = threading.Thread(target=self._run, name="fire", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Report a change. Never raises."""
        with self._reporting:
            if self._closing.is_set():
                return
            try:
                on = self._is_on()
                if on != self._reported:
                    self._on_fire(on)
                    self._reported = on
            except Exception as error:  # whatever it is, the alarm is checked and reported again
                self._outage.began(error)
            else:
                self._outage.over()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            self.look()

    def close(self) -> None:
        """Report nothing any more."""
        self._closing.set()
        self._thread.join(CLOSE_S)

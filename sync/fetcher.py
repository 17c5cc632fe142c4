"""Asks the hub over HTTP in a thread of its own, so that a slow hub never delays a scan.

The service says what it wants; answers come back as events. What fails is asked again
after a while for as long as it is wanted.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import msgspec

from gate.outage import Outage
from sync.snapshot import Fetched, FetchError, HubClient
from sync.wire import GateConfig

RETRY_S = 2.0


class WantConfig(msgspec.Struct, frozen=True):
    """Ask for the gate's configuration."""


class WantEvent(msgspec.Struct, frozen=True):
    """Ask for an event's admissions after version `since`; 0: all."""

    event_id: str
    since: int


Want = WantConfig | WantEvent


class Fetcher:
    """One request at a time, oldest wish first.

    :param deliver: called in the fetcher's thread with each answer.
    """

    def __init__(self, client: HubClient, deliver: Callable[[GateConfig | Fetched], None]) -> None:
        self._client = client
        self._deliver = deliver
        self._wanted: queue.SimpleQueue[Want | None] = queue.SimpleQueue()
        self._asked: set[str] = set()
        self._stop = threading.Event()
        self._outage = Outage("hub")
        self._thread = threading.Thread(target=self._run, name="fetcher", daemon=True)
        self._thread.start()

    def want(self, what: Want) -> None:
        """Ask for something; asking again while it is being asked for changes nothing."""
        key = _key(what)
        if key not in self._asked:
            self._asked.add(key)
            self._wanted.put(what)

    def close(self) -> None:
        """Stop asking. A request under way is left to its time-out."""
        self._stop.set()
        self._wanted.put(None)
        self._thread.join(timeout=0.5)

    def _run(self) -> None:
        while (what := self._wanted.get()) is not None and not self._stop.is_set():
            answer = self._ask_until_answered(what)
            # free to be asked again before the answer is seen: what it shows may ask for more
            self._asked.discard(_key(what))
            if answer is not None:
                self._deliver(answer)

    def _ask_until_answered(self, what: Want) -> GateConfig | Fetched | None:
        while not self._stop.is_set():
            try:
                answer = self._ask(what)
            except FetchError as error:
                self._outage.began(error)
                self._stop.wait(RETRY_S)
            else:
                self._outage.over()
                return answer
        return None

    def _ask(self, what: Want) -> GateConfig | Fetched:
        if isinstance(what, WantConfig):
            return self._client.config()
        return self._client.admissions(what.event_id, what.since)


def _key(what: Want) -> str:
    return what.event_id if isinstance(what, WantEvent) else ""

"""Requests things from the hub over HTTP in a thread of its own, so that a slow hub never delays a scan.

The service says what it wants; answers come back as events. A request that fails waits and goes to the end of
the queue, so that it does not hold up the others. A request that the hub refuses (403, 404) is dropped; the
service asks again after the next configuration.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from gate.common.outage import Outage
from gate.rules.command import Envelope
from sync.cache.spool import Spool, SpoolBusy
from sync.feed.snapshot import (
    FetchedCertificate,
    FetchedFeed,
    FetchError,
    HubClient,
    HubRefused,
    HubUnreachable,
    HubWipes,
)
from sync.wire.messages import GateConfig

RETRY_S = 2.0
LOOK_S = 1.0
"""How often the loop turns while nothing is due."""


class WantConfig(msgspec.Struct, frozen=True):
    """A request for the gate's configuration."""


class WantEvent(msgspec.Struct, frozen=True):
    """A request for an event's changes after version `since` of a generation; `whole`: for all of it."""

    event_id: str
    since: int
    generation: int = 1
    whole: bool = False


class WantCertificate(msgspec.Struct, frozen=True):
    """A signing request, for the gate's next certificate."""

    request: str


Want = WantConfig | WantEvent
AnyWant = Want | WantCertificate
FetchedAnswer = GateConfig | FetchedFeed | FetchedCertificate | Envelope


class _Request(msgspec.Struct, frozen=True):
    what: AnyWant
    due: float


class Fetcher:
    """One request at a time: the configuration first, then the oldest request that is due.

    :param spool: where a snapshot waits until it is in the cache; until then no event is requested.
    :param deliver: called in the fetcher's thread with each answer.
    :param retry_s: seconds until a failed request is due again.
    :param now_ms: the monotonic clock by which the broker's messages are dated too.
    """

    def __init__(
        self,
        client: HubClient,
        spool: Spool,
        deliver: Callable[[FetchedAnswer], None],
        retry_s: float = RETRY_S,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._client = client
        self._now_ms = now_ms
        self._spool = spool
        self._deliver = deliver
        self._retry_s = retry_s
        self._requests: dict[str, _Request] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._turns = self._unwatched = 0
        self._hub = Outage("hub")
        self._outages: dict[str, Outage] = {}
        self._thread = threading.Thread(target=self._run, name="fetcher", daemon=True)
        self._thread.start()

    def want(self, what: AnyWant) -> None:
        """Request something. A repetition is no sooner due; another `since` replaces the earlier one."""
        with self._changed:
            earlier = self._requests.get(_key(what))
            self._requests[_key(what)] = _Request(what, earlier.due if earlier else 0.0)
            self._changed.notify()

    def turns(self) -> int:
        """Grows while the thread turns or data arrives from the hub; for the watchdog.

        The system's name look-up has no bound and is not watched. Called by one thread only.
        """
        self._unwatched += self._client.is_looking_up
        return self._turns + self._client.turns + self._unwatched

    def close(self) -> None:
        """Stop. A request under way is left to its time-out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=0.5)

    def _run(self) -> None:
        while (request := self._next()) is not None:
            self._handle(request.what)

    def _next(self) -> _Request | None:
        """Wait for a request that is due; None once closed."""
        with self._changed:
            while not self._closed:
                self._turns += 1
                now = time.monotonic()
                due = [request for request in self._requests.values() if request.due <= now]
                if due:
                    return min(due, key=lambda request: isinstance(request.what, WantEvent))
                first = min((request.due for request in self._requests.values()), default=None)
                self._changed.wait(LOOK_S if first is None else min(first - now, LOOK_S))
        return None

    def _handle(self, what: AnyWant) -> None:
        try:
            answer = self._ask(what)
            # forgotten before the answer is delivered: handling the answer may request the same again
            self._forget(what)
            self._deliver(answer)
        except SpoolBusy:
            self._put_off(what)
        except HubUnreachable as error:
            self._hub.began(error)
            self._put_off(what)
        except Exception as error:  # this thread must survive any error: nobody else makes requests
            self._on_useless(what, error)
        else:
            self._hub.over()
            self._outage(what).over()

    def _on_useless(self, what: AnyWant, error: Exception) -> None:
        """The hub answers, but not with what was requested."""
        self._hub.over()
        why = error if isinstance(error, FetchError) else f"unexpected {type(error).__name__}: {error}"
        self._outage(what).began(why)
        if isinstance(error, HubRefused):
            self._forget(what)
        else:
            self._put_off(what)

    def _forget(self, what: AnyWant) -> None:
        with self._changed:
            request = self._requests.get(_key(what))
            if request is not None and request.what == what:
                del self._requests[_key(what)]

    def _put_off(self, what: AnyWant) -> None:
        """Move it to the end; a `since` requested meanwhile stays."""
        with self._changed:
            request = self._requests.pop(_key(what), _Request(what, 0.0))
            self._requests[_key(what)] = _Request(request.what, time.monotonic() + self._retry_s)

    def _outage(self, what: AnyWant) -> Outage:
        return self._outages.setdefault(_key(what), Outage(_name(what)))

    def _config(self) -> GateConfig | Envelope:
        """Or the hub's word that this gate is to erase itself, which has still to be verified."""
        try:
            return self._client.config()
        except HubWipes as told:
            return told.wipe

    def _ask(self, what: AnyWant) -> FetchedAnswer:
        if isinstance(what, WantConfig):
            return self._config()
        if isinstance(what, WantCertificate):
            return self._client.certificate(what.request)
        asked_ms = self._now_ms()
        fetched = self._client.admissions(
            what.event_id, what.since, self._spool, generation=what.generation, whole=what.whole
        )
        return msgspec.structs.replace(fetched, asked_ms=asked_ms)


def _key(what: AnyWant) -> str:
    return what.event_id if isinstance(what, WantEvent) else type(what).__name__


def _name(what: AnyWant) -> str:
    match what:
        case WantEvent(event_id):
            return f"download of event {event_id}"
        case WantCertificate():
            return "renewal of certificate"
        case _:
            return "download of configuration"

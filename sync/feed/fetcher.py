"""Asks the hub over HTTP in a thread of its own, so that a slow hub never delays a scan.

The service says what it wants; answers come back as events. Every wish has its own time: one
that fails waits and goes to the end, so that it holds up no other. What the hub refuses
(403, 404) is dropped; the service asks again with the next configuration.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from gate.common.outage import Outage
from sync.cache.spool import Spool, SpoolBusy
from sync.feed.snapshot import FetchedFeed, FetchError, HubClient, HubRefused, HubUnreachable
from sync.wire.messages import GateConfig

RETRY_S = 2.0
LOOK_S = 1.0
"""How often it turns while nothing is due."""


class WantConfig(msgspec.Struct, frozen=True):
    """Ask for the gate's configuration."""


class WantEvent(msgspec.Struct, frozen=True):
    """Ask for what came after version `since` of an event, of a generation; `whole`: for all of it."""

    event_id: str
    since: int
    generation: int = 1
    whole: bool = False


Want = WantConfig | WantEvent


class _Wish(msgspec.Struct, frozen=True):
    what: Want
    due: float


class Fetcher:
    """One request at a time: the configuration first, then the oldest wish that is due.

    :param spool: where a snapshot waits until it is taken over; meanwhile no event is asked for.
    :param deliver: called in the fetcher's thread with each answer.
    :param retry_s: seconds until a wish that failed is due again.
    :param now_ms: the clock that what the broker says is dated by, monotonic.
    """

    def __init__(
        self,
        client: HubClient,
        spool: Spool,
        deliver: Callable[[GateConfig | FetchedFeed], None],
        retry_s: float = RETRY_S,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._client = client
        self._now_ms = now_ms
        self._spool = spool
        self._deliver = deliver
        self._retry_s = retry_s
        self._wishes: dict[str, _Wish] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._turns = self._unwatched = 0
        self._hub = Outage("hub")
        self._outages: dict[str, Outage] = {}
        self._thread = threading.Thread(target=self._run, name="fetcher", daemon=True)
        self._thread.start()

    def want(self, what: Want) -> None:
        """Ask for something. Asking again hurries nothing; another `since` replaces the earlier one."""
        with self._changed:
            earlier = self._wishes.get(_key(what))
            self._wishes[_key(what)] = _Wish(what, earlier.due if earlier else 0.0)
            self._changed.notify()

    def turns(self) -> int:
        """Grows while its thread turns or something comes from the hub; for the watchdog.

        A look-up of a name takes as long as the system likes, and is not watched. Asked by one thread only.
        """
        self._unwatched += self._client.is_looking_up
        return self._turns + self._client.turns + self._unwatched

    def close(self) -> None:
        """Stop asking. A request under way is left to its time-out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=0.5)

    def _run(self) -> None:
        while (wish := self._next()) is not None:
            self._fulfil(wish.what)

    def _next(self) -> _Wish | None:
        """Wait for a wish that is due; None once closed."""
        with self._changed:
            while not self._closed:
                self._turns += 1
                now = time.monotonic()
                due = [wish for wish in self._wishes.values() if wish.due <= now]
                if due:
                    return min(due, key=lambda wish: isinstance(wish.what, WantEvent))
                first = min((wish.due for wish in self._wishes.values()), default=None)
                self._changed.wait(LOOK_S if first is None else min(first - now, LOOK_S))
        return None

    def _fulfil(self, what: Want) -> None:
        try:
            answer = self._ask(what)
            # free to be asked again before the answer is seen: what it shows may ask for more
            self._forget(what)
            self._deliver(answer)
        except SpoolBusy:
            self._put_off(what)
        except HubUnreachable as error:
            self._hub.began(error)
            self._put_off(what)
        except Exception as error:  # whatever it was, this thread must live: nobody else asks
            self._on_useless(what, error)
        else:
            self._hub.over()
            self._outage(what).over()

    def _on_useless(self, what: Want, error: Exception) -> None:
        """The hub answers, but not with what was asked for."""
        self._hub.over()
        told = error if isinstance(error, FetchError) else f"unexpected {type(error).__name__}: {error}"
        self._outage(what).began(told)
        if isinstance(error, HubRefused):
            self._forget(what)
        else:
            self._put_off(what)

    def _forget(self, what: Want) -> None:
        with self._changed:
            wish = self._wishes.get(_key(what))
            if wish is not None and wish.what == what:
                del self._wishes[_key(what)]

    def _put_off(self, what: Want) -> None:
        """To the end of the line; a `since` that was asked for meanwhile stays."""
        with self._changed:
            wish = self._wishes.pop(_key(what), _Wish(what, 0.0))
            self._wishes[_key(what)] = _Wish(wish.what, time.monotonic() + self._retry_s)

    def _outage(self, what: Want) -> Outage:
        name = (
            f"fetching event {what.event_id}" if isinstance(what, WantEvent) else "fetching the configuration"
        )
        return self._outages.setdefault(_key(what), Outage(name))

    def _ask(self, what: Want) -> GateConfig | FetchedFeed:
        if isinstance(what, WantConfig):
            return self._client.config()
        asked_ms = self._now_ms()
        fetched = self._client.admissions(
            what.event_id, what.since, self._spool, generation=what.generation, whole=what.whole
        )
        return msgspec.structs.replace(fetched, asked_ms=asked_ms)


def _key(what: Want) -> str:
    return what.event_id if isinstance(what, WantEvent) else ""

"""Follows the hub: writes its configuration and feeds into the cache, asks for what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from gate.clock import Clock
from gate.rules.model import Event
from gate.store.link_row import Behind, LinkNote
from sync.cache.spool import SpooledSnapshot
from sync.cache.versions import plan
from sync.cache.writer import Cache
from sync.feed.fetcher import Want, WantConfig, WantEvent
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, FeedPlace, GateConfig, Head, WireError

ASK_AGAIN_MS = 2_000
"""When an answer brought nothing new although there is more."""
RELOAD_MS = 5 * 60_000
"""Between two looks whether what could not be read of a night can be by now; only when something changed."""
AHEAD = timedelta(days=1)
"""A generation is a moment, in microseconds; one that knows the time takes none later than this."""
FAR = datetime(2100, 1, 1, tzinfo=UTC)
"""Beyond any generation, also for a gate that does not know the time."""
FORGET_MS = 6 * 3_600_000
"""Between two looks for what is long past."""


class FeedFollower:
    """The incoming half of sync.

    What is held only ever goes forward (docs/adr/0018): whatever has an older place is refused, and nothing
    changed by it.

    :param want: asks for something over HTTP; the answer comes back to `on_config` or `on_fetched`.
    :param before: what was so when sync last ran. What a list was known to lack then it still lacks, whoever
        else has forgotten it: a broker that crashed keeps no head.

    :raises StoreError: from every `on_` method, when the cache cannot be written; what came
        can be given again.
    """

    def __init__(
        self, cache: Cache, want: Callable[[Want], None], clock: Clock, before: LinkNote | None = None
    ) -> None:
        self._cache = cache
        self._want = want
        self._clock = clock
        self._log = structlog.get_logger()
        self._held = cache.places()
        self._served = set(cache.served())
        self._newest: dict[str, FeedPlace] = {}
        """Newest known of, by event, however and whenever it became known."""
        self._told_ms: dict[str, int] = {}
        """When the broker last told of more than is held, by event. An answer asked for later ends that."""
        self._false: set[str] = set()
        """Events of which an answer had a generation that cannot be. Told once, until one comes that can."""
        self._heard: set[str] = set()
        """Events of which the hub, or the broker for it, has told on this connection how far they are."""
        self._since: dict[str, int] = {}
        """Since when each event's list is known to be behind."""
        self._anew: set[str] = set()
        """Events to be loaded as a whole, whatever is held of them."""
        self._went_back: dict[str, str] = {}
        """Events whose feed went back at the hub, in words. Told once; over when it is ahead again."""
        self._unread = cache.unread()
        """Events of whose list something could not be read, in words. Told once for each snapshot."""
        self._reload_at: dict[str, int] = {}
        self._again_at: dict[str, int] = {}
        self._forget_at = 0
        self._remember(before)

    def _remember(self, before: LinkNote | None) -> None:
        """Go on with what was lacking; the milliseconds of another boot say only that it is long ago."""
        behind = {} if before is None else before.behind
        for event_id in behind.keys() & self._served:
            lacks = behind[event_id]
            is_this_boot = before is not None and before.boot_id == self._clock.now().boot_id
            self._since[event_id] = lacks.since_ms if is_this_boot else 0
            if lacks.version:
                self._newest[event_id] = FeedPlace(generation=lacks.generation, version=lacks.version)
            if lacks.whole:
                self._anew.add(event_id)

    @property
    def event_id(self) -> str | None:
        """The event served here, if it is only one."""
        return next(iter(self._served)) if len(self._served) == 1 else None

    @property
    def version(self) -> int | None:
        """Newest version held of any event."""
        return max((place.version for place in self._held.values()), default=None)

    @property
    def trouble(self) -> str:
        """In words, if the hub has less than this gate, or what cannot be read here; else empty."""
        return " ".join([*self._went_back.values(), *map(_told, self._unread.values())])

    @property
    def behind(self) -> dict[str, Behind]:
        """What is known to be lacking of the lists, by event, as of the last `keep_time`."""
        return {event_id: self._lacks(event_id, since_ms) for event_id, since_ms in self._since.items()}

    def _lacks(self, event_id: str, since_ms: int) -> Behind:
        held, newest = (
            self._held.get(event_id),
            self._newest.get(event_id, FeedPlace(generation=0, version=0)),
        )
        whole = event_id in self._anew or event_id in self._went_back
        is_counted = held is not None and held.generation == newest.generation and not whole
        return Behind(
            since_ms=since_ms,
            generation=newest.generation,
            version=newest.version,
            missing=newest.version - held.version if held is not None and is_counted else None,
            whole=whole,
        )

    def is_current(self) -> bool:
        """Whether the newest version the hub told of is held, for every event served here."""
        return bool(self._served) and self.current() == self._served

    def current(self) -> set[str]:
        """The events of which the newest version the hub told of is held."""
        return {event_id for event_id in self._served & self._heard if not self._is_behind(event_id)}

    def on_connect(self) -> None:
        """A new connection: what the broker told before may be long past."""
        self._heard.clear()

    def on_config(self, config: GateConfig) -> None:
        """Another configuration."""
        self._cache.put_config(config)
        self._served = {event.event_id for event in config.events if event.served}
        self._held = self._cache.places()
        maps: tuple[dict[str, Any], ...] = (
            self._newest, self._told_ms, self._went_back, self._again_at, self._unread, self._reload_at,
            self._since,
        )  # fmt: skip
        for known in maps:
            for event_id in known.keys() - self._served:
                del known[event_id]
        self._anew &= self._served
        self._heard &= self._served
        self._false &= self._served
        for event_id in self._served:
            # asked on every connection: a broker that crashed has forgotten the head that would tell
            self._ask(event_id)
        self._forget()

    def on_head(self, head: Head) -> None:
        """How far an event's feed is.

        One below what is held says little: a broker that crashed may have found it on its disk. The hub
        itself is asked.
        """
        event_id, place = head.event_id, FeedPlace(generation=head.generation, version=head.version)
        if event_id not in self._served:
            return
        if place < self._held.get(event_id, place):
            self._heard.discard(event_id)
            self._ask(event_id)
        else:
            self._hear_of(event_id, place)
            if place != self._held.get(event_id):
                self._told_ms[event_id] = self._clock.now().monotonic_ms
            self._ask_if_behind(event_id)

    def on_delta(self, delta: Delta) -> None:
        """Changes. Those of another generation, or with one of another event among them, are not applied;
        the gap they leave is asked for. Raises `WireError` for the latter.
        """
        event_id, held = delta.event_id, self._held.get(delta.event_id)
        if event_id not in self._served or not delta.changes:
            return
        if any(change.row.event_id != event_id for change in delta.changes):
            self._ask(event_id)
            raise WireError("changes of another event among an event's own")
        newest = max(change.version for change in delta.changes)
        place = FeedPlace(generation=delta.generation, version=newest)
        if held is not None and place <= held:
            return  # known already, or late
        self._hear_of(event_id, place)
        if self._cannot_apply(event_id, delta.generation) or self._has_gap(event_id, delta.changes):
            self._told_ms[event_id] = self._clock.now().monotonic_ms
            self._ask(event_id)

    def on_fetched(self, fetched: FetchedFeed) -> None:
        """An answer over HTTP: one page of changes, and the next is asked for, or all of a night."""
        event_id = fetched.event_id
        before = self._held.get(event_id)
        if event_id not in self._served or self._is_false(fetched):
            _discard(fetched)
            return
        if fetched.went_back and before is not None and fetched.place < before:
            self._refuse(event_id, fetched.place, before)
            return
        if fetched.asked_ms > self._told_ms.get(event_id, 0):  # whatever a broker said, also before a restart
            self._newest[event_id] = self._held.get(event_id, fetched.newest_place)
        self._hear_of(event_id, fetched.newest_place)
        if fetched.spooled is not None:
            self._replace(fetched, fetched.spooled)
        elif not self._cannot_apply(event_id, fetched.generation):
            self._has_gap(event_id, fetched.changes)  # seen again below, as being behind
        if self._held.get(event_id) != before:
            self._ask_if_behind(event_id)
        elif self._is_behind(event_id):
            self._again_at[event_id] = self._clock.now().monotonic_ms + ASK_AGAIN_MS

    def refetch(self) -> None:
        """Load every night anew, whatever is held of it."""
        self._anew |= self._served
        for event_id in self._served:
            self._ask(event_id)

    def keep_time(self, now_ms: int) -> None:
        """Ask again for what an answer did not bring, and note since when something is lacking."""
        for event_id in [e for e, at in self._again_at.items() if now_ms >= at]:
            del self._again_at[event_id]
            self._ask_if_behind(event_id)
        behind = filter(self._is_behind, self._served)
        self._since = {event_id: self._since.get(event_id, now_ms) for event_id in behind}

    def _hear_of(self, event_id: str, place: FeedPlace) -> None:
        self._heard.add(event_id)
        self._newest[event_id] = max(self._newest.get(event_id, place), place)

    def _is_false(self, fetched: FetchedFeed) -> bool:
        """Whether its generation cannot be yet: once taken, it would lock out every later one."""
        now, event_id = self._clock.now(), fetched.event_id
        latest = now.wall + AHEAD if now.clock == "synced" else FAR
        if fetched.generation <= latest.timestamp() * 1_000_000:
            self._false.discard(event_id)
            return False
        if event_id not in self._false:
            self._log.error(
                "the hub's list has a generation that lies in the future: refused, and this gate goes on "
                "with what it has. Is that the hub, and is its clock right?",
                event_id=event_id,
                generation=fetched.generation,
            )
        self._false.add(event_id)
        return True

    def _replace(self, fetched: FetchedFeed, spooled: SpooledSnapshot) -> None:
        """Take a whole snapshot, unless it is late: asked for before what is held by now."""
        event_id, place = fetched.event_id, fetched.place
        if place < self._held.get(event_id, place):
            spooled.discard()
            return
        is_newest, now = place >= self._newest[event_id], self._clock.now().wall
        self._cache.put_snapshot(
            event_id, place.version, spooled, now, place.generation, fetched.unread, is_newest=is_newest
        )
        self._held[event_id] = place
        self._note_unread(event_id, fetched.unread)
        self._anew.discard(event_id)
        if self._went_back.pop(event_id, None):
            self._log.info("the hub has what this gate has again: loaded anew", event_id=event_id)
        self._log.info("snapshot", event_id=event_id, version=place.version, rows=spooled.count)

    def _note_unread(self, event_id: str, unread: str) -> None:
        before = self._unread.pop(event_id, "")
        if unread:
            self._unread[event_id] = unread
            if unread != before:
                self._log.error(_told(unread), event_id=event_id)
        elif before:
            self._log.info("everything of the hub's list can be read again", event_id=event_id)

    def _reload_if_unread(self, event_id: str) -> None:
        """Something changed: maybe what could not be read."""
        now_ms = self._clock.now().monotonic_ms
        if event_id in self._unread and now_ms >= self._reload_at.get(event_id, now_ms):
            self._reload_at[event_id] = now_ms + RELOAD_MS
            self._anew.add(event_id)
            self._ask(event_id)

    def _refuse(self, event_id: str, place: FeedPlace, held: FeedPlace) -> None:
        """The hub itself is behind. From now on the same number may mean something else there than here,
        so all of the event is loaded once the hub is ahead again.
        """
        self._heard.discard(event_id)
        told = (
            f"the hub went back to version {place.version}, this gate has {held.version} and goes on with "
            "it: run `maguey-hub restored` if its database was put back."
        )
        if event_id not in self._went_back:
            self._log.error(told, event_id=event_id)
        self._went_back[event_id] = told

    def _cannot_apply(self, event_id: str, generation: int) -> bool:
        """Whether changes of that generation say nothing of what is held."""
        held = self._held.get(event_id)
        return event_id in self._went_back or (held is not None and held.generation != generation)

    def _has_gap(self, event_id: str, changes: Sequence[Change]) -> bool:
        """Apply what follows on the version held; whether something is missing before the rest."""
        held = self._held.get(event_id)
        step = plan(held.version if held else None, changes)
        if step.apply and held:
            reached = msgspec.structs.replace(held, version=step.apply[-1].version)
            is_newest, now = reached >= self._newest.get(event_id, reached), self._clock.now().wall
            self._cache.put_changes(event_id, step.apply, now, is_newest=is_newest)
            self._held[event_id] = reached
            self._reload_if_unread(event_id)
            if any(isinstance(change.row, Event) for change in step.apply):
                self._want(WantConfig())  # its tickets may be divided anew: what is lent comes with that
        return step.gap

    def _is_behind(self, event_id: str) -> bool:
        held, newest = self._held.get(event_id), self._newest.get(event_id)
        is_older = newest is not None and (held is None or held < newest)
        return held is None or is_older or event_id in self._anew or event_id in self._went_back

    def _ask_if_behind(self, event_id: str) -> None:
        if self._is_behind(event_id):
            self._ask(event_id)

    def _ask(self, event_id: str) -> None:
        held = self._held.get(event_id, FeedPlace(generation=1, version=0))
        whole = event_id in self._anew or event_id in self._went_back
        self._want(WantEvent(event_id, held.version, held.generation, whole))

    def _forget(self) -> None:
        """Now and then let go of what is long past: only by a clock that the hub confirmed."""
        now = self._clock.now()
        if now.clock == "synced" and now.monotonic_ms >= self._forget_at:
            self._cache.peers.forget_old(now.wall)
            self._forget_at = now.monotonic_ms + FORGET_MS


def _told(unread: str) -> str:
    return (
        f"{unread}: cannot be read here. The rest is loaded; whom these are about is refused as not found. "
        "Look at the hub's log, and whether hub and gate are of the same version."
    )


def _discard(fetched: FetchedFeed) -> None:
    if fetched.spooled is not None:
        fetched.spooled.discard()

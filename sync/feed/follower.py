"""Follows the hub's feeds: writes configuration and changes into the cache, requests what is missing."""

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
"""Pause after an answer that brought nothing new although there is more."""
RELOAD_MS = 5 * 60_000
"""Between two attempts to reload a night with unreadable rows, made only when something changed."""
AHEAD = timedelta(days=1)
"""A generation is a time, in microseconds; a gate that knows the time refuses one further in the future."""
FAR = datetime(2100, 1, 1, tzinfo=UTC)
"""The same limit for a gate that does not know the time."""
FORGET_MS = 6 * 3_600_000
"""Between two searches for old rows."""


class FeedFollower:
    """The incoming half of sync.

    The cache only ever goes forward (docs/adr/0018): anything with an older place is refused and changes
    nothing.

    :param want: requests something over HTTP; the answer comes back to `on_config` or `on_fetched`.
    :param before: the link note of sync's last run. What a list lacked then it still lacks, even if the
        broker crashed and lost its head.
    :param on_restored: called when a night begins a new generation: the hub's database was restored.

    :raises StoreError: from every `on_` method, when the cache cannot be written; the same message can be
        given again.
    """

    def __init__(
        self,
        cache: Cache,
        want: Callable[[Want], None],
        clock: Clock,
        before: LinkNote | None = None,
        on_restored: Callable[[], object] = lambda: None,
    ) -> None:
        self._cache = cache
        self._want = want
        self._clock = clock
        self._on_restored = on_restored
        self._log = structlog.get_logger()
        self._held = cache.places()
        self._served = set(cache.served())
        self._newest: dict[str, FeedPlace] = {}
        """Newest known place by event, from any source."""
        self._announced_ms: dict[str, int] = {}
        """When the broker last announced more than is held, by event; a later request overrides it."""
        self._impossible: set[str] = set()
        """Events whose last answer had an impossible generation; logged once in a row."""
        self._heard: set[str] = set()
        """Events whose newest place was announced on this connection."""
        self._since: dict[str, int] = {}
        """Since when each event's list is known to be behind."""
        self._reload: set[str] = set()
        """Events to be loaded as a whole, whatever is held of them."""
        self._went_back: dict[str, str] = {}
        """Events whose feed went back at the hub, in words; logged once, until the hub is ahead again."""
        self._unread = cache.unread()
        """What could not be read of each event's list, in words; logged once per snapshot."""
        self._reload_at: dict[str, int] = {}
        self._again_at: dict[str, int] = {}
        self._forget_at = 0
        self._remember(before)

    def _remember(self, before: LinkNote | None) -> None:
        """Continue with what was lacking; a time of another boot only shows that it is long ago."""
        behind = {} if before is None else before.behind
        for event_id in behind.keys() & self._served:
            lacks = behind[event_id]
            is_this_boot = before is not None and before.boot_id == self._clock.now().boot_id
            self._since[event_id] = lacks.since_ms if is_this_boot else 0
            if lacks.version:
                self._newest[event_id] = FeedPlace(generation=lacks.generation, version=lacks.version)
            if lacks.whole:
                self._reload.add(event_id)

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
        """What is wrong, in words: the hub has less than this gate, or rows cannot be read; else empty."""
        return " ".join([*self._went_back.values(), *map(_unreadable, self._unread.values())])

    @property
    def behind(self) -> dict[str, Behind]:
        """What each list is known to lack, by event, as of the last `keep_time`."""
        return {event_id: self._lacks(event_id, since_ms) for event_id, since_ms in self._since.items()}

    def _lacks(self, event_id: str, since_ms: int) -> Behind:
        held, newest = (
            self._held.get(event_id),
            self._newest.get(event_id, FeedPlace(generation=0, version=0)),
        )
        whole = event_id in self._reload or event_id in self._went_back
        is_counted = held is not None and held.generation == newest.generation and not whole
        return Behind(
            since_ms=since_ms,
            generation=newest.generation,
            version=newest.version,
            missing=newest.version - held.version if held is not None and is_counted else None,
            whole=whole,
        )

    def is_current(self) -> bool:
        """Whether the newest announced version of every event served here is held."""
        return bool(self._served) and self.current() == self._served

    def current(self) -> set[str]:
        """The events of which the newest announced version is held."""
        return {event_id for event_id in self._served & self._heard if not self._is_behind(event_id)}

    def on_connect(self) -> None:
        """A new connection: earlier announcements may be outdated."""
        self._heard.clear()

    def on_config(self, config: GateConfig) -> None:
        """Apply a configuration."""
        self._cache.put_config(config)
        self._served = {event.event_id for event in config.events if event.served}
        self._held = self._cache.places()
        maps: tuple[dict[str, Any], ...] = (
            self._newest, self._announced_ms, self._went_back, self._again_at, self._unread, self._reload_at,
            self._since,
        )  # fmt: skip
        for known in maps:
            for event_id in known.keys() - self._served:
                del known[event_id]
        self._reload &= self._served
        self._heard &= self._served
        self._impossible &= self._served
        for event_id in self._served:
            # every time: a broker that crashed has lost the head that would announce changes
            self._ask(event_id)
        self._forget()

    def on_head(self, head: Head) -> None:
        """Note how far an event's feed is.

        A head below what is held means little, as a broker that crashed may have had it on its disk: the hub
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
                self._announced_ms[event_id] = self._clock.now().monotonic_ms
            self._ask_if_behind(event_id)

    def on_delta(self, delta: Delta) -> None:
        """Apply changes. If they are of another generation or mix events, request them from the hub instead.

        :raises WireError: one of them is of another event.
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
            return  # known, or late
        self._hear_of(event_id, place)
        if self._cannot_apply(event_id, delta.generation) or self._has_gap(event_id, delta.changes):
            self._announced_ms[event_id] = self._clock.now().monotonic_ms
            self._ask(event_id)

    def on_fetched(self, fetched: FetchedFeed) -> None:
        """Apply an answer over HTTP: a whole night, or a page of changes; then request the next."""
        event_id = fetched.event_id
        before = self._held.get(event_id)
        if event_id not in self._served or self._is_impossible(fetched):
            _discard(fetched)
            return
        if fetched.went_back and before is not None and fetched.place < before:
            self._refuse(event_id, fetched.place, before)
            return
        if fetched.asked_ms > self._announced_ms.get(
            event_id, 0
        ):  # overrides any announcement, also from before a restart
            self._newest[event_id] = self._held.get(event_id, fetched.newest_place)
        self._hear_of(event_id, fetched.newest_place)
        if fetched.spooled is not None:
            self._replace(fetched, fetched.spooled)
        elif not self._cannot_apply(event_id, fetched.generation):
            self._has_gap(event_id, fetched.changes)  # a gap is noticed below: still behind
        if self._held.get(event_id) != before:
            self._ask_if_behind(event_id)
        elif self._is_behind(event_id):
            self._again_at[event_id] = self._clock.now().monotonic_ms + ASK_AGAIN_MS

    def refetch(self) -> None:
        """Load every night again, whatever is held of it."""
        self._reload |= self._served
        for event_id in self._served:
            self._ask(event_id)

    def keep_time(self, now_ms: int) -> None:
        """Request again what an answer did not bring, and note since when each list is behind."""
        for event_id in [e for e, at in self._again_at.items() if now_ms >= at]:
            del self._again_at[event_id]
            self._ask_if_behind(event_id)
        behind = filter(self._is_behind, self._served)
        self._since = {event_id: self._since.get(event_id, now_ms) for event_id in behind}

    def _hear_of(self, event_id: str, place: FeedPlace) -> None:
        self._heard.add(event_id)
        self._newest[event_id] = max(self._newest.get(event_id, place), place)

    def _is_impossible(self, fetched: FetchedFeed) -> bool:
        """Whether its generation lies in the future: once applied, it would lock out every later one."""
        now, event_id = self._clock.now(), fetched.event_id
        latest = now.wall + AHEAD if now.clock == "synced" else FAR
        if fetched.generation <= latest.timestamp() * 1_000_000:
            self._impossible.discard(event_id)
            return False
        if event_id not in self._impossible:
            self._log.error(
                "snapshot refused",
                why="its generation lies in the future",
                event_id=event_id,
                generation=fetched.generation,
                advice="This gate continues with what it has. Is that the hub, and is its clock right?",
            )
        self._impossible.add(event_id)
        return True

    def _replace(self, fetched: FetchedFeed, spooled: SpooledSnapshot) -> None:
        """Apply a whole snapshot, unless something newer is held by now."""
        event_id, place = fetched.event_id, fetched.place
        if place < self._held.get(event_id, place):
            spooled.discard()
            return
        is_newest, now = place >= self._newest[event_id], self._clock.now().wall
        self._cache.put_snapshot(
            event_id, place.version, spooled, now, place.generation, fetched.unread, is_newest=is_newest
        )
        before, self._held[event_id] = self._held.get(event_id, place), place
        self._note_unread(event_id, fetched.unread)
        if place.generation > before.generation:
            self._on_restored()
        self._reload.discard(event_id)
        if self._went_back.pop(event_id, None):
            self._log.info("hub caught up", event_id=event_id)
        self._log.info("snapshot loaded", event_id=event_id, version=place.version, rows=spooled.count)

    def _note_unread(self, event_id: str, unread: str) -> None:
        before = self._unread.pop(event_id, "")
        if unread:
            self._unread[event_id] = unread
            if unread != before:
                self._log.error("list read in part", why=_unreadable(unread), event_id=event_id)
        elif before:
            self._log.info("list read in full again", event_id=event_id)

    def _reload_if_unread(self, event_id: str) -> None:
        """Something changed; it may be what could not be read."""
        now_ms = self._clock.now().monotonic_ms
        if event_id in self._unread and now_ms >= self._reload_at.get(event_id, now_ms):
            self._reload_at[event_id] = now_ms + RELOAD_MS
            self._reload.add(event_id)
            self._ask(event_id)

    def _refuse(self, event_id: str, place: FeedPlace, held: FeedPlace) -> None:
        """The hub itself is behind this gate.

        From now on a version may mean something else there than here, so the whole event is loaded once the
        hub is ahead again.
        """
        self._heard.discard(event_id)
        why = (
            f"the hub went back to version {place.version}, this gate has {held.version} and continues with "
            "it: run `maguey-hub restored` if the hub's database was restored."
        )
        if event_id not in self._went_back:
            self._log.error("hub fell behind", why=why, event_id=event_id)
        self._went_back[event_id] = why

    def _cannot_apply(self, event_id: str, generation: int) -> bool:
        """Whether changes of that generation do not apply to what is held."""
        held = self._held.get(event_id)
        return event_id in self._went_back or (held is not None and held.generation != generation)

    def _has_gap(self, event_id: str, changes: Sequence[Change]) -> bool:
        """Apply what follows the version held; returns whether something is missing before the rest."""
        held = self._held.get(event_id)
        step = plan(held.version if held else None, changes)
        if step.apply and held:
            reached = msgspec.structs.replace(held, version=step.apply[-1].version)
            is_newest, now = reached >= self._newest.get(event_id, reached), self._clock.now().wall
            self._cache.put_changes(event_id, step.apply, now, is_newest=is_newest)
            self._held[event_id] = reached
            self._reload_if_unread(event_id)
            if any(isinstance(change.row, Event) for change in step.apply):
                self._want(WantConfig())  # the division of its tickets may have changed; loans come with it
        return step.gap

    def _is_behind(self, event_id: str) -> bool:
        held, newest = self._held.get(event_id), self._newest.get(event_id)
        is_older = newest is not None and (held is None or held < newest)
        return held is None or is_older or event_id in self._reload or event_id in self._went_back

    def _ask_if_behind(self, event_id: str) -> None:
        if self._is_behind(event_id):
            self._ask(event_id)

    def _ask(self, event_id: str) -> None:
        held = self._held.get(event_id, FeedPlace(generation=1, version=0))
        whole = event_id in self._reload or event_id in self._went_back
        self._want(WantEvent(event_id, held.version, held.generation, whole))

    def _forget(self) -> None:
        """Delete old rows now and then, only by a clock that the hub has confirmed."""
        now = self._clock.now()
        if now.clock == "synced" and now.monotonic_ms >= self._forget_at:
            self._cache.peers.forget_old(now.wall)
            self._forget_at = now.monotonic_ms + FORGET_MS


def _unreadable(unread: str) -> str:
    return (
        f"{unread}: cannot be read here. The rest is loaded; these guests are refused as not found. "
        "Check the hub's log, and that hub and gate run the same version."
    )


def _discard(fetched: FetchedFeed) -> None:
    if fetched.spooled is not None:
        fetched.spooled.discard()

"""Follows the hub: writes its configuration and feeds into the cache, asks for what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from gate.clock import Clock
from sync.cache import Cache
from sync.feed import plan
from sync.fetcher import Want, WantEvent
from sync.snapshot import Fetched
from sync.spool import Spooled
from sync.wire import Change, Delta, GateConfig, Head

ASK_AGAIN_MS = 2_000
"""When an answer brought nothing new although there is more."""


class Follower:
    """The incoming half of sync.

    :param want: asks for something over HTTP; the answer comes back to `on_config` or `on_fetched`.

    :raises StoreError: from every `on_` method, when the cache cannot be written; what came
        can be given again.
    """

    def __init__(self, cache: Cache, want: Callable[[Want], None], clock: Clock) -> None:
        self._cache = cache
        self._want = want
        self._clock = clock
        self._log = structlog.get_logger()
        self._versions = cache.versions()
        self._served = set(cache.served())
        self._heads: dict[str, int] = {}
        """Newest version known of, by event, however it became known."""
        self._told: dict[str, int] = {}
        """Newest version the broker told of; unlike HTTP it keeps the order in which things happened."""
        self._rewound: set[str] = set()
        """Events whose feed went back at the hub and is to be loaded as a whole."""
        self._again_at: dict[str, int] = {}

    @property
    def event_id(self) -> str | None:
        """The event served here, if it is only one."""
        return next(iter(self._served)) if len(self._served) == 1 else None

    @property
    def version(self) -> int | None:
        """Newest version held of any event."""
        return max(self._versions.values(), default=None)

    def is_current(self) -> bool:
        """Whether the newest version the hub told of is held, for every event served here."""
        return bool(self._served) and all(
            event_id in self._heads and not self._is_behind(event_id) for event_id in self._served
        )

    def on_connect(self) -> None:
        """A new connection: what the broker told before may be long past."""
        self._heads.clear()
        self._told.clear()

    def on_config(self, config: GateConfig) -> None:
        """Another configuration."""
        self._cache.put_config(config)
        self._served = {event.event_id for event in config.events if event.served}
        for event_id in self._served:
            # asked on every connection: a broker that crashed has forgotten the head that would tell
            self._ask(event_id)

    def on_head(self, head: Head) -> None:
        """How far an event's feed is. Below what was known: the hub was restored from a backup."""
        event_id = head.event_id
        before = self._told.get(event_id, self._versions.get(event_id, 0))
        self._told[event_id] = self._heads[event_id] = head.version
        if event_id in self._served:
            if head.version < before:
                self._rewound.add(event_id)
            self._ask_if_behind(event_id)

    def on_delta(self, delta: Delta) -> None:
        """Changes; one of another event is ignored, the gap it leaves is asked for."""
        event_id = delta.event_id
        if event_id not in self._served:
            return
        changes = [change for change in delta.changes if change.row.event_id == event_id]
        if len(changes) < len(delta.changes):
            self._log.warning("changes of another event among an event's own, ignored", event_id=event_id)
        newest = max((change.version for change in changes), default=0)
        self._told[event_id] = max(self._told.get(event_id, 0), newest)
        self._heads[event_id] = max(self._heads.get(event_id, 0), newest)
        if self._has_gap(event_id, changes):
            self._ask(event_id)

    def on_fetched(self, fetched: Fetched) -> None:
        """An answer over HTTP."""
        event_id = fetched.event_id
        before = self._versions.get(event_id)
        if fetched.spooled is None:
            self._has_gap(event_id, fetched.changes)  # seen again below, as being behind
        else:
            self._replace(fetched, fetched.spooled)
        self._heads[event_id] = max(self._heads.get(event_id, 0), fetched.version)
        if self._versions.get(event_id) != before:
            self._ask_if_behind(event_id)
        elif self._is_behind(event_id):
            self._again_at[event_id] = self._clock.now().monotonic_ms + ASK_AGAIN_MS

    def refetch(self) -> None:
        """Load every night anew, whatever is held of it."""
        self._rewound |= self._served
        for event_id in self._served:
            self._ask(event_id)

    def keep_time(self, now_ms: int) -> None:
        """Ask again for what an answer did not bring."""
        for event_id in [e for e, at in self._again_at.items() if now_ms >= at]:
            del self._again_at[event_id]
            self._ask_if_behind(event_id)

    def _replace(self, fetched: Fetched, spooled: Spooled) -> None:
        """Take a whole snapshot; an older one than is held only if the hub itself went back."""
        event_id, held = fetched.event_id, self._versions.get(fetched.event_id, 0)
        went_back = event_id in self._rewound or fetched.version < fetched.asked
        if fetched.version < held and not went_back:
            spooled.discard()  # late: asked for before the version that is held
            return
        self._cache.take(event_id, fetched.version, spooled, self._clock.now().wall)
        self._versions[event_id] = fetched.version
        self._rewound.discard(event_id)
        if fetched.version < held:
            self._heads[event_id] = fetched.version
            self._log.warning(
                "the hub's feed went back, it was restored from a backup: following it",
                event_id=event_id,
                held=held,
            )
        self._log.info("snapshot", event_id=event_id, version=fetched.version, rows=spooled.count)

    def _has_gap(self, event_id: str, changes: Sequence[Change]) -> bool:
        """Apply what follows on the version held; whether something is missing before the rest."""
        step = plan(self._versions.get(event_id), changes)
        if step.apply:
            self._cache.put_changes(event_id, step.apply, self._clock.now().wall)
            self._versions[event_id] = step.apply[-1].version
        return step.gap

    def _is_behind(self, event_id: str) -> bool:
        held = self._versions.get(event_id, -1)
        return event_id in self._rewound or held < self._heads.get(event_id, 0)

    def _ask_if_behind(self, event_id: str) -> None:
        if self._is_behind(event_id):
            self._ask(event_id)

    def _ask(self, event_id: str) -> None:
        since = 0 if event_id in self._rewound else self._versions.get(event_id, 0)
        self._want(WantEvent(event_id, since))

"""What the gate says between guests: the idle screen, or what is out of order and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.common.errors import CacheError, HardwareError, MagueyError, Step, StoreError
from gate.common.outage import Outage
from gate.common.value import Value
from gate.door.parts import Parts
from gate.ports.screen import Idle, LinkView, Notice, OutOfOrder, Part, Screen
from gate.rules.night import nights_now, taking_place, tonight
from gate.rules.passage import Passage, Way
from gate.store.cache import Feed, is_isolated, is_stale
from gate.store.journal import Journal

TIDY_MS = 5_000
CLONED_MS = 10 * 60 * 1000
"""How long a gate that was said to be cloned shows it."""
FOREVER = datetime(1970, 1, 1, tzinfo=UTC)
COUNT_MS = 4_000
"""How long the idle screen shows who is in at each of several nights."""
HUB_MS = 10_000
"""Longer than the hub takes to tell of what it has just been sent (1 s, quality 7.3)."""
Fault = tuple[Part, Step]


class DoorSettings(Value, frozen=True):
    """What the loop goes by: see `gate.config.DoorSection`. `keys`: of signed tickets, `command_keys`: of
    staff's orders, both by key id."""

    gate_name: str
    gate_id: str = ""
    keys: Mapping[str, Ed25519PublicKey] = {}
    command_keys: Mapping[str, Ed25519PublicKey] = {}
    rescan_after_ms: int = 1500
    retain_days: int = 30
    isolated_after_ms: int = 10_000


class IdleScreen:
    """Looks after everything that is not a scan. Used from the door's thread.

    `history_is_lost`: the journal was damaged, and what is gone of it is not yet made up for.
    `cache_fault`: why tickets cannot be looked up, as of the last time the screen was looked after.
    `is_isolated`: no broker for a while, as of the last time the link was looked at.
    """

    def __init__(self, settings: DoorSettings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._tidy_at = 0
        self.history_is_lost = False
        self.cache_fault: CacheError | None = None
        self._cache_outage = Outage("cache")
        self._alone = Outage("broker", begins="this gate is alone", ends="this gate is no longer alone")
        self.is_isolated = False
        self._cloned_until_ms = 0
        self._complete_since_ms: int | None = None
        self._log = structlog.get_logger()

    def look_at_link(self) -> None:
        """Take in what sync tells of the link, and of the time."""
        link = self._parts.cache.link(self._parts.clock.now())
        self._parts.clock.learn(link.measure)
        self.is_isolated = is_isolated(link, self._settings.isolated_after_ms)
        if self.is_isolated:
            self._alone.began(self._why_alone(link.cut_ms))
        else:
            self._alone.over()

    def _why_alone(self, cut_ms: int | None) -> str:
        nights = nights_now(self._parts.cache.events(), self._parts.clock.now().wall)
        policies = sorted({f"'{night.isolation}'" for night in nights})
        policy = f"isolation_policy {' and '.join(policies)}" if policies else "the night's isolation_policy"
        since = "No broker was found yet" if cut_ms is None else f"No broker for {cut_ms // 1000} s"
        return (
            f"{since}: neither hub nor other gates are heard. First entries of one-time tickets go by "
            f"{policy}, scans wait in the journal. Look at maguey-sync's log, then at the network and the "
            "broker."
        )

    def cloned(self, now_ms: int) -> None:
        """The hub says that another machine calls itself this gate; it says so as long as it hears both."""
        self._cloned_until_ms = now_ms + CLONED_MS

    def screen(self, passage: Passage, now_ms: int) -> Screen:
        """What is to be seen while nobody is answered."""
        if passage.way is Way.FREE_PASSAGE:
            return Notice(word="free_passage", link=self.link(now_ms))
        fault = self._fault(passage, now_ms)
        if fault is not None:
            return OutOfOrder(part=fault[0], step=fault[1], link=self.link(now_ms))
        if passage.way is Way.CLOSED:
            return Notice(word="closed", link=self.link(now_ms))
        if passage.way is Way.HELD_OPEN:
            return Notice(word="held_open", link=self.link(now_ms))
        return self._idle(now_ms)

    def _idle(self, now_ms: int) -> Screen:
        parts, now = self._parts, self._parts.clock.now()
        events = parts.cache.events()
        event = tonight(events, now.wall)
        on = taking_place(events, now.wall)
        counted = on[now_ms // COUNT_MS % len(on)] if len(on) > 1 else event
        return Idle(
            event=event.name if event else None,
            event_code=event.code if event else "",
            gate_name=self._settings.gate_name,
            inside=self._inside(counted.event_id, now_ms) if counted else 0,
            capacity=counted.capacity if counted else 0,
            counted=counted.code if counted and len(on) > 1 else "",
            now=now.wall,
            doors=event.doors_open_at if event else None,
            knows_time=now.clock == "synced",
            link=self.link(now_ms),
        )

    def _fault(self, passage: Passage, now_ms: int) -> Fault | None:
        """What to tell of, the camera first; but every part is tried, so that each can come back."""
        faults = [
            self._eye_fault(),
            self._turnstile_fault(now_ms),
            self._journal_fault(now_ms),
            self._cache_fault(),
            self._sensor_fault(passage, now_ms),
            (Part.HOUSING, Step.CLOSE_HOUSING) if passage.tamper else None,
            (Part.IDENTITY, Step.TWO_GATES) if now_ms < self._cloned_until_ms else None,
        ]
        return next((fault for fault in faults if fault is not None), None)

    def _eye_fault(self) -> Fault | None:
        error = self._parts.eye.trouble()
        return (Part(error.part), error.step) if error else None

    def _turnstile_fault(self, now_ms: int) -> Fault | None:
        relay = self._parts.turnstile.get(now_ms)
        error = relay.trouble() if relay else self._parts.turnstile.trouble
        return (Part.TURNSTILE, _step(error)) if error else None

    def _journal_fault(self, now_ms: int) -> Fault | None:
        lost = self.history_is_lost = bool(
            self._from_journal(lambda journal: journal.history_lost() is not None, now_ms)
        )
        error = self._parts.journal.trouble
        if error is not None:
            return Part.JOURNAL, _step(error)
        return (Part.JOURNAL, Step.HISTORY_LOST) if lost else None

    def _sensor_fault(self, passage: Passage, now_ms: int) -> Fault | None:
        inputs = self._parts.inputs.get(now_ms)
        error = inputs.trouble() if inputs else self._parts.inputs.trouble
        if error is not None:
            return Part.SENSOR, _step(error)
        return (Part.SENSOR, Step.SENSOR_WIRING) if passage.doubts_sensor else None

    def _cache_fault(self) -> Fault | None:
        """Read as a scan reads it: the whole of it has to be readable."""
        cache = self._parts.cache
        now = self._parts.clock.now()
        try:
            with cache.view():
                events = cache.events()
                nights = nights_now(events, now.wall)
                lacking = [one.name for one in nights if cache.feed(one.event_id, now.wall).version is None]
                cache.find("")
                cache.link(now)
            if not events or lacking:
                name = ", ".join(lacking) or "any night"
                raise CacheError(f"{cache.path}: holds no guest list of {name} yet. Look at sync's log.")
        except CacheError as error:
            self._cache_outage.began(error)
            self.cache_fault = error
            return Part.CACHE, error.step
        self._cache_outage.over()
        self.cache_fault = None
        return None

    def _inside(self, event_id: str, now_ms: int) -> int:
        own = self._from_journal(lambda j: j.waiting_entries(self._acked(j), event_id), now_ms)
        return self._parts.cache.entered(event_id) + own

    def link(self, now_ms: int) -> LinkView:
        """The gate's view of the hub, as the screen tells it."""
        cache, now = self._parts.cache, self._parts.clock.now()
        waiting = self._from_journal(lambda journal: journal.last_seq() - self._acked(journal), now_ms)
        state, nights = cache.link(now), nights_now(cache.events(), now.wall)
        stale = [night for night in nights if is_stale(state, night.event_id, now.monotonic_ms)]
        told = next(iter(stale or nights), None)
        feed = cache.feed(told.event_id, now.wall) if told else Feed()
        return LinkView(
            online=state.online,
            waiting=max(0, waiting),
            cache_age_s=feed.age_s,
            isolated=is_isolated(state, self._settings.isolated_after_ms),
            stale=bool(stale),
        )

    def tidy(self, now_ms: int) -> None:
        """The housekeeping of the journal, every few seconds."""
        if now_ms < self._tidy_at:
            return
        self._tidy_at = now_ms + TIDY_MS
        now = self._parts.clock.now()
        retained = timedelta(days=self._settings.retain_days)
        # a clock that is wrong by a month would prune the night: then everything is kept
        oldest = now.wall - retained if now.clock == "synced" else FOREVER
        self._from_journal(lambda journal: journal.tidy(self._acked(journal), oldest, now), now_ms)
        self._from_journal(self._recover_history, now_ms)

    def _recover_history(self, journal: Journal) -> int:
        """Lost history is made up for once the hub has all there is, and what it made of it has come back."""
        lost = journal.history_lost()
        if lost is None:
            self._complete_since_ms = None
            return 0
        now, link = self._parts.clock.now(), self._parts.cache.link(self._parts.clock.now())
        if link.epoch != journal.epoch or self._acked(journal) < lost:
            self._complete_since_ms = None
            return 0
        if self._complete_since_ms is None:
            self._complete_since_ms = now.monotonic_ms
        if self._is_current_since(self._complete_since_ms + HUB_MS):
            journal.end_history_lost()
            self._log.warning("history is known again from the hub; what it never heard of stays lost")
        return 0

    def _is_current_since(self, at_ms: int) -> bool:
        """Whether all there was at a time is in the cache, for tonight and every other night served here.

        By the clock that does not jump: the other may have been set in between.
        """
        now = self._parts.clock.now()
        served = [event for event in self._parts.cache.events() if event.served]
        ages = [self._parts.cache.feed(event.event_id, now.wall).age_s for event in served]
        return bool(ages) and all(age is not None and now.monotonic_ms - age * 1000 >= at_ms for age in ages)

    def _from_journal(self, ask: Callable[[Journal], int], now_ms: int) -> int:
        """Ask the journal for a number; 0 while it is out of order."""
        journal = self._parts.journal.get(now_ms)
        if journal is None:
            return 0
        try:
            return ask(journal)
        except StoreError as error:
            self._parts.journal.broke(error, now_ms)
            return 0

    def _acked(self, journal: Journal) -> int:
        """Up to where the hub has this journal's records; another journal's numbers do not count."""
        link = self._parts.cache.link(self._parts.clock.now())
        journal.check_numbering(link.epoch, link.hub_seq)
        is_ours = link.epoch == journal.epoch and link.acked_seq <= journal.last_seq()
        return link.acked_seq if is_ours else 0


def _step(error: MagueyError) -> Step:
    return error.step if isinstance(error, HardwareError | StoreError) else Step.RESTART

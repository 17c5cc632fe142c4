"""What the gate shows between guests: the idle screen, or what is out of order and what to do about it."""

from __future__ import annotations

from gate.common.errors import CacheError, HardwareError, MagueyError, Step, StoreError
from gate.common.outage import Outage
from gate.door.parts import DoorSettings, Parts, part_trouble
from gate.ports.screen import Idle, LinkView, Notice, OutOfOrder, Part, Screen
from gate.rules.night import nights_now, taking_place, tonight
from gate.rules.passage import Passage, Way
from gate.store.cache import Feed, is_isolated, is_stale

CLONED_MS = 10 * 60 * 1000
"""How long a gate shows that it was reported as cloned."""
COUNT_MS = 4_000
"""How long the idle screen counts the guests of one night, where several are on."""
Fault = tuple[Part, Step]


class IdleScreen:
    """The screen between guests. Used from the door's thread.

    `history_is_lost`: the journal was damaged, and what it lost has not been recovered yet.
    `cache_fault`: why tickets cannot be looked up, as of the last time the screen was drawn.
    `is_isolated`: there has been no broker for a while, as of the last look at the link.
    """

    def __init__(self, settings: DoorSettings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self.history_is_lost = False
        self.cache_fault: CacheError | None = None
        self._cache_outage = Outage("cache")
        self._isolation = Outage("broker", begins="gate isolated", ends="gate no longer isolated")
        self.is_isolated = False
        self._cloned_until_ms = 0

    def look_at_link(self) -> None:
        """Take over what sync knows about the link, and about the time."""
        link = self._parts.cache.link(self._parts.clock.now())
        self._parts.clock.learn(link.measure)
        self.is_isolated = is_isolated(link, self._settings.isolated_after_ms)
        if self.is_isolated:
            self._isolation.began(self._why_isolated(link.cut_ms))
        else:
            self._isolation.over()

    def _why_isolated(self, cut_ms: int | None) -> str:
        nights = nights_now(self._parts.cache.events(), self._parts.clock.now().wall)
        policies = sorted({f"'{night.isolation}'" for night in nights})
        policy = f"isolation_policy {' and '.join(policies)}" if policies else "the night's isolation_policy"
        since = "No broker has been found yet" if cut_ms is None else f"No broker for {cut_ms // 1000} s"
        return (
            f"{since}: this gate hears neither the hub nor other gates. First entries of one-time tickets "
            f"follow {policy}; scans wait in the journal. Look at maguey-sync's log, then at the network and "
            "the broker."
        )

    def cloned(self, now_ms: int) -> None:
        """The hub reports that another machine calls itself this gate, and repeats it while it hears both."""
        self._cloned_until_ms = now_ms + CLONED_MS

    def screen(self, passage: Passage, now_ms: int) -> Screen:
        """What to show while nobody is being answered."""
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

    def _inside(self, event_id: str, now_ms: int) -> int:
        """Guests of a night who are in: those the hub knows of, and this gate's own that it does not."""
        parts = self._parts
        own = parts.with_journal(lambda j: j.waiting_entries(parts.acked(j), event_id), now_ms)
        return parts.cache.entered(event_id) + (own or 0)

    def link(self, now_ms: int) -> LinkView:
        """The link to the hub, as the screens show it."""
        parts, now = self._parts, self._parts.clock.now()
        waiting = parts.with_journal(lambda journal: journal.last_seq() - parts.acked(journal), now_ms)
        state, nights = parts.cache.link(now), nights_now(parts.cache.events(), now.wall)
        stale = [night for night in nights if is_stale(state, night.event_id, now.monotonic_ms)]
        shown = next(iter(stale or nights), None)
        feed = parts.cache.feed(shown.event_id, now.wall) if shown else Feed()
        return LinkView(
            online=state.online,
            waiting=max(0, waiting or 0),
            cache_age_s=feed.age_s,
            isolated=is_isolated(state, self._settings.isolated_after_ms),
            stale=bool(stale),
        )

    def _fault(self, passage: Passage, now_ms: int) -> Fault | None:
        """What to show, the camera first. Every part is tried, so that each can come back."""
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
        self._parts.turnstile.get(now_ms)
        error = part_trouble(self._parts.turnstile)
        return (Part.TURNSTILE, _step(error)) if error else None

    def _journal_fault(self, now_ms: int) -> Fault | None:
        lost = self._parts.with_journal(lambda journal: journal.history_lost() is not None, now_ms)
        self.history_is_lost = bool(lost)
        error = self._parts.journal.trouble
        if error is not None:
            return Part.JOURNAL, _step(error)
        return (Part.JOURNAL, Step.HISTORY_LOST) if lost else None

    def _sensor_fault(self, passage: Passage, now_ms: int) -> Fault | None:
        self._parts.inputs.get(now_ms)
        error = part_trouble(self._parts.inputs)
        if error is not None:
            return Part.SENSOR, _step(error)
        return (Part.SENSOR, Step.SENSOR_WIRING) if passage.doubts_sensor else None

    def _cache_fault(self) -> Fault | None:
        """Read as for a scan: all of it has to be readable."""
        cache, now = self._parts.cache, self._parts.clock.now()
        try:
            with cache.view():
                events = cache.events()
                nights = nights_now(events, now.wall)
                missing = [one.name for one in nights if cache.feed(one.event_id, now.wall).version is None]
                cache.find("")
                cache.link(now)
            if not events or missing:
                name = ", ".join(missing) or "any night"
                raise CacheError(f"{cache.path}: no guest list of {name} yet. Look at maguey-sync's log.")
        except CacheError as error:
            self._cache_outage.began(error)
            self.cache_fault = error
            return Part.CACHE, error.step
        self._cache_outage.over()
        self.cache_fault = None
        return None


def _step(error: MagueyError) -> Step:
    return error.step if isinstance(error, HardwareError | StoreError) else Step.RESTART

"""What happens between the release of the turnstile and somebody, or nobody, walking through (domain 2.3).

Pure. Two small machines, each a table of allowed transitions; anything else is an error. The diagrams in
docs/passage.md are made from them.

- `WALK`: the life of one admission whose turnstile was released, ``released → passed | expired``. An expired
  admission is annulled: nobody walked through, so a one-time ticket is good again.
- `WAY`: what the turnstile is for everybody: normal, held open, closed, or free passage while the fire alarm
  is on.

Without a sensor an opened turnstile counts as entry. An admission is then remembered only while its pulse
lasts, so that the same phone does not ask twice.

People queue, so a body belongs to the first admission that waits. Somebody who leaves after pressing the exit
button does not count as entering, unless somebody is expected to enter: that may use up a ticket by mistake,
where the other choice would give one away.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec.structs import replace

from gate.common.value import Value
from gate.rules.model import EventKind, ScanRecord


class Sensed(msgspec.Struct, frozen=True):
    """What the inputs report. `bodies`, `exits`: how many since the last reading.

    `fire`, `tamper`: whether now or at any time since the last reading. `covered`: the passage sensor is
    covered right now; `blocked`: it has been covered for longer than a body takes.
    """

    bodies: int = 0
    exits: int = 0
    fire: bool = False
    tamper: bool = False
    covered: bool = False
    blocked: bool = False


PASSAGE_TIMEOUT_MS = 7_000
"""How long an admitted guest may take to walk, from when it is their turn (domain 2.3)."""
EXIT_MS = 7_000
"""How long after the exit button a body counts as leaving: as long as a guest has for entering."""
QUIET_MS = 10_000
"""A crowd that pushes through is one intrusion, not one per body."""
TAMPER_QUIET_MS = 60_000
"""A loose contact chatters; one record a minute is enough."""
FIRE_MS = 5_000
"""An alarm ends when it is silent for this long, so a flickering one does not lock and unlock the way."""
MOST_SILENT = 5
"""After this many admissions in a row without a body we blame the sensor, not the guests."""


class Walk(StrEnum):
    """The life of one released admission."""

    RELEASED = "released"
    PASSED = "passed"
    EXPIRED = "expired"


class PassageStep(StrEnum):
    """What ends it."""

    BODY = "body"
    TIME_UP = "time_up"


WALK: dict[tuple[Walk, PassageStep], Walk] = {
    (Walk.RELEASED, PassageStep.BODY): Walk.PASSED,
    (Walk.RELEASED, PassageStep.TIME_UP): Walk.EXPIRED,
}


class Way(StrEnum):
    """What the turnstile is for everybody. Free passage is never ordered: the fire alarm makes it."""

    NORMAL = "normal"
    HELD_OPEN = "held_open"
    CLOSED = "closed"
    FREE_PASSAGE = "free_passage"


class OrderAction(StrEnum):
    """What staff may order."""

    HOLD_OPEN = "hold_open"
    CLOSE = "close"
    RESUME = "resume"


WAY: dict[tuple[Way, OrderAction], Way] = {
    (Way.NORMAL, OrderAction.HOLD_OPEN): Way.HELD_OPEN,
    (Way.NORMAL, OrderAction.CLOSE): Way.CLOSED,
    (Way.HELD_OPEN, OrderAction.CLOSE): Way.CLOSED,
    (Way.HELD_OPEN, OrderAction.RESUME): Way.NORMAL,
    (Way.CLOSED, OrderAction.HOLD_OPEN): Way.HELD_OPEN,
    (Way.CLOSED, OrderAction.RESUME): Way.NORMAL,
}
"""A fire alarm overrides this: while it is on, the way is free; then it is again what staff last ordered."""


class NotAllowed(ValueError):
    """The order makes no sense in the present state; nothing was changed."""


class Rules(Value, frozen=True):
    """How this gate is built. `sensor`: it counts bodies. `pulse_ms`: how long one release lasts."""

    sensor: bool = False
    timeout_ms: int = PASSAGE_TIMEOUT_MS
    pulse_ms: int = 500


class Outcome(Value, frozen=True):
    """Something to record. `scan`: the admission it is about, None for an event at the door.

    `note`: further details of an event.
    """

    record: Literal["passed", "annulled", "event"]
    reason: EventKind
    scan: ScanRecord | None = None
    note: str = ""


class Passage(Value, frozen=True):
    """The state of both machines. Times are monotonic ms.

    `awaited`: admissions whose turnstile was released, the next to walk first; `due_ms`: when the first one's
    time is up. `leaving`: how many bodies are expected to leave until `leaving_until_ms`.
    `quiet_until_ms`, `tamper_quiet_until_ms`: until then further intrusions, or openings of the housing, are
    not recorded. `fire_until_ms`: until then an alarm that fell silent is not over. `silent`: how many
    admissions in a row had nobody walk, as far as the sensor can tell.
    """

    awaited: tuple[ScanRecord, ...] = ()
    due_ms: int = 0
    ordered: Way = Way.NORMAL
    fire: bool = False
    tamper: bool = False
    blocked: bool = False
    leaving: int = 0
    leaving_until_ms: int = 0
    quiet_until_ms: int = 0
    tamper_quiet_until_ms: int = 0
    fire_until_ms: int = 0
    silent: int = 0

    @property
    def way(self) -> Way:
        """What the turnstile is right now."""
        return Way.FREE_PASSAGE if self.fire else self.ordered

    @property
    def is_open(self) -> bool:
        """Whether the turnstile is to stay open for everybody."""
        return self.way in (Way.HELD_OPEN, Way.FREE_PASSAGE)

    @property
    def answers(self) -> bool:
        """Whether scans are answered: not while the gate is closed, or open to everybody for a fire."""
        return self.way in (Way.NORMAL, Way.HELD_OPEN)

    @property
    def doubts_sensor(self) -> bool:
        """Whether the sensor cannot be trusted: then nothing is annulled."""
        return self.blocked or self.silent >= MOST_SILENT

    def awaits(self, code_hash: str) -> bool:
        """Whether the turnstile is released for this code already; then showing it again asks nothing new."""
        return any(scan.code_hash == code_hash for scan in self.awaited)


PassageChange = tuple[Passage, list[Outcome]]


def admission_released(passage: Passage, scan: ScanRecord, now_ms: int, rules: Rules) -> Passage:
    """The turnstile was released for an admission."""
    first = not passage.awaited
    due = now_ms + _patience(rules) if first else passage.due_ms
    return replace(passage, awaited=(*passage.awaited, scan), due_ms=due)


def order(passage: Passage, wanted: OrderAction) -> tuple[Passage, tuple[Outcome, ...]]:
    """Follow an order of staff.

    :raises NotAllowed: the order makes no sense now, such as resuming a gate that works normally.
    """
    way = WAY.get((passage.ordered, wanted))
    if way is None:
        raise NotAllowed(f"The gate is {passage.ordered.value}; '{wanted.value}' changes nothing.")
    ordered = replace(passage, ordered=way)
    return _freed(ordered) if ordered.is_open else ordered, (Outcome(record="event", reason=_ORDERED[way]),)


_ORDERED = {Way.HELD_OPEN: EventKind.HELD_OPEN, Way.CLOSED: EventKind.CLOSED, Way.NORMAL: EventKind.RESUMED}


def releases_lost(passage: Passage, pulses: int) -> PassageChange:
    """Annul the last admissions, whose releases were promised and not given.

    :param pulses: how many.
    """
    kept = max(0, len(passage.awaited) - pulses)
    gone = passage.awaited[kept:]
    annulled = [Outcome(record="annulled", reason=EventKind.NOT_OPENED, scan=scan) for scan in gone]
    return replace(passage, awaited=passage.awaited[:kept]), annulled


def sense(passage: Passage, sensed: Sensed, now_ms: int, rules: Rules) -> tuple[Passage, tuple[Outcome, ...]]:
    """Apply what the inputs report, and the time that has passed."""
    passage, contacts = _contacts(passage, sensed, now_ms)
    passage = _exits(passage, sensed.exits, now_ms)
    passage, bodies = _bodies(passage, sensed.bodies, now_ms, rules)
    passage, late = _time(_covered(passage, sensed, now_ms, rules), now_ms, rules)
    return passage, (*contacts, *bodies, *late)


def _contacts(passage: Passage, sensed: Sensed, now_ms: int) -> PassageChange:
    """Fire alarm, tamper contact, blocked sensor: recorded when they begin, the alarm also when it ends."""
    outcomes = []
    burns = sensed.fire or (passage.fire and now_ms < passage.fire_until_ms)
    if burns != passage.fire:
        outcomes.append(_event(EventKind.FREE_PASSAGE if burns else EventKind.FREE_PASSAGE_OVER))
    if sensed.fire:
        passage = replace(passage, fire_until_ms=now_ms + FIRE_MS)
    if sensed.blocked and not passage.doubts_sensor:
        outcomes.append(_event(EventKind.SENSOR_SILENT))
    if sensed.tamper and not passage.tamper and now_ms >= passage.tamper_quiet_until_ms:
        passage = replace(passage, tamper_quiet_until_ms=now_ms + TAMPER_QUIET_MS)
        outcomes.append(_event(EventKind.TAMPER))
    now = replace(passage, fire=burns, tamper=sensed.tamper, blocked=sensed.blocked)
    # a blind sensor cannot say that somebody did not walk, not even after it sees again
    return _freed(now) if now.is_open or now.blocked else now, outcomes


def _freed(passage: Passage) -> Passage:
    """The way is open to everybody, so nobody can tell who walks: everybody admitted counts as in."""
    return replace(passage, awaited=())


def _exits(passage: Passage, exits: int, now_ms: int) -> Passage:
    if now_ms >= passage.leaving_until_ms:
        passage = replace(passage, leaving=0)
    if not exits:
        return passage
    return replace(passage, leaving=passage.leaving + exits, leaving_until_ms=now_ms + EXIT_MS)


def _bodies(passage: Passage, bodies: int, now_ms: int, rules: Rules) -> PassageChange:
    outcomes = []
    for _ in range(0 if passage.is_open else bodies):
        passage, outcome = _body(replace(passage, silent=0), now_ms, rules)
        outcomes += outcome
    return passage, outcomes


def _body(passage: Passage, now_ms: int, rules: Rules) -> PassageChange:
    if passage.awaited:
        return _ended(passage, PassageStep.BODY, now_ms, rules)
    if passage.leaving:
        return replace(passage, leaving=passage.leaving - 1), []
    if now_ms < passage.quiet_until_ms:
        return passage, []
    return replace(passage, quiet_until_ms=now_ms + QUIET_MS), [_event(EventKind.INTRUSION)]


def _covered(passage: Passage, sensed: Sensed, now_ms: int, rules: Rules) -> Passage:
    """While somebody stands in the barrier the sensor sees nobody else walk, so their time waits."""
    if not sensed.covered or sensed.blocked:
        return passage
    return replace(passage, due_ms=now_ms + _patience(rules))


def _time(passage: Passage, now_ms: int, rules: Rules) -> PassageChange:
    if not passage.awaited or now_ms < passage.due_ms:
        return passage, []
    return _ended(passage, PassageStep.TIME_UP, now_ms, rules)


def _ended(passage: Passage, how: PassageStep, now_ms: int, rules: Rules) -> PassageChange:
    """The first awaited guest is through, or out of time; the next one's time begins."""
    scan, *others = passage.awaited
    then = replace(passage, awaited=tuple(others), due_ms=now_ms + _patience(rules))
    if WALK[Walk.RELEASED, how] is Walk.PASSED:
        return then, [Outcome(record="passed", reason=EventKind.PASSED, scan=scan)]
    return _expired(then, scan) if rules.sensor else (then, [])


def _expired(passage: Passage, scan: ScanRecord) -> PassageChange:
    if passage.doubts_sensor:
        return passage, []
    annulled = Outcome(record="annulled", reason=EventKind.EXPIRED, scan=scan)
    silent = replace(passage, silent=passage.silent + 1)
    return silent, [annulled, *([_event(EventKind.SENSOR_SILENT)] if silent.doubts_sensor else [])]


def _patience(rules: Rules) -> int:
    return rules.timeout_ms if rules.sensor else rules.pulse_ms


def _event(reason: EventKind) -> Outcome:
    return Outcome(record="event", reason=reason)

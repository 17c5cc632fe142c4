"""What the screen shows, as values; `display/` turns them into words and pictures.

Domain 2.4. A screen value holds facts and never finished sentences, so that language and size are decided in
one place.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from gate.common.errors import Step
from gate.common.value import Value
from gate.rules.model import Flag, Kind, Reason, Ruling, Verdict
from gate.rules.typo import Typo


class LinkView(Value, frozen=True):
    """The gate's view of the hub. `waiting`: scans the hub has not acknowledged yet.

    `cache_age_s`: seconds since the cache was last known to be current, None if never. `isolated`: the gate
    has heard no other gate for a while either (domain 2.3, situation 3); never while online. `stale`: the
    list is known to be behind the hub's.
    """

    online: bool = False
    waiting: int = 0
    cache_age_s: int | None = None
    isolated: bool = False
    stale: bool = False


class Idle(Value, frozen=True, tag="idle"):
    """Nobody in front of the camera. `event`: None if no night is loaded; `event_code`: shown if its name
    cannot be read.

    `doors`: when the event's doors open. `knows_time`: the hub has confirmed the clock; if not, `event` is
    what this gate takes for tonight, and may be wrong. `counted`: if several nights are on, the code of the
    one that `inside` and `capacity` belong to; `event` is then the one whose doors opened last, and the
    counts of all take turns.
    """

    event: str | None
    gate_name: str
    inside: int
    capacity: int
    now: datetime
    doors: datetime | None = None
    event_code: str = ""
    knows_time: bool = True
    counted: str = ""
    link: LinkView = LinkView()


class VerdictScreen(Value, frozen=True, tag="answer"):
    """The verdict on a scan. `verdict.event` is the event the ticket is for.

    `place`: what people call the gate of `verdict.entry` (``GATE 2``) or, for the reason ``other_gate``, the
    gate to go to; empty if unknown. `typo`: where a typed code with a wrong check character is likely wrong.
    """

    verdict: Verdict
    place: str = ""
    typo: Typo | None = None
    link: LinkView = LinkView()


class Part(StrEnum):
    """What can be out of order."""

    CAMERA = "camera"
    DECODER = "decoder"
    TURNSTILE = "turnstile"
    JOURNAL = "journal"
    CACHE = "cache"
    SENSOR = "sensor"
    HOUSING = "housing"
    IDENTITY = "identity"


class OutOfOrder(Value, frozen=True, tag="out_of_order"):
    """Something is broken. `step`: what to do next."""

    part: Part
    step: Step
    link: LinkView = LinkView()


NoticeWord = Literal[
    "starting",
    "updating",
    "closed",
    "held_open",
    "free_passage",
    "released",
    "see_staff",
    "annulled",
    "slower",
]


class Notice(Value, frozen=True, tag="notice"):
    """One large word, or a request to the guest. ``slower``: too many typed codes in a minute;
    ``released``: staff lets somebody in remotely."""

    word: NoticeWord
    link: LinkView = LinkView()


class Typing(Value, frozen=True, tag="typing"):
    """The text typed so far, in capitals. It is a ticket's secret, so no log may print it."""

    text: str
    link: LinkView = LinkView()

    def __repr__(self) -> str:
        return f"Typing({len(self.text)} characters)"


class Focus(Value, frozen=True, tag="focus"):
    """How sharp the picture is, 0 to 999, for somebody who turns the lens. `best`: the sharpest so far.

    `read`: whether a code in view can be read right now.
    """

    sharpness: int
    best: int
    read: bool = False


class EntryPlace(Value, frozen=True):
    """Where and when somebody came in. `gate`: what people call it."""

    gate: str
    at: datetime


class DoubleEntry(Value, frozen=True, tag="double_entry"):
    """One ticket let two people in; for staff. `counts`: the entry that counts; `other`: the other one."""

    counts: EntryPlace
    other: EntryPlace
    link: LinkView = LinkView()


class StaffText(Value, frozen=True, tag="staff_text"):
    """A text from staff, for guests or for colleagues at this gate."""

    text: str
    link: LinkView = LinkView()


class RolledBack(Value, frozen=True, tag="rolled_back"):
    """A new release did not work here, so the one before runs again; for staff. `reason`: why, in English."""

    version: str
    reason: str
    link: LinkView = LinkView()


Announcement = DoubleEntry | StaffText | RolledBack
"""Screens shown between guests, each for its time."""
Screen = Idle | VerdictScreen | OutOfOrder | Notice | Typing | Focus | Announcement


def seconds_shown(screen: Screen) -> float | None:
    """For how many seconds a screen stays before idle returns; None: until it is replaced (domain 2.4)."""
    match screen:
        case VerdictScreen(verdict=verdict):
            return _answer_stays(verdict)
        case Notice(word="see_staff" | "annulled" | "released"):
            return 2.0
        case Notice(word="slower"):
            return 3.0
        case Typing() | DoubleEntry() | StaffText() | RolledBack():
            return 10.0
        case _:
            return None


def outlives_door(screen: Screen | None) -> bool:
    """Whether a panel keeps showing it when the door ends, because the next one is about to start."""
    return isinstance(screen, Notice) and screen.word == "updating"


def _answer_stays(verdict: Verdict) -> float:
    if Flag.LOCKED in verdict.flags:
        return 2.0
    if verdict.ruling is Ruling.DENY:
        return 3.0
    if verdict.ruling is Ruling.NONE or verdict.reason is Reason.REENTRY:
        return 2.0
    return {Kind.VIP_HOST: 4.0, Kind.VIP_PASS: 2.0, Kind.VIP_LINKED: 2.0}.get(verdict.kind, 1.5)


class Stage(Value, frozen=True):
    """What is shown. `until_ms`: monotonic time at which an answer gives way, None if it is no answer."""

    until_ms: int | None = None
    shown: Screen | None = None


def show_answer(screen: Screen, now_ms: int) -> Stage:
    """Show the answer to a scan; it replaces whatever is shown, at once (domain 2.4)."""
    seconds = seconds_shown(screen)
    return Stage(until_ms=None if seconds is None else now_ms + int(seconds * 1000), shown=screen)


def is_free(stage: Stage, now_ms: int) -> bool:
    """Whether the answer has had its time."""
    return stage.until_ms is None or now_ms >= stage.until_ms

"""What the screen is to show, as values; `display/` turns them into words and pictures.

Domain 2.4. A screen value holds facts, never finished sentences, so that language and
size are decided in one place.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from gate.model import Kind, Reason, Ruling, Value, Verdict


class Link(Value, frozen=True):
    """The gate's view of the hub. `waiting`: scans the hub has not acknowledged yet.

    `cache_age_s`: seconds since the cache was last known to be current, None if never.
    """

    online: bool = False
    waiting: int = 0
    cache_age_s: int | None = None


class Idle(Value, frozen=True, tag="idle"):
    """Nobody in front of the camera. `event` is None when no night is loaded."""

    event: str | None
    gate_name: str
    inside: int
    capacity: int
    now: datetime
    link: Link = Link()


class Answer(Value, frozen=True, tag="answer"):
    """The verdict on a scan. `verdict.event` is the event the ticket is for.

    `place`: what people call the gate of `verdict.entry` (``GATE 2``), empty if unknown.
    """

    verdict: Verdict
    place: str = ""
    link: Link = Link()


class Part(StrEnum):
    """What can be out of order."""

    CAMERA = "camera"
    DECODER = "decoder"
    TURNSTILE = "turnstile"
    JOURNAL = "journal"
    CACHE = "cache"


class OutOfOrder(Value, frozen=True, tag="out_of_order"):
    """Something is broken. `step`: what to do next, a few words, already in words."""

    part: Part
    step: str
    link: Link = Link()


class Notice(Value, frozen=True, tag="notice"):
    """One large word, or a request to the guest."""

    word: Literal["starting", "updating", "closed", "free_passage", "see_staff", "annulled"]
    link: Link = Link()


Screen = Idle | Answer | OutOfOrder | Notice


def stays(screen: Screen) -> float | None:
    """Seconds the screen stays before idle returns, None: until it is replaced (domain 2.4)."""
    match screen:
        case Answer(verdict=verdict):
            return _answer_stays(verdict)
        case Notice(word="see_staff" | "annulled"):
            return 2.0
        case _:
            return None


def _answer_stays(verdict: Verdict) -> float:
    if verdict.ruling is Ruling.DENY:
        return 3.0
    if verdict.ruling is Ruling.NONE or verdict.reason is Reason.REENTRY:
        return 2.0
    return {Kind.VIP_HOST: 4.0, Kind.VIP_PASS: 2.0, Kind.VIP_LINKED: 2.0}.get(verdict.kind, 1.5)

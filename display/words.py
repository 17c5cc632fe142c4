"""A screen value in words: pure, and the only place where sentences are made (domain 2.3, 2.4).

`compose` gives a `Page`: complete words in one language and the venue's time. How large and
where they stand is `display.layout`'s business; `maguey-gate scan` prints the same words.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Literal

from msgspec.structs import replace

from display.strings import CATALOGUES, Lang, say
from gate.model import Entry, Flag, Kind, Reason, Ruling, Table, Value, Verdict
from gate.screen import (
    Answer,
    DoubleEntry,
    Focus,
    Idle,
    Link,
    Notice,
    OutOfOrder,
    Place,
    Screen,
    StaffText,
    Typing,
    Typo,
    stays,
)
from gate.tonight import evening

Icon = Literal["check", "cross", "attention", "none"]


class Header(Value, frozen=True):
    """The frame of the idle page: `gate` and `clock` above, `count` below the event's name."""

    gate: str
    clock: str
    count: str


class Page(Value, frozen=True):
    """What one screen says.

    `headline` and `lines` are all there is to read, in reading order; `roll` is a further
    list that has to be seen within the page's `seconds` (a table's guests). `banner` is empty while
    online; its lines are what the inverted bar says. `header` is set on the idle page only, whose
    `lines` repeat it. `typed`: the headline is a code being typed. `share`: how sharp the camera
    sees, of the best so far; such a page has no mark. `standing`: it may stay for hours.
    """

    headline: str
    lines: tuple[str, ...] = ()
    icon: Icon = "none"
    roll: tuple[str, ...] = ()
    banner: tuple[str, ...] = ()
    header: Header | None = None
    typed: bool = False
    share: float | None = None
    seconds: float | None = None
    standing: bool = False

    @property
    def online(self) -> bool:
        """Whether the mark says that the hub hears this gate."""
        return not self.banner and self.share is None


def compose(screen: Screen, lang: Lang, tz: tzinfo) -> Page:
    """Put a screen into words.

    :param tz: the venue's time zone, in which every time is given.
    """
    seconds = stays(screen)
    standing = seconds is None and not isinstance(screen, Focus)
    return replace(_page(screen, lang, tz), seconds=seconds, standing=standing)


def _page(screen: Screen, lang: Lang, tz: tzinfo) -> Page:  # noqa: PLR0911 – one for each screen
    match screen:
        case Idle():
            return _idle(screen, lang, tz)
        case Answer():
            return _answer(screen, lang, tz)
        case OutOfOrder():
            return _out_of_order(screen, lang)
        case Notice():
            return _notice(screen, lang)
        case Typing():
            return _typing(screen, lang)
        case Focus():
            return _focus(screen, lang)
        case DoubleEntry():
            return _double_entry(screen, lang, tz)
        case StaffText():
            return _staff_text(screen, lang)


def _idle(screen: Idle, lang: Lang, tz: tzinfo) -> Page:
    header = _header(screen, lang, tz)
    return Page(
        headline=(screen.event or "").strip() or say(lang, "no_event"),
        lines=(header.gate, header.count, header.clock),
        banner=_banner(screen.link, lang) + _waiting(screen.link, lang),
        header=header,
    )


def _header(screen: Idle, lang: Lang, tz: tzinfo) -> Header:
    """A gate that does not know the time says so, and which night it takes for tonight: it may be wrong."""
    if not screen.knows_time:
        unsure = say(lang, "no_time")
        if screen.doors is not None:
            unsure = say(lang, "no_time_night", day=_weekday(screen.doors, lang, tz))
        return Header(gate=screen.gate_name, clock="--:--", count=unsure)
    key = "inside_of" if screen.capacity > 0 else "inside"
    count = say(lang, key, inside=max(screen.inside, 0), capacity=screen.capacity)
    return Header(gate=screen.gate_name, clock=_time(screen.now, tz), count=count)


def _banner(link: Link, lang: Lang) -> tuple[str, ...]:
    if link.online:
        return ()
    return (say(lang, "alone" if link.isolated else "offline", age=_age(link.cache_age_s, lang)),)


def _waiting(link: Link, lang: Lang) -> tuple[str, ...]:
    if link.online or link.waiting <= 0:
        return ()
    return (say(lang, "waiting_one" if link.waiting == 1 else "waiting", count=link.waiting),)


def _age(seconds: int | None, lang: Lang) -> str:
    if seconds is None:
        return say(lang, "no_cache")
    for key, unit, limit in (("age_s", 1, 60), ("age_min", 60, 3600), ("age_h", 3600, 48 * 3600)):
        if seconds < limit:
            return say(lang, key, n=max(seconds, 0) // unit)
    return say(lang, "age_d", n=seconds // 86400)


def _answer(screen: Answer, lang: Lang, tz: tzinfo) -> Page:
    verdict = screen.verdict
    banner = _banner(screen.link, lang)
    if Flag.LOCKED in verdict.flags:  # a guesser learns nothing, not even why
        return Page(headline=say(lang, "notice_see_staff"), icon="attention", banner=banner)
    if verdict.ruling is Ruling.NONE:
        return Page(headline=_refusal_headline(screen, lang), icon="attention", banner=banner)
    if verdict.ruling is Ruling.DENY:
        lines = _refusal_lines(screen, lang, tz)
        icon: Icon = "attention" if verdict.reason in _NOT_HERE else "cross"
        return Page(headline=_refusal_headline(screen, lang), lines=lines, icon=icon, banner=banner)
    return Page(
        headline=_welcome_headline(verdict, lang),
        lines=_welcome_lines(verdict, lang, tz),
        icon="check",
        roll=_guests(verdict),
        banner=banner,
    )


def _welcome_headline(verdict: Verdict, lang: Lang) -> str:
    if verdict.reason not in (Reason.FIRST_ENTRY, Reason.REENTRY):  # staff overruled a refusal
        return say(lang, "let_in")
    if verdict.reason is Reason.REENTRY:
        return say(lang, "reentry")
    number = verdict.table.number if verdict.table else ""
    match verdict.kind:
        case Kind.VIP_HOST:
            return say(lang, "table_headline", number=number) if number else say(lang, "vip_host")
        case Kind.VIP_LINKED if number:
            return say(lang, "guest_of_table", number=number)
        case Kind.VIP_PASS | Kind.VIP_LINKED:
            return say(lang, "vip_guest")
        case _:
            return say(lang, "welcome")


def _welcome_lines(verdict: Verdict, lang: Lang, tz: tzinfo) -> tuple[str, ...]:
    if verdict.reason is Reason.REENTRY:
        lines = [_last_entry(verdict.entry, lang, tz), _number(verdict.table, lang)]
    else:
        lines = _first_entry_lines(verdict, lang)
    if Flag.FORCED in verdict.flags:
        lines.append(say(lang, "by_staff"))
    if Flag.UNSYNCED in verdict.flags:
        lines.append(say(lang, "not_in_list"))
    if Flag.HISTORY_LOST in verdict.flags:
        lines.append(say(lang, "without_history"))
    return _present(lines)


def _first_entry_lines(verdict: Verdict, lang: Lang) -> list[str]:
    table = verdict.table
    if table is None:
        return [verdict.ticket_type]
    match verdict.kind:
        case Kind.VIP_HOST:
            holder = verdict.holder or table.host
            host = say(lang, "host", name=holder) if holder else ""
            return [table.name, _arrived(table, lang), _tier(table, lang), host]
        case Kind.VIP_PASS:
            number = _number(table, lang)
            count = " · ".join(_present((number, _arrived(table, lang))))
            return [count, table.name if table.name != number else ""]
        case _:
            return [table.name, _arrived(table, lang)]


def _guests(verdict: Verdict) -> tuple[str, ...]:
    """The guest list is for the host's arrival only (domain 2.4)."""
    arrives = verdict.reason is Reason.FIRST_ENTRY and verdict.kind is Kind.VIP_HOST
    return _present(verdict.table.guests) if arrives and verdict.table else ()


def _number(table: Table | None, lang: Lang) -> str:
    """What people call the table: its number, or its name where it has none."""
    if table is None:
        return ""
    return say(lang, "table", number=table.number) if table.number else table.name


def _arrived(table: Table, lang: Lang) -> str:
    key = "arrived_of" if table.seats > 0 else "arrived"
    return say(lang, key, arrived=max(table.arrived, 0), seats=table.seats)


def _tier(table: Table, lang: Lang) -> str:
    key = f"tier_{table.tier}"
    return say(lang, key) if key in CATALOGUES[lang] else table.tier


def _last_entry(entry: Entry | None, lang: Lang, tz: tzinfo) -> str:
    if entry is None:
        return say(lang, "last_entry_unknown")
    return say(lang, "last_entry", time=_time(entry.at, tz))


REFUSALS = frozenset(
    {
        Reason.MALFORMED,
        Reason.BAD_CHECKSUM,
        Reason.FORGED,
        Reason.AMBIGUOUS,
        Reason.UNKNOWN,
        Reason.WRONG_EVENT,
        Reason.EVENT_CANCELLED,
        Reason.CANCELLED,
        Reason.REFUNDED,
        Reason.TABLE_NOT_CONFIRMED,
        Reason.TOO_EARLY,
        Reason.EVENT_OVER,
        Reason.ALREADY_USED,
        Reason.ISOLATED,
        Reason.OTHER_GATE,
    }
)
"""Reasons a guest can be refused for (domain 2.3); the others stand in records only."""

_NOT_HERE = frozenset({Reason.ISOLATED, Reason.OTHER_GATE})
"""The ticket may well be good: only this gate, now, cannot tell. No cross, and nobody is turned away."""


def _refusal_headline(screen: Answer, lang: Lang) -> str:
    verdict = screen.verdict
    if verdict.reason not in REFUSALS:  # an admission that the door took back
        return say(lang, "denied")
    if screen.typo is not None:
        return say(lang, "typing_error")
    if verdict.reason is Reason.CANCELLED and verdict.kind is Kind.VIP_PASS:
        return say(lang, "pass_cancelled")
    if verdict.reason is Reason.OTHER_GATE:
        place = screen.place or verdict.other_gate
        return say(lang, "reason_other_gate", place=place) if place else say(lang, "another_gate")
    return say(lang, f"reason_{verdict.reason.value}")


def _refusal_lines(screen: Answer, lang: Lang, tz: tzinfo) -> tuple[str, ...]:
    verdict = screen.verdict
    match verdict.reason:
        case Reason.WRONG_EVENT:
            lines = _ticket_for(verdict, lang, tz)
        case Reason.EVENT_CANCELLED:
            lines = [verdict.event.name if verdict.event else ""]
        case Reason.CANCELLED if verdict.kind is Kind.VIP_PASS:
            lines = [_number(verdict.table, lang)]
        case Reason.TABLE_NOT_CONFIRMED:
            lines = [_not_confirmed(verdict.table, lang)]
        case Reason.TOO_EARLY | Reason.EVENT_OVER:
            lines = [_hours(verdict, lang, tz)]
        case Reason.ALREADY_USED:
            lines = [_used(screen, lang, tz)]
        case Reason.BAD_CHECKSUM if screen.typo is not None:
            lines = [_check_character(screen.typo, lang)]
        case Reason.ISOLATED:
            lines = [say(lang, "ask_staff"), say(lang, "gate_is_alone")]
        case reason:
            lines = [say(lang, _ADVICE[reason])] if reason in _ADVICE else []
    return _present(lines)


_ADVICE = {
    Reason.BAD_CHECKSUM: "type_it_in",
    Reason.FORGED: "bad_signature",
    Reason.UNKNOWN: "ask_staff",
    Reason.CANCELLED: "no_longer_valid",
    Reason.REFUNDED: "no_longer_valid",
    Reason.FIRST_ENTRY: "ask_staff",
    Reason.REENTRY: "ask_staff",
    Reason.OTHER_GATE: "good_there",
}


def _ticket_for(verdict: Verdict, lang: Lang, tz: tzinfo) -> list[str]:
    if verdict.event is None:
        return [say(lang, "ticket_for_another")]
    return [say(lang, "ticket_for", day=_day(verdict.event.doors_open_at, lang, tz)), verdict.event.name]


def _not_confirmed(table: Table | None, lang: Lang) -> str:
    if table is None or not table.number:
        return say(lang, "host_has_not_paid")
    return say(lang, "table_is_not_confirmed", number=table.number)


def _hours(verdict: Verdict, lang: Lang, tz: tzinfo) -> str:
    event, early = verdict.event, verdict.reason is Reason.TOO_EARLY
    if event is None:
        return say(lang, "doors_not_open" if early else "ended_unknown")
    if early:
        return say(lang, "doors_open", time=_time(event.doors_open_at, tz))
    return say(lang, "ended", time=_time(event.ends_at, tz))


def _used(screen: Answer, lang: Lang, tz: tzinfo) -> str:
    entry = screen.verdict.entry
    if entry is None:
        return say(lang, "used_unknown")
    place, time = screen.place or entry.gate, _time(entry.at, tz)
    return say(lang, "used_at", time=time, place=place) if place else say(lang, "used_when", time=time)


def _check_character(typo: Typo, lang: Lang) -> str:
    return say(lang, "check_character", place=typo.place, group=typo.group, wrote=typo.wrote)


def _out_of_order(screen: OutOfOrder, lang: Lang) -> Page:
    step = say(lang, f"step_{screen.step.value}")
    headline = say(lang, f"part_{screen.part.value}")
    return Page(headline=headline, lines=(step,), icon="attention", banner=_banner(screen.link, lang))


_DOT = "•"  # stands for a character of a code

_NOTICES: dict[str, tuple[Icon, str]] = {
    "starting": ("none", "one_moment"),
    "updating": ("none", "one_moment"),
    "closed": ("cross", "use_another_gate"),
    "held_open": ("check", "held_by_staff"),
    "free_passage": ("check", ""),
    "released": ("check", "held_by_staff"),
    "see_staff": ("attention", ""),
    "annulled": ("attention", "scan_again"),
    "slower": ("attention", "wait_a_minute"),
}


def _notice(screen: Notice, lang: Lang) -> Page:
    icon, line = _NOTICES[screen.word]
    lines = (say(lang, line),) if line else ()
    headline = say(lang, f"notice_{screen.word}")
    return Page(headline=headline, lines=lines, icon=icon, banner=_banner(screen.link, lang))


def _typing(screen: Typing, lang: Lang) -> Page:
    text = grouped(screen.text) + "_"
    return Page(
        headline=text, lines=(say(lang, "press_enter"),), banner=_banner(screen.link, lang), typed=True
    )


def grouped(code: str) -> str:
    """A typed code with gaps, where a reader finds the place again: after hyphens, and in every four.

    The hyphens stand as the code has them; event and date are not torn apart (protocol 4.1).
    """
    groups = code.split("-")
    named = 3 if groups[0] == "MGY" else 2
    shown = [
        group if number < named and len(group) <= 8 else _in_fours(group)
        for number, group in enumerate(groups)
    ]
    return "- ".join(shown).strip()


def veiled(page: Page) -> Page:
    """The same page with a dot for every character of a code being typed; its groups stay."""
    if not page.typed:
        return page
    code, cursor = page.headline[:-1], page.headline[-1]
    return replace(page, headline="".join(c if c in " -" else _DOT for c in code) + cursor)


def _in_fours(group: str) -> str:
    return " ".join(group[start : start + 4] for start in range(0, len(group), 4))


def _double_entry(screen: DoubleEntry, lang: Lang, tz: tzinfo) -> Page:
    both = " · ".join(_place(place, tz) for place in (screen.counts, screen.other))
    return Page(
        headline=say(lang, "double_entry"),
        lines=(both, say(lang, "see_staff")),
        icon="attention",
        banner=_banner(screen.link, lang),
    )


def _place(place: Place, tz: tzinfo) -> str:
    return f"{place.gate} {_time(place.at, tz)}"


def _staff_text(screen: StaffText, lang: Lang) -> Page:
    return Page(headline=say(lang, "staff_says"), lines=(screen.text,), banner=_banner(screen.link, lang))


def _focus(screen: Focus, lang: Lang) -> Page:
    best = max(screen.best, screen.sharpness, 1)
    return Page(
        headline=str(screen.sharpness),
        lines=(say(lang, "best", best=screen.best), say(lang, "read" if screen.read else "not_read")),
        share=screen.sharpness / best,
    )


def _time(at: datetime, tz: tzinfo) -> str:
    return at.astimezone(tz).strftime("%H:%M")


def _day(at: datetime, lang: Lang, tz: tzinfo) -> str:
    """The evening's date, as on the ticket."""
    month = CATALOGUES[lang]["months"].split()[evening(at, tz).month - 1]
    return f"{_weekday(at, lang, tz)} {month}"


def _weekday(at: datetime, lang: Lang, tz: tzinfo) -> str:
    """The evening's day. Not strftime's names: those depend on the machine's locale."""
    night = evening(at, tz)
    return f"{CATALOGUES[lang]['days'].split()[night.weekday()]} {night.day}"


def _present(lines: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line.strip() for line in lines if line.strip())

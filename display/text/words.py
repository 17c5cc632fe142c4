"""A screen value in words. Pure; only this file and `display.text.verdicts` make sentences (domain 2.3, 2.4).

`compose` gives a `Page`: all words in one language and the venue's time. `display.picture.layout` decides
where and how large they are; `maguey-gate scan` prints the same words.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Literal

from msgspec.structs import replace

from display.fonts import plain
from display.text.catalogue import Lang, clock_time, say, weekday
from display.text.verdicts import (
    NOT_HERE,
    guest_list,
    refusal_headline,
    refusal_lines,
    welcome_headline,
    welcome_lines,
)
from gate.common.value import Value
from gate.ports.screen import (
    DoubleEntry,
    EntryPlace,
    Focus,
    Idle,
    LinkView,
    Notice,
    OutOfOrder,
    RolledBack,
    Screen,
    StaffText,
    Typing,
    VerdictScreen,
    seconds_shown,
)
from gate.rules.model import Flag, Ruling
from gate.rules.typed_code import code_groups

Icon = Literal["check", "cross", "attention", "none"]


class Header(Value, frozen=True):
    """What surrounds the event's name on the idle page: `gate` and `clock` above it, `count` below."""

    gate: str
    clock: str
    count: str


class Page(Value, frozen=True):
    """What one screen says.

    `headline` and `lines` are all there is to read, in reading order; `roll` is a further list that has to be
    shown within the page's `seconds` (the guests of a table). `banner`: lines of the inverted bar; empty
    while the gate is online and its list is not known to be behind. `header` is set on the idle page only,
    whose `lines` repeat it. `typed`: the headline is a code being typed. `share`: sharpness of the camera as
    a share of the best so far; such a page has no mark. `standing`: it may stay for hours.
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
        """Whether the mark is shown: the hub hears this gate, and its list is up to date."""
        return not self.banner and self.share is None


def compose(screen: Screen, lang: Lang, tz: tzinfo) -> Page:
    """Put a screen into words.

    :param tz: the venue's time zone, used for every time.
    """
    seconds = seconds_shown(screen)
    standing = seconds is None and not isinstance(screen, Focus)
    return replace(_page(screen, lang, tz), seconds=seconds, standing=standing)


def _page(screen: Screen, lang: Lang, tz: tzinfo) -> Page:  # noqa: PLR0911 – one for each screen
    match screen:
        case Idle():
            return _idle(screen, lang, tz)
        case VerdictScreen():
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
        case RolledBack():
            return _rolled_back(screen, lang)
        case StaffText():
            return _staff_text(screen, lang)


def _idle(screen: Idle, lang: Lang, tz: tzinfo) -> Page:
    header = _header(screen, lang, tz)
    return Page(
        headline=_night(screen) or say(lang, "no_event"),
        lines=(header.gate, header.count, header.clock),
        banner=_banner(screen.link, lang) + _waiting(screen.link, lang),
        header=header,
    )


def _night(screen: Idle) -> str:
    """Its name, or its code if nobody could read the name."""
    return plain(screen.event or "") or plain(screen.event_code)


def _header(screen: Idle, lang: Lang, tz: tzinfo) -> Header:
    """A gate that does not know the time says so, and which night it assumes, since it may be wrong."""
    if not screen.knows_time:
        unsure = say(lang, "no_time")
        if screen.doors is not None:
            unsure = say(lang, "no_time_night", day=weekday(screen.doors, lang, tz))
        return Header(gate=screen.gate_name, clock="--:--", count=unsure)
    key = ("night_" if screen.counted else "") + ("inside_of" if screen.capacity > 0 else "inside")
    count = say(lang, key, inside=max(screen.inside, 0), capacity=screen.capacity, night=screen.counted)
    return Header(gate=screen.gate_name, clock=clock_time(screen.now, tz), count=count)


def _banner(link: LinkView, lang: Lang) -> tuple[str, ...]:
    """Offline already means that the list is as old as shown; only an online gate needs a word for that."""
    if link.online and not link.stale:
        return ()
    word = "old_list" if link.online else "alone" if link.isolated else "offline"
    return (say(lang, word, age=_age(link.cache_age_s, lang)),)


def _waiting(link: LinkView, lang: Lang) -> tuple[str, ...]:
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


def _answer(screen: VerdictScreen, lang: Lang, tz: tzinfo) -> Page:
    verdict = screen.verdict
    banner = _banner(screen.link, lang)
    if Flag.LOCKED in verdict.flags:  # a guesser learns nothing, not even why
        return Page(headline=say(lang, "notice_see_staff"), icon="attention", banner=banner)
    if verdict.ruling is Ruling.NONE:
        return Page(headline=refusal_headline(screen, lang), icon="attention", banner=banner)
    if verdict.ruling is Ruling.DENY:
        lines = refusal_lines(screen, lang, tz)
        icon: Icon = "attention" if verdict.reason in NOT_HERE else "cross"
        return Page(headline=refusal_headline(screen, lang), lines=lines, icon=icon, banner=banner)
    return Page(
        headline=welcome_headline(verdict, lang),
        lines=welcome_lines(verdict, lang, tz),
        icon="check",
        roll=guest_list(verdict),
        banner=banner,
    )


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
    """A typed code with gaps between its groups, so that a reader finds the place again; hyphens stay."""
    shown = (
        code[start:end] + ("-" if code[end : end + 1] == "-" else "") for start, end in code_groups(code)
    )
    return " ".join(shown).strip()


def veiled(page: Page) -> Page:
    """The same page with a dot for every character of a code being typed; its groups stay."""
    if not page.typed:
        return page
    code, cursor = page.headline[:-1], page.headline[-1]
    return replace(page, headline="".join(c if c in " -" else _DOT for c in code) + cursor)


def _double_entry(screen: DoubleEntry, lang: Lang, tz: tzinfo) -> Page:
    both = " · ".join(_place(place, tz) for place in (screen.counts, screen.other))
    return Page(
        headline=say(lang, "double_entry"),
        lines=(both, say(lang, "see_staff")),
        icon="attention",
        banner=_banner(screen.link, lang),
    )


def _place(place: EntryPlace, tz: tzinfo) -> str:
    return f"{place.gate} {clock_time(place.at, tz)}"


def _rolled_back(screen: RolledBack, lang: Lang) -> Page:
    return Page(
        headline=say(lang, "rolled_back"),
        lines=(f"{screen.version}: {plain(screen.reason)}",),
        icon="attention",
        banner=_banner(screen.link, lang),
    )


def _staff_text(screen: StaffText, lang: Lang) -> Page:
    lines = (screen.text,) if plain(screen.text) else ()
    return Page(headline=say(lang, "staff_says"), lines=lines, banner=_banner(screen.link, lang))


def _focus(screen: Focus, lang: Lang) -> Page:
    best = max(screen.best, screen.sharpness, 1)
    return Page(
        headline=str(screen.sharpness),
        lines=(say(lang, "best", best=screen.best), say(lang, "read" if screen.read else "not_read")),
        share=screen.sharpness / best,
    )

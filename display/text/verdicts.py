"""A verdict in words: what guests read who are let in, and who are refused. Pure (domain 2.3, 2.4).

`display.text.words` makes pages of these.
"""

from __future__ import annotations

from datetime import tzinfo

from display.fonts import plain
from display.text.catalogue import CATALOGUES, Lang, clock_time, day_of, say
from gate.ports.screen import VerdictScreen
from gate.rules.model import Entry, Event, Flag, Kind, Reason, Table, Verdict
from gate.rules.typo import Typo


def welcome_headline(verdict: Verdict, lang: Lang) -> str:
    """The headline of an admission."""
    if verdict.reason not in (Reason.FIRST_ENTRY, Reason.REENTRY):  # staff overruled a refusal
        return say(lang, "let_in")
    if verdict.reason is Reason.REENTRY:
        return say(lang, "reentry")
    number = plain(verdict.table.number) if verdict.table else ""
    match verdict.kind:
        case Kind.VIP_HOST:
            return say(lang, "table_headline", number=number) if number else say(lang, "vip_host")
        case Kind.VIP_LINKED if number:
            return say(lang, "guest_of_table", number=number)
        case Kind.VIP_PASS | Kind.VIP_LINKED:
            return say(lang, "vip_guest")
        case _:
            return say(lang, "welcome")


def welcome_lines(verdict: Verdict, lang: Lang, tz: tzinfo) -> tuple[str, ...]:
    """The lines below it."""
    if verdict.reason is Reason.REENTRY:
        lines = [_last_entry(verdict.entry, lang, tz), _number(verdict.table, lang)]
    else:
        lines = _first_entry_lines(verdict, lang)
    if Flag.FORCED in verdict.flags:
        lines.append(say(lang, "by_staff"))
    return _present(lines)


def _first_entry_lines(verdict: Verdict, lang: Lang) -> list[str]:
    table = verdict.table
    if table is None:
        return [verdict.ticket_type]
    match verdict.kind:
        case Kind.VIP_HOST:
            holder = plain(verdict.holder) or plain(table.host)
            host = say(lang, "host", name=holder) if holder else ""
            return [table.name, _arrived(table, lang), _tier(table, lang), host]
        case Kind.VIP_PASS:
            number = _number(table, lang)
            count = " · ".join(_present((number, _arrived(table, lang))))
            return [count, table.name if plain(table.name) != number else ""]
        case _:
            return [table.name, _arrived(table, lang)]


def guest_list(verdict: Verdict) -> tuple[str, ...]:
    """The guest list is for the host's arrival only (domain 2.4)."""
    arrives = verdict.reason is Reason.FIRST_ENTRY and verdict.kind is Kind.VIP_HOST
    return _present(verdict.table.guests) if arrives and verdict.table else ()


def _number(table: Table | None, lang: Lang) -> str:
    """What people call the table: its number, or its name if it has no number that can be read."""
    if table is None:
        return ""
    number = plain(table.number)
    return say(lang, "table", number=number) if number else plain(table.name)


def _arrived(table: Table, lang: Lang) -> str:
    key = "arrived_of" if table.seats > 0 else "arrived"
    return say(lang, key, arrived=max(table.arrived, 0), seats=table.seats)


def _tier(table: Table, lang: Lang) -> str:
    key = f"tier_{table.tier}"
    return say(lang, key) if key in CATALOGUES[lang] else table.tier


def _last_entry(entry: Entry | None, lang: Lang, tz: tzinfo) -> str:
    if entry is None:
        return say(lang, "last_entry_unknown")
    return say(lang, "last_entry", time=clock_time(entry.at, tz))


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
"""Reasons for which a guest can be refused (domain 2.3); the others are only in records."""

NOT_HERE = frozenset({Reason.ISOLATED, Reason.OTHER_GATE})
"""The ticket may well be good, but this gate cannot tell now. So no cross is shown: nobody is turned away."""


def refusal_headline(screen: VerdictScreen, lang: Lang) -> str:
    """The headline of a refusal, or of a scan that has no answer yet."""
    verdict = screen.verdict
    if verdict.reason not in REFUSALS:  # an admission that the door took back
        return say(lang, "denied")
    if screen.typo is not None:
        return say(lang, "typing_error")
    if verdict.reason is Reason.CANCELLED and verdict.kind is Kind.VIP_PASS:
        return say(lang, "pass_cancelled")
    if verdict.reason is Reason.OTHER_GATE:
        place = plain(screen.place) or plain(verdict.other_gate)
        return say(lang, "reason_other_gate", place=place) if place else say(lang, "another_gate")
    return say(lang, f"reason_{verdict.reason.value}")


def refusal_lines(screen: VerdictScreen, lang: Lang, tz: tzinfo) -> tuple[str, ...]:
    """The lines below it: why, or what to do."""
    verdict = screen.verdict
    match verdict.reason:
        case Reason.WRONG_EVENT:
            lines = _ticket_for(verdict, lang, tz)
        case Reason.EVENT_CANCELLED:
            lines = [_name(verdict.event) if verdict.event else ""]
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
            lines = [say(lang, "ask_staff")]
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
    return [say(lang, "ticket_for", day=day_of(verdict.event.doors_open_at, lang, tz)), _name(verdict.event)]


def _name(event: Event) -> str:
    """Name of a night, or its code if nobody could read the name."""
    return plain(event.name) or plain(event.code)


def _not_confirmed(table: Table | None, lang: Lang) -> str:
    number = plain(table.number) if table else ""
    return say(lang, "table_is_not_confirmed", number=number) if number else say(lang, "host_has_not_paid")


def _hours(verdict: Verdict, lang: Lang, tz: tzinfo) -> str:
    event, early = verdict.event, verdict.reason is Reason.TOO_EARLY
    if event is None:
        return say(lang, "doors_not_open" if early else "ended_unknown")
    if early:
        return say(lang, "doors_open", time=clock_time(event.doors_open_at, tz))
    return say(lang, "ended", time=clock_time(event.ends_at, tz))


def _used(screen: VerdictScreen, lang: Lang, tz: tzinfo) -> str:
    entry = screen.verdict.entry
    if entry is None:
        return say(lang, "used_unknown")
    place, time = plain(screen.place) or plain(entry.gate), clock_time(entry.at, tz)
    return say(lang, "used_at", time=time, place=place) if place else say(lang, "used_when", time=time)


def _check_character(typo: Typo, lang: Lang) -> str:
    return say(lang, "check_character", place=typo.place, group=typo.group, wrote=typo.wrote)


def _present(lines: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Those lines that can be read."""
    return tuple(shown for line in lines if (shown := plain(line)))

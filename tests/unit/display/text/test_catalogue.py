"""Both catalogues are complete, have the same phrases, and hold nothing unused (domain 2.4)."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import get_args, get_type_hints

import pytest
from msgspec.structs import replace

import display.text.catalogue
import display.text.verdicts
from display.samples import ENTRY, FRIDAY, OFFLINE, ONLINE, TABLE, ZONE, samples
from display.text.catalogue import CATALOGUES, EN, ES, Lang, clock_time, day_of, weekday
from display.text.verdicts import REFUSALS
from display.text.words import compose
from gate.common.errors import Step
from gate.ports.screen import Focus, Idle, LinkView, Notice, OutOfOrder, Part, Screen, Typing, VerdictScreen
from gate.rules.model import Entry, Flag, Kind, Reason, Ruling, Verdict
from gate.rules.typo import Typo

LANGS: tuple[Lang, ...] = ("en", "es")
WORDS = get_args(get_type_hints(Notice)["word"])


def holes(phrase: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(phrase) if name)


def test_both_languages_have_every_phrase() -> None:
    assert EN.keys() == ES.keys()


@pytest.mark.parametrize("key", EN)
def test_both_languages_fill_in_the_same_facts(key: str) -> None:
    assert holes(EN[key]) == holes(ES[key])


@pytest.mark.parametrize("lang", LANGS)
def test_no_phrase_is_empty_or_untidy(lang: Lang) -> None:
    assert all(phrase == " ".join(phrase.split()) != "" for phrase in CATALOGUES[lang].values())


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("step_", [step.value for step in Step]),
        ("part_", [part.value for part in Part]),
        ("notice_", list(WORDS)),
        ("reason_", [reason.value for reason in REFUSALS]),
    ],
)
def test_every_value_a_screen_can_hold_has_a_phrase_and_every_phrase_a_value(
    lang: Lang, prefix: str, values: list[str]
) -> None:
    keys = {key.removeprefix(prefix) for key in CATALOGUES[lang] if key.startswith(prefix)}
    assert keys == set(values)


@pytest.mark.parametrize("lang", LANGS)
def test_every_refusal_has_a_headline_of_its_own(lang: Lang) -> None:
    assert len({CATALOGUES[lang][f"reason_{reason.value}"] for reason in REFUSALS}) == len(REFUSALS)


@pytest.mark.parametrize("lang", LANGS)
def test_every_next_step_has_words_of_its_own(lang: Lang) -> None:
    assert len({CATALOGUES[lang][f"step_{step.value}"] for step in Step}) == len(Step)


@pytest.mark.parametrize("lang", LANGS)
def test_calendar_is_complete(lang: Lang) -> None:
    words = CATALOGUES[lang]
    assert len(words["days"].split()) == 7
    assert len(words["months"].split()) == 12


class Asked(dict[str, str]):
    """A catalogue that remembers which of its phrases were asked for."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        super().__init__(phrases)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


def verdicts() -> Iterator[Verdict]:
    entries = (None, ENTRY, Entry(at=ENTRY.at, gate=""))
    tables = (
        None,
        TABLE,
        replace(TABLE, number="", seats=0, tier="front_row"),
        replace(TABLE, tier="standard"),
    )
    for ruling, reason, kind in product(Ruling, Reason, Kind):
        for entry, table, event in product(entries, tables, (None, FRIDAY)):
            yield Verdict(
                ruling=ruling, reason=reason, line=0, kind=kind, entry=entry, table=table, event=event
            )


def everything() -> Iterator[Screen]:
    """Every sample, and every other screen the door could make from its values."""
    yield from samples().values()
    yield from (VerdictScreen(verdict=verdict) for verdict in verdicts())
    first = Verdict(ruling=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, line=11, kind=Kind.GA)
    yield from (VerdictScreen(verdict=replace(first, flags=(flag,))) for flag in Flag)
    refused = replace(first, ruling=Ruling.DENY, reason=Reason.BAD_CHECKSUM)
    yield VerdictScreen(verdict=refused, typo=Typo(group=4, place=9, wrote="8"))
    yield from (OutOfOrder(part=part, step=step) for part in Part for step in Step)
    yield from (Notice(word=word) for word in WORDS)
    yield from (Typing(text="MGY"), Focus(sharpness=1, best=2), Focus(sharpness=1, best=2, read=True))
    for age in (None, 5, 300, 7200, 10**6):
        idle = samples()["idle"]
        assert isinstance(idle, Idle)
        for waiting in (0, 1, 2):
            yield replace(idle, link=LinkView(online=False, waiting=waiting, cache_age_s=age))


@pytest.mark.parametrize("lang", LANGS)
def test_no_phrase_is_unused_and_none_is_missing(lang: Lang, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walks every value of every enum a screen can hold; a missing phrase would be a KeyError."""
    catalogue = Asked(CATALOGUES[lang])
    for module in (display.text.catalogue, display.text.verdicts):
        monkeypatch.setattr(module, "CATALOGUES", {lang: catalogue})
    for screen in everything():
        compose(screen, lang, ZONE)
    assert catalogue.asked == set(CATALOGUES[lang])


def test_the_samples_show_every_part_and_every_notice_online_and_offline() -> None:
    for link in (ONLINE, OFFLINE):
        shown = [
            screen for screen in samples().values() if not isinstance(screen, Focus) and screen.link == link
        ]
        assert {screen.part for screen in shown if isinstance(screen, OutOfOrder)} == set(Part)
        assert {screen.word for screen in shown if isinstance(screen, Notice)} == set(WORDS)
        answers = [screen.verdict for screen in shown if isinstance(screen, VerdictScreen)]
        assert {verdict.reason for verdict in answers if not verdict.admits} == REFUSALS


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("hours", [-12, 12])
def test_a_time_at_the_end_of_the_calendar_can_be_shown(at: datetime, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    assert all((clock_time(at, zone), day_of(at, "es", zone), weekday(at, "es", zone)))

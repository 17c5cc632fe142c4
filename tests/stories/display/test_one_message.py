"""Each screen has one message, readable at two metres (domain 2.4); a check mark asks nobody to act."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from display.picture.draw import NORM, WIDE
from display.picture.headline_pages import BOLD
from display.picture.layout import layout
from display.picture.shapes import PlacedText, ScreenLayout
from display.samples import FULL_TABLE, OFFLINE, ONLINE, TABLE, ZONE, samples
from display.text.catalogue import CATALOGUES, EN, Lang, say
from display.text.words import Page, compose
from gate.common.errors import Step
from gate.ports.screen import OutOfOrder, Part, Screen, VerdictScreen
from gate.rules.model import Flag, Kind, Reason, Ruling, Verdict

LANGS: tuple[Lang, ...] = get_args(Lang)
ADVICE = (
    "type_it_in",
    "ask_staff",
    "see_staff",
    "scan_again",
    "use_another_gate",
    "good_there",
    "wait_a_minute",
    *(key for key in EN if key.startswith("step_")),
)
"""Phrases that ask somebody to do something."""

ASKS = re.compile(
    r"\b(check|look|ask|see|stop|type|in the list|revise|vea|pida|consulte|avise|teclee|en la lista)\b", re.I
)


def shown() -> Iterator[Screen]:
    """Every online sample, and every fault with every next step."""
    yield from (screen for name, screen in samples().items() if "-offline" not in name)
    yield from (OutOfOrder(part=part, step=step, link=ONLINE) for part, step in product(Part, Step))


def pages_with(key: str, lang: Lang) -> list[Page]:
    pages = [compose(screen, lang, ZONE) for screen in shown()]
    return [page for page in pages if page.online and say(lang, key) in page.lines]


def drawn(plan: ScreenLayout) -> list[PlacedText]:
    return [*plan.texts, *(text for leaf in plan.leaves for text in leaf.texts)]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("key", ADVICE)
def test_a_request_to_act_is_readable_at_two_metres(key: str, lang: Lang) -> None:
    """Strokes are two pixels wide. Offline the bar takes a third of the height: only the headline's are."""
    pages = pages_with(key, lang)
    assert pages
    for page in pages:
        assert [text for text in drawn(layout(page, NORM)) if text.size < BOLD] == [], page.headline


def admissions() -> Iterator[VerdictScreen]:
    """Every kind of admission, with every flag it can have."""
    reasons = (Reason.FIRST_ENTRY, Reason.REENTRY, Reason.ALREADY_USED)
    for kind, reason, flag in product(Kind, reasons, Flag):
        verdict = Verdict(
            ruling=Ruling.ADMIT,
            reason=reason,
            line=11,
            kind=kind,
            table=TABLE,
            flags=(flag,),
            ticket_type="GA",
        )
        yield VerdictScreen(verdict=verdict, link=ONLINE)


@pytest.mark.parametrize("lang", LANGS)
def test_a_page_with_a_check_mark_asks_nobody_to_do_anything(lang: Lang) -> None:
    asked = {CATALOGUES[lang][key] for key in ADVICE}
    pages = [compose(screen, lang, ZONE) for screen in (*shown(), *admissions())]
    checked = [page for page in pages if page.icon == "check"]
    assert len(checked) > 20
    for page in checked:
        words = (page.headline, *page.lines)
        assert not asked.intersection(words), words
        assert not any(ASKS.search(word) for word in words), words


@pytest.mark.parametrize("size", [NORM, WIDE])
@pytest.mark.parametrize("lang", LANGS)
@given(count=st.integers(0, 12), offline=st.booleans())
def test_every_leaf_of_a_hosts_page_has_the_check_mark(
    lang: Lang, size: tuple[int, int], count: int, offline: bool
) -> None:
    screen = samples(lang)["vip-host"]
    assert isinstance(screen, VerdictScreen)
    verdict = replace(screen.verdict, table=replace(FULL_TABLE, guests=FULL_TABLE.guests[:count]))
    page = compose(replace(screen, verdict=verdict, link=OFFLINE if offline else ONLINE), lang, ZONE)
    plan = layout(page, size)
    assert plan.icon == "check"
    marks = [leaf.icon_box for leaf in plan.leaves] or [plan.icon_box]
    assert all(mark is not None and mark.w >= 15 for mark in marks)

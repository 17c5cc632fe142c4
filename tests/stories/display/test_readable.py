"""Every screen has readable text, whatever the names: emoji, Arabic, Hebrew, or nothing."""

from __future__ import annotations

from datetime import UTC
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from display import fonts
from display.picture.draw import NORM, WIDE, draw
from display.picture.layout import layout
from display.text.catalogue import Lang
from display.text.words import Page, compose
from gate.ports.screen import DoubleEntry, EntryPlace, Idle, Screen, StaffText, VerdictScreen
from gate.rules.model import Kind, Reason, Ruling, Verdict
from tests.factories import NOW, a_table, an_event

LANGUAGES: tuple[Lang, ...] = get_args(Lang)
UNREADABLE = ["\U000f0000", "\u2066\u2069", "\u0301", "٪", " \u200b ", ""]
NAMES = ["🔥🔥🔥", "حفلة الجمعة", "מסיבת שישי", "派对之夜", "파티", "пятница", "Ana 🎉"]
IDLE = Idle(event="Perreo Fridays", gate_name="GATE 1", inside=1, capacity=9, now=NOW, event_code="PF")


def idle(name: str) -> Idle:
    return replace(IDLE, event=name)


def answer(name: str, kind: Kind = Kind.VIP_HOST, reason: Reason = Reason.FIRST_ENTRY) -> VerdictScreen:
    """A verdict in which everything that people can name has this name."""
    admits = reason in (Reason.FIRST_ENTRY, Reason.REENTRY)
    table = a_table(number=name, name=name, host=name, guests=(name, "Ana", name), tier=name)
    verdict = Verdict(
        ruling=Ruling.ADMIT if admits else Ruling.DENY,
        reason=reason,
        line=1,
        kind=kind,
        event=an_event(name=name),
        table=table,
        holder=name,
        ticket_type=name,
        other_gate=name,
    )
    return VerdictScreen(verdict=verdict, place=name)


def screens(name: str) -> list[Screen]:
    place = EntryPlace(gate=name, at=NOW)
    shown: list[Screen] = [idle(name), DoubleEntry(counts=place, other=place), StaffText(text=name)]
    shown += [answer(name, kind) for kind in Kind]
    return shown + [answer(name, Kind.VIP_PASS, reason) for reason in Reason]


def painted(page: Page, size: tuple[int, int]) -> list[str]:
    plan = layout(page, size)
    return [text.text for text in plan.texts] + [text.text for leaf in plan.leaves for text in leaf.texts]


def headline_is_painted(page: Page) -> bool:
    head = set(fonts.plain(page.headline).replace("-", " ").split())
    shown = [set(" ".join(painted(page, size)).replace("-", " ").split()) for size in (NORM, WIDE)]
    return bool(head) and all(head <= words for words in shown)


@pytest.mark.parametrize("name", NAMES + UNREADABLE, ids=ascii)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_screen_has_a_headline_whatever_the_names(name: str, lang: Lang) -> None:
    for screen in screens(name):
        page = compose(screen, lang, UTC)
        assert fonts.plain(page.headline), screen
        assert all(fonts.plain(line) for line in (*page.lines[:2], *page.roll) if not page.header), screen


@given(st.text(max_size=60), st.sampled_from(LANGUAGES))
def test_any_text_from_the_database_leaves_a_headline(name: str, lang: Lang) -> None:
    for screen in (idle(name), answer(name), answer(name, reason=Reason.OTHER_GATE)):
        page = compose(screen, lang, UTC)
        assert page.headline.strip()
        assert fonts.plain(page.headline)
        assert all(fonts.plain(line) for line in (*page.lines[:1], *page.roll))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_headline_is_what_is_painted(name: str) -> None:
    for screen in (idle(name), answer(name)):
        assert headline_is_painted(compose(screen, "es", UTC))
        assert draw(compose(screen, "es", UTC)).getbbox() is not None


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("🔥🔥🔥", "fire"),
        ("🔥 Noche 🔥", "Noche"),
        ("חגיגה", "hgygh"),
        ("حفلة", "hflh"),
        ("派对之夜", "PaiDuiZhiYe"),
        ("Жара", "Жара"),
        *((name, "PF") for name in UNREADABLE),
    ],
    ids=ascii,
)
def test_the_nights_name_is_transliterated_or_replaced_by_its_code(name: str, headline: str) -> None:
    assert compose(idle(name), "es", UTC).headline == headline
    lines = compose(answer(name, reason=Reason.WRONG_EVENT), "es", UTC).lines
    assert lines[-1] == headline


@pytest.mark.parametrize(
    ("number", "shown"), [("١٢", "12"), ("12️⃣", "12"), ("⑫", "12"), ("🐉", "dragon"), ("七", "Qi")]
)
def test_a_tables_number_is_transliterated(number: str, shown: str) -> None:
    table = a_table(number=number)
    for kind, headline in ((Kind.VIP_HOST, f"TABLE {shown}"), (Kind.VIP_LINKED, f"GUEST OF TABLE {shown}")):
        screen = answer("Ana", kind)
        said = compose(replace(screen, verdict=replace(screen.verdict, table=table)), "en", UTC)
        assert said.headline == headline


@pytest.mark.parametrize("number", UNREADABLE)
def test_a_table_with_an_unreadable_number_is_called_by_its_name(number: str) -> None:
    screen = answer("Ana", Kind.VIP_HOST, Reason.REENTRY)
    said = compose(replace(screen, verdict=replace(screen.verdict, table=a_table(number=number))), "en", UTC)
    assert said.lines[-1] == "Terraza Norte"
    host = answer("Ana")
    said = compose(replace(host, verdict=replace(host.verdict, table=a_table(number=number))), "en", UTC)
    assert said.headline == "VIP HOST"


def test_right_to_left_letters_and_digits_are_in_reading_order() -> None:
    assert fonts.plain("Mesa \u05d3\u05d5\u05d3 12") == "Mesa dvd 12"
    assert fonts.plain("\u202bשרה\u202c & Ana") == "srh & Ana"


def test_without_an_event_the_headline_says_so() -> None:
    assert compose(replace(IDLE, event=None, event_code=""), "en", UTC).headline == "NO EVENT"

"""Whatever the names and numbers: everything is drawn, inside the panel, nothing over anything else."""

from datetime import UTC, datetime
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from display import fonts
from display.draw import HOLD, draw, moves
from display.layout import MARK, layout
from display.samples import ZONE, samples
from display.shapes import Box
from display.words import Page, compose
from gate.errors import Step
from gate.model import Entry, Event, Flag, Kind, Reason, ReservationStatus, Ruling, Table, Verdict
from gate.screen import Answer, Idle, Link, Notice, OutOfOrder, Part, Screen

SIZES = [(128, 64), (256, 64)]

names = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(codec="latin-1"), max_size=80),
    st.lists(st.sampled_from(["José", "María", "Hernández-Villaseñor", "de", "ÁÉÑ", "gjyç", "W" * 30])).map(
        " ".join
    ),
)
numbers = st.one_of(st.integers(0, 2000), st.integers(-(10**12), 10**12))
times = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
links = st.builds(Link, online=st.booleans(), waiting=numbers, cache_age_s=st.none() | numbers)
entries = st.builds(Entry, at=times, gate=names)
events = st.builds(
    Event, event_id=st.just("e"), code=st.just("PF"), name=names, doors_open_at=times, ends_at=times
)
tables = st.builds(
    Table,
    reservation_id=st.just("r"),
    event_id=st.just("e"),
    number=names,
    name=names,
    tier=st.sampled_from(["premium", "front_row", "standard"]) | names,
    status=st.sampled_from(ReservationStatus),
    host=names,
    seats=numbers,
    arrived=numbers,
    guests=st.lists(names, max_size=20).map(tuple),
)
verdicts = st.builds(
    Verdict,
    ruling=st.sampled_from(Ruling),
    reason=st.sampled_from(Reason),
    rule=st.integers(0, 13),
    kind=st.sampled_from(Kind),
    flags=st.lists(st.sampled_from(Flag), max_size=3).map(tuple),
    subject_id=st.none() | st.just("s"),
    event=st.none() | events,
    table=st.none() | tables,
    ticket_type=names,
    holder=names,
    entry=st.none() | entries,
)
screens: st.SearchStrategy[Screen] = st.one_of(
    st.builds(
        Idle,
        event=st.none() | names,
        gate_name=names,
        inside=numbers,
        capacity=numbers,
        now=times,
        link=links,
    ),
    st.builds(Answer, verdict=verdicts, place=names, link=links),
    st.builds(OutOfOrder, part=st.sampled_from(Part), step=st.sampled_from(Step), link=links),
    st.builds(Notice, word=st.sampled_from(["starting", "closed", "see_staff"]), link=links),
)


def boxes(page: Page, size: tuple[int, int]) -> list[Box]:
    """Everything that is painted, by its rectangle."""
    plan = layout(page, size)
    found = [text.box for text in plan.texts if text.text]
    if plan.roll is not None:
        found.append(plan.roll.box)
    if plan.icon_box is not None and plan.icon != "none":
        found.append(plan.icon_box)
    if plan.mark is not None:
        found.append(Box(x=plan.mark[0], y=plan.mark[1], w=MARK, h=MARK))
    return found


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.right and other.x < one.right
    return across and one.y < other.bottom and other.y < one.bottom


def words_of(page: Page) -> set[str]:
    texts = (page.headline, *page.lines, *page.roll, *page.banner)
    return {word for text in texts for word in fonts.plain(text).replace("·", " ").split()}


def painted_words(page: Page, size: tuple[int, int]) -> set[str]:
    plan = layout(page, size)
    rows = [text.text for text in plan.texts] + list(plan.roll.rows if plan.roll else ())
    # halves of a hyphenated name stand below each other and read on
    return set(" ".join(rows).replace("·", " ").replace("- ", "-").split()) | set(" ".join(rows).split())


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens, t=st.floats(0, 1000))
def test_any_screen_is_drawn_inside_the_panel_and_nothing_overlaps(
    size: tuple[int, int], screen: Screen, t: float
) -> None:
    for lang in ("en", "es"):
        page = compose(screen, lang, ZONE)
        assert draw(page, size, t).size == size
        found = boxes(page, size)
        assert all(box.x >= 0 and box.y >= 0 for box in found)
        assert all(box.right <= size[0] and box.bottom <= size[1] for box in found)
        assert not [pair for pair in combinations(found, 2) if overlap(*pair)]


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens)
def test_text_is_whole_or_moves(size: tuple[int, int], screen: Screen) -> None:
    plan = layout(compose(screen, "es", ZONE), size)
    for text in plan.texts:
        assert text.moves or text.width <= text.box.w
        assert not text.text or text.box.h == fonts.ink(text.text, text.size).height


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens)
def test_no_word_is_lost(size: tuple[int, int], screen: Screen) -> None:
    page = compose(screen, "en", ZONE)
    missing = words_of(page) - painted_words(page, size)
    assert not {word for word in missing if "-" not in word}


@pytest.mark.parametrize("lang", ["en", "es"])
@pytest.mark.parametrize("size", SIZES)
def test_only_guest_lists_move_among_the_samples(lang: str, size: tuple[int, int]) -> None:
    found = {name for name, s in samples(lang).items() if moves(compose(s, lang, ZONE), size)}  # type: ignore[arg-type]
    assert found == {"vip-host", "vip-host-offline"}


def test_a_guest_list_stands_still_first_then_scrolls_past_every_name() -> None:
    page = compose(samples()["vip-host"], "en", ZONE)
    assert draw(page, t=0.0).tobytes() == draw(page, t=HOLD).tobytes()
    frames = {draw(page, t=HOLD + step / 10).tobytes() for step in range(1, 60)}
    assert len(frames) == 59


def test_a_page_without_anything_too_long_never_changes() -> None:
    page = compose(samples()["welcome"], "en", ZONE)
    assert draw(page, t=0.0).tobytes() == draw(page, t=500.0).tobytes()


def test_offline_is_a_lit_bar_across_the_whole_panel() -> None:
    for name in ("welcome", "vip-host", "reentry", "deny-already-used"):
        online = draw(compose(samples()[name], "en", ZONE))
        offline = draw(compose(samples()[f"{name}-offline"], "en", ZONE))
        assert all(offline.getpixel((x, 0)) for x in range(128))
        assert not any(online.getpixel((x, 0)) for x in range(128))


def test_times_of_another_zone_are_the_venues() -> None:
    at = datetime.fromisoformat("2025-02-01T06:04:00+02:00")
    screen = Idle(event="X", gate_name="G", inside=0, capacity=0, now=at)
    assert compose(screen, "en", ZONE).lines[-1] == "22:04"

"""Whatever the names and numbers, everything is drawn inside the panel and nothing overlaps."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from display import fonts
from display.picture.draw import draw, moves, walk
from display.picture.layout import MARK, layout
from display.picture.shapes import Box, Leaf
from display.samples import ZONE, samples
from display.text.catalogue import Lang
from display.text.words import Page, compose
from gate.common.errors import Step
from gate.ports.screen import (
    DoubleEntry,
    EntryPlace,
    Focus,
    Idle,
    LinkView,
    Notice,
    OutOfOrder,
    Part,
    Screen,
    StaffText,
    Typing,
    VerdictScreen,
)
from gate.rules.model import Entry, Event, Flag, Kind, Reason, ReservationStatus, Ruling, Table, Verdict
from gate.rules.typo import Typo

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
links = st.builds(
    LinkView,
    online=st.booleans(),
    waiting=numbers,
    cache_age_s=st.none() | numbers,
    isolated=st.booleans(),
)
places = st.builds(EntryPlace, gate=names, at=times)
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
    line=st.integers(0, 13),
    kind=st.sampled_from(Kind),
    flags=st.lists(st.sampled_from(Flag), max_size=3).map(tuple),
    subject_id=st.none() | st.just("s"),
    event=st.none() | events,
    table=st.none() | tables,
    ticket_type=names,
    holder=names,
    entry=st.none() | entries,
    other_gate=names,
)
typos = st.builds(Typo, group=st.integers(1, 9), place=st.integers(1, 64), wrote=st.sampled_from("8BOÑ"))
codes = st.text("MGYPF0123456789VIPAS-", max_size=80) | st.text(max_size=80)
screens: st.SearchStrategy[Screen] = st.one_of(
    st.builds(
        Idle,
        event=st.none() | names,
        gate_name=names,
        inside=numbers,
        capacity=numbers,
        now=times,
        doors=st.none() | times,
        knows_time=st.booleans(),
        link=links,
    ),
    st.builds(DoubleEntry, counts=places, other=places, link=links),
    st.builds(StaffText, text=st.text(max_size=200) | names, link=links),
    st.builds(VerdictScreen, verdict=verdicts, place=names, link=links, typo=st.none() | typos),
    st.builds(OutOfOrder, part=st.sampled_from(Part), step=st.sampled_from(Step), link=links),
    st.builds(Notice, word=st.sampled_from(["starting", "closed", "held_open", "slower"]), link=links),
    st.builds(Typing, text=codes, link=links),
    st.builds(Focus, sharpness=st.integers(0, 999), best=st.integers(0, 999), read=st.booleans()),
)


def boxes(page: Page, size: tuple[int, int]) -> Iterator[list[Box]]:
    """The rectangles of everything painted at the same time, once for each leaf."""
    plan = layout(page, size)
    marks = [Box(x=plan.mark[0], y=plan.mark[1], w=MARK, h=MARK)] if plan.mark is not None else []
    frames = [plan.frame] if plan.frame is not None else []
    for leaf in plan.leaves or (Leaf(),):
        icons = [box for box in (plan.icon_box, leaf.icon_box) if box is not None and plan.icon != "none"]
        yield [text.box for text in plan.texts + leaf.texts if text.text] + icons + marks + frames


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.right and other.x < one.right
    return across and one.y < other.bottom and other.y < one.bottom


def words_of(page: Page) -> set[str]:
    texts = (page.headline, *page.lines, *page.roll, *page.banner)
    return {word for text in texts for word in fonts.plain(text).replace("·", " ").split()}


def painted_words(page: Page, size: tuple[int, int]) -> set[str]:
    plan = layout(page, size)
    rows = [text.text for text in plan.texts]
    rows += [text.text for leaf in plan.leaves for text in leaf.texts]
    # the halves of a hyphenated name stand on two rows and are read as one word
    words = " ".join(rows).replace("·", " ")
    return set(words.replace("- ", "-").split()) | set(words.split())  # "--:--" is not half of a name


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens, t=st.floats(0, 1000))
def test_any_screen_is_drawn_inside_the_panel_and_nothing_overlaps(
    size: tuple[int, int], screen: Screen, t: float
) -> None:
    for lang in ("en", "es"):
        page = compose(screen, lang, ZONE)
        assert draw(page, size, t).size == size
        for found in boxes(page, size):
            assert all(box.x >= 0 and box.y >= 0 for box in found)
            assert all(box.right <= size[0] and box.bottom <= size[1] for box in found)
            assert not [pair for pair in combinations(found, 2) if overlap(*pair)]


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens)
def test_text_fits_its_box_or_moves(size: tuple[int, int], screen: Screen) -> None:
    plan = layout(compose(screen, "es", ZONE), size)
    for text in plan.texts + tuple(text for leaf in plan.leaves for text in leaf.texts):
        assert text.moves or text.width <= text.box.w
        assert not text.text or text.box.h == fonts.ink(text.text, text.size).height


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens)
def test_no_word_is_lost(size: tuple[int, int], screen: Screen) -> None:
    page = compose(screen, "en", ZONE)
    missing = set() if page.typed else words_of(page) - painted_words(page, size)
    assert not {word for word in missing if "-" not in word}


@pytest.mark.parametrize("lang", ["en", "es"])
@pytest.mark.parametrize("size", SIZES)
def test_only_guest_lists_and_very_long_names_move_among_the_samples(
    lang: Lang, size: tuple[int, int]
) -> None:
    found = {name for name, s in samples(lang).items() if moves(compose(s, lang, ZONE), size)}
    assert {"vip-host", "vip-host-offline", "vip-host-full-table"} <= found
    assert found <= {
        "vip-host",
        "vip-host-offline",
        "vip-host-full-table",
        "vip-linked-long-name",
        "staff-text-longest",
    }


def test_a_page_without_anything_too_long_never_changes() -> None:
    page = compose(samples()["welcome"], "en", ZONE)
    assert draw(page, t=0.0).tobytes() == draw(page, t=500.0).tobytes()


def test_offline_is_a_lit_bar_across_the_whole_panel() -> None:
    for name in ("welcome", "vip-host", "reentry", "deny-already-used"):
        online = draw(compose(samples()[name], "en", ZONE))
        offline = draw(compose(samples()[f"{name}-offline"], "en", ZONE))
        assert all(offline.getpixel((x, 0)) for x in range(128))
        assert not any(online.getpixel((x, 0)) for x in range(128))


def test_a_time_in_another_zone_is_shown_in_the_venues_zone() -> None:
    at = datetime.fromisoformat("2025-02-01T06:04:00+02:00")
    screen = Idle(event="X", gate_name="G", inside=0, capacity=0, now=at)
    assert compose(screen, "en", ZONE).lines[-1] == "22:04"


# --- burn-in


@pytest.mark.parametrize("size", SIZES)
@given(screen=screens, minute=st.integers(0, 10**9))
def test_a_page_that_stands_for_hours_moves_about_and_loses_nothing(
    size: tuple[int, int], screen: Screen, minute: int
) -> None:
    page = compose(screen, "es", ZONE)
    still, moved = draw(page, size), draw(page, size, minute=minute)
    if not page.standing:
        assert moved.tobytes() == still.tobytes()
        return
    dx, dy = walk(minute)
    bar = layout(page, size).bar
    below = bar.bottom if bar else 0
    where = (0, below, size[0], size[1])
    body, box = still.crop(where), still.crop(where).getbbox()
    assert box is None or (box[0] + dx >= 0 and box[2] + dx <= size[0] and box[3] + dy <= body.height)
    shifted = moved.crop((0, below + dy, *size))
    assert lit(shifted) == lit(body)
    if bar is not None:
        assert all(moved.getpixel((x, y)) for x in (0, size[0] - 1) for y in range(bar.bottom + dy))


def lit(picture: Image.Image) -> int:
    return sum(picture.histogram()[1:])


def test_standing_pages_shift_by_a_few_pixels_every_minute() -> None:
    places = [walk(minute) for minute in range(15)]
    assert len(set(places)) == 15
    assert all(-2 <= dx <= 2 and 0 <= dy <= 2 for dx, dy in places)
    assert walk(0) == walk(15) == (0, 0)


def test_only_pages_without_a_time_limit_are_standing() -> None:
    standing = {name for name, screen in samples().items() if compose(screen, "en", ZONE).standing}
    kinds = ("idle", "out-of-order", "starting", "updating", "closed", "held-open", "free-passage")
    assert standing == {name for name in samples() if name.startswith(kinds)}


# --- readable from afar


LEAST = {(128, 64): 14, (256, 64): 20}
"""The smallest font of a headline, in pixels: capitals of 4.3 mm on 2.4 inches (docs/wiring.md)."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lang", ["en", "es"])
def test_the_headline_of_every_sample_is_large_and_larger_than_its_lines(
    size: tuple[int, int], lang: Lang
) -> None:
    for name, screen in samples(lang).items():
        page = compose(screen, lang, ZONE)
        if page.typed or page.header is not None:
            continue
        plan = layout(page, size)
        texts = plan.texts[2 * bool(page.banner) :] + (plan.leaves[0].texts if plan.leaves else ())
        assert fonts.plain(page.headline).startswith(texts[0].text.split()[0]), name
        assert texts[0].size >= LEAST[size], name
        assert all(text.size <= texts[0].size for text in texts), name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lang", ["en", "es"])
@pytest.mark.parametrize("part", Part)
def test_a_fault_and_its_next_step_fit_one_still_picture(
    size: tuple[int, int], lang: Lang, part: Part
) -> None:
    for step, online in product(Step, (True, False)):
        broken = OutOfOrder(part=part, step=step, link=LinkView(online=online, cache_age_s=740))
        plan = layout(compose(broken, lang, ZONE), size)
        assert not plan.leaves, step
        assert not plan.moves, step

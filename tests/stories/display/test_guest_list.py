"""The host's page shows the table and all its guests within the screen's time (domain 2.4)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image, ImageDraw

from display import fonts
from display.panel.oled import FRAME_S
from display.picture.draw import draw
from display.picture.layout import layout
from display.picture.shapes import PlacedText
from display.picture.turned_pages import UNHURRIED, spans
from display.samples import FULL_TABLE, OFFLINE, TABLE, ZONE, samples
from display.text.catalogue import Lang
from display.text.words import Page, compose
from gate.ports.screen import VerdictScreen, seconds_shown

SIZES = [(128, 64), (256, 64)]
LEAST_S = 0.2
"""Seconds a name is shown at least, even at a table of twelve with four rows for each name."""

LEGIBLE_S = 0.4
"""Seconds a name is shown at least if the names have realistic lengths (`FULL_TABLE`)."""

LONGEST = ("María de los Ángeles Villaseñor-Hernández",) * 12
given_names = st.sampled_from(
    ["Ana", "José Ángel", "María de los Ángeles", "Guadalupe", "Zoë", "Íñigo", "Cuauhtémoc"]
)
surnames = st.sampled_from(
    ["Peña", "Núñez", "Villaseñor-Hernández", "Fernández de Córdova", "Ibargüengoitia", "Xicoténcatl"]
)
guests = st.lists(st.builds("{} {}".format, given_names, surnames), max_size=12).map(tuple)


def host(names: tuple[str, ...], *, offline: bool = False) -> VerdictScreen:
    screen = samples("es")["vip-host"]
    assert isinstance(screen, VerdictScreen)
    verdict = replace(screen.verdict, table=replace(FULL_TABLE, guests=names, host="Ana Peña"), holder="")
    return replace(screen, verdict=verdict, link=OFFLINE if offline else screen.link)


def times(seconds: float) -> list[float]:
    """The times at which the panel draws a picture while the screen is shown."""
    return [frame * FRAME_S for frame in range(round(seconds / FRAME_S))]


def standing_at(page: Page, size: tuple[int, int], t: float) -> tuple[PlacedText, ...]:
    """The texts of the leaf that is shown at `t`."""
    plan = layout(page, size)
    if not plan.leaves:  # without guests everything fits on one page
        return plan.texts
    for leaf, length in zip(plan.leaves, spans(len(plan.leaves), plan.seconds), strict=True):
        if t < length:
            return leaf.texts
        t -= length
    return ()


def is_whole(name: str, texts: tuple[PlacedText, ...], size: tuple[int, int]) -> bool:
    """Whether a name can be read on one leaf, uncut, in rows that do not move."""
    rows = [text.text for text in texts if not text.moves and text.box.bottom <= size[1]]
    return fonts.plain(name).replace(" ", "") in "".join(rows).replace(" ", "")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offline", [False, True])
@given(names=guests)
@example(names=LONGEST)
def test_every_guest_of_a_table_of_twelve_is_shown_whole_within_the_screens_time(
    size: tuple[int, int], offline: bool, names: tuple[str, ...]
) -> None:
    screen = host(names, offline=offline)
    assert seconds_shown(screen) == 4.0
    for shown in ("Terraza Norte", "Premium", "Titular: Ana Peña", "12 de 12", *names):
        assert seconds_whole(shown, screen, size) >= LEAST_S, shown


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offline", [False, True])
def test_twelve_long_names_are_all_shown_long_enough_to_be_read(size: tuple[int, int], offline: bool) -> None:
    screen = host(FULL_TABLE.guests, offline=offline)
    for name in FULL_TABLE.guests:
        assert seconds_whole(name, screen, size) >= LEGIBLE_S, name


def seconds_whole(shown: str, screen: VerdictScreen, size: tuple[int, int]) -> float:
    """How long a name can be read uncut while the screen is shown, by the pictures the panel draws."""
    page = compose(screen, "es", ZONE)
    frames = [is_whole(shown, standing_at(page, size, t), size) for t in times(4.0)]
    return round(sum(frames) * FRAME_S, 3)


@pytest.mark.parametrize("size", SIZES)
def test_the_pictures_of_a_full_table_show_every_leaf_once(size: tuple[int, int]) -> None:
    """The same rule in pixels: as many pictures as leaves, and none twice."""
    page = compose(samples("es")["vip-host-full-table"], "es", ZONE)
    pictures = [draw(page, size, t).tobytes() for t in times(4.0)]
    turned = [new for old, new in pairwise([b"", *pictures]) if new != old]
    assert len(turned) == len(set(turned)) == len(layout(page, size).leaves) > 3
    assert draw(page, size, 4.0).tobytes() == pictures[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lang", ["es", "en"])
def test_the_table_comes_first_and_its_headline_is_large(size: tuple[int, int], lang: Lang) -> None:
    page = compose(samples(lang)["vip-host-full-table"], lang, ZONE)
    first = layout(page, size).leaves[0].texts
    assert (first[0].text, first[1].text) == (page.headline, "Terraza Norte")
    assert first[0].size >= 20
    assert spans(len(layout(page, size).leaves), page.seconds)[0] >= 1.0


def test_a_short_list_keeps_the_tables_number_on_every_leaf() -> None:
    page = compose(host(TABLE.guests[:2]), "es", ZONE)
    leaves = layout(page, (128, 64)).leaves
    assert len(leaves) > 1
    assert all(leaf.texts[0].text == "MESA 12" for leaf in leaves)


@pytest.mark.parametrize("size", SIZES)
def test_a_word_wider_than_the_screen_scrolls_to_its_end_while_its_leaf_is_shown(
    size: tuple[int, int],
) -> None:
    word = "Ñ" + "abcdefghijklmnopqrstuvwxyz" * 2 + "É"
    page = compose(host((word,)), "es", ZONE)
    plan = layout(page, size)
    starts = [sum(spans(len(plan.leaves), 4.0)[:n]) for n in range(len(plan.leaves) + 1)]
    number = next(n for n, leaf in enumerate(plan.leaves) if any(text.text == word for text in leaf.texts))
    text = next(text for text in plan.leaves[number].texts if text.text == word)
    first, last = (draw(page, size, t) for t in (starts[number] + 0.01, starts[number + 1] - 0.01))
    box = (text.box.x, text.box.y, text.box.right, text.box.bottom)
    assert first.crop(box).tobytes() == draw(page, size, starts[number] + 0.05).crop(box).tobytes()
    beginning = alone(text, word[: text.box.w // fonts.width("M", text.size)])
    assert first.crop(box).crop(beginning[1]).tobytes() == beginning[0]
    end = word[-(text.box.w // fonts.width("M", text.size)) :]
    shown = last.crop(box)
    across = fonts.width(end, text.size)
    assert shown.crop((text.box.w - across, 0, text.box.w, text.box.h)).tobytes() == alone(text, end)[0]


def alone(text: PlacedText, part: str) -> tuple[bytes, tuple[int, int, int, int]]:
    """Part of a line drawn by itself, and its place in the line's box when it is at the left."""
    across = fonts.width(part, text.size)
    picture = Image.new("1", (across, text.box.h))
    top = fonts.ink(text.text, text.size).top
    ImageDraw.Draw(picture).text((0, -top), part, fill=1, font=fonts.font(text.size))
    return picture.tobytes(), (0, 0, across, text.box.h)


def test_each_leaf_gets_its_share_of_the_screens_time() -> None:
    assert spans(3, None) == [UNHURRIED] * 3
    assert spans(1, 2.0) == [2.0]
    assert spans(5, 4.0) == [1.0, 0.75, 0.75, 0.75, 0.75]
    assert spans(2, 4.0) == [2.0, 2.0]

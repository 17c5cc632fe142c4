"""Pictures as files and as text."""

from pathlib import Path

from PIL import Image

from display.picture.draw import WIDE
from display.preview import magnify, pictures, text_art, write_all


def test_every_screen_is_written_for_both_panels_small_and_large(tmp_path: Path) -> None:
    folder, wide = tmp_path / "new", tmp_path / "new" / "256x64"
    written = write_all(folder, "es")
    assert set(written) == {*folder.glob("*.png"), *wide.glob("*.png")}
    assert len(written) == 2 * len(pictures("es")) + 2 * len(pictures("es", WIDE))
    for path, size in (
        (folder / "001-idle.png", (128, 64)),
        (folder / "001-idle@4x.png", (512, 256)),
        (wide / "001-idle.png", (256, 64)),
        (wide / "001-idle@4x.png", (1024, 256)),
    ):
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("1", size)


def test_every_leaf_of_the_hosts_page_has_a_picture() -> None:
    names = [name.partition("-")[2] for name in pictures("es")]
    assert [name for name in names if name.startswith("vip-host-full-table")] == [
        "vip-host-full-table",
        *(f"vip-host-full-table-{leaf}" for leaf in range(2, 8)),
    ]


def test_magnified_pixels_stay_square() -> None:
    picture = Image.new("1", (2, 1))
    picture.putpixel((1, 0), 1)
    large = magnify(picture, 3)
    assert [bool(large.getpixel((x, 2))) for x in range(6)] == [False] * 3 + [True] * 3


def test_half_blocks_show_two_rows_of_pixels_each() -> None:
    picture = Image.new("1", (4, 2))
    for xy in ((1, 0), (2, 1), (3, 0), (3, 1)):
        picture.putpixel(xy, 1)
    assert text_art(picture) == " ▀▄█"


def test_braille_shows_eight_pixels_each() -> None:
    picture = Image.new("1", (4, 4), 1)
    picture.paste(0, (2, 0, 4, 4))
    picture.putpixel((3, 3), 1)
    assert text_art(picture, style="braille") == "\u28ff\u2880"


def test_text_art_fits_a_terminal() -> None:
    picture = pictures("en")["001-idle"]
    blocks, braille = text_art(picture).split("\n"), text_art(picture, style="braille").split("\n")
    assert (len(blocks), {len(row) for row in blocks}) == (32, {128})
    assert (len(braille), {len(row) for row in braille}) == (16, {64})

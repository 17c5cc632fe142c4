"""Pictures as files and as text."""

from pathlib import Path

from PIL import Image

from display.preview import magnify, pictures, text_art, write_all


def test_every_screen_is_written_in_both_sizes(tmp_path: Path) -> None:
    written = write_all(tmp_path / "new", "es")
    assert {path.name for path in written} == {path.name for path in (tmp_path / "new").iterdir()}
    assert len(written) == 2 * len(pictures("es"))
    with Image.open(tmp_path / "new" / "01-idle.png") as small:
        assert (small.mode, small.size) == ("1", (128, 64))
    with Image.open(tmp_path / "new" / "01-idle@4x.png") as large:
        assert (large.mode, large.size) == ("1", (512, 256))


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
    picture = pictures("en")["01-idle"]
    blocks, braille = text_art(picture).split("\n"), text_art(picture, style="braille").split("\n")
    assert (len(blocks), {len(row) for row in blocks}) == (32, {128})
    assert (len(braille), {len(row) for row in braille}) == (16, {64})

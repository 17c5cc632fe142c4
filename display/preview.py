"""The screens without a panel: PNG files for people and tests, text art for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from PIL import Image

from display.picture.draw import NORM, WIDE, Size, draw, turns
from display.samples import ZONE, samples
from display.text.catalogue import Lang
from display.text.words import compose

MAGNIFIED = 4
"""How many times larger the pictures for people are."""


_INTO_A_LEAF = 0.05  # seconds after the page has turned to a leaf: nothing on it moves yet


def pictures(lang: Lang, size: Size = NORM) -> dict[str, Image.Image]:
    """The picture of every sample, by a stable name that sorts in order: ``001-idle``.

    A page of several leaves has one picture for each: ``013-vip-host``, ``013-vip-host-2``.
    """
    found = {}
    for number, (name, screen) in enumerate(samples(lang).items(), start=1):
        page = compose(screen, lang, ZONE)
        for leaf, start in enumerate(turns(page, size), start=1):
            suffix = f"-{leaf}" if leaf > 1 else ""
            found[f"{number:03}-{name}{suffix}"] = draw(page, size, start + _INTO_A_LEAF)
    return found


def write_all(out_dir: Path, lang: Lang) -> list[Path]:
    """Write every sample as ``001-idle.png`` and, four times as large, as ``001-idle@4x.png``.

    Those for the wide panel go into the subfolder ``256x64``.

    :returns: the files written. Raises OSError if the folder cannot be written.
    """
    wide = out_dir / f"{WIDE[0]}x{WIDE[1]}"
    return [*_write(out_dir, pictures(lang)), *_write(wide, pictures(lang, WIDE))]


def _write(folder: Path, drawn: Mapping[str, Image.Image]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in drawn.items():
        for path, image in (
            (folder / f"{name}.png", picture),
            (folder / f"{name}@{MAGNIFIED}x.png", magnify(picture)),
        ):
            image.save(path)
            written.append(path)
    return written


def magnify(picture: Image.Image, times: int = MAGNIFIED) -> Image.Image:
    """The same pixels, larger."""
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def text_art(image: Image.Image, style: Literal["blocks", "braille"] = "blocks") -> str:
    """A picture as text, without a final newline.

    ``blocks``: half blocks, a column per pixel and a row per two. ``braille``: a column per two pixels and a
    row per four, so that two gates fit side by side.
    """
    return _braille(image) if style == "braille" else _blocks(image)


def _blocks(image: Image.Image) -> str:
    rows = range(0, image.height, 2)
    return "\n".join(
        "".join(" ▀▄█"[_lit(image, x, y) + 2 * _lit(image, x, y + 1)] for x in range(image.width))
        for y in rows
    )


# Unicode numbers the dots of a cell column by column, the fourth row last (U+2800 ff.).
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


def _braille(image: Image.Image) -> str:
    return "\n".join(
        "".join(_cell(image, x, y) for x in range(0, image.width, 2)) for y in range(0, image.height, 4)
    )


def _cell(image: Image.Image, x: int, y: int) -> str:
    return chr(0x2800 + sum(_lit(image, x + dx, y + dy) << bit for bit, (dx, dy) in enumerate(_DOTS)))


def _lit(image: Image.Image, x: int, y: int) -> bool:
    return x < image.width and y < image.height and bool(image.getpixel((x, y)))

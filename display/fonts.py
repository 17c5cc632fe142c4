"""Terminus Font, bold: a bitmap font, so that every pixel is the same on every machine.

The files in `fonts/` are distributed under the SIL Open Font License (`fonts/LICENSE`). Sizes are the font's
own heights in pixels; there are no others.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import msgspec
from anyascii import anyascii
from PIL import ImageFont

SIZES = (32, 28, 24, 22, 20, 18, 16, 14, 12)
"""The font's heights, largest first."""

SMALLEST = SIZES[-1]

_FILE = Path(__file__).with_name("fonts") / "terminus-bold.otb"
_NO_SUCH_CHARACTER = "\U0010ffff"
_WORD = re.compile(r"[A-Za-z0-9]+")
_WITHOUT_DECOMPOSITION = str.maketrans({"ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"})


class Ink(msgspec.Struct, frozen=True):
    """Extent of a line's ink, in pixels: from row `top` to before row `bottom`, `width` across."""

    top: int
    bottom: int
    width: int

    @property
    def height(self) -> int:
        """Rows the line covers."""
        return self.bottom - self.top


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font at one of `SIZES`, with the simple layout engine, since Raqm is not everywhere."""
    return ImageFont.truetype(_FILE, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def width(text: str, size: int) -> int:
    """Pixels across; all characters are equally wide."""
    return int(font(size).getlength(text))


@lru_cache(maxsize=1024)
def ink(text: str, size: int) -> Ink:
    """The rows that a line needs: at least those of a capital, so that lines sit evenly."""
    _, top, _, bottom = _bounds("H", size)
    for character in text:
        bounds = _bounds(character, size)
        top, bottom = min(top, bounds[1]), max(bottom, bounds[3])
    return Ink(top, bottom, width(text, size))


@lru_cache(maxsize=1024)
def _bounds(character: str, size: int) -> tuple[int, int, int, int]:
    mask, (left, top) = font(size).getmask2(character, mode="1")
    box = mask.getbbox() or (0, size // 2, 0, size // 2)  # a space has no ink
    return box[0] + left, box[1] + top, box[2] + left, box[3] + top


def plain(text: str) -> str:
    """The text in characters that the font has: "Ǻ" becomes "Å" or "A", never an empty box.

    Letters of scripts that the font lacks are transliterated, and so are those written from right to left,
    which the font would set in the wrong order. Other signs (emoji) are dropped, or spelt out if there is
    nothing else. The result is empty only if there is nothing that anybody could read.
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(_plain(character) for character in composed).split()) or _spelt(composed)


def _spelt(signs: str) -> str:
    """Each sign by its name, once: ``fire party popper``; a letter without a name is ``?``."""
    names = " ".join(dict.fromkeys(_WORD.findall(anyascii(signs).replace("_", " "))))
    return names or "?" * any(unicodedata.category(sign)[0] in "LN" for sign in signs)


@lru_cache(maxsize=2048)
def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace():
        return " "
    if category[0] in "CM":  # controls, halves of surrogates, loose accents
        return ""
    if _has(character):
        return character
    simpler = unicodedata.normalize("NFKD", character.translate(_WITHOUT_DECOMPOSITION))
    kept = "".join(c for c in simpler if unicodedata.category(c)[0] not in "CM" and _has(c))
    return kept or (_latin(character) if category[0] in "LN" else "")


def _latin(character: str) -> str:
    """One letter or number, transliterated; empty if it is not spoken (an alef, a long-vowel mark)."""
    return "".join(c for c in anyascii(character) if c.isalnum() or c in " -")


def _has(character: str) -> bool:
    """Whether the font can set it, from left to right."""
    is_leftward = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    return not is_leftward and _pixels(character) != _pixels(_NO_SUCH_CHARACTER)


@lru_cache(maxsize=2048)
def _pixels(character: str) -> bytes:
    return bytes(font(SMALLEST).getmask(character, mode="1"))


def wrap(text: str, limit: int, size: int) -> list[str]:
    """Break into the fewest lines of at most `limit` pixels, about equally long.

    It breaks between words, or after a hyphen if a word alone is too wide. A word that is still too wide gets
    a line of its own: it has to scroll, and is never cut.
    """
    return list(_wrapped(text, limit // width("M", size)))


@lru_cache(maxsize=1024)
def _wrapped(text: str, cells: int) -> tuple[str, ...]:
    """As `wrap`, counted in characters. Cached, since a layout tries the same words hundreds of times."""
    pieces = [piece for word in text.split() for piece in _pieces(word, cells)]
    lines = _greedy(pieces, cells)
    for fewer in range(cells - 1, 0, -1):
        tighter = _greedy(pieces, fewer)
        if len(tighter) > len(lines) or max(map(len, tighter), default=0) > fewer:
            break
        lines = tighter
    return tuple(lines)


def _pieces(word: str, cells: int) -> list[tuple[str, str]]:
    """What must stay together, each with what joins it to the piece before it."""
    if len(word) <= cells:
        return [(" ", word)]
    parts: list[str] = re.findall(r"[^-]*-+|[^-]+", word)
    return [("" if number else " ", part) for number, part in enumerate(parts)]


def _greedy(pieces: list[tuple[str, str]], cells: int) -> list[str]:
    lines: list[str] = []
    for joint, piece in pieces:
        if lines and len(lines[-1]) + len(joint) + len(piece) <= cells:
            lines[-1] += joint + piece
        else:
            lines.append(piece)
    return lines


def fits(lines: list[str], limit: int, size: int) -> bool:
    """Whether no line is wider than `limit` pixels."""
    return all(width(line, size) <= limit for line in lines)


def largest(text: str, limit: int, height: int, most_lines: int = 3) -> tuple[int, list[str]] | None:
    """The largest size at which these words fit `limit` × `height` pixels, and the lines.

    None if they do not fit at any size.
    """
    for size in SIZES:
        lines = wrap(text, limit, size)
        if len(lines) <= most_lines and fits(lines, limit, size) and block(lines, size) <= height:
            return size, lines
    return None


def block(lines: list[str], size: int) -> int:
    """Height in pixels of lines set below each other."""
    return sum(ink(line, size).height for line in lines) + gap(size) * max(len(lines) - 1, 0)


def gap(size: int) -> int:
    """Rows between two lines."""
    return max(2, size // 7)

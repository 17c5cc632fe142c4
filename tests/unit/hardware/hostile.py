"""Codes that break decoders: the shared ones, and more of the same kinds made here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import segno

from hardware.decoder.picture_file import Grey, load_picture
from tests.unit.hardware.scenes import beside, code, drawn, parts, shared

FRAME = (1280, 720)
"""Wide enough for the largest of them at three pixels per module, with a good code beside it."""


def given() -> Iterator[tuple[str, Grey]]:
    """Yield every shared code with its name."""
    for path in sorted(shared("door/hostile").glob("*.png")):
        yield f"given-{path.stem}", load_picture(path)


def made() -> Iterator[tuple[str, Grey]]:
    """Yield more codes of the same kinds with their names."""
    for count, part in enumerate(parts("structured append in sixteen parts " * 9, 16), start=1):
        if count in (1, 2, 16):
            yield f"part-{count}-of-16", part
    for level in "LH":
        yield f"version-40-{level}", code("MGY" * 300, version=40, scale=3, error=level)
    plain = code("MGY-PLAIN")
    yield "inverted", 255 - plain
    yield "mirrored", np.fliplr(plain)
    yield "mirrored-inverted", 255 - np.fliplr(plain)
    yield "upside-down", np.flipud(plain)
    for version, text in (("M1", "12345"), ("M2", "A1B2C3"), ("M3", "MGY-1"), ("M4", "micro QR code")):
        yield f"micro-{version}", drawn(segno.make_micro(text, version=version))
    yield "kanji", drawn(segno.make("入場券は一枚だけ", mode="kanji", micro=False))
    for encoding in ("utf-8", "iso-8859-7", "shift_jis"):
        yield f"eci-{encoding}", drawn(segno.make("Ω", encoding=encoding, eci=True, micro=False))
    yield "binary", code(bytes(range(256)) * 3)
    yield "control", code(bytes(range(32)))
    yield "zeros", code(bytes(200))
    yield "escape", code(b"\x1b[2J\x1b]0;owned\x07 %s%n {0} ' OR 1=1 --")


def wall(size: tuple[int, int] = FRAME) -> Grey:
    """A hundred different codes in one frame, ten by ten."""
    wide, high = size[0] // 10, size[1] // 10
    frame = np.full((size[1], size[0]), 255, dtype=np.uint8)
    for number in range(100):
        one = code(f"WALL-{number:02}", scale=2)[:high, :wide]
        top, left = number // 10 * high, number % 10 * wide
        frame[top : top + one.shape[0], left : left + one.shape[1]] = one
    return frame


def with_good(hostile: Grey, text: str) -> Grey:
    """Put a good code beside it, or in its middle if it fills the frame."""
    good = code(text, scale=5)
    if hostile.shape[1] + good.shape[1] <= FRAME[0]:
        return beside(hostile, good)
    both, (high, wide) = hostile.copy(), good.shape
    top, left = (hostile.shape[0] - high) // 2, (hostile.shape[1] - wide) // 2
    both[top : top + high, left : left + wide] = good
    return both

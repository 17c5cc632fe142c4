"""Pictures made for the hardware tests, and the path to the shared ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import segno
from PIL import Image

from hardware.decoder.picture_file import Grey
from tests.paths import ROOT

DATA = ROOT.parent / "shared" / "data"


def shared(name: str) -> Path:
    """A folder of the shared test pictures; they are not in the repository."""
    folder = DATA / name
    assert folder.is_dir(), (
        f"Test pictures missing: {folder} does not exist. They belong in ../shared/data, beside the repo."
    )
    return folder


def code(
    text: str | bytes,
    *,
    scale: int = 6,
    micro: bool = False,
    version: int | None = None,
    error: str | None = None,
) -> Grey:
    """A QR code with its margin, black on white."""
    symbol = segno.make(text, micro=micro, version=version, error=error, boost_error=False)
    return drawn(symbol, scale)


def parts(text: str, count: int) -> list[Grey]:
    """The parts of a structured-append sequence."""
    return [drawn(part) for part in segno.make_sequence(text, symbol_count=count)]


def drawn(symbol: segno.QRCode, scale: int = 6) -> Grey:
    """A symbol of segno with its margin, black on white."""
    out = io.BytesIO()
    symbol.save(out, kind="png", scale=scale, border=4)
    with Image.open(out) as image:
        return np.array(image.convert("L"))


def beside(*pictures: Grey) -> Grey:
    """Pictures next to each other on white."""
    height = max(picture.shape[0] for picture in pictures)
    return np.hstack([np.pad(p, ((0, height - p.shape[0]), (0, 0)), constant_values=255) for p in pictures])

"""Every screen, compared pixel by pixel with a picture that a person has looked at.

After a wanted change: `MAGUEY_NEW_GOLDEN=1 pytest tests/golden` writes the pictures anew and
fails, so that it cannot be left on; look at them, then run again without.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from display.draw import NORM, Size, draw
from display.samples import ZONE, samples
from display.strings import Lang
from display.words import compose

HERE = Path(__file__).parent
WIDE = (256, 64)
ON_WIDE = (
    "idle",
    "idle-offline",
    "welcome",
    "vip-host",
    "vip-linked-offline",
    "reentry",
    "deny-already-used",
)
Case = tuple[str, Lang, Size, float]


def cases() -> Iterator[tuple[Path, Case]]:
    for lang in get_args(Lang):
        for name in samples(lang):
            yield HERE / lang / f"{name}.png", (name, lang, NORM, 0.0)
        yield HERE / lang / "vip-host-scrolled.png", ("vip-host", lang, NORM, 3.3)
        for name in ON_WIDE:
            yield HERE / lang / f"{name}-wide.png", (name, lang, WIDE, 0.0)


CASES = dict(cases())


def painted(case: Case) -> Image.Image:
    name, lang, size, t = case
    return draw(compose(samples(lang)[name], lang, ZONE), size, t)


def compare(path: Path, picture: Image.Image, *, renew: bool) -> None:
    """Fail unless the file shows exactly this picture; `renew` writes it, and fails too."""
    if renew:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, optimize=True)
        pytest.fail(f"{path.name} written anew: look at it, then run again without MAGUEY_NEW_GOLDEN.")
    if not path.exists():
        pytest.fail(f"{path} is missing: make it with MAGUEY_NEW_GOLDEN=1, look at it, add it.")
    with Image.open(path) as golden:
        assert (golden.mode, golden.size) == (picture.mode, picture.size)
        assert golden.tobytes() == picture.tobytes(), f"{path.name} looks different."


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_screen_is_the_golden_picture(path: Path) -> None:
    compare(path, painted(CASES[path]), renew=bool(os.environ.get("MAGUEY_NEW_GOLDEN")))


def test_every_golden_picture_belongs_to_a_screen() -> None:
    assert set(HERE.rglob("*.png")) == set(CASES)


def test_a_missing_golden_picture_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="is missing"):
        compare(tmp_path / "no.png", Image.new("1", NORM), renew=False)


def test_a_single_different_pixel_fails(tmp_path: Path) -> None:
    picture = Image.new("1", NORM)
    picture.save(tmp_path / "one.png")
    picture.putpixel((127, 63), 1)
    with pytest.raises(AssertionError, match="looks different"):
        compare(tmp_path / "one.png", picture, renew=False)


def test_writing_anew_fails_the_run_and_writes(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="written anew"):
        compare(tmp_path / "new" / "one.png", Image.new("1", NORM), renew=True)
    compare(tmp_path / "new" / "one.png", Image.new("1", NORM), renew=False)

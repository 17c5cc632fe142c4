"""Every screen, compared pixel by pixel with a picture that a person has looked at.

After a wanted change: `MAGUEY_NEW_GOLDEN=1 pytest tests/golden` writes the pictures anew and
fails, so that it cannot be left on; look at them, then run again without.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from display.picture.draw import NORM, WIDE, Size
from display.preview import pictures
from display.text.catalogue import Lang

HERE = Path(__file__).parent
FOLDERS: dict[str, tuple[Lang, Size]] = {
    "en": ("en", NORM),
    "es": ("es", NORM),
    "en-wide": ("en", WIDE),
    "es-wide": ("es", WIDE),
}


def cases() -> Iterator[tuple[Path, Image.Image]]:
    for folder, (lang, size) in FOLDERS.items():
        for numbered, picture in pictures(lang, size).items():
            name = numbered.partition("-")[2]  # a further sample does not rename those after it
            yield HERE / folder / f"{name}.png", picture


CASES = dict(cases())


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
    compare(path, CASES[path], renew=bool(os.environ.get("MAGUEY_NEW_GOLDEN")))


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

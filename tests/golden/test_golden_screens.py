"""Every screen, compared pixel by pixel with a picture that a person has looked at.

After an intended change: `MAGUEY_NEW_GOLDEN=1 pytest tests/golden` writes the pictures again and
fails, so that it cannot be left on; look at them, then run without it.
"""

import os
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from display.picture.draw import NORM, WIDE, Size
from display.preview import pictures
from display.text.catalogue import Lang

HERE = Path(__file__).parent
RENEW = bool(os.environ.get("MAGUEY_NEW_GOLDEN"))
FOLDERS: dict[str, tuple[Lang, Size]] = {
    "en": ("en", NORM),
    "es": ("es", NORM),
    "en-wide": ("en", WIDE),
    "es-wide": ("es", WIDE),
}


GOLDEN = sorted(HERE.rglob("*.png"))


@cache
def drawn(folder: str) -> dict[Path, Image.Image]:
    """Every screen in one language and size, by the file it is compared with."""
    lang, size = FOLDERS[folder]
    return {
        # a further sample does not rename those after it
        HERE / folder / f"{numbered.partition('-')[2]}.png": picture
        for numbered, picture in pictures(lang, size).items()
    }


def compare(path: Path, picture: Image.Image, *, renew: bool) -> None:
    """Fail unless the file shows exactly this picture; `renew` writes it, and fails too."""
    if renew:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, optimize=True)
        pytest.fail(f"{path.name} was written again: look at it, then run again without MAGUEY_NEW_GOLDEN.")
    if not path.exists():
        pytest.fail(f"{path} is missing: make it with MAGUEY_NEW_GOLDEN=1, look at it, add it.")
    with Image.open(path) as golden:
        assert (golden.mode, golden.size) == (picture.mode, picture.size)
        assert golden.tobytes() == picture.tobytes(), f"{path.name} looks different."


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_screen_is_the_golden_picture(path: Path) -> None:
    screens = drawn(path.parent.name)
    assert path in screens, f"{path} belongs to no screen: remove it."
    compare(path, screens[path], renew=RENEW)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_screen_has_its_golden_picture(folder: str) -> None:
    missing = {path: picture for path, picture in drawn(folder).items() if path not in GOLDEN}
    if RENEW:
        for path, picture in missing.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, optimize=True)
    assert list(missing) == [], "make them with MAGUEY_NEW_GOLDEN=1, look at them, add them"


def test_a_missing_golden_picture_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="is missing"):
        compare(tmp_path / "no.png", Image.new("1", NORM), renew=False)


def test_a_single_different_pixel_fails(tmp_path: Path) -> None:
    picture = Image.new("1", NORM)
    picture.save(tmp_path / "one.png")
    picture.putpixel((127, 63), 1)
    with pytest.raises(AssertionError, match="looks different"):
        compare(tmp_path / "one.png", picture, renew=False)


def test_renewing_a_picture_writes_it_and_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="was written again"):
        compare(tmp_path / "new" / "one.png", Image.new("1", NORM), renew=True)
    compare(tmp_path / "new" / "one.png", Image.new("1", NORM), renew=False)

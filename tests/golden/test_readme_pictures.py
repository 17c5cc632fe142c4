"""The README's pictures are what `maguey-gate screens` draws today."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from display.preview import write_all

README = Path("README.md")


def test_every_picture_of_the_readme_is_drawn_by_the_command(tmp_path: Path) -> None:
    shown = [Path(name) for name in re.findall(r"\((docs/screens/[^)]+)\)", README.read_text())]
    drawn = {path.name: path for path in write_all(tmp_path, "en") if path.parent == tmp_path}
    assert len(shown) >= 2
    for path in {*shown, *Path("docs/screens").glob("*.png")}:
        with Image.open(path) as old, Image.open(drawn[path.name]) as new:
            assert (old.size, old.tobytes()) == (new.size, new.tobytes()), f"{path}: run make pictures"

"""A poster in view, beside a phone that only the decoder's later steps can read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from PIL import Image

from bench.scenes import scene
from hardware.camera.spec import CameraSpec
from hardware.eye.eye import ChildEye
from tests.integration.hardware.watching import raws, until
from tests.unit.hardware.scenes import code

POSTER = b"https://example.org/menu"


def test_a_phone_beside_a_poster_is_read_within_three_frames(tmp_path: Path) -> None:
    frame = scene(19).grey
    poster = code(POSTER.decode(), scale=3)
    frame[: poster.shape[0], : poster.shape[1]] = poster
    Image.fromarray(frame).save(tmp_path / "door.png")
    with closing(ChildEye(CameraSpec(driver="folder", path=str(tmp_path), hold_ms=5000))) as eye:
        look = until(eye, lambda look: look is not None and len(raws(look)) > 1)
        assert look is not None and POSTER in raws(look)

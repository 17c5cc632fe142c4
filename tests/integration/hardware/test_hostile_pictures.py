"""Pictures made to stop a decoder, held up to a real eye: it goes on, and reads the code beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from gate.ports.devices import Look
from gate.rules.payload import Code, parse
from hardware.camera.file_names import alias
from hardware.camera.spec import CameraSpec
from hardware.decoder.picture_file import Grey
from hardware.eye.eye import ChildEye
from tests.integration.hardware.watching import raws, read, until
from tests.unit.hardware import hostile
from tests.unit.hardware.scenes import code

PICTURES = dict([*hostile.given(), *hostile.made()])


class Gate:
    """A folder camera and its eye, and a way to hold a picture up."""

    def __init__(self, folder: Path, hold_ms: int = 150) -> None:
        self._folder = folder
        self.eye = ChildEye(
            CameraSpec(driver="folder", path=str(folder), size=hostile.FRAME, fps=1000, hold_ms=hold_ms)
        )

    def show(self, grey: Grey, name: str) -> list[bytes]:
        """Hold a picture up until it is taken away; return all that was read of it."""
        with (self._folder / f".{name}.part").open("wb") as file:
            Image.fromarray(grey).save(file, format="PNG", compress_level=1)
        (self._folder / f".{name}.part").rename(self._folder / f"{name}.png")
        seen: list[bytes] = []
        sources: set[str] = set()

        def over(look: Look | None) -> bool:
            if look is not None and (look.source == alias(f"{name}.png") or sources):
                sources.add(look.source)
                seen.extend(raws(look))
            return len(sources) == 2

        until(self.eye, over)
        return seen


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    gate = Gate(tmp_path_factory.mktemp("camera"))
    yield gate
    gate.eye.close()


@pytest.mark.parametrize("name", PICTURES)
def test_a_hostile_picture_opens_nothing_and_a_good_code_beside_it_is_read(gate: Gate, name: str) -> None:
    assert not any(isinstance(parse(raw), Code) for raw in gate.show(PICTURES[name], name))
    for turn in itertools.count():  # a slow eye looks only once before the picture is taken away
        good = f"GOOD-{name}-{turn}"
        if good.encode() in gate.show(hostile.with_good(PICTURES[name], good), good):
            break
    assert gate.eye.trouble() is None


def test_a_hundred_codes_in_one_frame_stop_nothing(gate: Gate) -> None:
    assert gate.show(hostile.wall(), "wall")
    read_after = "AFTER-THE-WALL"
    assert set(gate.show(code(read_after), read_after)) == {read_after.encode()}


def test_a_code_amid_a_hundred_others_is_read(tmp_path: Path) -> None:
    picture = tmp_path / "wall.png"
    Image.fromarray(hostile.with_good(hostile.wall(), "AMID")).save(picture)
    gate = Gate(tmp_path, hold_ms=60_000)
    assert b"AMID" in raws(read(gate.eye, "AMID"))
    gate.eye.close()


@pytest.mark.parametrize("name", ["inverted", "mirrored", "mirrored-inverted", "upside-down"])
def test_a_code_shown_the_wrong_way_is_read(gate: Gate, name: str) -> None:
    assert set(gate.show(PICTURES[name], f"again-{name}")) == {b"MGY-PLAIN"}

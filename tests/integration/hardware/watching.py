"""Ways to watch an eye, and to hold pictures up to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from gate.ports.devices import Eye, Look
from hardware.eye.eye import ChildEye
from tests.patience import PATIENCE_S
from tests.unit.hardware.scenes import code


def pids(eye: ChildEye) -> tuple[int, int]:
    """Process ids of camera and decoder, 0 before the first start."""
    return eye._camera.pid, eye._decoder.pid


def until(eye: Eye, done: Callable[[Look | None], bool]) -> Look | None:
    """Look until `done`, as the door does."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        look = eye.look(0.2)
        if done(look):
            return look
    raise AssertionError(f"not within {PATIENCE_S} s; trouble: {eye.trouble()}")


def present(folder: Path, text: str) -> None:
    """Hold a code up."""
    hold_up(folder, text, Image.fromarray(code(text)))


def hold_up(folder: Path, name: str, picture: Image.Image) -> None:
    """Put a picture there: written under a hidden name, then renamed, so that it is whole at once."""
    hidden = folder / f".{name}.part"
    picture.save(hidden, format="PNG")
    hidden.rename(folder / f"{name}.png")


def read(eye: Eye, text: str) -> Look:
    """Look until this is read."""
    look = until(eye, lambda look: look is not None and text.encode() in raws(look))
    assert look is not None
    return look


def raws(look: Look) -> list[bytes]:
    """What the codes of a look say."""
    return [sighting.raw for sighting in look.sightings]


def is_running(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"

"""Frames without any code that can be read, each from its own seed; some look much like one.

As a program it has everything tried on many of them: ``python -m tests.unit.hardware.codeless FIRST COUNT``
prints what was read, as JSON: nothing, if all is well.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from random import Random

import numpy as np

from hardware.camera.frame_source import fit
from hardware.decoder.decode import read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.picture_file import Grey, load_picture
from tests.unit.hardware.mutations import SEEN
from tests.unit.hardware.scenes import code, shared

SIZE = (640, 480)
_FOLDERS = ("door/empty-640x480", "qr-photos/falsepositives-1", "qr-photos/falsepositives-2")
_SYMBOL = code("MGY-PF-20250115-ABC123XYZ", scale=1)


@cache
def _photographs() -> tuple[Grey, ...]:
    paths = [path for folder in _FOLDERS for path in sorted(shared(folder).iterdir())]
    return tuple(fit(load_picture(path), SIZE) for path in paths if path.suffix in {".png", ".jpg", ".webp"})


def frame(seed: int) -> Grey:
    """A photograph, or something made to look like a code, as a camera may see it."""
    random = Random(seed)
    grey = random.choice(_photographs()) if random.random() < 0.5 else _almost_a_code(random)
    for _ in range(random.randint(0, 2)):
        grey = random.choice(SEEN)(grey, random)
    return np.ascontiguousarray(grey)


def _almost_a_code(random: Random) -> Grey:
    """A symbol with finder patterns, whose modules are random, or with a part that is missing."""
    symbol = _SYMBOL.copy()
    inner = symbol[13:-4, 4:-4]
    noise = np.random.default_rng(random.getrandbits(32)).integers(0, 2, inner.shape, dtype=np.uint8) * 255
    inner[:] = noise if random.random() < 0.7 else random.choice([0, 255])
    large = np.kron(symbol, np.ones((random.randint(3, 10),) * 2, np.uint8))
    return fit(large, SIZE)


def main(first: int, count: int) -> None:
    """Print what is read in so many frames with each way of trying."""
    found = {
        f"{seed} {effort.name}": [code.raw.decode("latin-1") for code in read]
        for seed in range(first, first + count)
        for effort in (Effort.SECOND_OPINION, Effort.STILL)
        if (read := read_codes(frame(seed), effort, lambda: 0.0).found)
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

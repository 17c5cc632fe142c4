"""Phones in a dim club as a cheap sensor sees them: small codes, little light, much noise. Pure.

They are harsher than the shared door scenes, and generated. The same number always gives the same scene.
"""

from __future__ import annotations

import random

import msgspec
import numpy as np
import numpy.typing as npt
import segno
from PIL import Image, ImageFilter

from bench import night
from hardware.decoder.picture_file import Grey

NOISE = (0, 2, 5, 8, 12, 18, 25)
"""Standard deviations of the sensor's noise in grey values, used for scenes in turn."""
WIDTH, HEIGHT = 640, 480
_SIGNATURE = "".join(random.Random(1).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=103))


class Scene(msgspec.Struct, frozen=True):
    """`text`: the content of the code. `noise`: standard deviation in grey values."""

    text: str
    grey: Grey
    noise: int


def scene(number: int) -> Scene:
    """A phone, rotated, dim, out of focus or moving; one in five in dark mode, one code in three signed."""
    rng, noise = random.Random(number), NOISE[number % len(NOISE)]
    text = night.code(number) + (f".K1{_SIGNATURE}" if rng.random() < 1 / 3 else "")
    black = rng.uniform(10, 70)
    frame = _frame(_phone(text, rng), black, black + rng.uniform(35, 180))
    frame += np.linspace(-1, 1, WIDTH) * rng.uniform(-25, 25)  # light from one side
    frame = _moved(_out_of_focus(frame, rng), rng)
    frame += np.random.default_rng(number).normal(0, noise, frame.shape)
    return Scene(text, frame.clip(0, 255).astype(np.uint8), noise)


def _phone(text: str, rng: random.Random) -> Image.Image:
    """A rotated phone, drawn at twice the size and halved, so that its edges fall between pixels."""
    code = segno.make(text, micro=False, boost_error=False)
    modules = 255 - 255 * np.array(list(code.matrix_iter(border=4)), dtype=np.uint8)
    side = min(2 * int(len(modules) * rng.uniform(2.6, 7.5)), 860)
    dark = rng.random() < 0.2
    picture = Image.fromarray(255 - modules if dark else modules).resize(
        (side, side), Image.Resampling.NEAREST
    )
    phone = Image.new("L", (side + 50, side + 120), 0 if dark else 255)
    phone.paste(picture, (25, 60))
    angle, around = rng.uniform(-25, 25), rng.randint(0, 60)
    turned = phone.rotate(angle, expand=True, fillcolor=around, resample=Image.Resampling.BICUBIC)
    return turned.resize((turned.width // 2, turned.height // 2), Image.Resampling.BOX)


def _frame(phone: Image.Image, black: float, white: float) -> npt.NDArray[np.float64]:
    frame = Image.new("L", (WIDTH, HEIGHT))
    frame.paste(phone, ((WIDTH - phone.width) // 2, (HEIGHT - phone.height) // 2))
    return np.asarray(frame) / 255 * (white - black) + black


def _out_of_focus(frame: npt.NDArray[np.float64], rng: random.Random) -> npt.NDArray[np.float64]:
    blur = ImageFilter.GaussianBlur(rng.choice((0, 0, 0.6, 1.0, 1.5, 2.0)))
    return np.array(Image.fromarray(frame.clip(0, 255).astype(np.uint8)).filter(blur), dtype=float)


def _moved(frame: npt.NDArray[np.float64], rng: random.Random) -> npt.NDArray[np.float64]:
    way = rng.randint(3, 9) if rng.random() < 0.3 else 1
    moved: npt.NDArray[np.float64] = np.mean([np.roll(frame, step, axis=1) for step in range(way)], axis=0)
    return moved

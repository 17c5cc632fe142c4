"""Approaches: two seconds in which a guest holds a ticket up to the door's camera. Pure.

A model, not a camera. The light of phone, paper and club is in cd/m² (`Conditions`, drawn from the ranges of
a theme); a hand moves it (`bench.approach_hand`), and a sensor exposes it (`bench.sensor`). The same theme,
seed, frame and shutter always give the same frame.

Frozen on 2026-11-30. The ranges of `THEMES` were chosen on seeds of `TUNING`, so that the decoder of commit
99879c5 reads about two thirds with one exposure (`ONE`): 63 of 96. `BRIGHT` and `DIM` were not tuned. Whoever
changes anything here makes all earlier figures incomparable; whoever tunes on `JUDGING` makes them worthless.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from bench.approach_card import Card, card
from bench.approach_hand import Hand, hand, seen
from bench.approach_scene import (
    Box,
    Lamp,
    Spot,
    box_of,
    club,
    moire,
    projected,
    spots,
    through_drop,
    widely_blurred,
)
from bench.sensor import (
    APERTURE_CM,
    FOCAL_PX,
    HEIGHT,
    NATIVE,
    SHARPEST_PX,
    WIDTH,
    Picture,
    Rows,
    Shutter,
    developed,
    moved,
    softened,
    under_lamp,
    under_pulses,
)
from gate.common.value import Value
from gate.config import CameraSection
from hardware.decoder.picture_file import Grey

FPS = 15
SECONDS = 2.0
FRAMES = int(FPS * SECONDS)
GLOW = 40
"""Pixels over which lens and dirt scatter light."""
LAMP_HZ = 120
"""Lamps on 60 Hz mains, as in Mexico."""
FOCUS = (2.5, 7.5)
"""Dioptres. The product's default is 5, but no two doors are set up alike."""

_DOOR = CameraSection()
ONE = Shutter(seconds=1 / 120, gain=4.0)
"""The product's default before exposures took turns: one flicker, a gain between those of the two below."""
BRIGHT, DIM = (
    Shutter(seconds=flickers / (2 * _DOOR.mains_hz), gain=gain)
    for flickers, gain in ((_DOOR.exposure, _DOOR.bright_gain), (_DOOR.dim_exposure, _DOOR.dim_gain))
)
"""The product's two, which take turns: for bright screens, and for paper and dim ones."""

TUNING = range(1, 1000)
"""Seeds for whoever changes the decoder, the cameras' settings, or this model."""
JUDGING = range(100_001, 101_000)
"""Seeds for `make bench` alone."""

Span = tuple[float, float]


class Theme(Value, frozen=True):
    """Ranges from which an approach's conditions are drawn.

    `white`: of a screen in cd/m², or lux on paper. `lux`: on a screen. `tilt`, `roll`: degrees. `cracks`: how
    many. `glare`: the brightest of a lamp's reflection, in cd/m². `moire`, `wet`: 0 to 1.
    """

    white: Span = (60, 250)
    lux: Span = (1, 15)
    paper: bool = False
    dark: bool = False
    tilt: Span = (0, 15)
    roll: float = 25
    cracks: tuple[int, int] = (0, 0)
    glare: Span = (0, 0)
    moire: Span = (0, 0)
    wet: Span = (0, 0)
    pulses: bool = False


THEMES: dict[str, Theme] = {
    "plain": Theme(),
    "dim": Theme(white=(0.5, 4)),
    "bright": Theme(white=(500, 2500)),
    "dark mode": Theme(white=(2, 250), dark=True),
    "glare": Theme(white=(40, 250), glare=(150, 2500)),
    "crack": Theme(cracks=(5, 18)),
    "moire": Theme(white=(40, 250), moire=(0.6, 1.0), roll=3, tilt=(0, 6)),
    "flicker": Theme(white=(3, 80), pulses=True),
    "wet lens": Theme(wet=(0.6, 1.0)),
    "paper": Theme(white=(2, 50), paper=True),
    "paper in the dark": Theme(white=(1, 12), paper=True),
    "tilt": Theme(tilt=(50, 72)),
}


class Conditions(Value, frozen=True):
    """What an approach is like, drawn from its theme. Units as in `Theme`.

    `flaw`: a drop on the lens, or a lamp in the glass. `pulse_hertz`, `duty`: see `under_pulses`.
    `lamp_depth`: see `under_lamp`. `focus`: dioptres. `veil`: share of the light that lens and dirt scatter.
    `pitch`: the screen's dots per cm. `clock`: when the camera's first frame begins, in s.
    """

    white: float
    lux: float
    glare: float
    moire: float
    wet: float
    flaw: Spot
    pitch: float
    pulse_hertz: float
    duty: float
    lamp_depth: float
    focus: float
    veil: float
    clock: float
    lamps: tuple[Lamp, ...]


class Approach(Value, frozen=True):
    """One guest, whose code says `text`. `frame` gives what the camera sees of it."""

    name: str
    seed: int
    theme: Theme
    card: Card
    hand: Hand
    now: Conditions

    @property
    def text(self) -> str:
        """What the code says."""
        return self.card.text

    def time(self, number: int) -> float:
        """When the exposure of a frame begins, in s since the approach began."""
        return self.now.clock + number / FPS

    def frame(self, number: int, shutter: Shutter) -> Grey:
        """640×480, grey; frames are numbered from 0, and there are `FRAMES` of them."""
        start, seconds = self.time(number), shutter.seconds
        middle = start + seconds / 2
        lamp = under_lamp(LAMP_HZ, self.now.lamp_depth, start, seconds)
        light = club(self.now.lamps, start) * lamp
        box = box_of(self.card, self.hand.view(middle))
        if light[box].size:
            drawn = projected(self.card, self.hand.rolling_view(middle), box)
            shine = (
                self._paper(drawn, lamp[box[0]])
                if self.theme.paper
                else self._screen(drawn, box, start, seconds)
            )
            light[box] = self._blurred(np.where(drawn > 0, shine, light[box]), middle, seconds)
        if self.now.wet:
            light = through_drop(light, self.now.flaw, self.now.wet)
        light += np.float32(self.now.veil) * widely_blurred(light, GLOW)
        noise = [list(THEMES).index(self.name), self.seed, number, round(seconds * 1e6)]
        return developed(light, shutter, np.random.default_rng(noise))

    def _paper(self, drawn: Picture, lamp: Rows) -> Picture:
        # it returns 80 % of the light, evenly into all directions
        return drawn * (np.float32(0.8 / np.pi / 255 * self.now.white) * lamp)

    def _screen(self, drawn: Picture, box: Box, start: float, seconds: float) -> Picture:
        pulses = under_pulses(self.now.pulse_hertz, self.now.duty, start, seconds)[box[0]]
        light: Picture = drawn * (np.float32(self.now.white / 255) * pulses)
        if self.now.moire:
            view = self.hand.rolling_view(start + seconds / 2)
            light *= moire(view, self.now.pitch, self.now.moire)[box]
        # glass returns 4 % of what falls on it, as if that came evenly from everywhere
        light += np.float32(0.04 / np.pi * self.now.lux)
        if self.now.glare:
            light += np.float32(self.now.glare) * spots([self._reflection(start)])[box]
        return light

    def _blurred(self, light: Picture, middle: float, seconds: float) -> Picture:
        """By motion, and out of focus: a disc as wide as the lens' opening makes it."""
        across, down = self.hand.speed(middle)
        disc = APERTURE_CM * FOCAL_PX * abs(1 / self.hand.pose(middle)[2] - self.now.focus / 100)
        return softened(
            moved(light, across * seconds, down * seconds), float(np.hypot(SHARPEST_PX, disc / 4))
        )

    def _reflection(self, t: float) -> Spot:
        """A lamp in the glass stays where the phone is moved, and moves by twice the angle of a tilt."""
        x, y, reach = self.now.flaw
        tilted = self.hand.pose(t) - np.array(self.hand.held)
        return x + 2 * FOCAL_PX * tilted[3], y + 2 * FOCAL_PX * tilted[4], reach


def approach(name: str, seed: int) -> Approach:
    """The approach of that theme and seed.

    :raises KeyError: there is no such theme.
    """
    theme = THEMES[name]
    rng = random.Random(f"{name} {seed}")
    cracks = rng.randint(*theme.cracks)
    thing = card(seed, rng, paper=theme.paper, dark=theme.dark, cracks=cracks)
    held = hand(rng, thing.side / 2, theme.tilt, theme.roll)
    return Approach(
        name=name, seed=seed, theme=theme, card=thing, hand=held, now=_drawn(theme, thing, held, rng)
    )


def approaches(seeds: range, each: int) -> Iterator[Approach]:
    """The first `each` approaches of every theme; no two have the same seed."""
    apart = len(THEMES) + 1  # of every three in a theme one is signed: this is no multiple of 3
    for place, name in enumerate(THEMES):
        for number in range(each):
            yield approach(name, seeds[place + number * apart])


def _drawn(theme: Theme, thing: Card, held: Hand, rng: random.Random) -> Conditions:
    x, y = seen(held.view(1.0), 0, 0)
    side = FOCAL_PX * thing.side / held.held[2]
    flaw = (
        x + side * rng.uniform(-0.5, 0.5),
        y + side * rng.uniform(-0.5, 0.5),
        side * rng.uniform(0.2, 0.55),
    )
    wet = rng.uniform(*theme.wet)
    pulse_hertz, duty = _pulses(rng) if theme.pulses else (480.0, 1.0)
    return Conditions(
        white=_between(theme.white, rng),
        lux=_between(theme.lux, rng),
        glare=_between(theme.glare, rng),
        moire=rng.uniform(*theme.moire),
        wet=wet,
        flaw=flaw,
        pitch=NATIVE * FOCAL_PX / held.held[2] * rng.uniform(0.98, 1.02),
        pulse_hertz=pulse_hertz,
        duty=duty,
        lamp_depth=rng.uniform(0.1, 0.8),
        focus=rng.uniform(*FOCUS),
        veil=rng.uniform(0.02, 0.1) + 0.3 * wet,
        clock=rng.uniform(0, 1 / FPS),
        lamps=tuple(_lamp(rng) for _ in range(rng.randint(2, 5))),
    )


def _between(span: Span, rng: random.Random) -> float:
    """Evenly by ratio, as brightness is seen; a span that starts at 0 is 0."""
    low, high = span
    return low * (high / low) ** rng.random() if low else 0.0


def _pulses(rng: random.Random) -> tuple[float, float]:
    """A screen dimmed by pulses, which are hardly ever a whole number in an exposure."""
    hertz = rng.choice((60, 90, 120, 180, 240)) * rng.uniform(0.93, 1.07)
    return hertz, rng.uniform(0.1, 0.5)


def _lamp(rng: random.Random) -> Lamp:
    return Lamp(
        x=rng.uniform(0, WIDTH),
        y=rng.uniform(0, HEIGHT),
        radius=rng.uniform(12, 70),
        nits=_between((0.5, 60), rng),
        hertz=rng.uniform(0.5, 3),
    )

"""The hand of an approach: where it holds a flat thing at any time, and where that is seen. Pure.

Lengths are in cm, from the camera: across, down, away. Angles are in radians.
"""

from __future__ import annotations

import random
from itertools import product

import msgspec
import numpy as np
import numpy.typing as npt

from bench.sensor import FOCAL_PX, HEIGHT, ROW_S, WIDTH
from gate.common.value import Value

Matrix = npt.NDArray[np.float64]
FLAT_ROLL = 5
"""Degrees: who holds it as straight as this does not turn it on the way either."""
_INSTANT_S = 1e-3
_CENTRE = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])


class Sway(Value, frozen=True):
    """A small movement to and fro: what it moves (0–2 the place, 3–5 the angles), how far, how often."""

    what: int
    reach: float
    hertz: float
    phase: float


class Hand(Value, frozen=True):
    """It comes in, holds still as well as it can, and may turn the thing on the way.

    `held`: across, down, away, yaw, pitch, roll where it ends up; `off`: how far from that it starts;
    `turn`: by how much it differs before it turns. `start`, `glide`, `turn_at`: seconds.
    """

    held: tuple[float, ...]
    off: tuple[float, ...]
    turn: tuple[float, ...]
    start: float
    glide: float
    turn_at: float
    sways: tuple[Sway, ...]

    def pose(self, t: float) -> Matrix:
        """Across, down, away, yaw, pitch, roll at a time."""
        left = (1 - min(1.0, max(0.0, (t - self.start) / self.glide))) ** 3
        unturned = 1 / (1 + np.exp((t - self.turn_at) / 0.06))
        pose: Matrix = np.array(self.held) + left * np.array(self.off) + unturned * np.array(self.turn)
        for sway in self.sways:
            pose[sway.what] += sway.reach * np.sin(2 * np.pi * sway.hertz * t + sway.phase)
        return pose

    def view(self, t: float) -> Matrix:
        """The homography from the thing's plane, in cm from the middle of its code, to pixels."""
        across, down, away, yaw, pitch, roll = self.pose(t)
        turned = _about(1, yaw) @ _about(0, pitch) @ _about(2, roll)
        plane = np.column_stack([turned[:, 0], turned[:, 1], (across, down, away)])
        view: Matrix = _CENTRE @ plane
        return view

    def speed(self, t: float) -> tuple[float, float]:
        """Pixels a second across and down, of the middle of the code."""
        before, after = (seen(self.view(t + step), 0, 0) for step in (-_INSTANT_S, _INSTANT_S))
        return (after[0] - before[0]) / (2 * _INSTANT_S), (after[1] - before[1]) / (2 * _INSTANT_S)

    def rolling_view(self, t: float) -> Matrix:
        """`view` through a rolling shutter: the thing has moved on when lower rows are exposed."""
        across, down = self.speed(t)
        skew = np.array([[1, -across * ROW_S, 0], [0, 1 - down * ROW_S, 0], [0, 0, 1]])
        rolling: Matrix = np.linalg.inv(skew) @ self.view(t)
        return rolling


def seen(view: Matrix, x: float, y: float) -> tuple[float, float]:
    """The pixel at which a point of the plane is seen."""
    across, down, depth = view @ (x, y, 1)
    return across / depth, down / depth


def is_in_view(view: Matrix, half: float) -> bool:
    """Whether all of a square around the middle, of this half side in cm, falls into the frame."""
    corners = (seen(view, x, y) for x, y in product((-half, half), repeat=2))
    return all(0 <= x < WIDTH and 0 <= y < HEIGHT for x, y in corners)


def _about(axis: int, angle: float) -> Matrix:
    cos, sin = np.cos(angle), np.sin(angle)
    one, two = ((1, 2), (2, 0), (0, 1))[axis]
    turned = np.eye(3)
    turned[[one, two, one, two], [one, two, two, one]] = cos, cos, -sin, sin
    return turned


def hand(rng: random.Random, half: float, tilt: tuple[float, float], roll: float) -> Hand:
    """A hand whose code is first wholly in the view at some moment between 0.2 and 0.8 s.

    :param half: half the code's side in cm.
    :param tilt: from and to which angle it is tilted out of the plane, in degrees.
    :param roll: by how many degrees at most it is turned in the plane.
    """
    enters, away = rng.uniform(0.2, 0.8), rng.uniform(14, 27)
    held = _held(rng, away, half, tilt, roll)
    off = _off(rng, away, half)
    turns = rng.random() < 0.3 and roll > FLAT_ROLL
    turn = (0.0, 0.0, 0.0, *(_radians(rng, 20) * turns for _ in range(3)))
    shake = float(np.exp(rng.uniform(np.log(0.7), np.log(4))))
    made = Hand(
        held=held,
        off=off,
        turn=turn,
        start=0.0,
        glide=rng.uniform(0.35, 0.7),
        turn_at=rng.uniform(0.9, 1.5),
        sways=tuple(_sways(rng, shake)),
    )
    return _started(made, enters, half)


def _held(
    rng: random.Random, away: float, half: float, tilt: tuple[float, float], roll: float
) -> tuple[float, ...]:
    """Anywhere in the view, with room around the code for a hand that does not hold still."""
    lean, way = np.radians(rng.uniform(*tilt)), rng.uniform(0, 2 * np.pi)
    room = [away * side / 2 / FOCAL_PX - 1.2 * half - 0.5 for side in (WIDTH, HEIGHT)]
    across, down = (rng.uniform(-0.8, 0.8) * max(0.0, side) for side in room)
    return across, down, away, float(lean * np.cos(way)), float(lean * np.sin(way)), _radians(rng, roll)


def _off(rng: random.Random, away: float, half: float) -> tuple[float, ...]:
    """Out of view, wherever it is held; below, or more to one side."""
    came = rng.uniform(0.15, 0.85) * np.pi
    far = 1.25 * away + 2 * half
    turned = (rng.uniform(-2, 9), *(_radians(rng, 15) for _ in range(3)))
    return float(far * np.cos(came)), float(far * np.sin(came)), *turned


def _radians(rng: random.Random, degrees: float) -> float:
    """An angle of at most so many degrees, either way."""
    return float(np.radians(rng.uniform(-degrees, degrees)))


def _sways(rng: random.Random, shake: float) -> list[Sway]:
    """Arms drift about once a second, hands tremble at 4 to 9 Hz."""
    drift = [(what, 0.3) for what in (0, 1, 2)] + [(what, 0.02) for what in (3, 4, 5)]
    tremble = [(what, 0.05) for what in (0, 1)] + [(what, 0.006) for what in (3, 4, 5)]
    return [
        Sway(
            what=what,
            reach=shake * reach * rng.uniform(0.5, 1.5),
            hertz=rng.uniform(*hertz),
            phase=rng.uniform(0, 7),
        )
        for kind, hertz in ((drift, (0.4, 1.3)), (tremble, (4.0, 9.0)))
        for what, reach in kind
    ]


def _started(made: Hand, enters: float, half: float) -> Hand:
    """The same hand, started so that the code is in the view from `enters` seconds on."""
    times = np.linspace(0, made.glide, 60)
    calm = msgspec.structs.replace(made, sways=())
    first = next((t for t in times if is_in_view(calm.view(t), half)), made.glide)
    return msgspec.structs.replace(made, start=float(enters - first))

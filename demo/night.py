"""The seeded night, and the pictures that guests hold up to the cameras."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import segno
from PIL import Image, ImageFilter

FRAME = (640, 480)
_GLARE = 235


class Ticket(msgspec.Struct, frozen=True):
    """One code of the night; see hub/demo_night.py. `printed`: the content of the QR code."""

    number: int
    code: str
    printed: str
    kind: str
    event: str
    subject_id: str
    holder: str
    status: str
    table: int | None = None


class Gate(msgspec.Struct, frozen=True):
    """A gate and the token it shows the hub."""

    gate_id: str
    name: str
    token: str


class Night(msgspec.Struct, frozen=True):
    """What `maguey-hub seed-demo` wrote."""

    venue: str
    event_id: str
    gates: tuple[Gate, ...]
    tickets: tuple[Ticket, ...]

    def ticket(self, number: int) -> Ticket | None:
        """The ticket with that number, 1 to 534."""
        return next((ticket for ticket in self.tickets if ticket.number == number), None)

    def of(self, wanted: Callable[[Ticket], bool]) -> list[Ticket]:
        """The tickets that match, in order of their numbers."""
        return [ticket for ticket in self.tickets if wanted(ticket)]


def load(path: Path) -> Night:
    """Read the seed file."""
    return msgspec.json.decode(path.read_bytes(), type=Night)


def phone(text: str, rng: random.Random) -> Image.Image:
    """A phone with a QR code in the dark, as a door's camera sees it: 640×480, grey.

    Slightly rotated and out of focus, with sensor noise.
    """
    code = segno.make(text, micro=False, boost_error=False)
    side = rng.randint(210, 280)
    scale = max(1, side // int(code.symbol_size()[0]))
    qr = _symbol(code, scale)
    screen = Image.new("L", (qr.width + 30, qr.height + 90), _GLARE)
    screen.paste(qr, (15, 45))
    screen = screen.rotate(rng.uniform(-18, 18), expand=True, fillcolor=18, resample=Image.Resampling.BICUBIC)
    frame = Image.new("L", FRAME, 18)
    room = (FRAME[0] - screen.width, FRAME[1] - screen.height)
    frame.paste(screen, (room[0] // 2 + rng.randint(-60, 60), room[1] // 2))
    noise = Image.effect_noise(FRAME, 14)
    return Image.blend(frame.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.0))), noise, 0.08)


def _symbol(code: segno.QRCode, scale: int) -> Image.Image:
    rows = [bytes(0 if dark else 255 for dark in row) for row in code.matrix_iter(scale=scale, border=4)]
    return Image.frombytes("L", (len(rows[0]), len(rows)), b"".join(rows))

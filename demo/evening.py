"""The script of the evening: who comes to which gate, with what, in what order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
from PIL import Image

from demo.night import FRAME, Night, Ticket, phone


class Guest(msgspec.Struct, frozen=True):
    """Somebody at a gate. `picture`: what the camera sees; `file`: a file to hold up instead."""

    gate: int
    what: str
    picture: Image.Image | None = None
    file: Path | None = None


def guests(night: Night, folder: Path, rng: random.Random) -> Iterator[Guest]:
    """An endless series of guests: a scene with somebody special, then general admission, and so on.

    :param folder: where files that are not pictures are created.
    """
    scenes = list(_scenes(night, folder, rng))
    everyone = night.of(
        lambda ticket: ticket.kind == "ga" and ticket.status == "issued" and _is_tonight(night, ticket)
    )
    queue = iter(everyone)
    for scene in scenes:
        yield from scene
        for _ in range(2):
            yield from _general(queue, rng)
    while True:
        somebody = list(_general(queue, rng))
        yield from somebody or [_shown(everyone[rng.randrange(50)], rng.randrange(2), "GA again", rng)]


def _is_tonight(night: Night, ticket: Ticket) -> bool:
    return ticket.event == night.tickets[0].event


def _general(queue: Iterator[Ticket], rng: random.Random) -> Iterator[Guest]:
    ticket = next(queue, None)
    if ticket is not None:
        yield _shown(ticket, rng.randrange(2), "general admission", rng)


def _shown(ticket: Ticket, gate: int, what: str, rng: random.Random) -> Guest:
    return Guest(gate, f"{what}, ticket {ticket.number}", phone(ticket.printed, rng))


def _scenes(night: Night, folder: Path, rng: random.Random) -> Iterator[list[Guest]]:
    """Scenes that show each screen at least once. For the numbers see hub/demo_night.py."""
    by_number = {ticket.number: ticket for ticket in night.tickets}

    def shows(number: int, gate: int, what: str) -> Guest:
        return _shown(by_number[number], gate, what, rng)

    yield [shows(25, 0, "general admission")]
    yield [shows(1, 0, "host of table 1")]
    yield [shows(501, 1, "guest pass of table 1")]
    yield [shows(7, 1, "guest linked to a table")]
    yield [shows(25, 1, "the same ticket at the other gate")]
    yield [shows(501, 0, "guest pass, back from a cigarette")]
    yield [shows(19, 0, "cancelled ticket")]
    yield [shows(22, 1, "refunded ticket")]
    yield [shows(525, 0, "ticket for tomorrow")]
    yield [shows(521, 1, "guest pass of an unpaid table")]
    yield [Guest(0, "a drinks menu", phone("https://example.org/menu", rng))]
    yield [Guest(1, "a ticket with one letter changed", phone(_damaged(by_number[30].code), rng))]
    yield [Guest(0, "a forged Maguey code", phone(_forged(by_number[499].code), rng))]
    yield [Guest(1, "two phones at once", _two_phones(by_number[32], by_number[33], rng))]
    yield [Guest(0, "a file that is not a picture", file=_not_a_picture(folder))]
    yield [shows(2, 1, "host of table 2")]


def _damaged(code: str) -> str:
    return code[:-3] + ("7" if code[-3] != "7" else "8") + code[-2:]


def _forged(code: str) -> str:
    return json.dumps({"token": code, "signature": "Zm9yZ2VkIGJ5IGEgZnJpZW5k", "meta": {}})


def _two_phones(left: Ticket, right: Ticket, rng: random.Random) -> Image.Image:
    half = (FRAME[0] // 2, FRAME[1] // 2)
    both = Image.new("L", FRAME, 18)
    for place, ticket in ((0, left), (half[0], right)):
        both.paste(phone(ticket.code, rng).resize(half), (place, half[1] // 2))
    return both


def _not_a_picture(folder: Path) -> Path:
    path = folder / "not-a-picture.png"
    path.write_text("' ; drop table tickets; --\n" * 20)
    return path

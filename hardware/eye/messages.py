"""What the eye and its two child processes say to each other, as values.

One packet of a local socket holds one message. The children only answer: the eye asks the camera child to
fill a slot of shared memory, then the decoder child to look at it.
"""

from __future__ import annotations

import msgspec

from gate.common.errors import Step
from gate.common.foreign import read_packed
from hardware.eye.freshness import Stale


class Capture(msgspec.Struct, frozen=True, tag="capture"):
    """To the camera: put the next frame into `slot`, or say that none came within `timeout_s`."""

    slot: int
    timeout_s: float


class Decode(msgspec.Struct, frozen=True, tag="decode"):
    """To the decoder: look at the frame in `slot`; `measure`: and say how sharp it is.

    `effort`: see `hardware.decoder.effort.Effort`.
    """

    slot: int
    width: int
    height: int
    effort: int
    measure: bool = False


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From a child, once: it has started. `note`: something a person should know, in words, or empty."""

    note: str = ""


class Captured(msgspec.Struct, frozen=True, tag="captured"):
    """From the camera. There is no frame to look at if `width` is 0.

    `refused` and `exhausted`: see `hardware.camera.frame_source`. `taken_at`: as in `Frame`; if the source
    does not know it, when the frame was grabbed. `stale`: why the frame was not fresh. `picture`: see
    `hardware.eye.freshness.fingerprint`; 0 if the source may show one picture for ever. `exposure`: as in
    `Frame`.
    """

    slot: int
    width: int = 0
    height: int = 0
    source: str = ""
    refused: str = ""
    exhausted: bool = False
    taken_at: float = 0.0
    stale: Stale = ""
    picture: int = 0
    exposure: int = 0


class Read(msgspec.Struct, frozen=True, tag="read"):
    """From the decoder: raw bytes and offset of each code, and how many ms it took.

    `sharpness`: see `hardware.decoder.sharpness`; None if it was not measured.
    """

    slot: int
    codes: tuple[tuple[bytes, float], ...]
    ms: float
    sharpness: int | None = None


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """From a child, as its last message: the parts of a `HardwareError`."""

    part: str
    message: str
    advice: str
    step: Step


Request = Capture | Decode
ChildReply = Ready | Captured | Read | Broken

LARGEST = 131_072
"""Bytes of the largest packet; 16 codes of a version-40 symbol fit, which holds 7,089 digits (ISO/IEC 18004,
table 7), and so does the kernel's buffer for a socket (212,992 by default, `net.core.wmem_default`)."""

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(ChildReply)


def pack(message: Request | ChildReply) -> bytes:
    """The packet of a message."""
    return _encoder.encode(message)


def request(packet: bytes) -> Request:
    """The message of a packet to a child."""
    message: Request = read_packed(packet, _requests, limit=LARGEST)
    return message


def reply(packet: bytes) -> ChildReply:
    """The message of a packet from a child. Raises `UnreadableError` on anything else."""
    message: ChildReply = read_packed(packet, _replies, limit=LARGEST)
    return message

"""The messages between door and sync on their local socket, one per packet. Pure.

The socket is `SOCK_SEQPACKET` at `runtime_dir/sync.sock`; sync listens, the door connects. No message has to
arrive: what must not be lost is in the two SQLite files.
"""

from __future__ import annotations

import msgspec

from gate.common.foreign import read_json
from gate.common.value import Value
from gate.rules.first_entry import Claim, Grant, Returned

LONGEST = 16 * 1024
"""The longest packet, in bytes."""


class Replied(Value, frozen=True, tag="replied", tag_field="t"):
    """Door to sync: carry this `gate.rules.command.OrderReply`, encoded, to the hub."""

    reply: str


class Refetch(Value, frozen=True, tag="refetch", tag_field="t"):
    """Door to sync: load every night again."""


class Ordered(Value, frozen=True, tag="ordered", tag_field="t"):
    """Sync to door: a command, still sealed; nobody has verified it yet."""

    envelope: str


class Beat(Value, frozen=True, tag="beat", tag_field="t"):
    """Sync to door: the hub answered, at that time, on the path that claims take. Sent once a second.

    In addition to the link row in `cache.db`, which is not written while a large snapshot is loaded.

    :param answered_ms: monotonic milliseconds of this boot.
    """

    answered_ms: int


ToSync = Claim | Returned | Replied | Refetch
ToDoor = Grant | Ordered | Beat

_to_sync, _to_door = msgspec.json.Decoder(ToSync), msgspec.json.Decoder(ToDoor)


def to_packet(message: ToSync | ToDoor) -> bytes:
    """A message as one packet."""
    return msgspec.json.encode(message)


def to_sync(packet: bytes) -> ToSync:
    """Read a packet of the door. Raises `UnreadableError`."""
    message: ToSync = read_json(packet, _to_sync, limit=LONGEST)
    return message


def to_door(packet: bytes) -> ToDoor:
    """Read a packet of sync. Raises `UnreadableError`."""
    message: ToDoor = read_json(packet, _to_door, limit=LONGEST)
    return message

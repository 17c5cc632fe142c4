"""What sync tells of this gate: the door of the link, the hub and the other gates of the gate. Pure."""

from __future__ import annotations

import msgspec

from gate.live import Reading
from gate.model import Value
from sync.wire import GateStatus


class Identity(Value, frozen=True):
    """Who this gate is."""

    gate_id: str
    venue: str
    version: str


def offline(identity: Identity) -> GateStatus:
    """The last will, and the goodbye."""
    return GateStatus(gate_id=identity.gate_id, online=False, version=identity.version)


def with_door(status: GateStatus, door: Reading) -> GateStatus:
    """A status with how the door is, by its own account."""
    live = door.live
    if live is None or not door.is_fresh:
        return msgspec.structs.replace(status, door=False)
    return msgspec.structs.replace(
        status,
        door=True,
        parts=msgspec.structs.asdict(live.parts),
        way=live.way.value,
        counters=msgspec.structs.asdict(live.counters),
    )

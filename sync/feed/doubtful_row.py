"""A row of a snapshot that cannot be read here, although it came as the hub sent it. Pure.

Whoever it is about is not let in: what is unreadable may be that the ticket was cancelled. As far as the
code can be told, it is kept as one nothing else is known of (`Kind.UNKNOWN`): the door refuses it as not
found, also if it is signed or the policy lets the unknown in. Where not even that can be told it is unknown,
as it is to a gate that was dark since before the sale.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gate.common.foreign import UnreadableError, read_json
from gate.rules.model import Admission, Kind, Status

_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Core(msgspec.Struct):
    t: Literal["admission"]
    code_hash: _Hash
    subject_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f-]{36}$")]
    event_id: Annotated[str, msgspec.Meta(max_length=64)]
    signature_hash: _Hash | None = None


def in_doubt(line: bytes) -> Admission | None:
    """What keeps its code out, if that can be told. `line`: empty if it was too long to be kept."""
    try:
        core = read_json(line, _Core, limit=len(line))
    except UnreadableError:
        return None
    return Admission(
        code_hash=core.code_hash,
        subject_id=core.subject_id,
        event_id=core.event_id,
        kind=Kind.UNKNOWN,
        status=Status.CANCELLED,
        signature_hash=core.signature_hash,
    )

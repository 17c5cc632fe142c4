"""What to keep of a snapshot's row that cannot be read here although it arrived unaltered. Pure.

Its guest is not let in: the unreadable part may be that the ticket was cancelled. If at least the code can be
read, a row of `Kind.UNKNOWN` is kept: the door refuses it as not found, even if the code is signed or the
policy admits unknown codes. Otherwise nothing is kept, and the code is unknown, as to a gate that was offline
since before the sale.
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
    """A row that keeps its code out, if the code can be read. `line`: empty if it was too long."""
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

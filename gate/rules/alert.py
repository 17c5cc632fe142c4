"""What staff should know of at once: said by the hub, kept in the cache, shown by the door. Pure."""

from __future__ import annotations

from gate.common.value import Value
from gate.rules.model import Moment


class Alert(Value, frozen=True):
    """Something at a gate that staff should know of at once; `reason` as in its record (domain 2.3).

    `id`: the same when it is told again. `count`: so many records of this gate and reason, the
    first of them `at` that time by the gate's clock. Of the reason ``conflict``, a double admission:
    `gate` and `at` of the one that counts, `other_gate` and `other_at` of the one that does not,
    `subject_id` of the ticket.
    """

    id: str
    gate: str
    reason: str
    at: Moment
    count: int = 1
    other_gate: str = ""
    other_at: Moment | None = None
    subject_id: str | None = None
    v: int = 1

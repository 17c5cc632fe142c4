"""What staff should know at once: sent by the hub, kept in the cache, shown by the door. Pure."""

from __future__ import annotations

from gate.common.value import Value
from gate.rules.model import Moment


class Alert(Value, frozen=True):
    """Something at a gate that staff should know at once; `reason` as in its record (domain 2.3).

    `id`: stays the same when the alert is sent again. `count`: how many records of this gate and reason
    there were; `at`: when the first of them was, by the gate's clock. For the reason ``conflict``, a double
    admission, `gate` and `at` are those of the admission that counts, `other_gate` and `other_at` of the one
    that does not, and `subject_id` is the ticket.
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

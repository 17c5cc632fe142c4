"""Asking the hub for the first entry of a one-time ticket (domain 2.3, "First scan wins"). Values.

From a list that is behind, everybody who would be admitted is asked for, perks included.

Sync carries the question: `gate.hotline` is the door's end of the line to it, and has the port.
"""

from __future__ import annotations

from typing import Literal

from gate.model import Entry, Status, Value


class Claim(Value, frozen=True, tag="claim", tag_field="t"):
    """May this ticket enter here? `scan_id`: of the record the admission will have; asking again with
    the same gives the same answer. `epoch`: of the journal it will stand in."""

    scan_id: str
    code_hash: str
    event_id: str
    epoch: str


class Answer(Value, frozen=True, tag="answer", tag_field="t"):
    """What the hub says to a claim.

    ``granted``: it is this gate's. ``taken``: `entry` says by whom and when. ``revoked``: the hub knows
    better than the cache, `reason` says what (a word this gate need not know: it is refused all the same),
    or `status` alone where the hub is an older one.
    ``elsewhere``: policy ``home_gate``, only `home` could admit it and the hub cannot reach it.
    `reentry`: whether it has the VIP perk by the hub's knowledge, None if that is not said.
    """

    scan_id: str
    answer: Literal["granted", "taken", "revoked", "elsewhere"]
    entry: Entry | None = None
    status: Status | None = None
    home: str = ""
    reason: str | None = None
    reentry: bool | None = None

    @property
    def is_one_time(self) -> bool:
        """Whether the hub takes it for a one-time ticket: whoever may come and go is never kept out so."""
        return self.reentry is False or self.answer in ("taken", "elsewhere")

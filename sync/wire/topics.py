"""Topics between gates and hub (protocol 4.2). Pure; shared with the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gate.common.value import Value

GATE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a gate may be called: it is a level of its topics and a key at the hub."""


class Topics(Value, frozen=True):
    """The topics of one venue."""

    venue: str

    def _gate(self, gate_id: str, leaf: str) -> str:
        return f"maguey/v1/{self.venue}/gates/{gate_id}/{leaf}"

    def scans(self, gate_id: str = "+") -> str:
        """Scan batches; with ``+`` the filter for every gate."""
        return self._gate(gate_id, "scans")

    def status(self, gate_id: str = "+") -> str:
        """A gate's retained status."""
        return self._gate(gate_id, "status")

    def ack(self, gate_id: str) -> str:
        """The hub's retained acknowledgement to one gate."""
        return self._gate(gate_id, "ack")

    def claims(self, gate_id: str = "+") -> str:
        """What a gate asks the hub and wants answered at once (`ToHub`)."""
        return self._gate(gate_id, "claims")

    def grants(self, gate_id: str) -> str:
        """The hub's answers to one gate (`ToGate`)."""
        return self._gate(gate_id, "grants")

    def commands(self, gate_id: str) -> str:
        """Staff's orders to one gate (`gate.rules.command.Envelope`)."""
        return self._gate(gate_id, "commands")

    def replies(self, gate_id: str = "+") -> str:
        """What became of them (`gate.rules.command.OrderReply`)."""
        return self._gate(gate_id, "replies")

    def deltas(self, event_id: str = "+") -> str:
        """Feed changes of one event."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/deltas"

    def head(self, event_id: str = "+") -> str:
        """Retained head of one event's feed."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/head"

    def alerts(self) -> str:
        """What staff and gates should know at once."""
        return f"maguey/v1/{self.venue}/alerts"

    def heard_at(self, gate_id: str) -> list[str]:
        """Every filter a gate listens to; it asks for no other, and the broker's list grants no other."""
        return [
            self.ack(gate_id), self.grants(gate_id), self.commands(gate_id),
            self.scans(), self.status(), self.head(), self.deltas(), self.alerts(),
        ]  # fmt: skip

    def heard_by_name(self, gates: Iterable[str]) -> list[str]:
        """What a gate listens to of these in the place of all, while one of them floods
        (`sync.wire.cutoff`)."""
        return [topic for gate_id in gates for topic in (self.scans(gate_id), self.status(gate_id))]

    def said_by(self, gate_id: str) -> list[str]:
        """Every topic a gate speaks on."""
        return [self.scans(gate_id), self.status(gate_id), self.claims(gate_id), self.replies(gate_id)]

    def gate_of(self, topic: str) -> str | None:
        """The gate a topic belongs to, None if it is no gate's topic of this venue or no gate's id."""
        parts = topic.split("/")
        mine = len(parts) == 6 and parts[:2] == ["maguey", "v1"] and parts[2:4] == [self.venue, "gates"]
        return parts[4] if mine and GATE_ID.fullmatch(parts[4]) else None

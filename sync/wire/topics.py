"""Topics between gates and hub (protocol 4.2). Pure; shared with the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gate.common.value import Value

GATE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a gate may be called: the id is a level of its topics and a key at the hub."""


class Topics(Value, frozen=True):
    """The topics of one venue."""

    venue: str

    def _gate(self, gate_id: str, leaf: str) -> str:
        return f"maguey/v1/{self.venue}/gates/{gate_id}/{leaf}"

    def scans(self, gate_id: str = "+") -> str:
        """Batches of scans; with ``+`` the filter for every gate."""
        return self._gate(gate_id, "scans")

    def status(self, gate_id: str = "+") -> str:
        """A gate's retained status."""
        return self._gate(gate_id, "status")

    def ack(self, gate_id: str) -> str:
        """The hub's retained acknowledgement to one gate."""
        return self._gate(gate_id, "ack")

    def claims(self, gate_id: str = "+") -> str:
        """A gate's requests for the hub to answer at once (`ToHub`)."""
        return self._gate(gate_id, "claims")

    def grants(self, gate_id: str) -> str:
        """The hub's answers to one gate (`ToGate`)."""
        return self._gate(gate_id, "grants")

    def commands(self, gate_id: str) -> str:
        """Staff's orders to one gate (`gate.rules.command.Envelope`)."""
        return self._gate(gate_id, "commands")

    def replies(self, gate_id: str = "+") -> str:
        """A gate's replies to orders (`gate.rules.command.OrderReply`)."""
        return self._gate(gate_id, "replies")

    def deltas(self, event_id: str = "+") -> str:
        """Feed changes of one event."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/deltas"

    def head(self, event_id: str = "+") -> str:
        """Retained head of one event's feed."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/head"

    def alerts(self) -> str:
        """Alerts for staff and gates."""
        return f"maguey/v1/{self.venue}/alerts"

    def subscriptions(self, gate_id: str) -> list[str]:
        """Every filter a gate subscribes to; the broker's list grants no other."""
        return [
            self.ack(gate_id), self.grants(gate_id), self.commands(gate_id),
            self.scans(), self.status(), self.head(), self.deltas(), self.alerts(),
        ]  # fmt: skip

    def peer_subscriptions(self, gates: Iterable[str]) -> list[str]:
        """Filters for these gates by name, used instead of ``+`` while another gate is cut off."""
        return [topic for gate_id in gates for topic in (self.scans(gate_id), self.status(gate_id))]

    def publications(self, gate_id: str) -> list[str]:
        """Every topic a gate publishes on."""
        return [self.scans(gate_id), self.status(gate_id), self.claims(gate_id), self.replies(gate_id)]

    def gate_of(self, topic: str) -> str | None:
        """The gate whose topic this is; None if it is not a gate's topic of this venue."""
        parts = topic.split("/")
        mine = len(parts) == 6 and parts[:2] == ["maguey", "v1"] and parts[2:4] == [self.venue, "gates"]
        return parts[4] if mine and GATE_ID.fullmatch(parts[4]) else None

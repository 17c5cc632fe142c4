"""Which gate is the home of a one-time ticket, for the policy ``home_gate`` (domain 2.3, situation 3). Pure.

Rendezvous hashing (Thaler and Ravishankar, 1998): every gate gets a number for the ticket and the highest
wins, so retiring a gate gives its own tickets new homes and moves no others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from gate.common.value import Value
from gate.rules.model import Event


class Division(Value, frozen=True):
    """The gates among which a night's tickets are divided."""

    homes: tuple[str, ...]
    retired: tuple[str, ...]


def division_of(event: Event) -> Division:
    """The division of this night, as this gate knows it."""
    return Division(homes=event.homes, retired=event.retired)


def home_of(code_hash: str, homes: Collection[str], retired: Collection[str] = ()) -> str | None:
    """The home gate of a ticket; None if there is none (left).

    :param homes: all gates among which the night's tickets are divided, in any order.
    :param retired: those of them that are out for the night.
    """
    left = [gate for gate in homes if gate not in retired]
    return max(left, key=lambda gate: _weight(gate, code_hash), default=None)


def _weight(gate: str, code_hash: str) -> tuple[bytes, str]:
    return hashlib.sha256(f"{gate} {code_hash}".encode()).digest(), gate

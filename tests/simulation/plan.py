"""What happens in a night: tickets, guests, troubles, all drawn from the seed before it begins."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from gate.rules.model import IsolationPolicy
from tests.codes import signed
from tests.factories import code_id, pass_id
from tests.simulation.agenda import MS, S

GATES = ("gate-1", "gate-2", "gate-3")
SCANS = 300
NIGHT_US = 60 * S
"""Guests come and troubles begin during this time; then everything heals."""
DRIFT = 80e-6
"""A crystal's; a gate reckons with 100 millionths."""
POLICIES: tuple[IsolationPolicy, ...] = ("admit", "home_gate", "deny")

Kind = Literal["ga", "late", "host", "linked", "pass", "unknown"]


@dataclass(frozen=True)
class Ticket:
    """What a guest holds. `late`: sold while the night is on; `unknown`: signed, and never heard of."""

    number: int
    kind: Kind
    id: str

    @property
    def code(self) -> str:
        """The id itself, as the hub has it."""
        return pass_id(self.number) if self.kind == "pass" else code_id(self.number)

    @property
    def shown(self) -> str:
        """What the guest holds up."""
        return signed(self.code) if self.kind in ("unknown", "late") else self.code

    @property
    def is_one_time(self) -> bool:
        """Whether it lets in once."""
        return self.kind in ("ga", "late", "unknown")


@dataclass(frozen=True)
class Coming:
    """A guest comes to a gate."""

    at_us: int
    gate: str
    ticket: Ticket
    walks: bool


@dataclass(frozen=True)
class Trouble:
    """Something goes wrong, or changes at the hub."""

    at_us: int
    what: str
    gate: str = ""
    lasts_us: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A night. `rates`, `offsets_us`: of each gate's clocks. `prunes`: journals keep what is acknowledged for
    seconds, not for a month, so that a gate forgets whom it let in. `doors_us`, `ends_us`: when the doors
    open and when the night is over, in true time."""

    seed: int
    policy: IsolationPolicy
    event_id: str
    reservation_id: str
    tickets: tuple[Ticket, ...]
    comings: tuple[Coming, ...]
    troubles: tuple[Trouble, ...]
    rates: dict[str, float]
    offsets_us: dict[str, int]
    duplicates: float
    prunes: bool
    doors_us: int
    ends_us: int

    @property
    def drifts(self) -> bool:
        """Whether a clock runs wrong by more than a gate reckons with."""
        return any(abs(rate) > DRIFT for rate in self.rates.values())


def plan_of(seed: int) -> Plan:
    """The night of a seed."""
    random = Random(f"night {seed}")
    tickets = _tickets(random)
    comings = _comings(random, tickets)
    drift = random.choice((DRIFT, DRIFT, 0.01))
    doors_us, ends_us = random.choice(
        (*[(-3600 * S, 7 * 3600 * S)] * 5, (NIGHT_US // 3, 7 * 3600 * S), (-3600 * S, NIGHT_US // 2))
    )
    return Plan(
        seed=seed,
        policy=POLICIES[seed % 3],
        event_id=_uuid(random),
        reservation_id=_uuid(random),
        tickets=tickets,
        comings=comings,
        troubles=tuple(
            sorted((*_troubles(random), *_changes(random, tickets, comings)), key=lambda one: one.at_us)
        ),
        rates={gate: random.uniform(-drift, drift) for gate in GATES},
        offsets_us={gate: random.randint(-300 * S, 300 * S) for gate in GATES},
        duplicates=random.choice((0.0, 0.02, 0.1)),
        prunes=random.random() < 0.3,
        doors_us=doors_us,
        ends_us=ends_us,
    )


def _uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _tickets(random: Random) -> tuple[Ticket, ...]:
    counts: dict[Kind, int] = {"ga": 100, "late": 10, "host": 1, "linked": 5, "pass": 6, "unknown": 10}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return tuple(Ticket(number, kind, _uuid(random)) for number, kind in enumerate(kinds, 1))


def _comings(random: Random, tickets: tuple[Ticket, ...]) -> tuple[Coming, ...]:
    """Alone, at several gates at once, or again later with what was used already."""
    comings: list[Coming] = []
    while len(comings) < SCANS:
        ticket = random.choice(tickets)
        at = random.randint(S, NIGHT_US)
        gates = random.sample(GATES, random.choice((1, 1, 2, 3)))
        apart = random.choice((0, 3 * MS, 30 * MS, S, 20 * S))
        for gate in gates:
            comings.append(Coming(at + random.randint(0, apart), gate, ticket, random.random() < 0.9))
    return tuple(sorted(comings[:SCANS], key=lambda one: one.at_us))


def _changes(random: Random, tickets: tuple[Ticket, ...], comings: tuple[Coming, ...]) -> list[Trouble]:
    """Sales, before the guest comes; refunds and cancellations."""
    first = {coming.ticket: coming.at_us for coming in reversed(comings)}
    late = [ticket for ticket in tickets if ticket.kind == "late"]
    sales = [
        Trouble(random.randint(0, first.get(one, NIGHT_US) - 1), "sale", detail={"ticket": one})
        for one in late
    ]
    spoilt = random.sample([one for one in tickets if one.kind == "ga"], 8)
    return sales + [
        Trouble(
            random.randint(0, NIGHT_US),
            "revoke",
            detail={"ticket": one, "status": random.choice(("refunded", "cancelled"))},
        )
        for one in spoilt
    ]


def _troubles(random: Random) -> list[Trouble]:
    count = random.choice((0, 2, 5, 9, 14))
    return [_trouble(random) for _ in range(count)]


WEIGHTS = {
    "cut gate": 5, "cut hub": 2, "cut postgres": 2, "slow network": 1, "broker crash": 2, "kick": 1,
    "hub crash": 1, "hub killed": 3, "commit lost": 1,
    "door crash": 1, "door killed": 4, "sync crash": 1, "sync killed": 2, "sync stopped": 2, "slow disk": 2,
    "reboot": 2, "clock jump": 2, "new card": 1,
}  # fmt: skip


def _trouble(random: Random) -> Trouble:
    (what,) = random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
    way = random.choice(("both", "both", "up", "down"))
    return Trouble(
        at_us=random.randint(0, NIGHT_US),
        what=what,
        gate=random.choice(GATES),
        lasts_us=int(random.choice((1, 5, 20, 60)) * S * random.uniform(0.3, 1.0)),
        detail={
            "up": way != "down",
            "down": way != "up",
            "forgets": random.random() < 0.6,
            "part": random.choice(("consumer", "consumer", "claims", "feed", "api")),
            "after": random.randint(0, 12),
            "words": random.randint(0, 5),
            "lines": random.randint(1, 1500),
            "in_1970": random.random() < 0.5,
            "jump_us": random.choice((-3600 * S, -300 * S, -20 * S, -S, 20 * S)),
            "commit_us": random.choice((5, 60, 300, 1500)) * MS,
        },
    )

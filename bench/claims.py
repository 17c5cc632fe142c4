"""Claiming a first entry at the hub, and receiving a refund (quality 7.3)."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg

from bench.context import Context
from bench.figures import Aim, Row, compared, percentile
from bench.hub_bed import PATIENCE_S, TOPICS, Client, HubBed, Ticket, open_hub, until
from gate.rules.first_entry import Claim, Grant
from sync.wire.messages import Delta, Probe, decode, encode, to_gate

GATES = (1, 3, 20)
ROUNDS = 500
EVERY_S = 0.02
"""50 guests a second, each with a new ticket."""
CHANGES = 100
HEARING = 20


def rows(context: Context) -> Iterator[Row]:
    """See `bench.__main__.SUBJECTS`."""
    rounds = context.rounds(ROUNDS)
    with open_hub(context.folder / "claims", (rounds + 10) * len(GATES) + CHANGES + 10) as bed:
        bed.program("ingest").start()
        _answers(bed)
        for gates in GATES:
            yield _claims(bed, gates, rounds)
        yield _refunds(bed, context.rounds(CHANGES))


def _answers(bed: HubBed) -> None:
    """Wait until probes are answered."""
    client = Client(bed.broker.port, "prober", TOPICS.grants("gate-1"))

    def is_answered() -> bool:
        client.say(TOPICS.claims("gate-1"), encode(Probe(id=1)))
        try:
            client.heard.get(timeout=1.0)
        except queue.Empty:
            return False
        return True

    until(is_answered, "the hub answers probes")
    client.close()


def _claims(bed: HubBed, gates: int, rounds: int) -> Row:
    clients = [Client(bed.broker.port, f"gate-{n + 1}", TOPICS.grants(f"gate-{n + 1}")) for n in range(gates)]
    echo = Client(bed.broker.port, "echo", "floor/there")
    here = Client(bed.broker.port, "here", "floor/back")
    echo.answers("floor/back")
    ours: list[float] = []
    floors: list[float] = []
    with bed.connect() as conn:
        conn.execute("create table if not exists floor_commits (n int)")
        for number, ticket in enumerate(bed.take(rounds)):
            begun = time.perf_counter()
            gate = number % gates
            ours.append(_claim(bed, clients[gate], f"gate-{gate + 1}", ticket))
            # both after the same pause: a process that was just active is two to four times as fast
            _wait_until(begun + EVERY_S / 2)
            floors.append(_floor(conn, here))
            _wait_until(begun + EVERY_S)
    for client in (*clients, echo, here):
        client.close()
    return compared(
        f"claim, gate → hub → gate, p99 at 50/s, {gates} gates",
        "one commit and one MQTT round trip, p99",
        ours,
        floors,
        99,
        2.0,
    )


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))


def _claim(bed: HubBed, client: Client, gate_id: str, ticket: Ticket) -> float:
    claim = Claim(scan_id=str(uuid.uuid4()), code_hash=ticket.code_hash, event_id=bed.event_id, epoch=gate_id)
    begun = time.perf_counter()
    client.say(TOPICS.claims(gate_id), encode(claim))
    while True:
        at, _, payload = client.heard.get(timeout=PATIENCE_S)
        grant = to_gate(payload)
        if isinstance(grant, Grant) and grant.scan_id == claim.scan_id:
            if grant.answer != "granted":
                raise RuntimeError(f"nobody else has this ticket, yet the hub says {grant}")
            return at - begun


def _floor(conn: psycopg.Connection[Any], here: Client) -> float:
    begun = time.perf_counter()
    conn.execute("insert into floor_commits values (1)")
    here.say("floor/there", b"anybody?")
    at, _, _ = here.heard.get(timeout=PATIENCE_S)
    return at - begun


def _refunds(bed: HubBed, changes: int) -> Row:
    """From before the commit until the last of 20 connected gates has received it."""
    hearing = [Client(bed.broker.port, f"hearing-{n}", TOPICS.deltas(bed.event_id)) for n in range(HEARING)]
    taken: list[float] = []
    with bed.connect() as conn:
        for ticket in bed.take(min(changes, CHANGES)):
            begun = time.perf_counter()
            conn.execute("update tickets set status = 'refunded' where id = %s", (ticket.subject_id,))
            taken.append(max(_heard(client, ticket) for client in hearing) - begun)
    for client in hearing:
        client.close()
    return Row(
        what=f"a refund → known to each of {HEARING} connected gates, p99",
        figure=percentile(taken, 99) * 1e3,
        aim=Aim(limit=1000, of="figure"),
        note=f"p50 {percentile(taken, 50) * 1e3:.0f} ms, one change at a time",
    )


def _heard(client: Client, ticket: Ticket) -> float:
    while True:
        at, _, payload = client.heard.get(timeout=PATIENCE_S)
        if any(getattr(c.row, "code_hash", "") == ticket.code_hash for c in decode(payload, Delta).changes):
            return at

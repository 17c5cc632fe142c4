"""A list that is behind (domain 2.3), with real parts: the hub's web side is down, and sync was restarted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import psycopg
import pytest

from demo.club import Club, ClubSetup, GateBox, await_true, open_club
from demo.night import Ticket, phone
from gate.clock import SystemClock
from gate.diagnostics.status import EventStatus
from gate.rules.model import Flag, Reason, ScanRecord
from gate.store.cache import CacheReader
from tests.patience import PATIENCE_S


@pytest.fixture
def club(tmp_path: Path) -> Iterator[Club]:
    with open_club(tmp_path / "club", print, ClubSetup(gates=1, claim_timeout=5.0)) as club:
        yield club


def show(club: Club, ticket: Ticket) -> ScanRecord:
    """Show the ticket; return its record."""
    gate = club.gates[0]
    before = len(gate.records())
    gate.present(phone(ticket.printed, Random(5)))
    await_true(lambda: len(gate.records()) > before, PATIENCE_S, "scanned", club)
    return gate.records()[-1]


def is_answered(gate: GateBox, since_ms: int) -> bool:
    """Whether the hub answers on the line that claims use."""
    with contextlib.closing(CacheReader(gate.folder / "state" / "cache.db")) as cache:
        return (cache.link(SystemClock().now()).answered_ms or 0) > since_ms


def tonight(club: Club) -> EventStatus:
    event = club.gates[0].status().event
    assert event is not None
    return event


def hubs_view(club: Club) -> tuple[str, Mapping[str, str]]:
    """The state of the gate's list, as the hub sees it, and what the gate's status says of it."""
    with psycopg.connect(club.dsn) as db:
        (state, parts), *_ = db.execute(
            "select n.state, h.parts from gate_nights n join gate_health h using (gate_id)"
            " where n.code = 'PF'"
        ).fetchall()
    return str(state), parts or {}


def test_a_gate_restarted_without_the_hubs_web_side_knows_its_list_is_behind(
    club: Club,
) -> None:
    gate = club.gates[0]
    passes = club.night.of(lambda t: t.kind == "vip_pass" and t.status == "issued" and t.event == "PF")
    *asked, unasked = passes = [one for one in passes if one.table == passes[0].table]
    club.web.kill()
    gate.sync.kill()
    with psycopg.connect(club.dsn) as db:
        db.execute(
            "update vip_guest_passes set status = 'cancelled' where id::text = any (%s)",
            ([one.subject_id for one in passes],),
        )
    killed_ms = SystemClock().now().monotonic_ms
    gate.sync.start()
    await_true(lambda: bool(tonight(club).missing), PATIENCE_S, "known to be behind", club)
    await_true(lambda: gate.status().online, PATIENCE_S, "online all the same", club)
    await_true(lambda: is_answered(gate, killed_ms), PATIENCE_S, "claims are answered", club)
    assert any("BEHIND" in problem for problem in gate.status().problems)
    # the hub is asked; if its answer comes too late, the next scan asks again
    records = (show(club, one) for one in asked)
    record = next(one for one in records if one.reason is not Reason.FIRST_ENTRY)
    assert (record.reason, record.flags) == (Reason.CANCELLED, ())
    await_true(
        lambda: hubs_view(club)[0] == "behind" and "tickets" in hubs_view(club)[1],
        PATIENCE_S,
        "seen at the hub",
        club,
    )
    club.ingest.kill()
    record = show(club, unasked)
    assert record.reason is Reason.FIRST_ENTRY
    assert Flag.STALE in record.flags
    assert (record.cache_age_s or 0) >= 10
    club.ingest.start()
    club.web.start()
    await_true(lambda: tonight(club).behind_s is None, PATIENCE_S, "caught up", club)
    assert show(club, unasked).reason is Reason.CANCELLED

"""A database filled by a released version becomes today's, and nothing in it is lost (data model 3.1)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.servers import Postgres
from gate.rules.model import Reason
from hub.db.connection import Connection, connect
from hub.db.migrate import dump_schema, migrate
from hub.db.statements import query
from hub.errors import HubError
from hub.ingest.batch import Batch, write_batch
from sync.cache.writer import Cache
from sync.wire.messages import Ack, GateConfig
from tests.factories import NOW, an_event
from tests.integration.hub.world import World, later, record
from tests.migration.old import columns_of, make_old, rows_of
from tests.migration.versions import FILES, PG_DUMP, released

VERSION = "0.4"
TABLES_OF_THEN = 24
Row = dict[str, Any]


@pytest.fixture(scope="module")
def template(server: Postgres) -> str:
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("create database old_one")
    make_old(server.database("old_one"), VERSION)
    return "old_one"


@pytest.fixture
def old(server: Postgres, template: str) -> str:
    name = f"old_{uuid.uuid4().hex}"
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}".encode())
    return server.database(name)


@pytest.fixture(scope="module")
def new_dump(server: Postgres) -> str:
    """What a database is that never had another version."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("create database new_one")
    migrate(server.database("new_one"))
    return dump_schema(server.database("new_one"), PG_DUMP)


@pytest.fixture
def conn(old: str) -> Iterator[Connection]:
    with connect(old, autocommit=True) as connection:
        yield connection


def test_nothing_is_lost(old: str, conn: Connection) -> None:
    columns = columns_of(conn)
    before = rows_of(conn, columns)
    assert len(columns) == TABLES_OF_THEN
    assert {table for table, rows in before.items() if not rows} <= {"scan_repeats"}
    assert migrate(old) == [file.stem for file in FILES if file.name not in released(VERSION)]
    after = rows_of(conn, columns)
    tickets_before, tickets = (map(json.loads, rows.pop("tickets")) for rows in (before, after))
    assert after == before
    numbered = [_difference(*pair) for pair in zip(_by_id(tickets_before), _by_id(tickets), strict=True)]
    assert set().union(*numbered) == {"line_number", "updated_at"}


def _by_id(tickets: Iterable[Row]) -> list[Row]:
    return sorted(tickets, key=lambda ticket: str(ticket["id"]))


def _difference(before: Row, after: Row) -> set[str]:
    """The columns that changed. A paid ticket without a number on its payment gets one, and nothing else."""
    changed = {name for name in before if before[name] != after[name]}
    paid_without = before["stripe_payment_intent_id"] is not None and before["line_number"] is None
    assert bool(changed) == paid_without, (before, after)
    return changed


def test_it_becomes_what_a_new_database_is(old: str, new_dump: str) -> None:
    migrate(old)
    assert migrate(old) == []
    assert dump_schema(old, PG_DUMP) == new_dump


def test_each_new_file_may_run_twice_in_it(old: str, conn: Connection, new_dump: str) -> None:
    columns = columns_of(conn)
    for file in FILES:
        if file.name not in released(VERSION):
            with connect(old) as twice:
                twice.execute(file.read_bytes())
                once = rows_of(twice, columns)
                twice.execute(file.read_bytes())
                assert rows_of(twice, columns) == once
    assert dump_schema(old, PG_DUMP) == new_dump


def test_the_feed_goes_on_where_it_was(old: str, conn: Connection, tmp_path: Path) -> None:
    """For a gate that followed the old hub: the same digest, and the next change is the next version."""
    world, event = World(conn), _night(conn)
    gate = Cache(tmp_path / "cache.db")
    gate.put_config(_config(event))
    gate.put_snapshot(event, _version(world, event), gate.spool.fill(world.feed(event)), NOW)
    head = conn.execute(query("head"), {"event_id": event}).fetchone()
    digest = world.one("select feed_digest(%s)", event)
    assert gate.held()[0].digest == digest

    migrate(old)
    assert conn.execute(query("head"), {"event_id": event}).fetchone() == head
    assert world.one("select feed_digest(%s)", event) == digest

    world.run("update tickets set status = 'refunded' where id = %s", _ticket(world, event))
    [change] = world.changes(event, since=_version(world, event) - 1)
    assert change.version == gate.places()[event].version + 1
    gate.put_changes(event, [change], NOW)
    assert gate.held()[0].digest == world.one("select feed_digest(%s)", event) != digest


def test_its_hub_takes_in_scans_and_answers_claims(old: str, conn: Connection) -> None:
    migrate(old)
    world, event = World(conn), _night(conn)
    ticket = _ticket(world, event)
    code = world.one("select code_hash from tickets where id = %s", ticket)
    scan = record(1, gate_id="gate-11", code_hash=code, event_id=event, subject_id=ticket)
    batch = Batch(records=(scan,), topics={"gate-11": "maguey/v1/main/gates/gate-11/scans"})
    assert write_batch(conn, batch).acks == [("gate-11", Ack(epoch="e1", seq=1))]
    assert write_batch(conn, batch).acks == [("gate-11", Ack(epoch="e1", seq=1))]
    assert world.all("select status, checked_in_by from tickets where id = %s", ticket) == [
        ("checked_in", "gate-11")
    ]
    assert _claim(conn, event, code)["answer"] == "taken"
    other = world.one("select code_hash from tickets where id = %s", _ticket(world, event))
    assert _claim(conn, event, other)["answer"] == "granted"


def test_a_conflict_of_then_is_settled_as_then(old: str, conn: Connection) -> None:
    """The admission that won still wins, and a scan that was heard before is known."""
    world = World(conn)
    then = "select ticket_id, winner_scan, loser_scan, rule, withdrawn_at from scan_conflicts order by 2, 3"
    held = "select id, checked_in_scan, last_entry_scan from tickets order by id"
    conflicts, tickets = world.all(then), world.all(held)
    assert len(conflicts) > 10
    migrate(old)
    epoch = world.one("select epoch from scan_logs where gate_id = 'gate-1' limit 1")
    late = record(100_000, gate_id="gate-1", epoch=epoch, reason=Reason.ALREADY_USED, verdict="deny")
    write_batch(conn, Batch(records=(late,), topics={"gate-1": "maguey/v1/main/gates/gate-1/scans"}))
    assert world.all(then) == conflicts
    assert world.all(held) == tickets


def test_a_database_that_breaks_a_new_rule_stays_as_it_was(old: str, conn: Connection) -> None:
    """A ticket of an order that nobody has: where that went is for a person to say."""
    World(conn).run(
        "update tickets set order_id = gen_random_uuid() where ticket_id like %s", "%-00000000000000%7"
    )
    columns = columns_of(conn)
    before = rows_of(conn, columns)
    with pytest.raises(HubError, match=r"tickets_order_fkey.*It changed nothing"):
        migrate(old)
    assert rows_of(conn, columns) == before
    World(conn).run("update tickets set order_id = null")
    migrate(old)


def _night(conn: Connection) -> str:
    return str(World(conn).one("select id from events where code = 'PF'"))


def _version(world: World, event: str) -> int:
    return int(world.one("select admission_version from events where id = %s", event))


def _ticket(world: World, event: str) -> str:
    """One that nobody came with, at no table."""
    return str(
        world.one(
            "select t.id from tickets t where event_id = %s and status = 'issued' and not exists"
            " (select from vip_linked_tickets l where l.ticket_id = t.id) order by ticket_id limit 1",
            event,
        )
    )


def _claim(conn: Connection, event: str, code: str) -> Row:
    asked: Row = {"venue": "main", "gate_id": "gate-12", "scan_id": str(uuid.uuid4()), "code_hash": code}
    asked |= {"event_id": event, "epoch": "e1", "heard": None, "now": later(5)}
    row = conn.execute(query("claim_entry"), asked).fetchone()
    assert row is not None
    grant: Row = row["told"]["grant"]
    return grant


def _config(event: str) -> GateConfig:
    night = an_event(event_id=event, code="PF")
    return GateConfig(gate_id="g", gate_name="", venue="main", events=(night,))

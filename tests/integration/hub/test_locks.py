"""No foreign lock in Postgres stops the hub: it cannot be taken, or the hub soon says who has it."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs
from structlog.typing import EventDict

from demo.servers import Postgres
from hub import service
from hub.config import HubConfig
from hub.db import connection as database
from hub.db.call import call
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from hub.db.statements import query, sql_folder
from hub.gates.home_gates import retire
from hub.ingest.batch import Batch, write_batch
from hub.keeping.hourly import Keeping, housekeep
from tests.integration.hub.asking import NOW, VENUE, Night
from tests.integration.hub.roles import Club, attempt, open_club
from tests.integration.hub.test_lending import until_blocked
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record
from tests.patience import until

PEOPLE = ("anon", "mallory", "ana", "sam", "adam", "olga", "nobody")
"""As in `test_security`; and a login without any role."""

MODES = (
    "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE",
)  # fmt: skip
"""All that keep others from writing, or the hub from making months (PostgreSQL manual, 13.3.1)."""

GUESSED = """
SELECT count(pg_advisory_lock(hashtextextended(name, 0))) FROM (
    SELECT 'maguey-hub ingest main' UNION SELECT 'maguey-hub housekeeping'
    UNION SELECT 'maguey scan partitions'
    UNION SELECT 'maguey homes ' || %(event)s UNION SELECT 'maguey code ' || %(code)s
    UNION SELECT prefix || gate FROM unnest(ARRAY['', 'maguey gate ', 'gate ', 'maguey-hub gate ']) p (prefix)
        CROSS JOIN unnest(ARRAY['gate-1', 'gate-2', 'gate-3']) g (gate)
) guessed (name)
"""


@pytest.fixture(scope="module")
def club(server: Postgres) -> Iterator[Club]:
    made = open_club(server)
    yield made
    made.world.conn.close()


@contextlib.contextmanager
def being(club: Club, who: str) -> Iterator[Connection]:
    with club.asking("anon" if who == "nobody" else who) as conn:
        if who == "nobody":
            conn.execute("RESET ROLE")
        yield conn


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_but_the_hub_locks_a_table_against_it(club: Club, who: str) -> None:
    found = club.world.all(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
    )
    with being(club, who) as conn:
        had = {
            (name, mode)
            for (name,) in found
            for mode in MODES
            if attempt(conn, f'LOCK TABLE "{name}" IN {mode} MODE NOWAIT') != "denied"
        }
    assert had == set()


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_but_the_hub_can_take_the_hubs_locks(club: Club, who: str) -> None:
    with being(club, who) as conn:
        for sql in (
            "SELECT * FROM hub_locks FOR SHARE",
            "SELECT * FROM active_hubs FOR UPDATE",
            "INSERT INTO hub_locks (name) VALUES ('gate gate-1')",
            "INSERT INTO active_hubs (venue, pid, login) VALUES ('maguey', pg_backend_pid(), session_user)",
            "SELECT take_locks(ARRAY['gate gate-1'])",
            "SELECT try_lock('housekeeping')",
            "SELECT become_active('maguey')",
        ):
            assert attempt(conn, sql) == "denied", sql


def test_no_function_and_no_query_takes_a_lock_that_anybody_can_take(world: World) -> None:
    found = world.all(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'"
        " AND pg_get_functiondef(oid) ~ 'pg_(try_)?advisory'"
    )
    assert found == []
    queries = (sql_folder() / "queries").iterdir()
    takers = {file.name for file in queries if re.search("pg_(try_)?advisory", file.read_text())}
    # taken before any table of ours exists; the hub says who has it
    assert takers == {"migrate.sql"}


def test_holding_every_former_advisory_lock_holds_up_nothing(
    world: World, conn: Connection, dsn: str, owner_dsn: str
) -> None:
    night = Night(world)
    night.divide()
    stranger = "b" * 64
    conn.execute("SET lock_timeout = '1s'")
    with connect(owner_dsn, autocommit=True) as attacker:
        attacker.execute(GUESSED.encode(), {"event": night.event, "code": stranger})
        first = record(1, event_id=night.event, code_hash=stranger)
        assert write_batch(
            conn, Batch(records=(first,), topics={"gate-1": "maguey/v1/maguey/gates/gate-1/scans"})
        )
        claim = {"venue": VENUE, "gate": "gate-2", "event": night.event, "epoch": "e1", "now": NOW}
        claim |= {"scan": first.scan_id[:-4] + "abcd", "code_hash": "c" * 64, "heard": []}
        assert call(conn, "claim_entry", **claim)["to"] == "gate-2"
        assert "gate-3 is out" in retire(conn, "PF", "gate-3", "Eva", "water in it", NOW)
        assert not [step for step in housekeep(conn, Keeping(), NOW) if "another session" in step.line]
        row = conn.execute(query("become_active"), {"venue": VENUE}).fetchone()
        assert row == {"mine": True}


def test_of_two_sessions_that_create_a_lock_one_waits_for_the_other(
    conn: Connection, dsn: str, world: World
) -> None:
    take = b"SELECT take_locks(ARRAY['gate new', 'gate new', 'gate newer'])"
    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute(take)
        waiting = pool.submit(conn.execute, take)
        until_blocked(world, conn.info.backend_pid)
        other.commit()
        waiting.result(PATIENCE)
        with conn.transaction():
            conn.execute(take)
            other.execute("SET lock_timeout = '10ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute(take)


def active(conn: Connection) -> bool:
    row = conn.execute(query("become_active"), {"venue": VENUE}).fetchone()
    assert row is not None
    return bool(row["mine"])


def test_of_two_sessions_one_is_the_active_one_until_it_is_gone(conn: Connection, dsn: str) -> None:
    first = connect(dsn, autocommit=True)
    assert active(first)
    assert not active(conn)
    assert active(first)
    first.close()
    until(lambda: active(conn))
    with connect(dsn, autocommit=True) as third:
        assert not active(third)


def test_a_session_with_the_process_number_of_a_dead_hub_is_not_taken_for_it(
    conn: Connection, world: World
) -> None:
    for login, start in (("maguey_hub", "now() - interval '1 day'"), ("anon", "backend_start")):
        world.run(
            "INSERT INTO active_hubs (venue, pid, backend_start, login)"
            f" SELECT %s, pid, {start}, %s FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            " ON CONFLICT (venue) DO UPDATE SET pid = excluded.pid, backend_start = excluded.backend_start,"
            " login = excluded.login",
            VENUE,
            login,
        )
        assert active(conn)


@pytest.fixture
def told(config: HubConfig) -> Iterator[list[EventDict]]:
    """The log of a hub that takes in scans while the test runs."""
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(config, stop), daemon=True)
    with capture_logs() as logs:
        thread.start()
        yield logs
        stop.set()
        thread.join(PATIENCE)


def lines(told: list[EventDict], words: str) -> list[EventDict]:
    return [line for line in told if words in line["event"]]


BLOCKED = "hub blocked"


def test_a_session_that_locks_a_ticket_is_named_once_and_nothing_is_lost(
    told: list[EventDict], config: HubConfig, world: World, owner_dsn: str
) -> None:
    """Of an administrator or of staff, say, who went to lunch in the middle of a change."""
    ticket = world.ticket(world.event())
    with GateOnMqtt(config.mqtt.port, config.venue) as gate:
        assert gate.resend(record(1))
        with connect(f"{owner_dsn} application_name=psql") as lunch:
            lunch.execute(b"UPDATE tickets SET guest_name = 'x' WHERE id = %s", [ticket])
            gate.send(record(2, event_id=world.one("SELECT id FROM events"), subject_id=ticket))
            until(lambda: bool(lines(told, BLOCKED)))
            pid = lunch.info.backend_pid
            lunch.rollback()
        assert gate.wait_for_ack(2)
        until(lambda: bool(lines(told, "hub no longer blocked")))
    assert world.one("SELECT checked_in_by FROM tickets WHERE id = %s", ticket) == "gate-1"
    (line,) = lines(told, BLOCKED)
    assert (line["pid"], line["application"], line["login"]) == (pid, "psql", "maguey")
    # the hub itself was never away
    assert not [line for line in told if line["log_level"] == "error" or "Postgres failed" in line["event"]]


def test_the_holder_of_the_migration_lock_is_named(owner_dsn: str) -> None:
    with connect(owner_dsn, autocommit=True) as other, capture_logs() as logs:
        other.execute("SELECT pg_advisory_lock(hashtextextended('maguey-hub migrate', 0))")
        thread = threading.Thread(target=migrate, args=(owner_dsn,), daemon=True)
        thread.start()
        until(lambda: bool(lines(logs, "migration blocked")))
        other.execute("SELECT pg_advisory_unlock_all()")
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [line["pid"] for line in lines(logs, "migration blocked")] == [other.info.backend_pid]


def test_no_connection_of_the_hub_waits_for_a_lock_for_ever(dsn: str, world: World) -> None:
    for options, timeout in (("", f"{database.LOCK_SECONDS}s"), ("-c lock_timeout=77ms", "77ms")):
        with connect(make_conninfo(dsn, options=options)) as conn:
            assert conn.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": timeout}
    with connect(dsn) as conn, connect(dsn) as other:
        world.event()
        conn.execute("SELECT FROM events FOR UPDATE")
        other.execute("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            other.execute("SELECT FROM events FOR UPDATE")
    assert "another session holds a lock" in database.database_error_in_words(caught.value)
    assert database.is_outage(caught.value)

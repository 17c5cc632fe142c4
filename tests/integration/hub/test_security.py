"""Who may see and change what, tried in each role (data model 3.1, docs/security.md)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.servers import Postgres
from hub.db.connection import connect
from hub.drawn.rights import BEGIN, END, rights
from hub.drawn.states import put_into
from tests.integration.hub.roles import Club, answer, attempt, open_club
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "security.md"

PEOPLE = ("anon", "mallory", "ana", "sam", "adam", "olga")
"""Not logged in; a customer who bought nothing; one who did; staff; an admin; an owner."""

NO = "denied"
SEES = {
    # (anon, a stranger, Ana, staff, admin, owner): rows each of them sees
    "event_vip_tables": (2, 2, 2, 3, 3, 3),
    "events": (1, 1, 1, 2, 2, 2),
    "orders": (NO, 0, 1, 0, 2, 2),
    "payments": (NO, 0, 1, 0, 2, 2),
    "tickets": (NO, 0, 2, 5, 5, 5),
    "vip_reservations": (NO, 0, 1, 3, 3, 3),
    "vip_guest_passes": (NO, 0, 1, 2, 2, 2),
    "vip_linked_tickets": (NO, 0, 1, 2, 2, 2),
    "vip_scan_logs": (NO, 0, 0, 1, 1, 1),
    "scan_logs": (NO, 0, 0, 1, 1, 1),
    "scan_conflicts": (NO, 0, 0, 1, 1, 1),
    "gates": (NO, 0, 0, 1, 1, 1),
    "gate_status": (NO, 0, 0, 1, 1, 1),
    "payment_failures": (NO, 0, 0, 0, 1, 1),
    "refunds": (NO, 0, 0, 0, 1, 1),
    "audit_log": (NO, 0, 0, 0, 1, 1),
    "commands": (NO, 0, 0, 0, 1, 1),
    "scan_counts": (NO, 0, 0, 0, 0, 0),
    "scan_quarantine": (NO, 0, 0, 0, 1, 1),
    "owner_assignments": (NO, 0, 0, 0, 1, 1),
    "staff": (NO, 0, 0, 0, 2, 2),
}
"""Every other table is nobody's but the hub's."""

WRITES = {
    ("staff", "insert"),
    ("staff", "update"),
    ("staff", "delete"),
    ("payment_failures", "update"),
    ("scan_conflicts", "update"),
}
"""What somebody who is logged in may try at all; the rows are tested one by one."""


@pytest.fixture(scope="module")
def club(server: Postgres) -> Iterator[Club]:
    made = open_club(server)
    yield made
    made.world.conn.close()


def relations(club: Club, kinds: str = "rpv") -> list[str]:
    found = club.world.all(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = ANY (%s)",
        list(kinds),
    )
    return sorted(name for (name,) in found)


@pytest.mark.parametrize("who", PEOPLE)
def test_everybody_sees_their_own_rows_and_no_other_row_of_any_table(club: Club, who: str) -> None:
    expected = {table: SEES.get(table, (NO,) * 6)[PEOPLE.index(who)] for table in relations(club)}
    with club.asking(who) as conn:
        seen = {table: attempt(conn, f'SELECT 1 FROM "{table}"') for table in relations(club)}
        refused = {
            table: attempt(conn, f'SELECT count("{first(club, table)}") FROM "{table}"') for table in seen
        }
    assert seen == expected
    assert {table for table, said in refused.items() if said == NO} == {t for t in seen if seen[t] == NO}


def first(club: Club, table: str) -> str:
    """A column that everybody who sees the table may name."""
    return str(
        club.world.one(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum LIMIT 1",
            table,
        )
    )


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_but_the_hub_writes_a_table_except_as_listed(club: Club, who: str) -> None:
    tried = {}
    with club.asking(who) as conn:
        for table in relations(club, "rp"):
            column = first(club, table)
            tried[table, "insert"] = attempt(conn, f'INSERT INTO "{table}" DEFAULT VALUES')
            tried[table, "delete"] = attempt(conn, f'DELETE FROM "{table}" WHERE false')
            tried[table, "update"] = attempt(conn, f'UPDATE "{table}" SET "{column}" = DEFAULT WHERE false')
            assert attempt(conn, f'TRUNCATE "{table}"') == NO
    allowed = {what for what, said in tried.items() if said != NO}
    # the other rights are for some columns only, and the first column is not among them
    assert allowed == ({("staff", "insert")} if who != "anon" else set())


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("events", "home_gates"),
        ("events", "isolation_policy"),
        ("events", "cancellation"),
        ("gates", "token_hash"),
        ("gates", "certificate_fingerprint"),
        ("tickets", "metadata"),
        ("orders", "metadata"),
        ("orders", "stripe_customer_id"),
        ("payments", "metadata"),
        ("vip_linked_tickets", "purchased_by_email"),
    ],
)
def test_some_columns_are_for_the_hub_alone(club: Club, table: str, column: str) -> None:
    for who in PEOPLE:
        with club.asking(who) as conn:
            assert attempt(conn, f"SELECT {column} FROM {table}") == NO
    with club.asking("hub") as conn:
        assert attempt(conn, f"SELECT {column} FROM {table}") != NO


ADD_STAFF = "INSERT INTO staff (user_id, role) VALUES (gen_random_uuid(), 'owner')"
PROMOTE = "UPDATE staff SET role = 'owner'"
SETTLE = "UPDATE payment_failures SET resolved = true, resolved_at = now(), resolved_by = 'me'"
SEEN = "UPDATE scan_conflicts SET acknowledged_by = acting_as(), acknowledged_at = now()"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (ADD_STAFF, (NO, "row", "row", "row", 1, 1)),
        (PROMOTE, (NO, 0, 0, 0, 2, 2)),
        ("DELETE FROM staff", (NO,) * 6),
        (SETTLE, (NO, 0, 0, 0, 1, 1)),
        ("UPDATE payment_failures SET amount_cents = 0", (NO,) * 6),
        (SEEN, (NO, 0, 0, 1, 1, 1)),
        ("UPDATE scan_conflicts SET withdrawn_at = now()", (NO,) * 6),
        # in somebody else's name, or in nobody's
        ("UPDATE scan_conflicts SET acknowledged_by = 'Olga', acknowledged_at = now()",
         (NO, 0, 0, "row", "row", "row")),
        ("UPDATE scan_conflicts SET acknowledged_by = acting_as()", (NO, 0, 0, "row", "row", "row")),
    ],
)  # fmt: skip
def test_what_staff_and_owners_may_write(club: Club, sql: str, expected: tuple[int | str, ...]) -> None:
    for who, wanted in zip(PEOPLE, expected, strict=True):
        with club.asking(who) as conn:
            assert attempt(conn, sql) == wanted, who


def test_an_acknowledged_conflict_keeps_the_name_of_the_first(club: Club) -> None:
    with club.asking("sam") as conn:
        assert conn.execute(SEEN.encode()).rowcount == 1
        assert conn.execute(SEEN.encode()).rowcount == 0


OK = "OK"
CALLS = {
    # what anon, a stranger, Ana, staff, admin and owner are told; OK: it was done, or answered
    "SELECT event_availability({night})": (OK,) * 6,
    "SELECT check_vip_capacity({table})": (NO, "NOT_ALLOWED", OK, OK, OK, OK),
    "SELECT check_vip_capacity({bertas_table})": (NO, "NOT_ALLOWED", "NOT_ALLOWED", OK, OK, OK),
    "SELECT link_ticket_to_vip({table}, {free})": (NO, "NOT_ALLOWED", OK, OK, OK, OK),
    "SELECT link_ticket_to_vip({bertas_table}, {free})": (NO, "NOT_ALLOWED", "NOT_ALLOWED", OK, OK, OK),
    "SELECT unlink_ticket_from_vip({linked})": (NO, "NOT_ALLOWED", OK, OK, OK, OK),
    "SELECT unlink_ticket_from_vip(gen_random_uuid())": (NO, "NOT_ALLOWED", "NOT_ALLOWED")
    + ("TICKET_NOT_FOUND",) * 3,
    "SELECT join_vip_by_invite('TABLE0AA', {anas_free})": (NO, "TICKET_NOT_FOUND", OK)
    + ("TICKET_NOT_FOUND",) * 3,
    "SELECT process_vip_scan_with_reentry({pass_id})": (NO, "NOT_ALLOWED", "NOT_ALLOWED", OK, OK, OK),
    "SELECT check_vip_linked_ticket_reentry({ticket})": (NO, "NOT_ALLOWED", "NOT_ALLOWED", OK, OK, OK),
    "SELECT preview_event_cancellation({night})": (NO,) + ("NOT_ALLOWED",) * 3 + (OK, OK),
    "SELECT cancel_event({night}, 'me', 'rain')": (NO,) + ("NOT_ALLOWED",) * 3 + (OK, OK),
    "SELECT refund_order({order}, 'asked for')": (NO,) + ("NOT_ALLOWED",) * 3 + (OK, OK),
    "SELECT dismiss_staff(gen_random_uuid())": (NO,) + ("NOT_ALLOWED",) * 3 + ("STAFF_NOT_FOUND",) * 2,
    "SELECT dismiss_staff((SELECT user_id FROM staff WHERE role = 'staff'))": (NO,)
    + ("NOT_ALLOWED",) * 3
    + (OK, OK),
    "SELECT is_owner()": (NO, OK, OK, OK, OK, OK),
    "SELECT is_staff()": (NO, OK, OK, OK, OK, OK),
    "SELECT my_email()": (NO, OK, OK, OK, OK, OK),
    "SELECT acting_as()": (NO, OK, OK, OK, OK, OK),
}


@pytest.fixture(scope="module")
def called(server: Postgres) -> Iterator[tuple[Club, dict[str, str]]]:
    """A club, and what the calls are about."""
    club = open_club(server)
    world, ana = club.world, club.ana
    free, linked, hers = (world.ticket(club.night, "Free") for _ in range(3))
    world.link(ana.reservation, linked)
    world.run("UPDATE tickets SET guest_email = 'ana@example.org' WHERE id = %s", hers)
    world.run("UPDATE vip_reservations SET invite_code = 'TABLE0AA' WHERE id = %s", club.berta.reservation)
    pass_id = world.one("SELECT id FROM vip_guest_passes WHERE reservation_id = %s", ana.reservation)
    yield (
        club,
        {
            "night": club.night,
            "table": ana.reservation,
            "bertas_table": club.berta.reservation,
            "free": free,
            "linked": linked,
            "anas_free": hers,
            "ticket": ana.ticket,
            "order": ana.order,
            "pass_id": str(pass_id),
        },
    )
    club.world.conn.close()


@pytest.mark.parametrize("call", CALLS)
def test_who_may_call_what(called: tuple[Club, dict[str, str]], call: str) -> None:
    club, names = called
    sql = call.format(**{name: f"'{value}'" for name, value in names.items()})
    for who, wanted in zip(PEOPLE, CALLS[call], strict=True):
        with club.asking(who) as conn:
            told = answer(conn, sql)
            assert (told if (isinstance(told, str) and told.isupper()) or told == NO else OK) == wanted, who


def test_all_other_functions_are_for_the_hub_alone(club: Club) -> None:
    open_to = club.world.all(
        "SELECT proname, has_function_privilege('anon', oid, 'EXECUTE') AS anon,"
        " has_function_privilege('authenticated', oid, 'EXECUTE') AS people FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
    )
    listed = {call.split()[1].split("(")[0] for call in CALLS}
    assert {name for name, _, people in open_to if people} == listed
    assert {name for name, anon, _ in open_to if anon} == {"event_availability"}


def test_no_function_takes_a_time_from_a_person(club: Club) -> None:
    """Only the hub's own calls may say what time it is."""
    assert not club.world.all(
        "SELECT oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege('authenticated', oid, 'EXECUTE')"
        " AND proargtypes::oid[] && ARRAY['timestamptz', 'timestamp', 'date', 'interval']::regtype[]::oid[]"
    )


def test_the_document_says_what_the_database_does(club: Club) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    with connect(club.dsn) as conn:
        drawn = put_into(text, rights(conn), BEGIN, END)
    assert text == drawn, "run: python -m hub.drawn.rights DSN"

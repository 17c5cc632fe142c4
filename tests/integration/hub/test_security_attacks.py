"""What hostile guests and hostile staff try on the database, and that it gives them nothing.

docs/security.md says why.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from demo.servers import Postgres
from hub.db.connection import Connection, connect
from tests.integration.hub.roles import Club, answer, attempt, open_club, register
from tests.patience import PATIENCE_S

PRIVATE = ("orders", "payments", "tickets", "vip_reservations", "vip_guest_passes", "vip_linked_tickets",
           "payment_failures", "refunds", "audit_log", "staff", "scan_logs", "gates")  # fmt: skip


@pytest.fixture(scope="module")
def club(server: Postgres) -> Iterator[Club]:
    made = open_club(server)
    # the most that an untrusted user of a database may have: a schema of their own
    made.world.run("CREATE SCHEMA evil")
    made.world.run("GRANT ALL ON SCHEMA evil TO authenticated")
    yield made
    made.world.conn.close()


def nothing_opens(conn: Connection) -> bool:
    """Whether not one row is visible; an error counts as none."""
    for table in PRIVATE:
        try:
            if attempt(conn, f"SELECT 1 FROM {table}") not in {0, "denied"}:
                return False
        except psycopg.DataError:
            continue
    return True


@pytest.mark.parametrize(
    "claims",
    [
        "",
        "{}",
        "null",
        "[]",
        "not json",
        '{"sub": ""}',
        '{"sub": null}',
        '{"sub": "not a uuid"}',
        '{"sub": ["a", "b"]}',
        '{"sub": "00000000-0000-0000-0000-000000000000"}',
        '{"email": "ana@example.org"}',
        '{"email": "ana@example.org", "email_verified": true, "role": "service_role"}',
        '{"role": "service_role"}',
        '{"app_metadata": {"role": "owner"}, "user_metadata": {"is_staff": true}}',
    ],
)
def test_a_token_that_names_nobody_opens_nothing(club: Club, claims: str) -> None:
    with club.asking("mallory", claims) as conn:
        assert nothing_opens(conn)


def test_what_a_token_says_of_its_holder_opens_nothing(club: Club) -> None:
    """Neither an address nor a role in it is believed: only who it is."""
    told = club.token("mallory", email="ana@example.org", role="service_role", app_metadata={"role": "owner"})
    with club.asking("mallory", told) as conn:
        assert nothing_opens(conn)
        assert answer(conn, "SELECT is_staff()") is False
        assert answer(conn, "SELECT cancel_event(%s, 'x', 'x')", [club.night]) == "NOT_ALLOWED"


def test_an_address_that_was_not_confirmed_opens_nothing_until_it_is(club: Club) -> None:
    club.world.run("DELETE FROM auth.users WHERE email = 'berta@example.org'")
    register(club, "bertas_thief", "berta@example.org", is_confirmed=False)
    with club.asking("bertas_thief") as conn:
        assert nothing_opens(conn)
    club.world.run("UPDATE auth.users SET email_confirmed_at = now() WHERE email = 'berta@example.org'")
    with club.asking("bertas_thief") as conn:
        assert attempt(conn, "SELECT id FROM orders") == 1


@pytest.mark.parametrize("email", ["ANA@EXAMPLE.ORG", "Ana@Example.org"])
def test_an_address_in_another_case_is_the_same_address(club: Club, email: str) -> None:
    """It is the same mailbox, and only a confirmed address counts."""
    register(club, email, email, is_confirmed=False)
    with club.asking(email) as conn:
        assert nothing_opens(conn)
    club.world.run("UPDATE auth.users SET email_confirmed_at = now() WHERE email = %s", email)
    with club.asking(email) as conn:
        assert attempt(conn, "SELECT id FROM orders") == 1


@pytest.mark.parametrize("email", ["", " ", "%", "ana@example.org ", "ana@example.org\n", "a%"])
def test_an_invalid_address_owns_nothing(club: Club, email: str) -> None:
    """A login by telephone has an empty address, and so may a ticket sold at the door."""
    club.world.run("UPDATE tickets SET guest_email = '' WHERE guest_name = 'Nobody'")
    register(club, email, email)
    with club.asking(email) as conn:
        assert nothing_opens(conn)


def test_a_letter_that_only_looks_the_same_is_another_address(club: Club) -> None:
    """The Kelvin sign becomes a k when it is lowercased."""
    club.world.run("UPDATE orders SET customer_email = 'karl@example.org' WHERE id = %s", club.berta.order)
    register(club, "kelvin", "\N{KELVIN SIGN}arl@example.org")
    with club.asking("kelvin") as conn:
        assert nothing_opens(conn)
    club.world.run("UPDATE orders SET customer_email = 'berta@example.org' WHERE id = %s", club.berta.order)


@pytest.mark.parametrize("who", ["anon", "mallory", "sam"])
@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL ROLE service_role",
        "SELECT set_config('role', 'service_role', true)",
        "SET LOCAL SESSION AUTHORIZATION maguey",
        "SET LOCAL ROLE maguey_hub",
        "CREATE TABLE public.mine (x int)",
        "CREATE FUNCTION public.is_service() RETURNS boolean LANGUAGE sql AS 'select true'",
        "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        "ALTER TABLE tickets DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON tickets USING (true)",
        "ALTER FUNCTION cancel_event RESET search_path",
        "GRANT service_role TO CURRENT_USER",
        "SELECT * FROM auth.users",
        "SELECT * FROM _yoyo_migration",
        "SELECT nextval('alerts_number_seq')",
        "LOCK TABLE tickets",
        "COPY tickets TO STDOUT",
    ],
)
def test_nobody_gains_rights(club: Club, who: str, sql: str) -> None:
    with club.asking(who) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(sql.encode())


def test_giving_up_a_role_leaves_no_rights(club: Club) -> None:
    """What the web server's own login may do: become one of its roles, and nothing else."""
    with club.asking("ana") as conn:
        conn.execute("RESET ROLE")
        assert nothing_opens(conn)
        assert answer(conn, "SELECT event_availability(%s)", [club.night]) == "denied"


EVIL = """
CREATE FUNCTION evil.is_service() RETURNS boolean LANGUAGE sql AS 'select true';
CREATE FUNCTION evil.is_staff() RETURNS boolean LANGUAGE sql AS 'select true';
CREATE FUNCTION evil.is_owner() RETURNS boolean LANGUAGE sql AS 'select true';
CREATE FUNCTION evil.my_email() RETURNS text LANGUAGE sql AS $$ select 'ana@example.org' $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$ select 'ana@example.org' $$;
CREATE FUNCTION evil.pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql AS 'select true';
CREATE FUNCTION evil.always(text, text) RETURNS boolean LANGUAGE sql AS 'select true';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.always);
CREATE TABLE evil.staff AS SELECT %(me)s::uuid AS user_id, 'owner'::text AS role;
CREATE TABLE evil.owner_assignments AS SELECT %(me)s::uuid AS user_id;
CREATE TEMP TABLE staff AS SELECT %(me)s::uuid AS user_id, 'owner'::text AS role;
CREATE TEMP TABLE owner_assignments AS SELECT %(me)s::uuid AS user_id;
CREATE TEMP TABLE vip_reservations AS
    SELECT %(table)s::uuid AS id, 'mallory@example.org'::text AS purchaser_email;
CREATE TEMP TABLE tickets AS SELECT %(ticket)s::uuid AS id, 'mallory@example.org'::text AS guest_email;
CREATE FUNCTION pg_temp.is_staff() RETURNS boolean LANGUAGE sql AS 'select true';
GRANT ALL ON ALL TABLES IN SCHEMA evil TO public;
SET LOCAL search_path = evil, pg_temp, pg_catalog, public;
"""
"""How a user with a schema of their own shadows everything the functions name."""


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("public.cancel_event(%(night)s, 'x', 'x')", "NOT_ALLOWED"),
        ("public.preview_event_cancellation(%(night)s)", "NOT_ALLOWED"),
        ("public.refund_order(%(order)s, 'x')", "NOT_ALLOWED"),
        ("public.check_vip_capacity(%(table)s)", "NOT_ALLOWED"),
        ("public.link_ticket_to_vip(%(table)s, %(ticket)s, null, true)", "NOT_ALLOWED"),
        ("public.unlink_ticket_from_vip(%(ticket)s)", "NOT_ALLOWED"),
        ("public.join_vip_by_invite('X', %(ticket)s)", "TICKET_NOT_FOUND"),
        ("public.process_vip_scan_with_reentry(%(ticket)s)", "NOT_ALLOWED"),
        ("public.check_vip_linked_ticket_reentry(%(ticket)s)", "NOT_ALLOWED"),
        ("public.is_staff()", False),
        ("public.is_owner()", False),
    ],
)
def test_a_function_never_uses_an_object_that_shadows_ours(club: Club, sql: str, refused: str | bool) -> None:
    with club.asking("mallory") as conn:
        names = _trapped(club, conn)
        assert answer(conn, f"SELECT {sql}", names) == refused


def test_a_policy_never_uses_an_object_that_shadows_ours(club: Club) -> None:
    with club.asking("mallory") as conn:
        _trapped(club, conn)
        for table in PRIVATE:
            assert attempt(conn, f"SELECT 1 FROM public.{table}") == 0, table


def _trapped(club: Club, conn: Connection) -> dict[str, str]:
    names = {
        "me": club.people["mallory"],
        "night": club.night,
        "table": club.ana.reservation,
        "ticket": club.ana.ticket,
        "order": club.ana.order,
    }
    cursor = psycopg.ClientCursor(conn)  # several statements at once, with values
    cursor.execute(EVIL.encode(), names)
    return names


@pytest.mark.parametrize(
    "leak",
    [
        "SELECT ticket_id FROM tickets WHERE pg_temp.leak(guest_name)",
        "SELECT ticket_id FROM tickets WHERE pg_temp.leak(guest_name) OR true ORDER BY ticket_id LIMIT 1",
        "SELECT count(*) FROM tickets t LEFT JOIN orders o ON pg_temp.leak(o.customer_email)",
        "SELECT customer_email FROM orders WHERE pg_temp.leak(customer_email) AND id = id",
        "SELECT 1 FROM vip_guest_passes GROUP BY qr_code_token HAVING pg_temp.leak(qr_code_token)",
        "UPDATE staff SET name = name WHERE pg_temp.leak(name)",
        "UPDATE scan_conflicts SET acknowledged_by = 'x' WHERE pg_temp.leak(code_hash)",
    ],
)
def test_a_leaking_condition_never_sees_a_foreign_row(club: Club, leak: str) -> None:
    """However cheap it claims to be: the policy picks the rows before anybody's own function sees them."""
    with club.asking("mallory") as conn:
        conn.execute(
            "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
        )
        told: list[str | None] = []
        conn.add_notice_handler(lambda notice: told.append(notice.message_primary))
        conn.execute(leak.encode())
        assert [said for said in told if said != "<NULL>"] == []


@pytest.mark.parametrize("who", ["mallory", "ana"])
def test_null_arguments_get_a_refusal(club: Club, who: str) -> None:
    with club.asking(who) as conn:
        for call in (
            "check_vip_capacity(null)", "link_ticket_to_vip(null, null, null, null)",
            "link_ticket_to_vip(null, null, 'olga', true)", "unlink_ticket_from_vip(null, 'olga')",
            "join_vip_by_invite(null, null)", "process_vip_scan_with_reentry(null, null)",
            "check_vip_linked_ticket_reentry(null)", "preview_event_cancellation(null)",
            "cancel_event(null, null, null, null)", "refund_order(null, null, null)",
            "event_availability(null)",
        ):  # fmt: skip
            assert isinstance(answer(conn, f"SELECT {call}"), str), call


def test_nobody_acts_in_somebody_elses_name(club: Club) -> None:
    ticket = club.world.ticket(club.night, "Free")
    with club.asking("sam") as conn:
        conn.execute("SELECT link_ticket_to_vip(%s, %s, 'olga', true)", [club.ana.reservation, ticket])
        linked = conn.execute("SELECT linked_by FROM vip_linked_tickets WHERE ticket_id = %s", [ticket])
        assert (linked.fetchone() or {})["linked_by"] == club.people["sam"]
        scanned = "SELECT process_vip_scan_with_reentry(id, 'gate-1') FROM vip_guest_passes LIMIT 1"
        conn.execute(scanned.encode())
        logged = conn.execute("SELECT scanned_by FROM vip_scan_logs WHERE pass_id IS NOT NULL").fetchall()
        assert {row["scanned_by"] for row in logged} == {club.people["sam"]}
    with club.asking("olga") as conn:
        conn.execute("SELECT cancel_event(%s, 'somebody else', 'rain')", [club.night])
        done = conn.execute("SELECT actor FROM audit_log WHERE action = 'cancel_event'").fetchall()
        assert [row["actor"] for row in done] == [club.people["olga"]]


def test_a_purchaser_is_not_taken_for_staff_at_the_door(club: Club) -> None:
    ticket = club.world.ticket(club.night, "Late")
    call = "SELECT link_ticket_to_vip(%s, %s, 'staff', true)"
    club.world.moved(club.night, -1)
    with club.asking("ana") as conn:
        assert answer(conn, call, [club.ana.reservation, ticket]) == "GUEST_LIST_FROZEN"
    with club.asking("sam") as conn:
        assert answer(conn, call, [club.ana.reservation, ticket])["success"] is True
    club.world.moved(club.night, 60)


# THE HUB'S OWN LOGIN


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE public.mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "DROP TABLE tickets",
        "TRUNCATE scan_logs",
        "ALTER TABLE tickets DISABLE TRIGGER ALL",
        "ALTER TABLE tickets DISABLE ROW LEVEL SECURITY",
        "SET LOCAL session_replication_role = replica",
        "UPDATE audit_log SET actor = 'somebody else'",
        "DELETE FROM audit_log",
        "DELETE FROM scan_logs",
        "DELETE FROM tickets",
        "DELETE FROM scan_quarantine",
        "UPDATE admission_changes SET version = 0",
        "INSERT INTO state_transitions VALUES ('ticket', 'refunded', 'issued', '')",
        "INSERT INTO staff (user_id, role) VALUES (gen_random_uuid(), 'owner')",
        "UPDATE owner_assignments SET role = 'owner'",
        "SELECT * FROM auth.users",
        "SELECT * FROM _yoyo_migration",
        "COPY tickets TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_the_hub_itself_does_only_what_a_hub_does(club: Club, sql: str) -> None:
    with club.asking("hub") as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(sql.encode())


def test_the_hubs_login_is_only_a_member_of_the_service_role(club: Club) -> None:
    assert club.world.all(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, ARRAY("
        " SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid)"
        " FROM pg_roles r WHERE rolname IN ('maguey_hub', 'service_role') ORDER BY rolname"
    ) == [(False,) * 5 + (["service_role"],), (False,) * 5 + ([],)]
    assert club.world.all("SELECT 1 FROM pg_shdepend WHERE refobjid = 'maguey_hub'::regrole") == []


def test_the_hub_may_notify_lock_and_make_temporary_tables(club: Club) -> None:
    with connect(make_conninfo(club.dsn, user="maguey_hub"), autocommit=True) as conn:
        conn.execute("LISTEN maguey_admissions")
        conn.execute("SELECT pg_notify('maguey_admissions', 'x')")
        assert [notice.payload for notice in conn.notifies(timeout=PATIENCE_S, stop_after=1)] == ["x"]
        assert answer(conn, "SELECT pg_try_advisory_lock(1)") is True
        conn.execute("CREATE TEMP TABLE kept AS SELECT 1 AS x")
        assert answer(conn, "SELECT is_service()") is True


# THE CATALOG


def test_every_table_has_row_level_security_and_every_view_respects_it(club: Club) -> None:
    assert (
        club.world.all(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND (relkind IN ('r', 'p') AND NOT relrowsecurity"
            " OR relkind = 'v' AND NOT coalesce(reloptions @> '{security_invoker=true}', false)"
            " OR relkind IN ('m', 'f'))"
        )
        == []
    )


def test_nothing_is_granted_to_everybody(club: Club) -> None:
    assert (
        club.world.all(
            "SELECT relname FROM pg_class, aclexplode(relacl) a WHERE relnamespace = 'public'::regnamespace"
            " AND a.grantee = 0 UNION ALL SELECT proname FROM pg_proc,"
            " aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
            " WHERE pronamespace = 'public'::regnamespace AND a.grantee = 0"
        )
        == []
    )


def test_every_security_definer_function_has_a_fixed_search_path(club: Club) -> None:
    """Our schema first and temporary objects last; `pg_catalog` comes before both where it is not named."""
    assert (
        club.world.all(
            "SELECT oid::regprocedure::text, proconfig FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND prosecdef"
            " AND NOT coalesce(proconfig @> ARRAY['search_path=public, pg_temp'], false)"
        )
        == []
    )


def test_nobody_may_call_a_trigger_function(club: Club) -> None:
    assert (
        club.world.all(
            "SELECT proname FROM pg_proc, unnest(ARRAY['anon', 'authenticated', 'service_role']) AS r (name)"
            " WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype"
            " AND has_function_privilege(r.name, pg_proc.oid, 'EXECUTE')"
        )
        == []
    )


def test_objects_of_a_later_migration_are_closed_until_it_opens_them(club: Club) -> None:
    with connect(club.dsn) as conn:
        conn.execute("CREATE TABLE later (id bigserial)")
        conn.execute("CREATE FUNCTION later_too() RETURNS integer LANGUAGE sql RETURN 1")
        for role in ("anon", "authenticated", "service_role"):
            conn.execute(f"SET LOCAL ROLE {role}".encode())
            for sql in ("SELECT * FROM later", "SELECT nextval('later_id_seq')", "SELECT later_too()"):
                assert attempt(conn, sql) == "denied"
            conn.execute("RESET ROLE")
        conn.rollback()

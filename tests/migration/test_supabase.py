"""The hub's tables in a Supabase project: migrated as its `postgres`, beside what is there (data model 3.1).

As faithful as a plain Postgres can be made: `supabase.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from demo.servers import UNSYNCED, Postgres, postgres
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from tests.migration.versions import ALL

ANA, LUIS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
API = ("anon", "authenticated", "service_role")

CATALOG = {
    "roles": "select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,"
    " rolbypassrls, rolconfig from pg_roles",
    "members": "select roleid::regrole, member::regrole, admin_option from pg_auth_members",
    "schemas": "select nspname, nspowner::regrole, nspacl from pg_namespace where nspname !~ '^pg_'",
    "defaults": "select defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl"
    " from pg_default_acl",
    "tables": "select oid::regclass, relowner::regrole, relacl, relrowsecurity, reloptions from pg_class",
    "columns": "select attrelid::regclass, attname, atttypid::regtype, attnotnull, attacl from pg_attribute"
    " where attrelid > 16383 and attnum > 0",
    "functions": "select oid::regprocedure, proowner::regrole, proacl, proconfig, prosrc from pg_proc",
    "policies": "select polrelid::regclass, polname, polcmd, polroles::regrole[],"
    " pg_get_expr(polqual, polrelid) from pg_policy",
    "triggers": "select tgrelid::regclass, pg_get_triggerdef(oid), tgenabled from pg_trigger"
    " where not tgisinternal",
    "event triggers": "select evtname, evtevent, evtfoid::regproc, evtenabled from pg_event_trigger",
    "publications": "select p.pubname, p.puballtables, r.prrelid::regclass from pg_publication p"
    " left join pg_publication_rel r on r.prpubid = p.oid",
    "extensions": "select extname, extnamespace::regnamespace from pg_extension",
    "settings": "select setdatabase, setrole::regrole, setconfig from pg_db_role_setting",
    "people": "select * from auth.users",
}


def catalog(conn: Connection) -> dict[str, set[str]]:
    """All there is, a text for each thing."""
    conn.execute("set search_path = pg_catalog")  # names with their schema
    return {
        name: {row["it"] for row in conn.execute(f"select f::text as it from ({sql}) f".encode()).fetchall()}
        for name, sql in CATALOG.items()
    }


@pytest.fixture(scope="module")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A project before the hub came."""
    with postgres(tmp_path_factory.mktemp("supabase"), *UNSYNCED) as running:
        with psycopg.connect(running.dsn, autocommit=True) as conn:
            conn.execute(
                "create role supabase_admin superuser createdb createrole replication bypassrls login"
            )
        with psycopg.connect(_as(running, "supabase_admin")) as conn:
            conn.execute((Path(__file__).parent / "supabase.sql").read_bytes())
        yield running
        running.kill()


@pytest.fixture(scope="module")
def before(supabase: Postgres) -> dict[str, set[str]]:
    """What there was."""
    with connect(_as(supabase, "supabase_admin"), autocommit=True) as conn:
        return catalog(conn)


@pytest.fixture(scope="module")
def migrated(supabase: Postgres, before: dict[str, set[str]]) -> Postgres:
    """Migrated by its `postgres`, who is no superuser; twice."""
    assert before
    dsn = _as(supabase, "postgres")
    assert migrate(dsn) == ALL
    assert migrate(dsn) == []
    return supabase


@pytest.fixture
def conn(migrated: Postgres) -> Iterator[Connection]:
    with connect(_as(migrated, "supabase_admin"), autocommit=True) as connection:
        yield connection


def _as(server: Postgres, user: str) -> str:
    return server.dsn.replace("user=maguey", f"user={user}")


def test_whoever_migrated_is_no_superuser(conn: Connection) -> None:
    row = conn.execute("select rolsuper, rolcreaterole from pg_roles where rolname = 'postgres'").fetchone()
    assert row == {"rolsuper": False, "rolcreaterole": True}


@pytest.mark.parametrize("what", CATALOG)
def test_nothing_of_theirs_is_changed(conn: Connection, before: dict[str, set[str]], what: str) -> None:
    assert before[what] - catalog(conn)[what] == set()


def test_nothing_of_ours_lies_in_their_schemas(conn: Connection, before: dict[str, set[str]]) -> None:
    new = set().union(*(catalog(conn)[kind] - before[kind] for kind in ("tables", "functions")))
    assert {text for text in new if text.startswith(("(auth.", "(storage.", "(extensions."))} == set()
    assert catalog(conn)["publications"] == before["publications"]


def test_nothing_of_ours_is_open_by_their_default_privileges(
    conn: Connection, new_database: Callable[[], str]
) -> None:
    """Who may do what is the same as in a database of our own, where nothing is open by default."""
    own = new_database()
    migrate(own)
    with connect(own, autocommit=True) as plain:
        wanted = _rights(plain)
    theirs = {("public.profiles",), ("public.open_notes",), ("public.nicknames",)}
    theirs |= {("public.open_notes_id_seq",), ("public.handle_new_user()",)}
    found = {right for right in _rights(conn) if right[:1] not in theirs}
    assert found == wanted
    assert not [right for right in found if right[1] == "anon" and right[2] not in ("SELECT", "EXECUTE")]


def test_a_month_that_is_made_later_is_closed_as_well(conn: Connection) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute("set local role postgres")
        conn.execute("select public.make_scan_partition('2031-05-01')")
        assert conn.execute("select to_regclass('public.scan_logs_2031_05') is null as none").fetchone() == {
            "none": False
        }
        assert {right for right in _rights(conn) if right[0] == "public.scan_logs_2031_05"} == set()


def _rights(conn: Connection) -> set[tuple[str, str, str]]:
    """(thing, role, what it may) in `public`, of those who come over the web and of everybody."""
    conn.execute("set search_path = pg_catalog")
    rows = conn.execute(
        "with acl as ("
        " select oid::regclass::text as thing, coalesce(relacl, acldefault('r', relowner)) as acl"
        "  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'S')"
        " union all select oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))"
        "  from pg_proc where pronamespace = 'public'::regnamespace"
        " union all select attrelid::regclass || '.' || attname, attacl from pg_attribute"
        "  join pg_class c on c.oid = attrelid where c.relnamespace = 'public'::regnamespace)"
        " select thing, coalesce(r.rolname, 'public') as role, privilege_type as may"
        " from acl, aclexplode(acl) a left join pg_roles r on r.oid = a.grantee"
        " where a.grantee = 0 or r.rolname = any(%s)",
        [list(API)],
    ).fetchall()
    return {(row["thing"], row["role"], row["may"]) for row in rows}


def test_a_customer_is_known_by_the_address_they_confirmed(conn: Connection) -> None:
    with conn.transaction():
        conn.execute("set local role authenticated")
        assert _mail_of(conn, ANA) == "ana@example.org"
        assert _mail_of(conn, LUIS) is None
        assert _mail_of(conn, "") is None


def _mail_of(conn: Connection, user: str) -> str | None:
    claims = f'{{"sub": "{user}", "role": "authenticated", "email": "ana@example.org"}}' if user else ""
    conn.execute("select set_config('request.jwt.claims', %s, true)", [claims])
    row = conn.execute("select public.my_email() as mail").fetchone()
    assert row is not None
    mail: str | None = row["mail"]
    return mail


def test_their_application_goes_on(conn: Connection) -> None:
    """A person signs up: its trigger writes, and everybody reads through its own policy."""
    with conn.transaction(force_rollback=True):
        conn.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'eva@example.org')")
        conn.execute("set local role anon")
        row = conn.execute("select count(*) as count from public.profiles").fetchone()
        assert row == {"count": 1}
        conn.execute("insert into public.open_notes (note) values ('hello')")

"""Functions, views, triggers and rights stand once each in `objects/`; a database follows what is edited."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from hub.db import objects
from hub.db.connection import Connection, connect
from hub.db.migrate import OBJECTS, dump_schema, migrate
from hub.db.objects import apply_objects, object_files
from hub.errors import HubError
from tests.migration.versions import FILES, PG_DUMP

MADE = re.compile(
    r"^create (?:or replace )?(function|view|trigger|policy) ([\w.]+)", re.MULTILINE | re.IGNORECASE
)
TABLE = re.compile(r"\bon (?:public\.)?(\w+)")


def made(sql: str) -> list[tuple[str, ...]]:
    """What a file makes: kind and name; of triggers and policies the table as well."""
    found: list[tuple[str, ...]] = []
    for match in MADE.finditer(sql):
        kind, name = match.groups()
        table = TABLE.search(sql, match.end()) if kind in ("trigger", "policy") else None
        found.append((kind, name, table.group(1) if table else ""))
    return found


def test_no_object_is_made_twice() -> None:
    counts = Counter(one for sql in object_files().values() for one in made(sql.decode()))
    assert len(counts) > 250
    assert {one: count for one, count in counts.items() if count > 1} == {}


def test_no_function_view_trigger_or_right_stands_in_the_migrations() -> None:
    word = re.compile(
        r"create\s+(or\s+replace\s+)?(function|view|trigger|policy)|^\s*(grant|revoke) ",
        re.MULTILINE | re.IGNORECASE,
    )
    found = {
        file.name: [match.group(0).strip() for match in word.finditer(file.read_text())] for file in FILES
    }
    # usage of a schema that only this migration makes
    assert {name: words for name, words in found.items() if words} == {FILES[0].name: ["grant"]}


LONGEST_FUNCTION = 50


def lengths(sql: str) -> Iterator[tuple[str, int]]:
    """The functions of a file, each with its lines: from `create` to the semicolon outside of the body."""
    lines = sql.splitlines()
    for start, line in enumerate(lines):
        if (match := MADE.match(line)) and match.group(1) == "function":
            quotes = 0
            for number, text in enumerate(lines[start:], 1):
                quotes += text.count("$$")
                if quotes % 2 == 0 and text.endswith(";"):
                    yield match.group(2), number
                    break


def test_functions_are_short() -> None:
    found = {name: count for sql in object_files().values() for name, count in lengths(sql.decode())}
    assert len(found) > 150
    assert {name for name, count in found.items() if count > LONGEST_FUNCTION} == set()


def test_the_length_of_a_function_ends_with_its_body() -> None:
    sql = "create or replace function f() returns void\nlanguage sql as $$\n  select 1;\n$$;\n\nselect 2;"
    short = "create function g(p integer) returns text\nreturn 'x';\n"
    assert [*lengths(sql), *lengths(short)] == [("f", 4), ("g", 2)]


def test_the_pattern_finds_what_is_made_twice() -> None:
    twice = "create or replace function f() returns void\n...\ncreate function f(p integer) returns void"
    assert made(twice) == [("function", "f", ""), ("function", "f", "")]


@pytest.fixture
def dsn(new_database: Callable[[], str]) -> str:
    dsn = new_database()
    migrate(dsn)
    return dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    with connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files as the hub will read them, to be edited."""
    found = object_files()
    monkeypatch.setattr(objects, "object_files", lambda: dict(sorted(found.items())))
    return found


def test_each_object_is_noted_once_it_is_made(conn: Connection) -> None:
    rows = conn.execute("select type, count(*) as count from applied_objects group by type").fetchall()
    counts = {row["type"]: row["count"] for row in rows}
    functions = conn.execute(
        "select count(*) as count from pg_proc where pronamespace = 'public'::regnamespace"
    ).fetchone()
    assert functions is not None
    assert counts["function"] == functions["count"]
    assert set(counts) == {"function", "view", "trigger", "policy"}


def test_unchanged_files_are_not_applied_again(conn: Connection) -> None:
    assert apply_objects(conn, anyway=False) is False


def test_made_again_they_are_what_they_were(dsn: str, conn: Connection) -> None:
    before = dump_schema(dsn, PG_DUMP)
    assert apply_objects(conn, anyway=True) is True
    assert dump_schema(dsn, PG_DUMP) == before


def test_a_changed_signature_leaves_no_second_function(
    dsn: str, conn: Connection, files: dict[str, bytes]
) -> None:
    files["98_more.sql"] = (
        b"create or replace function more(p integer) returns integer language sql return p;"
    )
    assert migrate(dsn) == [OBJECTS]
    files["98_more.sql"] = b"create or replace function more(p text) returns text language sql return p;"
    assert migrate(dsn) == [OBJECTS]
    assert _signatures(conn, "more") == ["more(text)"]


def test_what_is_no_longer_in_the_files_is_dropped(
    dsn: str, conn: Connection, files: dict[str, bytes]
) -> None:
    before = dump_schema(dsn, PG_DUMP)
    files["98_more.sql"] = (
        b"create or replace function more() returns trigger language plpgsql as $$begin return new; end$$;"
        b"create trigger more before update on gates for each row execute function more();"
        b"create view more_gates as select gate_id from gates;"
        b"create policy more on gates for select to anon using (true);"
    )
    assert migrate(dsn) == [OBJECTS]
    assert dump_schema(dsn, PG_DUMP) != before
    del files["98_more.sql"]
    assert migrate(dsn) == [OBJECTS]
    assert dump_schema(dsn, PG_DUMP) == before


def test_a_new_function_is_closed_to_everybody_but_the_hub(
    dsn: str, conn: Connection, files: dict[str, bytes]
) -> None:
    files["98_more.sql"] = b"create or replace function more() returns integer language sql return 1;"
    migrate(dsn)
    row = conn.execute(
        "select has_function_privilege('anon', 'more()', 'execute') as anon,"
        " has_function_privilege('service_role', 'more()', 'execute') as hub"
    ).fetchone()
    assert row == {"anon": False, "hub": True}


def test_a_file_that_fails_is_named_and_nothing_is_changed(dsn: str, files: dict[str, bytes]) -> None:
    before = dump_schema(dsn, PG_DUMP)
    files["98_more.sql"] = b"create function more() returns integer language sql return 'x';"
    with pytest.raises(
        HubError, match=r"objects/98_more\.sql could not be applied: .*Nothing .* was changed"
    ):
        migrate(dsn)
    assert dump_schema(dsn, PG_DUMP) == before


def test_somebody_elses_view_on_ours_stays(dsn: str, conn: Connection, files: dict[str, bytes]) -> None:
    conn.execute("create view somebodys as select hash_of_text('x') as hash")
    files["10_basics.sql"] += b"-- edited\n"
    assert migrate(dsn) == [OBJECTS]
    assert conn.execute("select length(hash) as letters from somebodys").fetchone() == {"letters": 64}
    assert _signatures(conn, "hash_of_text") == ["hash_of_text(text)"]


def test_a_new_migration_makes_them_again(dsn: str, conn: Connection) -> None:
    """It may have dropped what stood in its way."""
    before = dump_schema(dsn, PG_DUMP)
    conn.execute("drop view feed_events")
    conn.execute("delete from _yoyo_migration where migration_id = %s", [FILES[-1].stem])
    assert migrate(dsn) == [FILES[-1].stem, OBJECTS]
    assert dump_schema(dsn, PG_DUMP) == before


def _signatures(conn: Connection, name: str) -> list[str]:
    rows = conn.execute(
        "select oid::regprocedure::text as it from pg_proc where proname = %s", [name]
    ).fetchall()
    return [row["it"] for row in rows]

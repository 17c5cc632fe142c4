"""The tables of docs/security.md: the rights granted in the database.

``python -m hub.drawn.rights DSN [FILE]`` rewrites the text between two markers in FILE, by default
docs/security.md. A test compares them, so that no right is granted unnoticed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hub.db.connection import Connection, connect
from hub.db.statements import query
from hub.drawn.states import put_into

BEGIN = "<!-- rights: written by python -m hub.drawn.rights -->"
END = "<!-- rights: end -->"

ROLES = ("anon", "authenticated", "service_role")
_ORDER = ("select", "insert", "update", "delete")


def rights(conn: Connection) -> str:
    """All rights as Markdown: tables, columns, rows, functions."""
    granted = [row for row in _rows(conn, "rights_on_tables") if "yoyo" not in row["name"]]
    functions = _rows(conn, "rights_on_functions")
    parts = (
        ("Tables and views", _tables(granted)),
        ("Columns", _columns(granted)),
        ("Rows", _policies(_rows(conn, "policies"))),
        ("Functions for people", _functions(functions)),
        ("Functions for the hub alone", _hubs(functions)),
    )
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts)


def _rows(conn: Connection, name: str) -> list[dict[str, Any]]:
    return conn.execute(query(name)).fetchall()


def _tables(granted: list[dict[str, Any]]) -> str:
    lines = [_line(("table", *ROLES)), _line(["---"] * 4)]
    for name, group in itertools.groupby(granted, key=lambda row: row["name"]):
        found = list(group)
        lines.append(_line([f"`{name}`", *(_actions(found, role) for role in ROLES)]))
    return "\n".join(lines)


def _actions(found: list[dict[str, Any]], role: str) -> str:
    """What a role may do with one table; in brackets what it may only do with some columns."""
    mine = {row["action"]: row["columns"] for row in found if row["role"] == role}
    rest = sorted(set(mine) - set(_ORDER))
    said = [f"({action})" if mine[action] else action for action in (*_ORDER, *rest) if action in mine]
    return ", ".join(said) or "-"


def _columns(granted: list[dict[str, Any]]) -> str:
    lines = [_line(("table", "action", "role", "columns")), _line(["---"] * 4)]
    limited = [row for row in granted if row["columns"]]
    lines += [_line([f"`{row['name']}`", row["action"], row["role"], row["columns"]]) for row in limited]
    return "\n".join(lines)


def _policies(found: list[dict[str, Any]]) -> str:
    lines = [_line(("table", "policy", "role", "action", "rows", "rows as written")), _line(["---"] * 6)]
    for row in found:
        said = [f"`{row[key]}`" if row[key] else "-" for key in ("rows", "new_rows")]
        lines.append(_line([f"`{row['name']}`", row["policy"], row["role"], row["action"], *said]))
    return "\n".join(lines)


def _functions(found: list[dict[str, Any]]) -> str:
    lines = [_line(("function", "anon", "authenticated", "runs as")), _line(["---"] * 4)]
    for row in found:
        if set(row["roles"]) - {"service_role"}:
            marks = ["yes" if role in row["roles"] else "-" for role in ROLES[:2]]
            lines.append(_line([f"`{row['name']}`", *marks, "owner" if row["definer"] else "caller"]))
    return "\n".join(lines)


def _hubs(found: list[dict[str, Any]]) -> str:
    own = [row for row in found if row["roles"] == ["service_role"]]
    nobodys = [row for row in found if not row["roles"]]
    return (
        f"With the rights of the tables' owner: {_listed(row['name'] for row in own if row['definer'])}.\n\n"
        f"With the hub's: {_listed(row['name'] for row in own if not row['definer'])}.\n\n"
        f"Called by nobody, but by triggers: {_listed(row['name'] for row in nobodys)}."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Rewrite the tables of a document from the database named on the command line."""
    if len(sys.argv) not in {2, 3}:
        sys.exit("usage: python -m hub.drawn.rights DSN [FILE]")
    file = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/security.md")
    with connect(sys.argv[1]) as conn:
        text = put_into(file.read_text(encoding="utf-8"), rights(conn), BEGIN, END)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

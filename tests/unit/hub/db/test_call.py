"""A function is called by its name with named arguments; nothing of either is read as SQL."""

from __future__ import annotations

from typing import Any

from hub.db.call import call


class Conn:
    """Notes the statement and answers with one row."""

    def execute(self, statement: bytes, values: dict[str, Any]) -> Conn:
        self.said = (statement, values)
        return self

    def fetchone(self) -> dict[str, Any]:
        return {"value": 7}


def test_names_are_quoted_and_numbers_take_the_type_of_the_signature() -> None:
    conn: Any = Conn()
    assert call(conn, 'f"; drop table gates', cents=5, is_off=True, email=None) == 7
    assert conn.said == (
        b'SELECT "f""; drop table gates"("p_cents" => %(cents)s, "p_is_off" => %(is_off)s,'
        b' "p_email" => %(email)s) AS value',
        {"cents": "5", "is_off": True, "email": None},
    )

"""How the hub connects to Postgres."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from hub.db.connection import conninfo


def test_a_silent_network_is_noticed_in_11_s_with_or_without_a_query() -> None:
    made = {key: str(value) for key, value in conninfo_to_dict(conninfo("host=h dbname=d")).items()}
    silent = int(made["keepalives_idle"]) + int(made["keepalives_interval"]) * int(made["keepalives_count"])
    assert silent == 11
    assert int(made["tcp_user_timeout"]) == silent * 1000
    assert int(made["connect_timeout"]) < silent


def test_settings_in_the_dsn_take_precedence() -> None:
    assert conninfo_to_dict(conninfo("host=h dbname=d tcp_user_timeout=5"))["tcp_user_timeout"] == "5"

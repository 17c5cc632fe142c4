"""maguey-hub as a person runs it: help, exit codes, one-line errors, the demo's night."""

from __future__ import annotations

import json
import random
import socket
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from demo.servers import Postgres
from gate.rules.model import Admission
from gate.rules.payload import Code, code_hash, parse
from hub.db.connection import Connection
from hub.demo_night import demo_night_of, seed_demo
from tests.integration.hub.world import World


def hub(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hub.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["migrate", "ingest", "web", "seed-demo"])
def test_every_command_explains_itself(command: str) -> None:
    answer = hub(command, "--help")
    assert answer.returncode == 0
    assert "--config" in answer.stdout


@pytest.mark.parametrize("command", ["migrate", "ingest", "web"])
def test_a_wrong_config_exits_with_2(command: str, tmp_path: Path) -> None:
    missing = hub(command, "--config", tmp_path / "none.toml")
    assert (missing.returncode, "copy config/hub.toml" in missing.stderr) == (2, True)
    assert missing.stderr.startswith("maguey-hub: ")
    wrong = tmp_path / "hub.toml"
    wrong.write_text("[postgres]\n")
    answer = hub(command, "--config", wrong)
    assert (answer.returncode, "2 mistakes" in answer.stderr) == (2, True)
    assert hub(command).returncode == 2


def test_a_missing_postgres_exits_with_1_and_one_line(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('venue = "v"\n[postgres]\ndsn = "host=127.0.0.1 port=1 dbname=d user=x"\n')
    for words in (["migrate"], ["seed-demo", "--out", str(tmp_path / "x")]):
        answer = hub(*words, "--config", file)
        assert answer.returncode == 1
        assert "Start Postgres" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_seed_demo_works_once(config_file: Path, tmp_path: Path, world: World) -> None:
    out = tmp_path / "seed.json"
    command = ["seed-demo", "--config", str(config_file), "--out", str(out), "--seed", "7"]
    assert hub(*command).returncode == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    seeded = json.loads(out.read_text())
    assert [gate["name"] for gate in seeded["gates"]] == ["GATE 1", "GATE 2"]
    assert world.one("SELECT count(*) FROM tickets") == 510
    again = hub(*command)
    assert (again.returncode, "nothing was changed" in again.stderr) == (1, True)
    assert json.loads(out.read_text()) == seeded


def test_the_same_seed_makes_the_same_night(conn: Connection, world: World, tmp_path: Path) -> None:
    night = demo_night_of(date(2026, 1, 30), datetime(2026, 1, 1, tzinfo=UTC))
    made = seed_demo(conn, "maguey", night, random.Random(7), tmp_path / "seed.json")
    world.run("TRUNCATE events, gates, admission_changes CASCADE")
    assert seed_demo(conn, "maguey", night, random.Random(7), tmp_path / "seed.json") == made
    assert [ticket.number for ticket in made.tickets] == list(range(1, 535))
    assert made.events[0].doors_open_at == datetime(2026, 1, 30, 22, tzinfo=UTC)
    kinds = [ticket.kind for ticket in made.tickets]
    assert (kinds[:6], kinds[6:18]) == (["vip_host"] * 6, ["vip_linked"] * 12)
    assert kinds[500:524] == ["vip_pass"] * 24
    assert {ticket.event for ticket in made.tickets[524:]} == {"PS"}


def test_the_gates_know_every_printed_code(conn: Connection, world: World, tmp_path: Path) -> None:
    night = demo_night_of(None, datetime.now(UTC))
    made = seed_demo(conn, "maguey", night, random.Random(1), tmp_path / "seed.json")
    assert night.ends_at - night.doors_open_at == timedelta(hours=9)
    feed = {row.code_hash: row for row in world.feed(made.event_id) if isinstance(row, Admission)}
    for ticket in made.tickets:
        code = parse(ticket.printed.encode())
        assert isinstance(code, Code)
        assert code.check_ok
        assert code.code_hash == code_hash(ticket.code)
        if ticket.event == "PF":
            row = feed[code.code_hash]
            assert (row.kind, row.status, row.subject_id) == (ticket.kind, ticket.status, ticket.subject_id)
            assert (row.signature_hash is not None) == (ticket.form == "json")
    assert world.all("SELECT status, count(*) FROM vip_reservations GROUP BY 1 ORDER BY 1") == [
        ("confirmed", 5),
        ("pending", 1),
    ]


def test_a_port_in_use_exits_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "hub.toml"
        file.write_text(
            f'venue = "v"\n[postgres]\ndsn = "dbname=d"\n[web]\nport = {taken.getsockname()[1]}\n'
        )
        answer = hub("web", "--config", file)
    assert (answer.returncode, "Choose another [web] port" in answer.stderr) == (1, True)


@pytest.mark.parametrize("what", ["dbname=nowhere user=maguey", "dbname=postgres user=nobody-we-know"])
def test_nobody_is_told_to_start_a_postgres_that_runs(server: Postgres, tmp_path: Path, what: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(f'venue = "v"\n[postgres]\ndsn = "host=127.0.0.1 port={server.port} {what}"\n')
    answer = hub("migrate", "--config", file)
    assert answer.returncode == 1
    assert "create the user and the database" in answer.stderr
    assert "Start Postgres" not in answer.stderr


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01"])
def test_a_date_that_does_not_fit_is_refused(config_file: Path, tmp_path: Path, date: str) -> None:
    answer = hub("seed-demo", "--config", config_file, "--out", tmp_path / "x", "--date", date)
    assert (answer.returncode, "choose a date" in answer.stderr) == (2, True)
    assert "Traceback" not in answer.stderr


def test_a_password_file_that_is_not_text_is_a_config_mistake(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe\x00")
    config_file.write_text(
        config_file.read_text() + f'username = "hub"\npassword_file = "{tmp_path / "password"}"\n'
    )
    answer = hub("ingest", "--config", config_file)
    assert (answer.returncode, "Save it as UTF-8" in answer.stderr) == (2, True)

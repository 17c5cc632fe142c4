"""/metrics: for whoever has the token, from what is in Postgres; dashboards and rules name nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]  # of litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from gate.common.errors import ConfigError
from gate.rules.model import Reason, Ruling
from hub.config import HubConfig, Postgres, Web
from hub.db.connection import Connection, connect
from hub.web.api import make_app
from hub.web.metrics import KEPT_S, HubReadings, MetricsPage, metrics_text, read_hub
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, record
from tests.paths import ROOT

TOKEN = "a-token-of-some-length"
DASHBOARDS = sorted((ROOT / "config" / "grafana").glob("*.json"))
RULES = ROOT / "config" / "prometheus" / "rules.yml"
OWN = {"up"}
"""What Prometheus itself makes."""
WORDS = re.compile(r"\bby\s*\(([^)]*)\)|\bon\s*\(([^)]*)\)|\{([^}]*)\}")


@pytest.fixture
def watched(config: HubConfig, tmp_path: Path) -> HubConfig:
    file = tmp_path / "metrics-token"
    file.write_text(f"{TOKEN}\n")
    return msgspec.structs.replace(config, web=Web(metrics_token_file=str(file)))


@pytest.fixture
def web(watched: HubConfig) -> Iterator[TestClient[Any]]:
    with TestClient(make_app(watched), raise_server_exceptions=False) as made:
        yield made


def ask(web: TestClient[Any], token: str = TOKEN) -> tuple[int, str]:
    answer = web.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.text


def fill(world: World, conn: Connection, venue: str) -> None:
    """Two gates of a night that is on: one was heard and has sent scans, the other never was."""
    night = world.event()
    world.gate("gate-1", "0" * 64, night, venue=venue)
    world.gate("gate-2", "1" * 64, venue=venue)
    world.run(
        "INSERT INTO gate_status (gate_id, online, version, epoch, last_seq, clock, clock_uncertainty_ms,"
        " door, parts, heard_at, said_at, oldest_unacked_s)"
        " VALUES ('gate-1', true, '1.2', 'e1', 5, 'synced', 20, true, %s, now(), now(), 7)",
        json.dumps({"camera": "ok", "panel": "no answer"}),
    )
    ticket = world.ticket(night)
    take(conn, record(1, subject_id=ticket), record(2, verdict=Ruling.DENY, reason=Reason.ALREADY_USED))
    world.run(
        "INSERT INTO claims (scan_id, gate_id, answer, asked_at) "
        " VALUES (gen_random_uuid(), 'gate-1', 'granted', now())"
    )
    world.run(
        "INSERT INTO certificates (kind, gate_id, serial, not_before, not_after, fingerprint)"
        " VALUES ('gate', 'gate-1', '1', now(), now() + interval '2 years', repeat('f', 64))"
    )
    world.run("INSERT INTO backups (name, taken_at, size_bytes, row_count) VALUES ('b', '2026-11-30Z', 1, 1)")


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_whoever_has_the_token_sees_hub_and_gates_and_nobody_else_does(
    web: TestClient[Any], world: World, conn: Connection, watched: HubConfig
) -> None:
    fill(world, conn, watched.venue)
    assert ask(web, "a-guess-of-some-length")[0] == 401
    assert web.get("/metrics").status_code == 401
    status, text = ask(web)
    assert status == 200
    found = samples(text)
    one, two = (("gate", "gate-1"),), (("gate", "gate-2"),)
    stored = {("record", "scan"), *one}
    expected = {
        ("maguey_records_stored_total", tuple(sorted(stored | {("verdict", "admit")}))): 1,
        ("maguey_records_stored_total", tuple(sorted(stored | {("verdict", "deny")}))): 1,
        ("maguey_gate_online", one): 1,
        ("maguey_gate_online", two): 0,
        ("maguey_gate_on_duty", one): 1,
        ("maguey_gate_on_duty", two): 0,
        ("maguey_gate_troubles", one): 1,
        ("maguey_gate_records_missing", one): 3,
        ("maguey_claims_recent", (("answer", "granted"),)): 1,
        ("maguey_hub_active", ()): 0,
        ("maguey_database_up", ()): 1,
        ("maguey_backup_timestamp_seconds", ()): 1795996800,
    }
    assert {key: found[key] for key in expected} == expected


def test_without_a_token_file_there_are_no_metrics_and_a_short_token_is_refused(
    config: HubConfig, tmp_path: Path
) -> None:
    with TestClient(make_app(config), raise_server_exceptions=False) as web:
        assert (ask(web)[0], ask(web, "")[0]) == (404, 404)
    (tmp_path / "short").write_text("1234")
    with pytest.raises(ConfigError, match="at least 16 characters"):
        make_app(msgspec.structs.replace(config, web=Web(metrics_token_file=str(tmp_path / "short"))))


def test_a_database_that_is_away_is_a_reading_too(watched: HubConfig) -> None:
    gone = msgspec.structs.replace(watched, postgres=Postgres(dsn="host=127.0.0.1 port=1 dbname=d user=x"))
    with TestClient(make_app(gone), raise_server_exceptions=False) as web:
        status, text = ask(web)
    assert (status, samples(text)["maguey_database_up", ()]) == (200, 0)
    assert "maguey_gate_online" not in text


def test_postgres_is_asked_once_however_often_the_metrics_are() -> None:
    now, asked = [0.0], []
    page = MetricsPage(lambda: now[0])

    def read() -> HubReadings | None:
        asked.append(now[0])
        return None

    for _ in range(50):
        page.text(read)
    now[0] += KEPT_S
    page.text(read)
    assert asked == [0.0, KEPT_S]


def test_a_reading_changes_nothing_and_ends_within_seconds(conn: Connection, config: HubConfig) -> None:
    read_hub(conn, config.venue)
    with conn.transaction():
        conn.execute("SELECT 1")
        left = conn.execute("SHOW statement_timeout").fetchone()
    assert left == {"statement_timeout": "0"}


def test_each_record_is_counted_once_however_often_it_comes(world: World, conn: Connection, dsn: str) -> None:
    sent = [record(seq) for seq in range(1, 6)]
    take(conn, *sent)
    with connect(dsn, autocommit=True) as other:
        take(other, *sent)
        take(other, *sent, record(6))
    assert world.all("SELECT gate_id, record, verdict, count FROM scan_tallies") == [
        ("gate-1", "scan", "admit", 6)
    ]


def expressions() -> list[tuple[str, str]]:
    """Every expression and text in dashboards and rules, with what it is in."""
    found = []
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                found.append((f"{file.name}: {panel['title']}", f"{target['expr']} {target['legendFormat']}"))
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            found.append((rule["alert"], f"{rule['expr']} {' '.join(rule['annotations'].values())}"))
    return found


def labels_named(text: str) -> set[str]:
    named = set(re.findall(r"\$labels\.(\w+)", text))
    for by, on, braces in WORDS.findall(text):
        named |= {word.strip() for word in f"{by},{on}".split(",") if word.strip()}
        named |= set(re.findall(r"(\w+)\s*=", braces)) | set(re.findall(r"^\{?(\w+)$", braces.strip()))
    return named


def test_dashboards_and_rules_name_only_what_the_hub_has(
    web: TestClient[Any], world: World, conn: Connection, watched: HubConfig
) -> None:
    fill(world, conn, watched.venue)
    labels: dict[str, set[str]] = {"up": {"job"}}
    for name, pairs in samples(ask(web)[1]):
        labels.setdefault(name, set()).update(key for key, _ in pairs)
    unknown, used = [], set()
    for where, text in expressions():
        names = set(re.findall(r"\bmaguey_\w+|\bup\b", text))
        used |= names
        known = set().union(*(labels.get(name, set()) for name in names))
        unknown += [(where, name) for name in sorted(names - labels.keys())]
        unknown += [(where, label) for label in sorted(labels_named(text) - known)]
        assert names, where
    assert unknown == []
    assert set(labels) - used == set()  # what is measured is shown or watched


def test_the_text_can_be_read_with_no_gate_at_all() -> None:
    empty = {"quarantine": 0, "conflicts": 0, "active": False, "backup_at": None}
    text = metrics_text(HubReadings([], [], [], empty, [])).decode()
    assert samples(text)["maguey_backup_timestamp_seconds", ()] == 0


def test_a_slow_database_is_given_up(conn: Connection, owner_dsn: str, config: HubConfig) -> None:
    with connect(owner_dsn) as holder:
        holder.execute("LOCK TABLE scan_tallies IN ACCESS EXCLUSIVE MODE")
        with pytest.raises((psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)):
            read_hub(conn, config.venue)

"""`maguey-hub broker-list`: the gates of the database that are not revoked, in Mosquitto's file."""

from __future__ import annotations

import grp
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from hub.config import HubConfig
from hub.db.connection import Connection
from hub.gates.broker_list import ListError, broker_list_text
from hub.gates.revocation import revoke
from tests.integration.hub.test_cli import hub
from tests.integration.hub.world import World

GROUP = grp.getgrgid(os.getgid()).gr_name


def listed(file: Path) -> list[str]:
    return [client["username"] for client in json.loads(file.read_text())["clients"]]


def test_every_gate_of_the_venue_is_listed_until_it_is_revoked(
    world: World, conn: Connection, config: HubConfig, config_file: Path, tmp_path: Path
) -> None:
    for name, venue in (("gate-2", config.venue), ("gate-10", config.venue), ("other", "cantina")):
        world.gate(name, "", venue=venue)
    out = tmp_path / "gates.json"
    call = ("broker-list", "--config", str(config_file), "--out", str(out), "--group", GROUP)
    first = hub(*call)
    assert first.returncode == 0
    assert f"2 gates written to {out}" in first.stdout
    assert "systemctl restart mosquitto" in first.stdout
    assert listed(out) == ["gate-10", "gate-2"]
    assert out.read_text() == broker_list_text(config.venue, ["gate-2", "gate-10"])
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert "did not change" in hub(*call).stdout
    revoke(conn, config.venue, "gate-2", actor="Eva", reason="stolen", now=datetime.now(UTC))
    assert "1 gate written" in hub(*call).stdout
    assert listed(out) == ["gate-10"]
    assert [file.name for file in tmp_path.glob("*gates.json*")] == ["gates.json"]


def test_a_failed_write_is_explained_and_leaves_the_old_file(
    world: World, config: HubConfig, config_file: Path, tmp_path: Path
) -> None:
    world.gate("gate-1", "", venue=config.venue)
    out = tmp_path / "gates.json"
    out.write_text("the one before")
    call = ("broker-list", "--config", str(config_file), "--out")
    for rest, said in (
        ((str(out), "--group", "no-such-group"), "There is no group 'no-such-group'"),
        ((str(tmp_path / "nowhere" / "gates.json"), "--group", GROUP), "there is no such folder"),
    ):
        told = hub(*call, *rest)
        assert (told.returncode, "Traceback" in told.stderr) == (1, False)
        assert said in told.stderr
        assert "Nothing was written" in told.stderr
    assert out.read_text() == "the one before"
    assert [file.name for file in tmp_path.glob("*gates.json*")] == ["gates.json"]


@pytest.mark.parametrize(
    "name", ["+", "#", "a/b", "gates/+", "a b", "a\n", "", "x" * 65, "maguey-hub-7", "%u"]
)
def test_a_name_that_the_list_refuses_the_database_refuses_too(
    world: World, config: HubConfig, name: str
) -> None:
    with pytest.raises(ListError):
        broker_list_text(config.venue, [name])
    with pytest.raises(psycopg.errors.CheckViolation):
        world.gate(name, "", venue=config.venue)

"""Two machines with one identity, or a restored journal: one alert, and none for normal operation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gate.rules.model import EventKind, ScanRecord
from hub.config import HubConfig
from hub.db.connection import Connection
from tests.integration.hub.test_alerts import alerts
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_consumer import running
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import GateOnMqtt, World, record


def of_boots(*boots: str, **changes: Any) -> list[ScanRecord]:
    """One record of each of these boots, numbered from 1."""
    return [record(seq, boot_id=boot, **changes) for seq, boot in enumerate(boots, 1)]


def cloned(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT gate_id, venue FROM alerts WHERE reason = 'cloned' ORDER BY number")


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_boot_that_continues_after_a_later_one_began_is_two_machines(
    world: World, conn: Connection, size: int
) -> None:
    scans = of_boots("b1", "b1", "b2", "b1", "b2")
    for _ in range(2):
        for start in range(0, 5, size):
            take(conn, *scans[start : start + size])
    assert cloned(world) == [("gate-1", "maguey")]
    assert world.one("SELECT count(*) FROM scan_logs") == 5
    take(conn, *of_boots("b3", "b4", "b3", epoch="e2"))
    assert len(cloned(world)) == 2  # once for each numbering


def test_a_different_record_for_a_known_place_is_two_machines(world: World, conn: Connection) -> None:
    take(conn, record(1), record(2))
    for _ in range(2):
        take(conn, record(2, boot_id="another"))
    assert cloned(world) == [("gate-1", "maguey")]
    assert world.one("SELECT count(*) FROM scan_logs") == 2
    assert world.one("SELECT count(DISTINCT seq) FROM scan_quarantine") == 1


def test_reboots_resends_and_reordering_are_one_machine(world: World, conn: Connection) -> None:
    scans = of_boots("b1", "b1", "b2", "b3", "b3")
    for scan in (*reversed(scans), *scans):
        take(conn, scan)
    take(conn, *scans)
    take(conn, *of_boots("b2", "b1", gate_id="gate-2"), gate="gate-2")  # boots are a gate's own
    assert cloned(world) == []


def test_an_annulment_of_a_later_boot_is_one_machine(world: World, conn: Connection) -> None:
    scan = record(1, boot_id="b1", subject_id=world.ticket(world.event()))
    later_boot = outcome(scan, 2, reason=EventKind.NOT_OPENED, boot_id="b2")
    take(conn, later_boot)
    take(conn, scan, record(3, boot_id="b2"))
    assert cloned(world) == []


def test_a_salvaged_journal_is_one_machine(world: World, conn: Connection) -> None:
    """All its rows again in a new numbering; some of them the hub never had."""
    scans = of_boots("b1", "b1", "b2", "b3")
    take(conn, scans[0], scans[2])
    again = [msgspec.structs.replace(scan, epoch="e2") for scan in scans]
    take(conn, *again, record(5, epoch="e2", boot_id="b3"))
    take(conn, *scans)
    assert world.one("SELECT count(*) FROM scan_repeats") == 4
    assert cloned(world) == []


def test_a_record_taken_in_by_an_older_hub_is_the_same_record(world: World, conn: Connection) -> None:
    """Its hash is of fewer fields."""
    scan = record(1)
    take(conn, scan)
    world.run("UPDATE scan_logs SET payload_hash = repeat('0', 64)")
    take(conn, scan)
    assert cloned(world) == []
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_scan_id_used_twice_is_one_machine(world: World, conn: Connection) -> None:
    scan = record(1)
    take(conn, scan, record(2, scan_id=scan.scan_id))
    assert cloned(world) == []


def test_staff_are_alerted_once(config: HubConfig, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with GateOnMqtt(config.mqtt.port, config.venue) as gate, running(config):
        assert gate.resend(*of_boots("b1", "b2", "b1"))
        assert gate.wait(lambda: bool(alerts(gate)))
        assert gate.resend(*of_boots("b1", "b2", "b1", "b2")[3:])
    assert [(alert.reason, alert.gate, alert.count) for alert in alerts(gate)] == [("cloned", "gate-1", 1)]
    assert "gate cloned" in capsys.readouterr().out

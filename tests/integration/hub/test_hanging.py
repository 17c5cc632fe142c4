"""What Postgres does not get done with is set aside, for its gate alone (protocol 4.5, Fairness)."""

from __future__ import annotations

import pytest

from hub.broker import Message
from hub.config import HubConfig
from hub.consumer import HANG_SECONDS, Consumer
from hub.database import Connection
from hub.ingest import merge, read, write
from sync.scans import encode_scans
from sync.wire import Ack
from tests.integration.hub.test_consumer import running
from tests.integration.hub.test_ingest import TOPICS
from tests.integration.hub.world import GateOnMqtt, World, record
from tests.patience import until


@pytest.fixture
def hanging(world: World) -> World:
    """Postgres ends what gate-2 sends as it ends what takes too long (query_canceled)."""
    world.run(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$"
    )
    world.run(
        "CREATE TRIGGER hang BEFORE INSERT ON scan_logs FOR EACH ROW WHEN (new.gate_id = 'gate-2')"
        " EXECUTE FUNCTION hang()"
    )
    return world


def test_the_others_of_its_batch_are_committed(hanging: World, conn: Connection) -> None:
    gates = ("gate-1", "gate-2", "gate-3")
    messages = [Message(TOPICS.scans(gate), encode_scans([record(1, gate_id=gate)]), 1, 1) for gate in gates]
    written = write(conn, merge(read(message, TOPICS) for message in messages))
    assert written.hanging == ("gate-2",)
    assert written.acks == [("gate-1", Ack(epoch="e1", seq=1)), ("gate-3", Ack(epoch="e1", seq=1))]
    assert hanging.all("SELECT gate_id FROM scan_logs ORDER BY 1") == [("gate-1",), ("gate-3",)]
    assert hanging.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_hub_goes_on_names_the_gate_and_loses_nothing(
    hanging: World, config: HubConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hub.consumer.APART_S", 0.5)
    with (
        GateOnMqtt(config.mqtt.port, config.venue) as honest,
        GateOnMqtt(config.mqtt.port, config.venue, "gate-2") as other,
        running(config),
    ):
        assert honest.resend(record(1))
        other.send(record(1, gate_id="gate-2"))
        until(lambda: hanging.all("SELECT gate_id FROM alerts WHERE reason = 'flooding'") == [("gate-2",)])
        assert honest.resend(record(2))
        hanging.run("DROP TRIGGER hang ON scan_logs")
        assert other.resend(record(1, gate_id="gate-2"))
    assert "does not come to an end" in capsys.readouterr().out


def test_no_statement_of_ingest_goes_on_for_ever(
    config: HubConfig, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    turn = Consumer.turn

    def look(self: Consumer, conn: Connection, wait_s: float) -> None:
        row = conn.execute(b"SHOW statement_timeout").fetchone()
        seen.append(row["statement_timeout"] if row else "")
        turn(self, conn, wait_s)

    monkeypatch.setattr(Consumer, "turn", look)
    with running(config):
        until(lambda: seen)
    assert seen[0] == f"{HANG_SECONDS}s"

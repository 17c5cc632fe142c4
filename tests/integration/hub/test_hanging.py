"""Records Postgres does not finish in time are set aside, for their gate alone (protocol 4.5)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import DatabaseDownError
from hub.ingest.batch import Batch, merge, read_batch, write_batch
from hub.ingest.consumer import Consumer
from hub.mqtt.inbox import Delivery
from hub.service import HANG_SECONDS
from sync.wire.messages import Ack
from sync.wire.scans import encode_scans
from tests.integration.hub.test_consumer import Watching, running
from tests.integration.hub.test_fairness import Clock, batch, put
from tests.integration.hub.test_ingest import TOPICS
from tests.integration.hub.world import GateOnMqtt, World, record
from tests.patience import until


@pytest.fixture
def hanging(world: World) -> World:
    """Postgres cancels what gate-2 sends as it cancels whatever takes too long (query_canceled)."""
    world.run(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$"
    )
    world.run(
        "CREATE TRIGGER hang BEFORE INSERT ON scan_logs FOR EACH ROW WHEN (new.gate_id = 'gate-2')"
        " EXECUTE FUNCTION hang()"
    )
    return world


def test_other_gates_records_in_the_batch_are_committed(hanging: World, conn: Connection) -> None:
    gates = ("gate-1", "gate-2", "gate-3")
    messages = [Delivery(TOPICS.scans(gate), encode_scans([record(1, gate_id=gate)]), 1, 1) for gate in gates]
    written = write_batch(conn, merge(read_batch(message, TOPICS) for message in messages))
    assert list(written.failed) == ["gate-2"]
    assert written.acks == [("gate-1", Ack(epoch="e1", seq=1)), ("gate-3", Ack(epoch="e1", seq=1))]
    assert hanging.all("SELECT gate_id FROM scan_logs ORDER BY 1") == [("gate-1",), ("gate-3",)]
    assert hanging.one("SELECT count(*) FROM scan_quarantine") == 0


def test_records_taken_one_by_one_share_the_time_of_one_statement(conn: Connection) -> None:
    def left(whole: str) -> int:
        row = conn.execute(query("leave_what_is_left"), {"time": whole}).fetchone()
        assert row is not None
        return int(row["set_config"].removesuffix("ms"))

    with conn.transaction():
        conn.execute(b"SELECT pg_sleep(0.01)")
        first = left("1h")
        conn.execute(b"SELECT pg_sleep(0.01)")
        assert left("1h") <= first - 10 <= 3_599_980
        assert left("0") == 0


def test_only_the_gate_that_got_a_batch_refused_is_taken_one_by_one(world: World, conn: Connection) -> None:
    refuse(world, "22023")
    written = write_batch(conn, batch_of("gate-1", "gate-2", "gate-3"))
    assert set(written.refused) == {"gate-2"}
    assert [gate for gate, _ in written.acks] == ["gate-1", "gate-2", "gate-3"]
    assert world.all("SELECT gate_id FROM scan_quarantine") == [("gate-2",), ("gate-2",)]


def test_refusals_of_one_gate_alone_do_not_mean_a_broken_database(world: World, conn: Connection) -> None:
    refuse(world, "P0001")
    written = write_batch(conn, batch_of("gate-1", "gate-2", "gate-3"))
    assert list(written.failed) == ["gate-2"]
    assert [gate for gate, _ in written.acks] == ["gate-1", "gate-3"]
    with pytest.raises(DatabaseDownError):
        write_batch(conn, batch_of("gate-2"))


def refuse(world: World, state: str) -> None:
    """Postgres refuses whatever gate-2 sends."""
    world.run(
        "CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'not that' USING ERRCODE = '{state}'; END $$"
    )
    world.run(
        "CREATE TRIGGER refuse_it BEFORE INSERT ON scan_logs FOR EACH ROW WHEN (new.gate_id = 'gate-2')"
        " EXECUTE FUNCTION refuse_it()"
    )


def batch_of(*gates: str) -> Batch:
    """Two scans of each."""
    return merge(
        read_batch(
            Delivery(TOPICS.scans(gate), encode_scans([record(n, gate_id=gate) for n in (1, 2)]), 1, 1),
            TOPICS,
        )
        for gate in gates
    )


def test_the_hub_carries_on_names_the_gate_and_loses_nothing(
    hanging: World, config: HubConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hub.ingest.consumer.SET_ASIDE_S", 0.5)
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
    assert "gate set aside" in capsys.readouterr().out


def test_no_end_of_a_flood_is_logged_while_its_gate_is_set_aside(
    hanging: World, config: HubConfig, conn: Connection
) -> None:
    clock, line = Clock(), Watching(hanging)
    hanging.gate("gate-2", "", venue=config.venue)
    hub = Consumer(config, line, clock)
    put(line, config, "gate-2", batch("gate-2", 1, 2)[0])
    with capture_logs() as lines:
        for _ in range(20):
            hub.turn(conn, 0.0)
            clock.now += 25
        aside = [one for one in lines if one["event"] == "gate set aside"]
        assert [(line["gate_id"], "canceling statement" in line["error"]) for line in aside] == [
            ("gate-2", True)
        ]
        assert not [line for line in lines if line["event"] == "flood ended"]
        for _ in range(20):
            hub.turn(conn, 0.0)
            clock.now += 25
    assert len([line for line in lines if line["event"] == "flood ended"]) == 1


def test_no_statement_of_ingest_runs_for_ever(
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

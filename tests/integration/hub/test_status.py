"""Gates' statuses in Postgres: the newest of each gate, compared with what the hub has (protocol 4.2)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from demo.servers import Mosquitto, mosquitto, postgres
from hub.config import HubConfig, Mqtt
from hub.config import Postgres as PostgresConfig
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from hub.gates import status_listener as statuses
from hub.gates.status_listener import DIGEST_SECONDS, StatusListener
from hub.ingest.batch import Batch, write_batch
from hub.mqtt.inbox import Delivery, FairInbox
from sync.wire.messages import GateStatus, HeldNight, encode
from sync.wire.topics import Topics
from tests.integration.hub.test_cli import hub
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record
from tests.patience import until

TOPICS = Topics(venue="maguey")


class ByHand:
    """A link to a broker on which a test puts messages by hand."""

    def __init__(self) -> None:
        self.inbox = FairInbox()
        self.connects = 1
        self.is_up = True
        self.acknowledged = 0

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:  # noqa: ARG002
        raise AssertionError("the hub says nothing of a status")

    def acknowledge(self, *messages: Delivery) -> None:  # noqa: ARG002
        self.acknowledged += 1

    def tend(self) -> None:
        pass


class Desk:
    """The part under test with gate-1 of venue main, and a clock set by the test."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.line = ByHand()
        self.statuses = StatusListener(self.line, TOPICS)
        self.now = datetime.now(UTC)
        self._ms = 0

    def say(self, gate_id: str = "gate-1", *, retained: bool = False, **changes: Any) -> None:
        self._ms += 1
        base = GateStatus(
            gate_id=gate_id, online=True, at=self.now, boot_id="b1", monotonic_ms=self._ms, clock="synced",
            clock_uncertainty_ms=12, epoch="e1",
        )  # fmt: skip
        status = msgspec.structs.replace(base, **changes)
        self.raw(encode(status), TOPICS.status(gate_id), retained=retained)

    def raw(self, payload: bytes, topic: str, *, retained: bool = False) -> None:
        self.line.inbox.put(Delivery(topic, payload, 1, 1, retained))

    def turn(self, later_s: float = 0) -> None:
        self.now += timedelta(seconds=later_s)
        self.statuses.turn(self.conn, 0, self.now)

    def health(self, gate_id: str = "gate-1") -> Any:
        sql = b"SELECT * FROM gate_health WHERE gate_id = %s"
        return self.conn.execute(sql, [gate_id]).fetchone()

    def night(self, gate_id: str = "gate-1") -> str:
        return str(self.health(gate_id)["nights"][0]["state"])


@pytest.fixture
def desk(conn: Connection, world: World) -> Desk:
    world.gate("gate-1", "")
    world.gate("gate-2", "")
    return Desk(conn)


def test_a_gate_that_was_never_heard_is_shown_as_never(desk: Desk) -> None:
    assert (desk.health()["link"], desk.health()["lag"]) == ("never", 0)


def test_everything_a_gate_reports_is_kept(desk: Desk, world: World) -> None:
    desk.say(version="0.2.0", door=True, parts={"camera": "dark"}, way="closed", counters={"scans": 7})
    desk.turn()
    health = desk.health()
    assert (health["link"], health["heard_at"], health["parts"], health["way"], health["counters"]) == (
        "online", desk.now, {"camera": "dark"}, "closed", {"scans": 7},
    )  # fmt: skip
    seen = world.all("SELECT version, epoch, last_seen_at FROM gates WHERE gate_id = 'gate-1'")
    assert seen == [("0.2.0", "e1", desk.now)]
    assert desk.line.acknowledged == 1


def test_the_newest_wins_in_one_turn_and_in_several(desk: Desk) -> None:
    desk.say(last_seq=5, monotonic_ms=500)
    desk.say(last_seq=4, monotonic_ms=400)
    desk.turn()
    assert desk.health()["last_seq"] == 5
    desk.say(last_seq=3, monotonic_ms=300)
    desk.turn()
    assert desk.health()["last_seq"] == 5
    desk.say(last_seq=6, monotonic_ms=1, boot_id="b2", at=desk.now + timedelta(seconds=1))
    desk.turn()
    assert desk.health()["last_seq"] == 6


def test_a_goodbye_changes_only_the_link_and_an_older_status_does_not_undo_it(desk: Desk) -> None:
    desk.say(last_seq=5, monotonic_ms=9)
    desk.turn()
    desk.say(online=False, at=None, boot_id="", monotonic_ms=None, epoch=None, clock="untrusted")
    desk.turn(5)
    heard = desk.now - timedelta(seconds=5)
    assert [desk.health()[name] for name in ("link", "last_seq", "heard_at")] == ["offline", 5, heard]
    desk.say(last_seq=5, monotonic_ms=9)
    desk.turn()
    assert desk.health()["link"] == "offline"
    desk.say(monotonic_ms=10)
    desk.turn()
    assert desk.health()["link"] == "online"


def test_a_goodbye_in_the_same_turn_keeps_what_was_said_before_it(desk: Desk) -> None:
    desk.say(last_seq=5)
    desk.say(online=False)
    desk.turn()
    assert (desk.health()["link"], desk.health()["last_seq"]) == ("offline", 5)
    desk.say(online=False)
    desk.say(last_seq=6)
    desk.turn()
    assert (desk.health()["link"], desk.health()["last_seq"]) == ("online", 6)


def test_a_retained_status_says_what_but_not_when(desk: Desk) -> None:
    """It may be from a gate that lost its broker in a crash, and its last will with it."""
    desk.say(last_seq=5, retained=True)
    desk.turn()
    health = desk.health()
    assert (health["last_seq"], health["heard_at"], health["link"]) == (5, None, "silent")
    desk.say(last_seq=5)
    desk.turn()
    assert desk.health()["link"] == "online"


def test_a_gate_not_heard_for_long_is_silent(desk: Desk) -> None:
    desk.now -= timedelta(minutes=3)
    desk.say()
    desk.turn()
    assert desk.health()["link"] == "silent"


def test_a_status_that_is_not_the_gates_own_is_refused_and_logged_once(desk: Desk, world: World) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            desk.raw(encode(GateStatus(gate_id="gate-2", online=True)), TOPICS.status("gate-1"))
            desk.raw(b"\x00", TOPICS.status("gate-2"))
            desk.say("gate-9")
            desk.turn()
    assert world.one("SELECT count(*) FROM gate_status") == 0
    assert sorted(line["gate_id"] for line in logs) == ["gate-1", "gate-2", "gate-9"]


def test_a_gate_of_another_venue_is_refused(desk: Desk, world: World) -> None:
    world.gate("gate-3", "", venue="elsewhere")
    desk.say("gate-3")
    desk.turn()
    assert world.one("SELECT count(*) FROM gate_status") == 0


def test_a_flood_of_names_is_bounded(desk: Desk, world: World) -> None:
    for number in range(2500):
        desk.say(f"made-up-{number}")
    desk.say()
    with capture_logs() as logs:
        for _ in range(3):
            desk.turn()
    assert desk.health()["link"] == "online"
    assert world.one("SELECT count(*) FROM gate_status") == 1
    assert len(logs) <= 1000


def test_a_goodbye_is_not_undone_by_an_older_status_in_the_same_turn(desk: Desk) -> None:
    desk.say(monotonic_ms=9)
    desk.turn()
    desk.say(online=False)
    desk.say(monotonic_ms=8)
    desk.turn()
    assert desk.health()["link"] == "offline"


def test_lag_gap_and_age_of_what_is_missing(desk: Desk, conn: Connection) -> None:
    write_batch(
        conn, Batch(records=(record(1), record(3), record(4)), topics={"gate-1": TOPICS.scans("gate-1")})
    )
    desk.say(last_seq=6, acked=1, unacked=5, oldest_unacked_s=20)
    desk.now -= timedelta(seconds=10)  # was said ten seconds ago
    desk.turn()
    health = desk.health()
    assert (health["watermark"], health["lag"], health["gap"]) == (1, 5, 2)
    assert health["oldest_unacked_s"] in range(30, 30 + int(PATIENCE))
    write_batch(conn, Batch(records=tuple(record(seq) for seq in (2, 5, 6)), topics={"gate-1": "t"}))
    health = desk.health()
    assert (health["lag"], health["gap"], health["oldest_unacked_s"]) == (0, 0, None)


def test_a_status_with_the_time_corrects_earlier_scans_of_its_boot(
    desk: Desk, conn: Connection, world: World
) -> None:
    in_1970 = datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    scan = record(1, boot_id="b1", occurred_at=in_1970, monotonic_ms=2000, clock="untrusted")
    write_batch(conn, Batch(records=(scan,), topics={"gate-1": TOPICS.scans("gate-1")}))
    desk.say(boot_id="b1", monotonic_ms=62_000, clock_uncertainty_ms=12)
    desk.turn()
    made = world.one("SELECT corrected_at FROM scan_logs")
    assert made == desk.now - timedelta(seconds=60)


def held(world: World, event: str, **changes: Any) -> HeldNight:
    """The report of a gate that holds exactly what the hub has."""
    row = world.all(
        "SELECT admission_version, feed_generation, feed_digest(id) FROM events WHERE id = %s", event
    )
    version, generation, digest = row[0]
    same = HeldNight(event_id=event, version=version, generation=generation, count=1, digest=digest)
    return msgspec.structs.replace(same, **changes)


@pytest.fixture
def night(desk: Desk, world: World) -> str:
    event = world.event()
    world.ticket(event)
    world.run("INSERT INTO gate_events (gate_id, event_id) VALUES ('gate-1', %s)", event)
    return event


def test_in_sync_means_the_same_digest_at_the_same_version(desk: Desk, world: World, night: str) -> None:
    assert desk.night() == "unknown"  # nothing loaded
    desk.say(held=(held(world, night),))
    desk.turn()
    assert desk.night() == "in sync"
    world.ticket(night)
    assert desk.night() == "in sync"  # as of when it was heard; newer changes are on the way
    world.run("UPDATE admission_changes SET created_at = created_at - interval '100 years'")
    assert (desk.night(), desk.health()["nights"][0]["behind"]) == ("behind", 1)


def test_a_difference_is_logged_once_and_so_is_its_end(desk: Desk, world: World, night: str) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            desk.say(held=(held(world, night, digest="00"),))
            desk.turn(10)
        assert desk.night() == "differs"
        desk.say(held=(held(world, night),))
        desk.turn(10)
        assert desk.night() == "in sync"
    assert [line["log_level"] for line in logs] == ["error", "info"]


def test_a_gate_ahead_of_the_hub_differs_and_one_of_an_older_generation_is_behind(
    desk: Desk, world: World, night: str
) -> None:
    now = held(world, night)
    desk.say(held=(held(world, night, version=now.version + 1),))
    desk.turn()
    assert desk.night() == "differs"
    world.run("UPDATE events SET feed_generation = 2 WHERE id = %s", night)
    desk.turn()
    assert desk.night() == "behind"


def test_a_digest_is_computed_once_a_version_and_at_most_every_ten_seconds(
    desk: Desk, world: World, night: str
) -> None:
    def computed() -> Any:
        return world.one("SELECT count(*) FROM feed_digests")

    desk.say(held=(held(world, night, version=1),))
    desk.turn()
    assert computed() == 0  # not the hub's version
    desk.say(held=(held(world, night),))
    desk.say("gate-2", held=(held(world, night),))
    desk.turn()
    assert computed() == 1
    world.ticket(night)
    desk.say(held=(held(world, night),))
    desk.turn(DIGEST_SECONDS - 1)
    assert (computed(), desk.night()) == (1, "unknown")
    desk.say(held=(held(world, night),))
    desk.turn(1)
    assert (computed(), desk.night()) == (2, "in sync")


def test_old_digests_are_deleted(desk: Desk, world: World, night: str) -> None:
    for _ in range(25):
        world.ticket(night)
        desk.say(held=(held(world, night),))
        desk.turn(DIGEST_SECONDS)
        assert desk.night() == "in sync"
    assert world.one("SELECT count(*) FROM feed_digests") <= 21


def test_statuses_wait_while_postgres_is_away(desk: Desk, dsn: str, world: World) -> None:
    desk.say(last_seq=5)
    heard = desk.now
    with connect(dsn) as closed:
        closed.close()
    with pytest.raises(psycopg.Error):
        desk.statuses.turn(closed, 0, desk.now)
    desk.turn(30)
    assert (desk.health()["last_seq"], desk.health()["heard_at"]) == (5, heard)


@pytest.fixture
def listening(config: HubConfig, world: World) -> Iterator[HubConfig]:
    world.gate("gate-1", "", venue=config.venue)
    with statuses.status_worker(config):
        yield config


def await_link(world: World, wanted: str) -> None:
    """Wait until the link of gate-1 is `wanted`."""

    def link() -> str:
        return str(world.one("SELECT link FROM gate_health WHERE gate_id = 'gate-1'"))

    until(lambda: link() == wanted, link)


def publish(gate: GateOnMqtt, monotonic_ms: int, *, online: bool = True) -> None:
    status = GateStatus(gate_id="gate-1", online=online, boot_id="b1", monotonic_ms=monotonic_ms)
    gate.send_raw(encode(status), gate.topics.status("gate-1"))


def test_a_status_gets_through_a_real_broker(listening: HubConfig, world: World) -> None:
    with GateOnMqtt(listening.mqtt.port, listening.venue) as gate:
        publish(gate, 1)
        await_link(world, "online")
        publish(gate, 2, online=False)
        await_link(world, "offline")


def test_statuses_get_through_again_after_broker_and_postgres_come_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("away")
    with postgres(folder / "pg") as server, mosquitto(folder / "mq") as broker:
        migrate(server.dsn)
        config = HubConfig(venue="away", postgres=PostgresConfig(dsn=server.dsn), mqtt=Mqtt(port=broker.port))
        with connect(server.dsn, autocommit=True) as conn:
            World(conn).gate("gate-1", "", venue="away")
        with statuses.status_worker(config):
            speak_until_heard(broker, server.dsn, 1)
            broker.kill()
            server.kill()
            broker.start()
            server.start()
            speak_until_heard(broker, server.dsn, 1000)


def speak_until_heard(broker: Mosquitto, dsn: str, start: int) -> None:
    """Publish statuses numbered from `start` on, until one of them is in Postgres."""
    numbers = itertools.count(start)
    with GateOnMqtt(broker.port, "away") as gate, connect(dsn, autocommit=True) as conn:

        def heard() -> bool:
            publish(gate, next(numbers))
            return bool(World(conn).one("SELECT max(monotonic_ms) >= %s FROM gate_status", start))

        until(heard)


def test_the_command_prints_a_table_and_json(config: HubConfig, config_file: Any, world: World) -> None:
    nobody = hub("gate", "list", "--config", config_file)
    assert (nobody.returncode, "no gates" in nobody.stdout) == (0, True)
    world.gate("gate-1", "", venue=config.venue)
    told = hub("gate", "list", "--config", config_file)
    (line,) = [line for line in told.stdout.splitlines() if "gate-1" in line]
    assert (told.returncode, "never heard" in line) == (1, True)
    (row,) = json.loads(hub("gate", "list", "--json", "--config", config_file).stdout)
    assert (row["gate_id"], row["link"], row["worry"]) == ("gate-1", "never", True)


def test_the_command_shows_policy_and_homes_and_how_to_retire_a_revoked_one(
    config: HubConfig, config_file: Any, world: World
) -> None:
    event = world.event()
    world.gate("gate-1", "", venue=config.venue)
    world.run("INSERT INTO gate_events (gate_id, event_id) VALUES ('gate-1', %s)", event)
    world.run("UPDATE gates SET status = 'revoked'")
    world.run("UPDATE events SET isolation_policy = 'home_gate', home_gates = '{gate-1,gate-2}'")
    told = hub("gate", "list", "--config", config_file)
    assert told.returncode == 1
    for words in (
        "PF, policy home_gate",
        "home gates: gate-1, gate-2",
        "maguey-hub retire gate-1 --event PF",
    ):
        assert words in told.stdout
    (row,) = json.loads(hub("gate", "list", "--json", "--config", config_file).stdout)
    assert row["nights"][0]["home_gates"] == ["gate-1", "gate-2"]

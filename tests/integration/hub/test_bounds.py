"""No single text may stop the link (protocol 4.5): one that is too long is refused where it enters, and one
from before the bounds holds up nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner

from demo.servers import mosquitto
from gate.rules.model import Admission, Status, Table
from gate.store.cache import CacheReader
from hub.cli.main import app
from hub.config import HubConfig, Mqtt
from hub.db.connection import Connection
from hub.db.objects import apply_objects
from hub.feed.publisher import feed_worker
from hub.mqtt.link import BrokerLink
from hub.ticketing.orders import record_ticket_order
from sync.wire.messages import Ack, Delta, Head, decode, encode
from tests.integration.hub.shop import lines, order
from tests.integration.hub.test_api import TOKEN, hashed
from tests.integration.hub.test_catch_up import Gate
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World
from tests.proxy import Proxy

MEGABYTE = 1_100_000
PACKET = 256 * 1024
"""config/mosquitto/maguey.conf, max_packet_size."""


def from_before(world: World) -> None:
    """Make the database accept what it accepted before there were bounds."""
    for table, trigger in world.all(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE '%%\\_bounds'"
    ):
        world.run(f"DROP TRIGGER {trigger} ON {table}")


def long_pass(world: World, event: str, letters: int = MEGABYTE) -> str:
    guest_pass = world.guest_pass(world.reservation(event))
    world.run("UPDATE vip_guest_passes SET guest_name = repeat('ñ', %s) WHERE id = %s", letters, guest_pass)
    return guest_pass


# --- where it enters ---


def test_a_name_of_a_megabyte_is_refused_in_words(world: World) -> None:
    event = world.event()
    with pytest.raises(psycopg.errors.CheckViolation, match=r"guest_name .* at most 200 characters"):
        world.ticket(event, guest="x" * MEGABYTE)
    ticket = world.ticket(event, guest="ñ" * 200)
    with pytest.raises(psycopg.errors.CheckViolation, match="guest_name"):
        world.run("UPDATE tickets SET guest_name = repeat('x', 201) WHERE id = %s", ticket)
    with pytest.raises(psycopg.errors.CheckViolation, match="guest_name"):
        long_pass(world, event)


def test_the_products_own_functions_refuse_a_guest_of_190_000_letters(conn: Connection, world: World) -> None:
    event = world.event()
    [line] = lines()
    told = record_ticket_order(conn, order(event), (msgspec.structs.replace(line, guest_name="x" * 190_000),))
    assert (told.success, told.error) == (False, "INVALID_ARGUMENT")
    assert "200" in told.message
    assert world.one("SELECT count(*) FROM tickets") == 0


def test_a_row_from_before_the_bounds_can_still_be_cancelled(world: World) -> None:
    """Only changed columns are checked: otherwise nobody could cancel or count a guest with a long name."""
    event = world.event()
    from_before(world)
    guest_pass = long_pass(world, event)
    apply_objects(world.conn, anyway=True)
    world.run("UPDATE vip_guest_passes SET status = 'cancelled' WHERE id = %s", guest_pass)
    row = "SELECT status, length(guest_name) FROM vip_guest_passes WHERE id = %s"
    assert world.all(row, guest_pass) == [("cancelled", MEGABYTE)]


# --- what is there already ---


@pytest.fixture
def small_broker(config: HubConfig, tmp_path: Path) -> Iterator[HubConfig]:
    """The venue on a broker with the size limit of config/mosquitto."""
    with mosquitto(tmp_path / "small", f"allow_anonymous true\nmax_packet_size {PACKET}") as broker:
        yield msgspec.structs.replace(config, mqtt=Mqtt(port=broker.port))


@contextlib.contextmanager
def hub(config: HubConfig) -> Iterator[BrokerLink]:
    broker = BrokerLink(config.mqtt, f"feed-{config.venue}")
    with contextlib.closing(broker), feed_worker(config, broker):
        assert broker.wait_until_up(PATIENCE)
        yield broker


def rows(gate: GateOnMqtt, event: str) -> list[object]:
    deltas = [decode(payload, Delta) for topic, payload in gate.heard if topic == gate.topics.deltas(event)]
    return [change.row for delta in deltas for change in delta.changes]


def hears_cancelled(gate: GateOnMqtt, event: str, subject: str) -> bool:
    def is_told() -> bool:
        last = [row for row in rows(gate, event) if isinstance(row, Admission) and row.subject_id == subject][
            -1:
        ]
        return [row.status for row in last] == [Status.CANCELLED]

    return gate.wait(is_told)


@pytest.mark.parametrize("letters", [190_000, MEGABYTE])
def test_a_name_from_before_the_bounds_holds_up_no_cancellation_and_no_acknowledgement(
    small_broker: HubConfig, world: World, letters: int
) -> None:
    """Both used the connection that such a name had stopped."""
    event = world.event()
    other = world.guest_pass(world.reservation(event))
    from_before(world)
    with GateOnMqtt(small_broker.mqtt.port, small_broker.venue) as gate, hub(small_broker) as broker:
        assert gate.wait(lambda: bool(gate.heard))  # the head: whatever comes now is new
        named = long_pass(world, event, letters)
        world.run("UPDATE vip_guest_passes SET guest_name = repeat('x', %s) WHERE id = %s", letters, other)
        for subject in (other, named):
            world.run("UPDATE vip_guest_passes SET status = 'cancelled' WHERE id = %s", subject)
            assert hears_cancelled(gate, event, subject)
        broker.publish(gate.topics.ack("gate-1"), encode(Ack(epoch="e1", seq=7)), retain=True)
        assert gate.wait_for_ack(7)
        assert max(len(payload) for _topic, payload in gate.heard) < PACKET / 4


def test_a_gate_with_an_empty_cache_loads_a_night_with_a_too_long_name(
    world: World,
    line: Proxy,
    tmp_path: Path,
) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    from_before(world)
    reservation = world.reservation(event, seats=10)
    for _ in range(2):
        world.link(reservation, world.ticket(event, guest="x" * 190_000))
    named = long_pass(world, event)
    world.run("UPDATE vip_guest_passes SET status = 'cancelled' WHERE id = %s", named)
    gate = Gate(tmp_path, line)
    gate.follow()
    assert gate.cuts == 0
    with contextlib.closing(CacheReader(tmp_path / "cache.db")) as reader:
        code = world.one("SELECT code_hash FROM vip_guest_passes")
        assert (found := reader.find(code).admission) and found.status is Status.CANCELLED
    assert gate.cache.held()[0].count == 3
    assert gate.cache.held()[0].digest == world.one("SELECT feed_digest(%s)", event)


def test_a_gate_that_was_away_catches_up_past_a_too_long_name(
    world: World,
    line: Proxy,
    tmp_path: Path,
) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    gate = Gate(tmp_path, line)
    gate.follow()
    from_before(world)
    named = long_pass(world, event)
    # as an earlier version had written it to the feed
    world.run(
        "UPDATE admission_changes SET row = row || jsonb_build_object('holder', repeat('x', %s))"
        " WHERE row ->> 'subject_id' = %s",
        MEGABYTE,
        named,
    )
    gate.follower.on_connect()
    version = world.one("SELECT admission_version FROM events")
    gate.follower.on_head(Head(event_id=event, version=version, count=1))
    gate.follow()
    assert gate.cuts == 0
    assert gate.cache.places()[event].version == version
    assert gate.cache.held()[0].digest == world.one("SELECT feed_digest(%s)", event)


def test_a_name_from_before_the_bounds_is_listed_with_what_to_do(config_file: Path, world: World) -> None:
    event = world.event()
    assert "Correct it" not in CliRunner().invoke(app, ["gate", "list", "--config", str(config_file)]).output
    from_before(world)
    named = long_pass(world, event, 5_000)
    told = CliRunner().invoke(app, ["gate", "list", "--config", str(config_file)])
    assert told.exit_code == 1
    assert f"PF, guest pass: guest_name of {named}: 5000 characters, at most 200" in told.output


def test_names_are_cut_for_the_gate_between_letters(world: World) -> None:
    """A screen needs forty characters; what is shown as one letter is never split."""
    event = world.event()
    family = "\U0001f468‍\U0001f469‍\U0001f467"
    names = {
        "A" * 200: "A" * 40,
        "e\u0301" * 100: "e\u0301" * 40,
        "A" * 39 + family + "B" * 100: "A" * 39 + family,
        "A" * 39 + "\U0001f1f2\U0001f1fd" * 3: "A" * 39 + "\U0001f1f2\U0001f1fd",
        "न" + "ि" * 3 + "A" * 100: "न" + "ि" * 3 + "A" * 39,
        "": "",
    }
    wanted = {world.ticket(event, guest=long): short for long, short in names.items()}
    told = {row.subject_id: row.holder for row in world.feed(event) if isinstance(row, Admission)}
    assert told == wanted


def test_the_guest_list_of_a_table_is_bounded(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event, seats=500)
    for number in range(1, 101):
        world.guest_pass(reservation, number)
    [table] = [row for row in world.feed(event) if isinstance(row, Table)]
    assert table.guests == tuple(f"Guest {number}" for number in range(1, 61))
    assert table.seats == 500

"""Staff's orders to a gate: recorded, signed, sent, answered, proven by the gate's journal (domain 2.3)."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from structlog.testing import capture_logs

from gate.rules.command import Command, OrderReply, unseal
from gate.rules.model import EventKind, Now, Ruling
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.gates import status_listener as statuses
from hub.gates.orders import UnansweredOrders, decode_reply, take_reply
from hub.gates.signing_key import make_key, read_key
from hub.ingest.batch import Batch, write_batch
from hub.mqtt.inbox import Delivery
from sync.wire.messages import WireError, encode
from sync.wire.topics import Topics
from tests.integration.hub.test_cli import hub
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record
from tests.patience import until

WHO = ("--reason", "a pram", "--actor", "Ana")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "command.key"
    make_key(file)
    return file


@pytest.fixture
def orders_file(config_file: Path, key_file: Path, config: HubConfig, world: World) -> Path:
    """hub.toml with a key, and gate-1 in its venue."""
    world.gate("gate-1", "", venue=config.venue)
    config_file.write_text(f'{config_file.read_text()}[commands]\nkey_file = "{key_file}"\nkey_id = "C1"\n')
    return config_file


class Door(GateOnMqtt):
    """Follows each order once that it can verify; replies as the test says."""

    def __init__(self, config: HubConfig, key: Ed25519PublicKey, outcome: str, why: str = "") -> None:
        self.followed: list[Command] = []
        self._reply = (outcome, why)
        self._key = key
        self._done = threading.Event()
        super().__init__(config.mqtt.port, config.venue)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(PATIENCE)
        super().__exit__()

    def _follow(self) -> None:
        while not self._done.is_set():
            if not self.wait(lambda: any(topic == self._topic for topic, _ in self.heard), 0.2):
                continue
            (payload,) = [payload for topic, payload in self.heard if topic == self._topic]
            now = Now(wall=datetime.now(UTC), monotonic_ms=1, boot_id="b", clock="synced")
            command = unseal(payload, {"C1": self._key}, "gate-1", now)
            assert isinstance(command, Command)
            self.followed.append(command)
            outcome, why = self._reply
            reply = {"id": command.id, "gate_id": "gate-1", "outcome": outcome, "why": why, "v": 1}
            # a reply in another gate's name does not count
            foreign = msgspec.json.encode(reply | {"gate_id": "gate-2", "outcome": "refused"})
            self.send_raw(foreign, self.topics.replies("gate-1"))
            self.send_raw(msgspec.json.encode(reply), self.topics.replies("gate-1"))
            return

    @property
    def _topic(self) -> str:
        return self.topics.commands("gate-1")


def outcomes(conn: Connection, venue: str) -> list[tuple[str, str, str]]:
    rows = conn.execute(query("command_outcomes"), {"venue": venue, "limit": 10}).fetchall()
    return [(row["action"], row["state"], row["why"]) for row in rows]


def test_an_order_is_followed_and_recorded(
    config: HubConfig, orders_file: Path, key_file: Path, world: World
) -> None:
    with Door(config, read_key(key_file).public_key(), "done") as door:
        answer = hub("command", "gate-1", "release", *WHO, "--config", orders_file, "--wait", "30")
        assert (answer.returncode, answer.stdout) == (0, "gate-1 release: done\n")
        (command,) = door.followed
    assert (command.reason, command.actor, command.action) == ("a pram", "Ana", "release")
    assert (command.expires_at - command.issued_at).total_seconds() == 30
    assert outcomes(world.conn, config.venue) == [("release", "done", "")]
    audit = world.all("SELECT actor, action, target, reason, details ->> 'command' FROM audit_log")
    assert audit == [("Ana", "command release", "gate-1", "a pram", command.id)]


def test_a_refusal_is_shown_in_the_gates_words(
    config: HubConfig, orders_file: Path, key_file: Path, world: World
) -> None:
    text = ("--text", "Back door, please")
    with Door(config, read_key(key_file).public_key(), "refused", "it has expired") as door:
        answer = hub("command", "gate-1", "show_text", *text, *WHO, "--config", orders_file, "--wait", "30")
        assert door.followed[0].text == "Back door, please"
    assert (answer.returncode, answer.stderr) == (1, "gate-1 show_text: refused, it has expired\n")
    assert outcomes(world.conn, config.venue) == [("show_text", "refused", "it has expired")]


def test_a_gate_that_does_not_reply_is_reported_as_such(
    config: HubConfig, orders_file: Path, world: World
) -> None:
    answer = hub("command", "gate-1", "close", *WHO, "--config", orders_file, "--wait", "0.1")
    assert answer.returncode == 1
    assert "no reply within 0.1 s. The gate was never heard." in answer.stderr
    assert outcomes(world.conn, config.venue) == [("close", "waiting", "")]


def test_an_order_that_nobody_took_expires_at_the_broker(config: HubConfig, orders_file: Path) -> None:
    """Nor is it retained: a gate that connects later does not hear of it."""
    hub("command", "gate-1", "close", *WHO, "--config", orders_file, "--wait", "0", "--valid", "1")
    with GateOnMqtt(config.mqtt.port, config.venue) as late:
        late.send_raw(b"x", late.topics.replies("gate-1"))
        assert late.wait(lambda: bool(late.heard))
        assert [topic for topic, _ in late.heard] == [late.topics.replies("gate-1")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("gate-9", "release", *WHO), "has no gate 'gate-9'"),
        (("gate-1", "release", "--actor", "Ana"), "--reason"),
        (("gate-1", "show_text", *WHO), "show_text needs a text"),
        (
            ("gate-1", "open", "--actor", "Ana", "--reason", " ", "--valid", "601", "--wait", "61"),
            "4 mistakes",
        ),
    ],
)
def test_an_invalid_order_exits_with_2_and_is_neither_sent_nor_recorded(
    orders_file: Path, world: World, words: tuple[str, ...], told: str
) -> None:
    answer = hub("command", *words, "--config", orders_file)
    assert (answer.returncode, told in answer.stderr) == (2, True)
    assert world.one("SELECT count(*) FROM commands") == 0
    assert world.one("SELECT count(*) FROM audit_log") == 0


def test_without_a_key_or_with_one_others_can_read_nothing_is_sent(
    config_file: Path, orders_file: Path, key_file: Path, world: World, tmp_path: Path
) -> None:
    key_file.chmod(0o640)
    open_to_all = hub("command", "gate-1", "release", *WHO, "--config", orders_file)
    assert (open_to_all.returncode, "chmod 600" in open_to_all.stderr) == (2, True)
    bare = tmp_path / "bare.toml"
    bare.write_text(config_file.read_text().split("[commands]")[0])
    answer = hub("command", "gate-1", "release", *WHO, "--config", bare)
    assert (answer.returncode, "maguey-hub command-key" in answer.stderr) == (2, True)
    assert world.one("SELECT count(*) FROM commands") == 0


def test_without_a_broker_nothing_is_recorded(orders_file: Path, world: World) -> None:
    text = orders_file.read_text()
    port = next(line for line in text.splitlines() if line.startswith("port"))
    orders_file.write_text(text.replace(port, "port = 1"))
    answer = hub("command", "gate-1", "release", *WHO, "--config", orders_file)
    assert (answer.returncode, "broker does not answer" in answer.stderr) == (1, True)
    assert world.one("SELECT count(*) FROM commands") == 0


def test_command_key_makes_a_key_once_and_shows_its_line_again(tmp_path: Path) -> None:
    out = tmp_path / "command.key"
    made = hub("command-key", "--out", out)
    assert (made.returncode, stat.S_IMODE(out.stat().st_mode)) == (0, 0o600)
    assert "[command_keys]\nC1 = " in made.stdout
    again = hub("command-key", "--out", out)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    assert hub("command-key", "--out", out, "--show").stdout == made.stdout
    assert hub("command-key", "--out", out, "--show", "--id", "c-1").returncode == 2


@pytest.fixture
def given(world: World, config: HubConfig) -> str:
    """The id of an unanswered order from a minute ago."""
    world.gate("gate-1", "", venue=config.venue)
    return str(
        world.one(
            "INSERT INTO commands (id, venue, gate_id, action, reason, actor, key_id, issued_at, expires_at)"
            " VALUES (gen_random_uuid(), %s, 'gate-1', 'release', 'r', 'a', 'C1', now() - interval '60 s',"
            " now() - interval '30 s') RETURNING id",
            config.venue,
        )
    )


def test_the_journals_record_proves_the_order_whatever_was_replied(
    given: str, config: HubConfig, conn: Connection
) -> None:
    assert outcomes(conn, config.venue) == [("release", "no answer", "")]
    proof = record(1, scan_id=given, record="event", reason=EventKind.RELEASED, verdict=Ruling.NONE, line=0)
    write_batch(conn, Batch(records=(proof,), topics={"gate-1": "t"}))
    assert outcomes(conn, config.venue) == [("release", "recorded", "")]


def test_an_order_that_expired_unanswered_is_reported_once(
    given: str, config: HubConfig, config_file: Path, conn: Connection
) -> None:
    told, now = UnansweredOrders(config.venue), datetime.now(UTC)
    with capture_logs() as logs:
        for later in (0, 5, 20, 3600):
            told.log_expired(conn, now + timedelta(seconds=later))
    assert [(line["id"], line["gate_id"], line["log_level"]) for line in logs] == [
        (given, "gate-1", "warning")
    ]
    assert "never answered, and expired" in hub("orders", "--config", config_file).stdout


@pytest.mark.parametrize("seconds", [-27, -20])
def test_an_order_is_not_reported_while_its_answer_may_be_on_the_way(
    given: str, config: HubConfig, conn: Connection, seconds: int
) -> None:
    with capture_logs() as logs:
        UnansweredOrders(config.venue).log_expired(conn, datetime.now(UTC) + timedelta(seconds=seconds))
    assert len(logs) == (seconds == -20)


def test_an_answered_order_is_not_reported_as_unanswered(
    given: str, config: HubConfig, conn: Connection
) -> None:
    take_reply(conn, OrderReply(id=given, gate_id="gate-1", outcome="refused", why="w"), datetime.now(UTC))
    with capture_logs() as logs:
        UnansweredOrders(config.venue).log_expired(conn, datetime.now(UTC))
    assert logs == []


def test_a_record_of_another_gate_proves_nothing(given: str, config: HubConfig, conn: Connection) -> None:
    foreign = record(
        1, gate_id="gate-2", scan_id=given, record="event", reason=EventKind.RELEASED, verdict=Ruling.NONE
    )
    write_batch(conn, Batch(records=(foreign,), topics={"gate-2": "t"}))
    assert outcomes(conn, config.venue) == [("release", "no answer", "")]


@pytest.mark.parametrize("first", ["done", "refused"])
def test_only_the_first_reply_of_the_ordered_gate_counts(
    given: str, config: HubConfig, conn: Connection, first: str
) -> None:
    now = datetime.now(UTC)
    take_reply(conn, OrderReply(id=given, gate_id="gate-2", outcome="done"), now)
    take_reply(conn, OrderReply(id="nobody's", gate_id="gate-1", outcome="done"), now)
    assert outcomes(conn, config.venue) == [("release", "no answer", "")]
    reply = msgspec.convert(
        {"id": given, "gate_id": "gate-1", "outcome": first, "why": "\0w" * 300}, OrderReply
    )
    take_reply(conn, reply, now)
    take_reply(conn, OrderReply(id=given, gate_id="gate-1", outcome="refused", why="second"), now)
    ((_, state, why),) = outcomes(conn, config.venue)
    assert (state, why[:3]) == (first, "www")


def test_a_reply_must_come_on_its_own_gates_topic() -> None:
    topics = Topics(venue="v")
    reply = encode(OrderReply(id="x", gate_id="gate-1", outcome="done"))
    assert decode_reply(Delivery(topics.replies("gate-1"), reply, 1, 1), topics).id == "x"
    for topic, payload in ((topics.replies("gate-2"), reply), (topics.replies("gate-1"), b"x" * 5000)):
        with pytest.raises(WireError):
            decode_reply(Delivery(topic, payload, 1, 1), topics)


@pytest.fixture
def hearing(config: HubConfig) -> Iterator[None]:
    with statuses.status_worker(config):
        yield


def test_the_active_hub_notes_a_reply_that_nobody_waits_for(
    given: str, config: HubConfig, hearing: None, conn: Connection
) -> None:
    reply = encode(OrderReply(id=given, gate_id="gate-1", outcome="done"))
    with GateOnMqtt(config.mqtt.port, config.venue) as gate:

        def noted() -> bool:
            gate.send_raw(reply, gate.topics.replies("gate-1"))
            return bool(outcomes(conn, config.venue)[0][1] == "done")

        until(noted)

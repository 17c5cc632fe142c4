"""Strangers at the gates' port: Mosquitto on the production configuration, behind config/nftables.

The hub's machine and the world are network namespaces. The gates connect with their certificates from
addresses of their own, and the hub receives what they publish; the strangers connect and send nothing, which
costs Mosquitto a place for 90 s each. At the end the whole hub and two gates are real.
"""

from __future__ import annotations

import contextlib
import json
import queue
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from demo.servers import UNSYNCED, Mosquitto, free_port, mosquitto_of, postgres
from gate.clock import SystemClock
from gate.hotline.client import Hotline
from gate.rules.first_entry import Claim, Grant
from gate.rules.payload import code_hash
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from hub.db.connection import connect
from hub.db.migrate import migrate
from sync.wire.topics import Topics
from tests.certificates import Authority, Identity
from tests.integration.hub.world import World, record
from tests.integration.test_broker import _production
from tests.namespaces import HUB, HUB6, WORLD, Net, net, run, within
from tests.paths import ROOT
from tests.patience import PATIENCE_S, until

RULES = ROOT / "config" / "nftables" / "maguey.nft"
TOPICS = Topics(venue="maguey")
OF_ADDRESS, OF_STRANGERS, WEB_OF_ADDRESS = 8, 150, 200
STRANGER, UNNAMED, NAMED = "10.77.1.1", "10.77.1.2", "10.77.1.3"
WEB = 8080
OUTAGE_BYTES = 16_000_000
"""Some 20,000 scans."""
FREEBIND = 15  # IP_FREEBIND, ip(7): all addresses of a network may be one's own


class Client:
    """An MQTT client somewhere, over TLS, with its certificate."""

    def __init__(self, authority: Authority, identity: Identity, name: str) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        checks = ssl.create_default_context(cafile=str(authority.file))
        checks.load_cert_chain(identity.certificate, identity.key)
        self._client.tls_set_context(checks)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self.told.put(
            "refused" if code.is_failure else "connected"
        )
        self._client.on_disconnect = lambda *_args: self.told.put("lost")
        self._client.on_subscribe = lambda *_args: self.told.put("listens")
        self._client.on_message = lambda _c, _u, got: self.heard.put((got.topic, bytes(got.payload)))

    def connect(self, port: int, address: str = "") -> Client:
        self._client.connect(HUB, port, bind_address=address)
        self._client.loop_start()
        assert self.told.get(timeout=PATIENCE_S) == "connected"
        return self

    def hear(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        assert self.told.get(timeout=PATIENCE_S) == "listens"

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Club:
    """The broker, a client that listens in the hub's place, and gates."""

    def __init__(
        self, net: Net, broker: Mosquitto, hub_port: int, authority: Authority, hubs: Authority
    ) -> None:
        self.net, self.broker, self.hub_port = net, broker, hub_port
        self.authority, self.hubs = authority, hubs
        self._gates: dict[str, Client] = {}
        self._said = 0
        self._hub = Client(authority, hubs.issue("maguey-hub"), "maguey-hub-test")
        with within(net.hub):
            until(lambda: is_heard_at(hub_port))
            self._hub.connect(hub_port)
        self._hub.hear(TOPICS.scans("+"))

    def gate(self, name: str, address: str) -> None:
        """Connect a gate now, from this address."""
        self._gates[name] = Client(self.authority, self.authority.issue(name), name)
        with within(self.net.world):
            self._gates[name].connect(self.broker.port, address)

    def hears_every_gate(self) -> None:
        """Wait until the hub hears each of them, over the connection it has had all the time."""
        for name, gate in self._gates.items():
            self._said += 1
            gate.say(TOPICS.scans(name), b"%d" % self._said)
            assert self._hub.heard.get(timeout=PATIENCE_S) == (TOPICS.scans(name), b"%d" % self._said)
            assert gate.told.empty()

    def close(self) -> None:
        for client in (*self._gates.values(), self._hub):
            client.close()


def is_heard_at(port: int) -> bool:
    """Whether somebody listens there; a broker opens one port after the other."""
    with socket.socket() as line:
        return line.connect_ex((HUB, port)) == 0


@pytest.fixture(scope="module")
def machines() -> Iterator[Net]:
    with net() as made:
        yield made


@pytest.fixture(scope="module")
def club(machines: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue(HUB, file="broker", address=HUB)
    authority.list_revoked()
    hubs = Authority(tmp_path_factory.mktemp("hubs"), "Maguey test hub authority")
    hub_port = free_port()

    def production(home: Path, port: int) -> str:
        listed = [f"gate-{n}" for n in range(1, 8)]
        return _production(authority, hubs, home, port, hub_port, gates=listed, at=("", HUB))

    with contextlib.ExitStack() as stack:
        with within(machines.hub):
            broker = stack.enter_context(mosquitto_of(tmp_path_factory.mktemp("broker"), production))
        made = Club(machines, broker, hub_port, authority, hubs)
        stack.callback(made.close)
        yield made


@pytest.fixture(autouse=True)
def rules(machines: Net, club: Club, tmp_path: Path) -> None:
    """Reload the file as it is shipped, with the broker's port and the gates' addresses."""
    load_rules(machines, tmp_path, club.broker.port)


def load_rules(machines: Net, tmp_path: Path, port: int) -> None:
    """Load the rules as a club does, with the broker on this port."""
    text = RULES.read_text()
    for shipped, here in (
        ("define broker = 8883", f"define broker = {port}"),
        ("# elements = { 192.168.7.11, 192.168.7.12 }", f"elements = {{ {NAMED}, {WORLD} }}"),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    file = tmp_path / "maguey.nft"
    file.write_text(text)
    with within(machines.hub):
        run("nft", "-f", str(file))


def refused(machines: Net, *counters: str) -> int:
    """How many packets were refused by these rules."""
    with within(machines.hub):
        listed = json.loads(run("nft", "-j", "list", "counters", "table", "inet", "maguey_hub"))
    all_of_them = [one["counter"] for one in listed["nftables"] if "counter" in one]
    return sum(one["packets"] for one in all_of_them if one["name"] in counters)


def dropped(machines: Net) -> int:
    """How many got no answer, because their address comes too often; they try again after 1 s."""
    return refused(machines, "too_often", "web_too_often")


class Strangers:
    """Connections that send nothing."""

    def __init__(self, machines: Net, port: int) -> None:
        self._machines, self._port = machines, port
        self._selector = selectors.DefaultSelector()
        self._lines: list[socket.socket] = []
        self.turned_away = 0
        self.open = 0

    def come(self, addresses: Iterable[str]) -> None:
        """Connect once from each, and wait until it is known of each whether it was let in."""
        before = dropped(self._machines)
        with within(self._machines.world):
            for address in addresses:
                is_6 = ":" in address
                line = socket.socket(socket.AF_INET6 if is_6 else socket.AF_INET, socket.SOCK_STREAM)
                line.setblocking(False)
                line.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
                line.bind((address, 0))
                line.connect_ex((HUB6 if is_6 else HUB, self._port))
                self._selector.register(line, selectors.EVENT_WRITE)
                self._lines.append(line)
        self._await(
            lambda: self.open + self.turned_away + dropped(self._machines) - before >= len(self._lines)
        )

    def _await(self, is_known: Callable[[], bool]) -> None:
        gives_up = time.monotonic() + PATIENCE_S
        while not is_known():
            assert time.monotonic() < gives_up
            for key, _ in self._selector.select(0.02):
                line: Any = key.fileobj
                self._selector.unregister(line)
                if line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.turned_away += 1
                else:
                    self.open += 1

    def close(self) -> None:
        self._selector.close()
        for line in self._lines:
            line.close()


@pytest.fixture
def strangers(machines: Net, club: Club) -> Iterator[Strangers]:
    made = Strangers(machines, club.broker.port)
    yield made
    made.close()


def test_260_connections_from_one_address_take_8_places_and_none_of_a_gate(
    club: Club, strangers: Strangers
) -> None:
    club.gate("gate-1", UNNAMED)
    written = club.broker.log.stat().st_size
    strangers.come([STRANGER] * 260)
    assert strangers.open == OF_ADDRESS
    club.hears_every_gate()
    club.gate("gate-2", "10.77.1.4")  # not named either
    club.gate("gate-3", NAMED)
    club.hears_every_gate()
    assert club.broker.log.stat().st_size - written < 10_000


def test_strangers_from_any_number_of_addresses_leave_places_for_named_gates(
    club: Club, strangers: Strangers
) -> None:
    strangers.come(f"10.77.1.{100 + number % 50}" for number in range(400))
    assert strangers.open <= OF_STRANGERS
    assert refused(club.net, "strangers_full") > 0
    club.gate("gate-4", NAMED)
    club.hears_every_gate()


def test_an_ipv6_network_counts_as_one_address(club: Club, strangers: Strangers) -> None:
    strangers.come(f"fd77:1:0:5::{number + 1:x}" for number in range(40))
    assert strangers.open == OF_ADDRESS
    club.hears_every_gate()


class Sink:
    """Takes in what is sent to it, on the hub's machine."""

    def __init__(self) -> None:
        self._server = socket.create_server((HUB, 0))
        self.port: int = self._server.getsockname()[1]
        self.took = 0
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        line, _ = self._server.accept()
        with line, contextlib.suppress(ConnectionError):
            while some := line.recv(1 << 16):
                self.took += len(some)

    def close(self) -> None:
        self._server.close()


@pytest.mark.parametrize("address", [STRANGER, NAMED])
def test_an_outages_backlog_passes_at_once_and_more_than_that_is_held_up(
    machines: Net, tmp_path: Path, address: str
) -> None:
    with within(machines.hub):
        sink = Sink()
    load_rules(machines, tmp_path, sink.port)
    with contextlib.closing(sink), within(machines.world), socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # drop what is held up
        line.settimeout(PATIENCE_S)
        line.bind((address, 0))
        line.connect((HUB, sink.port))
        line.sendall(bytes(OUTAGE_BYTES))
        until(lambda: sink.took == OUTAGE_BYTES)
        assert refused(machines, "too_much") == 0
        while not refused(machines, "too_much"):
            line.sendall(bytes(1 << 20))


class Gate:
    """A journal, a `maguey-sync` out in the world, and the door's end of its line."""

    def __init__(self, club: Club, name: str, folder: Path) -> None:
        self.name, self._club, self._folder = name, club, folder
        identity = club.authority.issue(name)
        (folder / "token").write_text("the-token")
        (folder / "gate.toml").write_text(
            f'gate_id = "{name}"\nvenue = "maguey"\nstate_dir = "{folder}"\nruntime_dir = "{folder}/run"\n'
            f'[door]\nclaim_timeout = 5.0\n[hub]\nurl = "http://127.0.0.1:9"\ntoken_file = "{folder}/token"\n'
            f'broker = "{HUB}"\nbroker_port = {club.broker.port}\nca_file = "{club.authority.file}"\n'
            f'cert_file = "{identity.certificate}"\nkey_file = "{identity.key}"\n'
        )
        self._clock = SystemClock()
        self._reader = CacheReader(folder / "cache.db")
        self._journal = Journal(folder / "journal.db", name, "epoch-1")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with (
            within(self._club.net.world),
            running(self._folder, "sync.cli", "run", self._folder / "gate.toml"),
        ):
            try:
                yield
            finally:
                self._journal.close()
                self._reader.close()

    def scan(self, count: int) -> None:
        for _ in range(count):
            with self._journal.turn() as turn:
                number = self._journal.last_seq() + 1
                turn.append(record(number, gate_id=self.name, epoch="epoch-1"))

    def claim(self, event: str, code: str) -> str:
        """The hub's answer. A claim that reached it late was returned, so another one is made.

        Only once the hub has answered a probe: asking without a pause would count as a flood.
        """
        with contextlib.closing(Hotline(self._folder / "run" / "sync.sock", 2.0, self._clock)) as line:
            while True:
                answer = line.ask(Claim(str(uuid.uuid4()), code_hash(code), event, "epoch-1"))
                if isinstance(answer, Grant):
                    return answer.answer
                self.answered()

    def answered(self) -> None:
        """Wait until the hub has answered the gate, by a beat written after now."""
        since = self._clock.now().monotonic_ms
        until(
            lambda: (self._reader.link(self._clock.now()).answered_ms or 0) > since,
            (self._folder / "log").read_text,
        )


@contextlib.contextmanager
def running(folder: Path, module: str, command: str, config: Path) -> Iterator[None]:
    """Run a program of ours in this thread's namespace."""
    words = [sys.executable, "-m", module, command, "--config", str(config)]
    with (folder / "log").open("ab") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def hub_of(club: Club, folder: Path) -> Iterator[World]:
    """Postgres and `maguey-hub ingest` on the hub's machine."""
    identity = club.hubs.issue("maguey-hub")
    with within(club.net.hub), postgres(folder / "postgres", *UNSYNCED) as server:
        migrate(server.dsn)
        server.make_hub_login()
        config = folder / "hub.toml"
        config.write_text(
            f'venue = "maguey"\n[postgres]\ndsn = "{server.hub("postgres")}"\n[mqtt]\nhost = "{HUB}"\n'
            f'port = {club.hub_port}\nca_file = "{club.authority.file}"\n'
            f'cert_file = "{identity.certificate}"\nkey_file = "{identity.key}"\n'
        )
        with connect(server.dsn, autocommit=True) as conn, running(folder, "hub.cli.main", "ingest", config):
            yield World(conn)
            server.kill()


def test_beside_strangers_all_scans_arrive_all_gates_beat_and_no_ticket_enters_twice(
    club: Club, strangers: Strangers, tmp_path: Path
) -> None:
    with hub_of(club, tmp_path) as world, contextlib.ExitStack() as stack:
        event = world.event()
        gates = []
        for name in ("gate-5", "gate-6", "gate-7"):
            world.gate(name, "", event, venue="maguey")
            (tmp_path / name).mkdir()
            gates.append(Gate(club, name, tmp_path / name))
        for gate in gates[:2]:
            stack.enter_context(gate.running())
        for gate in gates[:2]:
            gate.answered()
        strangers.come([STRANGER] * 260)
        strangers.come(f"10.77.1.{100 + number % 50}" for number in range(400))
        stack.enter_context(gates[2].running())  # connects only now
        for gate in gates:
            gate.answered()
            gate.scan(60)
        for number in range(5):
            code = f"MGY-PF-20260130-{number:016d}"
            world.ticket(event, code=code)
            assert [gate.claim(event, code) for gate in gates] == ["granted", "taken", "taken"]
        until(
            lambda: world.one("SELECT count(*) FROM scan_logs") == 180,
            lambda: world.all("SELECT error, count(*) FROM scan_quarantine GROUP BY 1"),
        )
        assert world.one("SELECT count(DISTINCT scan_id) FROM scan_logs") == 180
        for gate in gates:
            gate.answered()


def test_the_web_servers_port_takes_more_but_a_bounded_number(machines: Net) -> None:
    with within(machines.hub):
        server = socket.create_server((HUB, WEB), backlog=500)
    with contextlib.closing(server), contextlib.closing(Strangers(machines, WEB)) as strangers:
        strangers.come([STRANGER] * (WEB_OF_ADDRESS + 50))
        assert strangers.open == WEB_OF_ADDRESS


def test_the_broker_has_more_places_than_the_rules_leave_to_strangers() -> None:
    text = (RULES.parents[1] / "mosquitto" / "maguey.conf").read_text()
    places = int(text.partition("\nlistener 8883\nmax_connections ")[2].split()[0])
    assert places >= OF_STRANGERS + 200
    assert f"ct count over {OF_STRANGERS} " in RULES.read_text()

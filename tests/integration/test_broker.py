"""The broker as config/mosquitto runs it: who gets in, and who may publish and receive what (invariant 14).

Every client tries everything: each row of `MAY` is a client, each column a topic, and all that is not in it
is shown to be impossible.
"""

from __future__ import annotations

import contextlib
import grp
import queue
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from demo.servers import Mosquitto, free_port, mosquitto_of
from hub.gates.atomic_file import write_atomically
from hub.gates.broker_list import broker_list_text
from hub.mqtt.link import client_id
from sync.broker.mqtt import BrokerAddress as LinkBroker
from sync.broker.mqtt import Connected, Disconnected, LinkEvent, MqttLink
from sync.wire.topics import Topics
from sync.wire.without_properties import PlainClient
from tests.certificates import Authority, Identity
from tests.paths import ROOT
from tests.patience import PATIENCE_S

CONFIG = ROOT / "config" / "mosquitto"
OURS, OTHERS = Topics(venue="maguey"), Topics(venue="cantina")
LEAVES = ("scans", "status", "claims", "replies", "ack", "grants", "commands")
GATES = ("gate-1", "gate-2", "maguey-hub")
LISTED = ("gate-1", "gate-2", "gate-3", "gate-4")
"""The gates of the database, which the broker's list names."""
DEBIANS = """
pid_file {run}/mosquitto.pid

persistence true
persistence_location {lib}/

log_dest file {log}/mosquitto.log

include_dir {etc}/conf.d
"""
"""/etc/mosquitto/mosquitto.conf of Debian 12, word for word but for its folders; 13 lacks the pid_file."""
NIGHT = "11111111-1111-1111-1111-111111111111"


def gate_topic(topics: Topics, gate: str, leaf: str) -> str:
    made: str = getattr(topics, leaf)(gate)
    return made


TOPICS = (
    *(gate_topic(OURS, gate, leaf) for gate in GATES for leaf in LEAVES),
    *(gate_topic(OTHERS, "gate-1", leaf) for leaf in LEAVES),
    *(topics.deltas(NIGHT) for topics in (OURS, OTHERS)),
    *(topics.head(NIGHT) for topics in (OURS, OTHERS)),
    *(topics.alerts() for topics in (OURS, OTHERS)),
    f"{OURS.scans('gate-1')}/more",
    "maguey/v1/maguey/gates/scans",
    "maguey/v1/maguey",
    "maguey",
    "somewhere/else",
)

ALL_HEAR = {
    *(gate_topic(OURS, gate, leaf) for gate in GATES for leaf in ("scans", "status")),
    OURS.deltas(NIGHT),
    OURS.head(NIGHT),
    OURS.alerts(),
}


def said_by(gate: str) -> set[str]:
    return {gate_topic(OURS, gate, leaf) for leaf in ("scans", "status", "claims", "replies")}


def said_to(gate: str) -> set[str]:
    return {gate_topic(OURS, gate, leaf) for leaf in ("ack", "grants", "commands")}


MAY_SAY = {
    "gate-1": said_by("gate-1"),
    "gate-2": said_by("gate-2"),
    # the venue's level is open to the hub: a broker has one venue, and its ACL is the same everywhere
    "maguey-hub": {topic for gate in GATES for topic in said_to(gate)}
    | {gate_topic(OTHERS, "gate-1", leaf) for leaf in ("ack", "grants", "commands")}
    | {made for one in (OURS, OTHERS) for made in (one.deltas(NIGHT), one.head(NIGHT), one.alerts())},
}
MAY_HEAR = {
    "gate-1": said_to("gate-1") | ALL_HEAR - said_by("gate-1"),
    "gate-2": said_to("gate-2") | ALL_HEAR - said_by("gate-2"),
    "maguey-hub": {topic for gate in GATES for topic in said_by(gate)}
    | {gate_topic(OTHERS, "gate-1", leaf) for leaf in ("scans", "status", "claims", "replies")},
}


@dataclass
class Club:
    """A broker with its authority. `witness` may receive and publish everything, for the test."""

    broker: Mosquitto
    hub_port: int
    authority: Authority
    hub_authority: Authority
    witness: Client

    def port(self, name: str) -> int:
        return self.hub_port if name == "maguey-hub" else self.broker.port

    def tls(self, name: str) -> ssl.SSLContext:
        """TLS with a gate's certificate."""
        mine = self.authority.issue(name)
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(mine.certificate, mine.key)
        return context

    def client(self, name: str, identity: Identity | None = None) -> Client:
        issuer = self.hub_authority if name == "maguey-hub" else self.authority
        return Client(self.authority, identity or issuer.issue(name), self.port(name), name)


class Client:
    """An MQTT 5 client with a certificate, as hub and gates are; keeps what it receives."""

    def __init__(self, authority: Authority, identity: Identity | None, port: int, client_id: str) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = PlainClient(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(authority.file))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _c, _u, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: self.told.put(f"lost: {code}")
        self._subscribed = threading.Event()
        self._granted: list[bool] = []
        self._client.on_subscribe = self._on_subscribe
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        self.told.put("connected" if not code.is_failure else f"refused: {code}")

    def _on_subscribe(self, _client: Any, _data: Any, _mid: Any, codes: Any, _props: Any) -> None:
        self._granted = [not code.is_failure for code in codes]
        self._subscribed.set()

    def connected(self) -> Client:
        while (told := self.told.get(timeout=PATIENCE_S)) != "connected":
            assert told.startswith("lost"), told
        return self

    def hear(self, *filters: str) -> list[str]:
        """Subscribe to them; return those that were granted."""
        self._subscribed.clear()
        self._client.subscribe([(one, SubscribeOptions(qos=1)) for one in filters])
        assert self._subscribed.wait(PATIENCE_S)
        return [one for one, is_granted in zip(filters, self._granted, strict=True) if is_granted]

    def say(self, topic: str, payload: bytes) -> None:
        self.hand_over(topic, payload).wait_for_publish(PATIENCE_S)

    def hand_over(self, topic: str, payload: bytes) -> mqtt.MQTTMessageInfo:
        """Publish something without waiting for the broker."""
        return self._client.publish(topic, payload, qos=1)

    def until(self, last: bytes) -> set[str]:
        """The topics of everything received before a payload."""
        topics: set[str] = set()
        while True:
            topic, payload = self.heard.get(timeout=PATIENCE_S)
            if payload == last:
                return topics
            topics.add(topic)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _production(
    authority: Authority,
    hub_authority: Authority,
    home: Path,
    port: int,
    hub_port: int,
    *,
    gates: Sequence[str] = LISTED,
    at: tuple[str, str] = ("127.0.0.1", "127.0.0.1"),
) -> str:
    """Debian's configuration with config/mosquitto/maguey.conf in its conf.d, and a witness beside the hub.

    Both have the paths and ports of a test.

    :param at: the addresses for gates and for the hub; "": all.
    """
    for name in ("ca.pem", "broker.pem", "broker.key", "crl.pem"):
        shutil.copy(authority.folder / name, home)
        shutil.chown(home / name, home.owner())
    shutil.copy(hub_authority.file, home / "hub-ca.pem")
    list_gates(home, gates)
    acl = (CONFIG / "maguey-hub.acl").read_text() + "\nuser witness\ntopic readwrite #\n"
    (home / "maguey-hub.acl").write_text(acl)
    text = (CONFIG / "maguey.conf").read_text().replace("/etc/mosquitto/maguey", str(home))
    text = text.replace("listener 8883\n", f"listener {port} {at[0]}\n")
    text = text.replace("listener 8884 127.0.0.1\n", f"listener {hub_port} {at[1]}\n")
    (home / "conf.d").mkdir(exist_ok=True)
    (home / "conf.d" / "maguey.conf").write_text(text + "log_dest stderr\n")
    return DEBIANS.format(run=home, lib=home, log=home, etc=home)


def list_gates(home: Path, gates: Sequence[str]) -> None:
    """The broker's list, as `maguey-hub broker-list` writes it."""
    write_atomically(
        home / "gates.json", broker_list_text(OURS.venue, gates), grp.getgrgid(home.stat().st_gid).gr_name
    )


@contextlib.contextmanager
def open_club(tmp_path_factory: pytest.TempPathFactory, gates: Sequence[str] = LISTED) -> Iterator[Club]:
    """The broker as config/mosquitto runs it."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("127.0.0.1", file="broker", address="127.0.0.1")
    authority.revoke(authority.issue("gate-9", file="revoked"))
    authority.list_revoked()
    hub_authority = Authority(tmp_path_factory.mktemp("hub-authority"), "Maguey test hub authority")
    hub_port = free_port()

    def conf(home: Path, port: int) -> str:
        return _production(authority, hub_authority, home, port, hub_port, gates=gates)

    with mosquitto_of(tmp_path_factory.mktemp("broker"), conf) as broker:
        witness = Client(authority, hub_authority.issue("witness"), hub_port, "witness").connected()
        yield Club(broker, hub_port, authority, hub_authority, witness)
        witness.close()


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    with open_club(tmp_path_factory) as club:
        club.witness.hear("#")
        yield club


def test_it_starts_in_debians_conf_d_without_a_warning(tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_club(tmp_path_factory) as club:
        said = club.broker.log.read_text()
        assert "witness" in said
        assert not re.findall(r"Warning|Error|recommended", said)
        assert (club.broker.folder / "mosquitto.log").read_text()  # Debian's own log goes on
        club.broker.stop()
        assert (
            club.broker.folder / "mosquitto.db"
        ).exists()  # what is retained survives where Debian keeps it
        club.broker.start()


@pytest.mark.parametrize("name", MAY_SAY)
def test_each_client_publishes_what_it_may_and_nothing_else(club: Club, name: str) -> None:
    client = club.client(name).connected()
    for topic in TOPICS:
        client.say(topic, b"said")
    last = f"the last of {name}".encode()
    client.say(next(iter(sorted(MAY_SAY[name]))), last)
    assert club.witness.until(last) == MAY_SAY[name]
    client.close()


@pytest.mark.parametrize("filters", [("#",), ("maguey/v1/+/gates/+/+", "maguey/v1/+/admissions/#"), TOPICS])
@pytest.mark.parametrize("name", MAY_HEAR)
def test_each_client_receives_what_it_may_and_nothing_else(
    club: Club, name: str, filters: tuple[str, ...]
) -> None:
    client = club.client(name).connected()
    end = OURS.scans("gate-2" if name == "gate-1" else "gate-1")
    mine = (end,) if name == "maguey-hub" else tuple(OURS.subscriptions(name))
    client.hear(*filters, *mine)
    for topic in TOPICS:
        if topic != end:
            club.witness.say(topic, b"for whoever hears it")
    club.witness.say(end, b"the last")
    possible = {
        topic
        for topic in MAY_HEAR[name]
        if any(mqtt.topic_matches_sub(one, topic) for one in (*filters, *mine))
    }
    assert client.until(b"the last") == possible - {end}
    club.witness.until(b"the last")
    client.close()


def test_a_last_will_is_published_only_where_its_gate_may_publish(club: Club) -> None:
    told: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
    identity = club.authority.issue("gate-1")
    broker = LinkBroker(
        host="127.0.0.1",
        port=club.broker.port,
        ca_file=str(club.authority.file),
        cert_file=str(identity.certificate),
        key_file=str(identity.key),
    )
    link = MqttLink(
        broker, "gate-1", lambda _link, event: told.put(event), (OURS.status("gate-2"), b"gone"), ()
    )
    first = told.get(timeout=PATIENCE_S)
    if first == Connected():  # Mosquitto lets it in, but must hold the will back
        torn = link._client.socket()  # without a goodbye
        assert torn is not None
        cast(socket.socket, torn).shutdown(socket.SHUT_RDWR)
        assert isinstance(told.get(timeout=PATIENCE_S), Disconnected)
    club.witness.say(OURS.alerts(), b"after the will")
    assert OURS.status("gate-2") not in club.witness.until(b"after the will")
    link.close()


def test_without_a_certificate_or_with_a_foreign_or_revoked_one_nobody_gets_in(
    club: Club, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    files = club.authority.folder
    revoked = Identity(files / "revoked.pem", files / "revoked.key")
    for identity in (None, stranger.issue("gate-1"), revoked):
        for port in (club.broker.port, club.hub_port):
            client = Client(club.authority, identity, port, "gate-1")
            assert client.told.get(timeout=PATIENCE_S) != "connected"
            client.close()


def comes_in(club: Club, identity: Identity, port: int, client_id: str) -> bool:
    client = Client(club.authority, identity, port, client_id)
    told = client.told.get(timeout=PATIENCE_S)
    client.close()
    return told == "connected"


@pytest.mark.parametrize("name", ["gate-1", "maguey-hub", "maguey-hub-maguey"])
def test_the_authority_and_never_the_name_decides_which_listener_opens(club: Club, name: str) -> None:
    ours, the_hubs = club.authority.issue(name, "of-a-gate"), club.hub_authority.issue(name, "of-the-hub")
    another = club.authority.folder / "another"
    self_made = Authority(another, "Maguey test hub authority").issue(name)
    opened = {
        (whose, where): comes_in(club, identity, port, f"{name} {whose}")
        for whose, identity in (("gate", ours), ("hub", the_hubs), ("nobody", self_made))
        for where, port in (("gates", club.broker.port), ("hub", club.hub_port))
    }
    assert {place for place, is_open in opened.items() if is_open} == {("gate", "gates"), ("hub", "hub")}


@pytest.mark.parametrize("duty", ["", "status", "claims"])
@pytest.mark.parametrize("slash", ["/", "-"])
def test_no_gate_takes_the_hubs_session_whatever_its_name(club: Club, duty: str, slash: str) -> None:
    wanted = client_id(OURS.venue, duty)
    identity = club.hub_authority.issue("maguey-hub")
    hub = Client(club.authority, identity, club.hub_port, wanted).connected()
    hub.hear(OURS.scans())
    name = wanted.replace("/", "-")
    # one has the name in its certificate, which enrolment refuses as well; one only calls itself that
    gates = [Client(club.authority, club.authority.issue(name), club.broker.port, wanted.replace("/", slash))]
    gates += [Client(club.authority, club.authority.issue("gate-1"), club.broker.port, wanted)]
    for gate in gates:
        gate.connected()
    gates[1].say(OURS.scans("gate-1"), b"still heard")
    assert hub.until(b"still heard") == set()
    assert hub.told.empty()
    club.witness.say(OURS.alerts(), b"done")
    club.witness.until(b"done")
    for one in (*gates, hub):
        one.close()


@pytest.mark.parametrize("name", ["maguey-hub", "maguey-hub-maguey", "gate-7", "every gate"])
def test_a_gate_named_like_the_hub_or_not_on_the_list_may_do_nothing(club: Club, name: str) -> None:
    gate = Client(
        club.authority, club.authority.issue(name, "a-namesake"), club.broker.port, name
    ).connected()
    for topic in (*TOPICS, *OURS.publications(name)):
        gate.say(topic, b"said")
    assert gate.hear(*OURS.subscriptions(name), *OURS.subscriptions("gate-1"), *TOPICS) == []
    club.witness.say(OURS.alerts(), b"the last")
    assert club.witness.until(b"the last") == set()
    gate.close()


def test_a_gate_revoked_during_the_night_does_not_get_in_again(club: Club) -> None:
    identity = club.authority.issue("gate-3")
    club.client("gate-3", identity).connected().close()
    club.authority.revoke(identity)
    shutil.copy(club.authority.list_revoked(), club.broker.folder / "crl.pem")
    assert club.broker.process is not None
    club.broker.stop()  # Mosquitto 2.0.11 reads the list when it starts
    club.broker.start()
    club.witness.connected()
    club.witness.hear("#")
    client = club.client("gate-3", identity)
    assert client.told.get(timeout=PATIENCE_S) != "connected"
    client.close()


def test_no_gate_takes_over_another_gates_session(club: Club) -> None:
    first = club.client("gate-1").connected()
    first.hear(OURS.ack("gate-1"))
    impostor = Client(club.authority, club.authority.issue("gate-2"), club.broker.port, "gate-1").connected()
    club.witness.say(OURS.ack("gate-1"), b"still there")
    assert first.until(b"still there") == set()
    impostor.close()
    first.close()


def test_two_clients_with_one_certificate_throw_each_other_out(club: Club) -> None:
    identity = club.authority.issue("gate-1")
    first = club.client("gate-1", identity).connected()
    second = Client(club.authority, identity, club.broker.port, "a clone").connected()
    assert "lost" in first.told.get(timeout=PATIENCE_S)
    first.close()
    second.close()

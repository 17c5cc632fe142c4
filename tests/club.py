"""A venue with an authority: Mosquitto as config/mosquitto runs it, on certificates of `hub.authority`."""

from __future__ import annotations

import contextlib
import grp
import queue
import secrets
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from demo.servers import Mosquitto, free_port, mosquitto_of
from hub.authority.certificates import new_key
from hub.authority.folders import Folders, Owners, make_missing, pem_of_key
from hub.config import Authority, HubConfig, Mqtt, Postgres
from hub.db.connection import Connection
from sync.wire.without_properties import PlainClient
from tests.paths import ROOT
from tests.patience import PATIENCE_S, until

CONFIG = ROOT / "config" / "mosquitto"
VENUE = "maguey"


@dataclass
class Venue:
    """`config`: the hub's, with TLS. `file`: the same as hub.toml."""

    broker: Mosquitto
    folders: Folders
    config: HubConfig
    file: Path

    def restart_broker(self) -> None:
        """As systemd does, once the authority has ended it because of its new gates."""
        until((self.folders.authority / "told.json").exists)
        self.broker.stop()
        self.broker.start()

    def client(self, name: str, identity: Path) -> BrokerClient:
        """Somebody at the gates' listener. `identity`: certificate and key in one file."""
        return BrokerClient(self.folders.broker / "ca.pem", identity, self.broker.port, name)

    @contextlib.contextmanager
    def web(self, log: Path) -> Iterator[str]:
        """`maguey-hub web` over TLS; its address."""
        port, tls = free_port(), self.folders.hub
        with self.file.open("a") as file:
            file.write(f'[web]\nport = {port}\ncert_file = "{tls}/web.pem"\nkey_file = "{tls}/web.key"\n')
        command = [sys.executable, "-m", "hub.cli.main", "web", "--config", str(self.file)]
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as running,
        ):
            try:
                assert running.stdout is not None
                assert running.stdout.readline() == f"listening on https://127.0.0.1:{port}\n"
                yield f"https://127.0.0.1:{port}"
            finally:
                running.terminate()

    def hub_client(self, name: str) -> BrokerClient:
        """The hub, at its own listener."""
        tls, port = self.folders.hub, self.config.mqtt.port
        both = tls / "both.pem"
        both.write_bytes((tls / "hub.pem").read_bytes() + (tls / "hub.key").read_bytes())
        return BrokerClient(tls / "ca.pem", both, port, name)


def quiet_venue(home: Path, dsn: str) -> HubConfig:
    """A venue with an authority, whose broker does not run."""
    folders = Folders(authority=home / "ca", broker=home / "broker", hub=home / "tls")
    make_missing(folders, ["127.0.0.1"], Owners(), datetime.now(UTC))
    authority = Authority(
        dir=str(folders.authority),
        broker_dir=str(folders.broker),
        broker_pid_file=str(home / "none.pid"),
    )
    mqtt_at = Mqtt(ca_file=str(folders.hub / "ca.pem"))
    return HubConfig(venue=VENUE, postgres=Postgres(dsn=dsn), mqtt=mqtt_at, authority=authority)


@contextlib.contextmanager
def open_venue(home: Path, dsn: str) -> Iterator[Venue]:
    """A venue whose authority was just made. Its broker runs; its authority does not serve yet."""
    hub_port = free_port()
    made: list[Folders] = []

    def conf(broker_home: Path, port: int) -> str:
        group = grp.getgrgid(broker_home.stat().st_gid).gr_name
        folders = Folders(authority=home / "ca", broker=broker_home / "maguey", hub=home / "tls")
        make_missing(folders, ["127.0.0.1"], Owners(broker_group=group), datetime.now(UTC))
        (folders.broker / "maguey-hub.acl").write_text((CONFIG / "maguey-hub.acl").read_text())
        (folders.broker / "maguey-hub.acl").chmod(0o644)
        made.append(folders)
        text = (CONFIG / "maguey.conf").read_text().replace("/etc/mosquitto/maguey", str(folders.broker))
        text = text.replace("/var/lib/mosquitto", str(broker_home))
        text = text.replace("listener 8883\n", f"listener {port} 127.0.0.1\n")
        text = text.replace("listener 8884 127.0.0.1\n", f"listener {hub_port} 127.0.0.1\n")
        return f"{text}log_dest stderr\npid_file {broker_home}/mosquitto.pid\n"

    with mosquitto_of(home / "broker", conf) as broker:
        yield _venue(home, dsn, broker, made[0], hub_port)


def _venue(home: Path, dsn: str, broker: Mosquitto, folders: Folders, hub_port: int) -> Venue:
    tls = folders.hub
    mqtt_at = Mqtt(
        port=hub_port,
        ca_file=str(tls / "ca.pem"),
        cert_file=str(tls / "hub.pem"),
        key_file=str(tls / "hub.key"),
    )
    authority = Authority(
        dir=str(folders.authority),
        broker_dir=str(folders.broker),
        broker_pid_file=str(broker.folder / "mosquitto.pid"),
        gates_port=broker.port,
    )
    file = home / "hub.toml"
    file.write_text(
        f'venue = "{VENUE}"\n[postgres]\ndsn = "{dsn}"\n'
        f'[mqtt]\nport = {hub_port}\nca_file = "{mqtt_at.ca_file}"\n'
        f'cert_file = "{mqtt_at.cert_file}"\nkey_file = "{mqtt_at.key_file}"\n'
        f'[authority]\ndir = "{authority.dir}"\nbroker_dir = "{authority.broker_dir}"\n'
        f'broker_pid_file = "{authority.broker_pid_file}"\ngates_port = {authority.gates_port}\n'
    )
    config = HubConfig(venue=VENUE, postgres=Postgres(dsn=dsn), mqtt=mqtt_at, authority=authority)
    return Venue(broker, folders, config, file)


def request_of(key: ec.EllipticCurvePrivateKey) -> str:
    """A signing request, as a gate makes it."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def certified(conn: Connection, gate_id: str, folder: Path) -> Path:
    """Have the running authority sign for a gate; certificate and key in one file."""
    key = new_key()
    file = folder / f"{gate_id}-{secrets.token_hex(4)}.pem"
    file.write_bytes(signed(conn, gate_id, request_of(key)).encode() + pem_of_key(key))
    return file


def signed(conn: Connection, gate_id: str, request: str) -> str:
    """The running authority's certificate for a signing request."""
    row = conn.execute(
        "INSERT INTO certificate_requests (gate_id, purpose, request) VALUES (%s, 'renew', %s) RETURNING id",
        (gate_id, request),
    ).fetchone()
    assert row is not None
    wanted = "SELECT certificate FROM certificate_requests WHERE id = %s"

    def certificate() -> str:
        found = conn.execute(wanted, (row["id"],)).fetchone()
        return str(found["certificate"] or "") if found else ""

    until(certificate)
    return certificate()


class BrokerClient:
    """An MQTT 5 client with a certificate; keeps what it receives, and what became of its connection."""

    def __init__(self, ca_file: Path, identity: Path, port: int, client_id: str) -> None:
        self.heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = PlainClient(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
        context = ssl.create_default_context(cafile=str(ca_file))
        context.load_cert_chain(identity)
        self._client.tls_set_context(context)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self.told.put(
            "refused" if code.is_failure else "connected"
        )
        self._client.on_disconnect = lambda _c, _u, _f, _code, _p: self.told.put("lost")
        self._client.on_message = lambda _c, _u, message: self.heard.put(bytes(message.payload))
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def next_told(self) -> str:
        """``connected``, ``lost`` or ``refused``."""
        return self.told.get(timeout=PATIENCE_S)

    def hear(self, topic: str) -> None:
        self._client.subscribe([(topic, SubscribeOptions(qos=1))])
        assert self._subscribed.wait(PATIENCE_S)

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

"""`maguey-sync doctor` against a real Mosquitto, with and without TLS, and a hub that answers or does not."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from demo.servers import free_port, mosquitto
from gate.clock import SystemClock
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from sync.broker.mqtt import BrokerAddress, Connected, LinkEvent, Message, MqttLink
from sync.cache.writer import Cache
from sync.wire.messages import Ack, GateConfig, encode
from sync.wire.scans import decode_scans
from sync.wire.topics import Topics
from tests.factories import NOW, a_record, an_event
from tests.patience import PATIENCE_S

TOPICS = Topics(venue="maguey")


class HubPages(BaseHTTPRequestHandler):
    """The hub's HTTP side: the configuration of gate-1, for the right token."""

    def do_GET(self) -> None:
        is_ours = self.headers["Authorization"] == "Bearer the-token"
        config = GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(an_event(),))
        body = encode(config) if is_ours else b""
        self.send_response(200 if is_ours else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), HubPages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def acknowledging(broker: BrokerAddress) -> Iterator[None]:
    """The hub's MQTT side: it acknowledges whatever a gate sends, and nothing else."""
    told: queue.SimpleQueue[LinkEvent | None] = queue.SimpleQueue()
    will = ("maguey/v1/maguey/hub", b"")
    link = MqttLink(broker, "hub", lambda _link, event: told.put(event), will, [TOPICS.scans()])
    assert told.get(timeout=PATIENCE_S) == Connected()

    def answer() -> None:
        while (event := told.get()) is not None:
            if isinstance(event, Message):
                (record,), _ = decode_scans(event.payload, "gate-1")
                ack = encode(Ack(epoch=record.epoch, seq=record.seq))
                link.publish(TOPICS.ack("gate-1"), ack, retain=True)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        told.put(None)
        thread.join()
        link.close()


class Gate:
    """A gate's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.hub = ""
        (folder / "token").write_text("the-token")

    def write(self, hub_port: int, broker_port: int, **hub: str) -> Path:
        lines = "".join(f'{key} = "{value}"\n' for key, value in hub.items())
        path = self.folder / "gate.toml"
        path.write_text(
            f'gate_id = "gate-1"\nvenue = "maguey"\n'
            f'state_dir = "{self.state}"\nruntime_dir = "{self.folder}/run"\n'
            f'log = "json"\n[hub]\nurl = "http://127.0.0.1:{hub_port}"\ntoken_file = "{self.folder}/token"\n'
            f'broker = "localhost"\nbroker_port = {broker_port}\n{lines}'
        )
        return path

    def scan(self) -> None:
        journal = Journal(self.state / "journal.db", "gate-1", "epoch-1")
        with journal.turn() as turn:
            turn.append(a_record())
        journal.close()

    @contextlib.contextmanager
    def beating(self, *, online: bool) -> Iterator[None]:
        """Beat as a running sync does, while the block runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.is_set():
                self._beat(online=online)
                over.wait(0.5)

        self._beat(online=online)
        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, *, online: bool) -> None:
        now = SystemClock().now()
        note = LinkNote(
            connected=online,
            hub_heard=online,
            since_ms=now.monotonic_ms,
            beat_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            epoch="epoch-1",
            acked_seq=1,
        )
        cache = Cache(self.state / "cache.db")
        cache.put_link(note, None)
        cache.close()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def doctor(config: Path) -> tuple[int, dict[str, dict[str, str]]]:
    """Its exit code, and its lines by what they are about."""
    command = [sys.executable, "-m", "sync.cli", "doctor", "--json", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert "Traceback" not in done.stderr
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {one["check"]: one for one in found}


def test_a_record_goes_to_the_hub_and_its_acknowledgement_comes_back(
    gate: Gate, hub_port: int, tmp_path: Path
) -> None:
    gate.scan()
    with mosquitto(tmp_path / "mosquitto") as server:
        config = gate.write(hub_port, server.port)
        with acknowledging(BrokerAddress(host="127.0.0.1", port=server.port)):
            code, found = doctor(config)
        assert code == 1  # the line is not encrypted: worth a warning, nothing more
        assert {name: one["level"] for name, one in found.items()} == {
            "hub": "ok",
            "broker": "warning",
            "acknowledgement": "ok",
        }
        assert "1 nights" in found["hub"]["result"]
        assert "has record 1" in found["acknowledgement"]["result"]
        # an acknowledgement that is left over from before proves nothing
        code, found = doctor(config)
        assert (code, found["acknowledgement"]["level"]) == (1, "fault")
        assert "maguey-hub ingest" in found["acknowledgement"]["advice"]


def test_a_missing_broker_and_a_missing_hub_are_each_reported(gate: Gate) -> None:
    code, found = doctor(gate.write(free_port(), free_port()))
    assert code == 1
    assert {one["level"] for one in found.values()} == {"fault"}
    assert "no answer" in found["hub"]["result"]
    assert "Connection refused" in found["broker"]["result"]


def test_what_could_not_be_read_of_a_night_is_reported_with_its_name(gate: Gate, hub_port: int) -> None:
    cache = Cache(gate.state / "cache.db")
    unread = "1 of 5 lines, first line 3: Expected `str`"
    cache.put_snapshot("event-1", 7, cache.spool.fill([an_event()]), NOW, unread=unread)
    cache.close()
    _, found = doctor(gate.write(hub_port, free_port()))
    assert found["tickets"]["level"] == "fault"
    assert found["tickets"]["result"].startswith(f"Night PF: {unread}: cannot be read.")


def test_a_token_that_the_hub_refuses_is_reported(gate: Gate, hub_port: int) -> None:
    (gate.folder / "token").write_text("another")
    _, found = doctor(gate.write(hub_port, free_port()))
    assert found["hub"]["level"] == "fault"
    assert "401" in found["hub"]["result"]


def test_before_the_first_scan_there_is_nothing_to_acknowledge(
    gate: Gate, hub_port: int, tmp_path: Path
) -> None:
    with mosquitto(tmp_path / "mosquitto") as server:
        _, found = doctor(gate.write(hub_port, server.port))
    assert found["acknowledgement"]["level"] == "ok"


@pytest.mark.parametrize(("online", "level"), [(True, "ok"), (False, "fault")])
def test_beside_a_running_sync_nobody_is_thrown_out(
    gate: Gate, hub_port: int, tmp_path: Path, online: bool, level: str
) -> None:
    """Two clients with one name would throw each other out: the doctor repeats what sync says."""
    gate.scan()
    told: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
    with mosquitto(tmp_path / "mosquitto") as server:
        broker = BrokerAddress(host="127.0.0.1", port=server.port)
        wanted = [TOPICS.scans(), "maguey/v1/maguey/gates/gate-1/status"]
        running = MqttLink(broker, "gate-1", lambda _link, event: told.put(event), ("will", b""), wanted)
        assert told.get(timeout=PATIENCE_S) == Connected()
        with gate.beating(online=online):
            _, found = doctor(gate.write(hub_port, server.port))
        assert running.is_alive()
        assert told.empty()
        running.close()
    assert found["acknowledgement"]["level"] == level
    assert "maguey-sync is running" in found["acknowledgement"]["result"]


# --- TLS ---


class Authority:
    """A certificate authority in a folder that the broker's own user can read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = generate_private_key(SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        self.write("ca", self.name, self.key)

    def write(self, name: str, subject: x509.Name, key: EllipticCurvePrivateKey, days: int = 9) -> None:
        now = datetime.now(UTC)
        localhost = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(localhost), critical=False)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(plain)

    def issue(self, name: str, days: int = 9) -> None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.write(name, subject, generate_private_key(SECP256R1()), days)


@pytest.fixture
def authority() -> Iterator[Authority]:
    with tempfile.TemporaryDirectory(prefix="maguey-ca-") as folder:
        Path(folder).chmod(0o755)
        authority = Authority(Path(folder))
        authority.issue("localhost")
        authority.issue("gate-1")
        yield authority


def encrypted(folder: Path) -> str:
    return (
        f"cafile {folder}/ca.pem\ncertfile {folder}/localhost.pem\nkeyfile {folder}/localhost.key\n"
        "require_certificate true\nuse_identity_as_username true"
    )


def papers(folder: Path, name: str = "gate-1", ca: Path | None = None) -> dict[str, str]:
    return {
        "ca_file": f"{ca or folder}/ca.pem",
        "cert_file": f"{folder}/{name}.pem",
        "key_file": f"{folder}/{name}.key",
    }


def test_over_tls_with_the_gates_certificate_all_is_well(
    gate: Gate, hub_port: int, authority: Authority, tmp_path: Path
) -> None:
    gate.scan()
    folder = authority.folder
    with mosquitto(tmp_path / "mosquitto", encrypted(folder)) as server:
        authority.issue("hub")
        hub = BrokerAddress(host="localhost", port=server.port, **papers(folder, "hub"))
        with acknowledging(hub):
            code, found = doctor(gate.write(hub_port, server.port, **papers(folder)))
    assert {name: one["level"] for name, one in found.items()} == dict.fromkeys(
        ["hub", "broker", "acknowledgement"], "ok"
    ), found
    assert code == 0
    assert "TLS" in found["broker"]["result"]


def test_an_expired_certificate_is_refused_by_the_broker_and_reported(
    gate: Gate, hub_port: int, authority: Authority, tmp_path: Path
) -> None:
    authority.issue("gate-1", days=-1)
    with mosquitto(tmp_path / "mosquitto", encrypted(authority.folder)) as server:
        _, found = doctor(gate.write(hub_port, server.port, **papers(authority.folder)))
    assert found["acknowledgement"]["level"] == "fault"
    assert "certificate" in found["acknowledgement"]["advice"]


def test_somebody_elses_broker_is_reported(
    gate: Gate, hub_port: int, authority: Authority, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="maguey-other-ca-") as folder:
        other = Authority(Path(folder))
        with mosquitto(tmp_path / "mosquitto", encrypted(authority.folder)) as server:
            trusting = papers(authority.folder, ca=other.folder)
            _, found = doctor(gate.write(hub_port, server.port, **trusting))
    assert found["broker"]["level"] == "fault"
    assert "not as the hub's broker" in found["broker"]["result"]


def test_an_invalid_certificate_file_is_reported(gate: Gate, hub_port: int, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    with mosquitto(tmp_path / "mosquitto") as server:
        _, found = doctor(gate.write(hub_port, server.port, ca_file=str(broken)))
    assert found["broker"]["level"] == "fault"
    assert "hub.ca_file" in found["broker"]["result"]

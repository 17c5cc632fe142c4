"""What systemd hears of the real `maguey-gate run`, through a real datagram socket; simulated hardware."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from demo.night import phone
from gate.clock import SystemClock
from gate.rules.model import Now
from gate.store.live_file import LiveReading, read_live
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import NOW, an_admission, an_event, code_id
from tests.integration.hardware.watching import hold_up
from tests.patience import PATIENCE_S, stop_dead, until


class Service:
    """A process as systemd starts it: NOTIFY_SOCKET, WATCHDOG_USEC, SIGTERM to end it."""

    def __init__(self, folder: Path, module: str, config: Path, watchdog_s: float = 3.0) -> None:
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.bind(str(folder / "notify"))
        self.heard.settimeout(PATIENCE_S)
        environ = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(int(watchdog_s * 1_000_000)),
        }
        self.log = folder / "service.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "run", "--config", str(config)], stderr=log, env=environ
            )

    def next(self) -> str:
        return self.heard.recv(4096).decode()

    def await_message(self, wanted: str) -> list[str]:
        """Every message up to and including this one."""
        told = [self.next()]
        while told[-1] != wanted:
            told.append(self.next())
        return told

    def await_pings(self) -> None:
        """Wait until it is ready and pings; a slow one pings before that, as its loops already turn."""
        self.await_message("READY=1")
        self.await_message("WATCHDOG=1")

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.heard.close()


class Gate:
    """A gate's folder, with a night in its cache and a camera that shows pictures put into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.camera, self.live = folder / "camera", folder / "run" / "door.json"
        self.camera.mkdir()
        tonight = an_event(doors_open_at=NOW.replace(year=2020), ends_at=NOW.replace(year=2100))
        cache = Cache(folder / "state" / "cache.db")
        cache.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(tonight,)))
        cache.put_snapshot("event-1", 1, cache.spool.fill([an_admission()]), NOW)
        cache.close()
        (folder / "token").write_text("token")

    def write(self, camera: str = "folder") -> Path:
        path = self.folder / "gate.toml"
        path.write_text(f"""gate_id = "gate-1"
venue = "maguey"
state_dir = "{self.folder}/state"
runtime_dir = "{self.folder}/run"
log = "json"
[camera]
driver = "{camera}"
path = "{self.camera}"
device = "{self.folder}/no-webcam"
[screen]
driver = "dummy"
[turnstile]
driver = "mock"
trace = "{self.folder}/relay.jsonl"
[hub]
url = "http://127.0.0.1:9"
token_file = "{self.folder}/token"
broker = "127.0.0.1"
broker_port = 9
""")
        return path

    def now(self) -> Now:
        return SystemClock().now()

    def reading(self) -> LiveReading:
        return read_live(self.live, self.now())

    def scans(self) -> int:
        live = self.reading().live
        return live.counters.scans if live else 0


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def services() -> Iterator[list[Service]]:
    """Services added here do not outlive the test."""
    started: list[Service] = []
    yield started
    for service in started:
        service.close()


@pytest.fixture
def door(gate: Gate, services: list[Service]) -> Service:
    services.append(Service(gate.folder, "gate.cli.main", gate.write()))
    return services[0]


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gate.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_door_is_ready_once_it_can_decide_then_pings_then_stops(gate: Gate, door: Service) -> None:
    door.await_message("READY=1")
    assert (gate.folder / "state" / "journal.db").exists()
    hold_up(gate.camera, "ticket", phone(code_id(), Random(1)))
    while gate.scans() == 0:
        assert door.next() == "WATCHDOG=1"
    code = door.stop()
    assert code == 0
    assert door.await_message("STOPPING=1")[-1] == "STOPPING=1"
    assert '"first_entry"' in door.log.read_text()
    assert "Traceback" not in door.log.read_text()


def test_a_missing_camera_is_known_trouble_and_no_reason_to_be_restarted(
    gate: Gate, services: list[Service]
) -> None:
    door = Service(gate.folder, "gate.cli.main", gate.write(camera="v4l2"))
    services.append(door)
    door.await_message("READY=1")
    assert [door.next() for _ in range(4)] == ["WATCHDOG=1"] * 4
    until(lambda: gate.reading().is_fresh)
    reading = gate.reading()
    assert reading.live is not None
    assert "no-webcam" in reading.live.parts.camera
    assert door.stop() == 0


def test_a_stopped_door_pings_no_more(door: Service) -> None:
    """SIGSTOP stops every loop at once, as a kernel that hangs would; what systemd then does is up to it."""
    door.await_pings()
    stop_dead(door.process.pid)
    door.heard.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            door.next()
    door.heard.settimeout(4.0)  # longer than the watchdog's time
    with pytest.raises(TimeoutError):
        door.next()
    door.process.send_signal(signal.SIGCONT)
    door.heard.settimeout(PATIENCE_S)
    assert door.next() == "WATCHDOG=1"


def test_status_describes_the_running_door_and_says_when_it_has_ended(gate: Gate, door: Service) -> None:
    door.await_pings()
    config = gate.folder / "gate.toml"
    told: dict[str, Any] = json.loads(call("status", "--config", config, "--json").stdout)
    assert told["door"]["is_fresh"]
    assert told["door"]["live"]["pid"] == door.process.pid
    assert set(told["door"]["live"]["parts"].values()) == {"ok"}
    assert f"pid {door.process.pid}" in call("status", "--config", config).stdout
    assert door.stop() == 0
    told = json.loads(call("status", "--config", config, "--json").stdout)
    assert not told["door"]["is_fresh"]
    assert any("The door is not running." in problem for problem in told["problems"])


@pytest.mark.parametrize("command", ["test-relay", "test-screen", "test-lights"])
def test_a_device_that_the_running_door_has_is_not_tried(gate: Gate, door: Service, command: str) -> None:
    door.await_pings()
    options = ["--yes"] if command == "test-relay" else []
    done = call(command, "--config", gate.folder / "gate.toml", *options)
    assert done.returncode == 1
    assert "systemctl stop maguey-gate" in done.stderr
    assert (gate.folder / "relay.jsonl").read_text() == ""


def test_the_doctor_asks_the_running_door_and_leaves_it_alone(gate: Gate, door: Service) -> None:
    door.await_pings()
    done = call("doctor", "--config", gate.folder / "gate.toml", "--json")
    found = {one["check"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert found["door"]["level"] == "ok"
    assert found["camera"]["result"] == "works, as the door reports."
    assert door.process.poll() is None
    until(lambda: gate.reading().is_fresh)


def test_sync_is_ready_pings_without_a_hub_and_stops(gate: Gate, services: list[Service]) -> None:
    """Without hub and broker, sync itself is still well."""
    sync = Service(gate.folder, "sync.cli", gate.write())
    services.append(sync)
    sync.await_message("READY=1")
    assert [sync.next() for _ in range(3)] == ["WATCHDOG=1"] * 3
    assert sync.stop() == 0
    assert sync.await_message("STOPPING=1")[-1] == "STOPPING=1"

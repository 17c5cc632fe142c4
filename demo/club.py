"""The club: Mosquitto, Postgres, the hub and two gates, each as the real program in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from PIL import Image

from demo import night
from demo.servers import Mosquitto, Postgres, free_port, mosquitto, postgres, temporary_folder
from gate.clock import SystemClock
from gate.config import read_gate_config
from gate.diagnostics.status import StatusReport, gather
from gate.rules.model import ScanRecord
from gate.store.cache import CacheReader
from gate.store.rows import COLUMNS, from_row

START_S = 300.0


class ClubError(RuntimeError):
    """A part of the club did not start, or ended; the message names its log."""


@dataclass
class Program:
    """One of our commands as a process that logs to a file."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It ends when this process does."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "--", sys.executable, "-m", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not end within 10 s."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def check(self) -> None:
        """Raise `ClubError` if it ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-600:]
            raise ClubError(f"{self.name} ended with code {self.process.returncode}:\n{tail}")


@dataclass
class GateBox:
    """One simulated Pi: its folder holds camera, screen, relay trace, journal, cache; `run` is its /run."""

    gate: night.Gate
    folder: Path
    run: Path
    door: Program
    sync: Program
    shown: int = 0
    _log_place: int = field(default=0, repr=False)
    _trace_place: int = field(default=0, repr=False)

    def present(self, picture: Image.Image) -> None:
        """Hold a picture up to this gate's camera."""
        self.shown += 1
        hidden = self.folder / f".{self.shown:05d}.png"
        picture.save(hidden)
        hidden.rename(self.folder / "camera" / f"{self.shown:05d}.png")

    def present_file(self, path: Path) -> None:
        """Hold up any file, even one that is not a picture."""
        self.shown += 1
        hidden = self.folder / f".{self.shown:05d}"
        shutil.copyfile(path, hidden)
        hidden.rename(self.folder / "camera" / f"{self.shown:05d}{path.suffix}")

    def scans(self) -> list[dict[str, object]]:
        """The scans that the door logged since the last call."""
        self._log_place, lines = _new_lines(self.door.log, self._log_place)
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event.get("event") == "scan answered"]

    def pulses(self) -> int:
        """How often the relay was energised since the last call."""
        self._trace_place, lines = _new_lines(self.folder / "relay.jsonl", self._trace_place)
        return sum(json.loads(line)["state"] for line in lines)

    def screen(self) -> Image.Image | None:
        """What its OLED shows now."""
        with contextlib.suppress(OSError), Image.open(self.folder / "screen.png") as picture:
            return picture.convert("1")
        return None

    def status(self) -> StatusReport:
        """What `maguey-gate status` reports."""
        return gather(read_gate_config(self.folder / "gate.toml"), SystemClock())

    def records(self) -> list[ScanRecord]:
        """All records of its journal."""
        with contextlib.closing(sqlite3.connect(self.folder / "state" / "journal.db")) as db:
            return [from_row(row) for row in db.execute(f"select {', '.join(COLUMNS)} from scans")]


def _new_lines(path: Path, place: int) -> tuple[int, list[str]]:
    """The complete lines after `place` bytes, and the place after them."""
    if not path.exists():
        return place, []
    with path.open("rb") as file:
        file.seek(place)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return place + len(whole), whole.decode(errors="replace").splitlines()


@dataclass
class Club:
    """Everything that runs."""

    folder: Path
    broker: Mosquitto
    database: Postgres
    dsn: str
    night: night.Night
    ingest: Program
    web: Program
    gates: tuple[GateBox, ...]

    def programs(self) -> list[Program]:
        """All our processes; those that depend on others come first."""
        doors = [program for gate in self.gates for program in (gate.door, gate.sync)]
        return [*doors, self.ingest, self.web]

    def check(self) -> None:
        """Raise `ClubError` if any of our processes ended by itself."""
        for program in self.programs():
            program.check()


@dataclass(frozen=True)
class ClubSetup:
    """How the club is set up.

    `hold_ms`: how long a picture is held up to a camera. `claim_timeout`: seconds a guest waits for the hub.
    `line`: returns the port at which a gate reaches a port of the hub's machine. `run`: folder for the gates'
    `runtime_dir`s, with a short path because they contain sockets.
    """

    gates: int = 2
    hold_ms: int = 120
    claim_timeout: float = 0.2
    line: Callable[[str, int], int] = lambda _gate_id, port: port
    run: Path = Path(tempfile.gettempdir())


@contextlib.contextmanager
def open_club(folder: Path, say: Callable[[str], None], setup: ClubSetup = ClubSetup()) -> Iterator[Club]:
    """A club with open doors; afterwards only the files in `folder` remain.

    :param say: prints what happens, a line at a time.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        say("starting Mosquitto and Postgres")
        broker = stack.enter_context(mosquitto(folder / "mosquitto"))
        database = stack.enter_context(postgres(folder / "postgres"))
        say(f"Mosquitto on port {broker.port}, Postgres on port {database.port}")
        setup = replace(setup, run=stack.enter_context(temporary_folder()))
        club = _prepare(folder, broker, database, say, setup)
        try:
            _start(club)
            yield club
        finally:
            for program in club.programs():
                program.stop()


def _prepare(
    folder: Path, broker: Mosquitto, database: Postgres, say: Callable[[str], None], setup: ClubSetup
) -> Club:
    with psycopg.connect(database.dsn, autocommit=True) as admin:
        admin.execute("create database maguey")
    database.make_hub_login()
    dsn = database.database("maguey")
    web_port = free_port()
    config = folder / "hub.toml"
    config.write_text(
        f'venue = "maguey"\n[postgres]\ndsn = "{database.hub("maguey")}"\nmigrate_dsn = "{dsn}"\n'
        f"[mqtt]\nport = {broker.port}\n[web]\nport = {web_port}\n"
    )
    say("migrating and seeding one night: 500 GA tickets, 6 VIP tables")
    _once(["hub.cli.main", "migrate", "--config", str(config)])
    seeded = folder / "night.json"
    seed = ["hub.cli.main", "seed-demo", "--config", str(config), "--out", str(seeded), "--seed", "1"]
    _once([*seed, "--gates", str(setup.gates)])
    tonight = night.load(seeded)
    hub = {
        name: Program(
            f"hub {name}", ["hub.cli.main", name, "--config", str(config)], folder / f"hub-{name}.log"
        )
        for name in ("ingest", "web")
    }
    gates = tuple(
        _gate(folder, gate, tonight.venue, (broker.port, web_port), setup) for gate in tonight.gates
    )
    return Club(folder, broker, database, dsn, tonight, hub["ingest"], hub["web"], gates)


def _once(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, check=False)
    if done.returncode != 0:
        raise ClubError(f"{' '.join(command)}: {(done.stdout + done.stderr).decode()[-800:]}")


def _gate(folder: Path, gate: night.Gate, venue: str, ports: tuple[int, int], setup: ClubSetup) -> GateBox:
    broker_port, web_port = (setup.line(gate.gate_id, port) for port in ports)
    home, run = folder / gate.gate_id, setup.run / gate.gate_id
    (home / "camera").mkdir(parents=True)
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(gate.token)
    config = home / "gate.toml"
    config.write_text(f"""gate_id = "{gate.gate_id}"
venue = "{venue}"
state_dir = "{home}/state"
runtime_dir = "{run}"
lang = "en"
timezone = "UTC"
log = "json"
[camera]
driver = "folder"
path = "{home}/camera"
hold_ms = {setup.hold_ms}
[door]
claim_timeout = {setup.claim_timeout}
[screen]
driver = "file"
path = "{home}/screen.png"
[turnstile]
driver = "mock"
pulse_ms = 150
trace = "{home}/relay.jsonl"
[hub]
url = "http://127.0.0.1:{web_port}"
token_file = "{token}"
broker_port = {broker_port}
""")
    door = Program(
        f"{gate.gate_id} door", ["gate.cli.main", "run", "--config", str(config)], home / "door.log"
    )
    sync = Program(f"{gate.gate_id} sync", ["sync.cli", "run", "--config", str(config)], home / "sync.log")
    return GateBox(gate, home, run, door, sync)


def _start(club: Club) -> None:
    for program in (club.web, club.ingest):
        program.start()
    for gate in club.gates:
        gate.sync.start()
        gate.door.start()
    await_true(lambda: _ready(club), START_S, "hub and gates ready", club)


def _ready(club: Club) -> bool:
    return all(gate.status().online and _has_tickets(gate) and gate.screen() for gate in club.gates)


def _has_tickets(gate: GateBox) -> bool:
    """Whether the gate has the list of every night it serves, including tomorrow's."""
    reader, now = CacheReader(gate.folder / "state" / "cache.db"), SystemClock().now()
    with contextlib.closing(reader):
        served = [event.event_id for event in reader.events() if event.served]
        return bool(served) and all(reader.feed(one, now.wall).version is not None for one in served)


def await_true(condition: Callable[[], bool | object], seconds: float, what: str, club: Club) -> None:
    """Wait until a condition holds. Raises `ClubError` if it does not in time, or if a process ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        club.check()
        if time.monotonic() > deadline:
            raise ClubError(f"waited {seconds:.0f} s for: {what}. See the logs in {club.folder}.")
        time.sleep(0.05)

"""The commands as a person calls them: output, exit codes, errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from demo.night import phone
from gate.config import read_gate_config
from gate.rules.model import Kind
from gate.store.journal import Journal
from gate.store.locks import only_one
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import NOW, a_table, an_admission, an_event, code_id
from tests.integration.hardware.watching import hold_up
from tests.patience import PATIENCE_S


def call(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def gate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return call("gate.cli.main", *arguments)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gate with a filled cache, simulated relay and no screen. Its night is always on."""
    tonight = an_event(ends_at=NOW.replace(year=2100), doors_open_at=NOW.replace(year=2020))
    cache = Cache(tmp_path / "state" / "cache.db")
    cache.put_config(GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(tonight,)))
    linked = an_admission(code_id(2), kind=Kind.VIP_LINKED, reservation_id="reservation-1")
    cache.put_snapshot("event-1", 1, cache.spool.fill([an_admission(), a_table(), linked]), NOW)
    cache.close()
    return write(tmp_path)


def write(folder: Path, camera: str = "folder", screen: str = "none", turnstile: str = "mock") -> Path:
    path = folder / "gate.toml"
    path.write_text(f"""gate_id = "gate-1"
venue = "maguey"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
lang = "en"
timezone = "UTC"
log = "json"
[camera]
driver = "{camera}"
path = "{folder}/camera"
device = "{folder}/no-webcam"
[screen]
driver = "{screen}"
path = "{folder}/screen.png"
[turnstile]
driver = "{turnstile}"
trace = "{folder}/relay.jsonl"
[hub]
url = "http://127.0.0.1:9"
token_file = "{folder}/token"
""")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "ticket.png"
    phone(code_id(), Random(1)).save(path)
    return path


def test_decode_prints_a_line_per_file(picture: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    Image.new("L", (64, 48)).save(empty)
    done = gate("decode", picture, empty)
    assert done.returncode == 0, done.stderr
    found, nothing = lines(done)
    assert (found["file"], found["codes"], found["decoder"]) == (str(picture), [code_id()], "zxing")
    assert found["ms"] > 0
    assert (nothing["codes"], nothing["decoder"]) == ([], None)


def test_decode_reports_a_file_that_is_no_picture_and_goes_on(picture: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    done = gate("decode", text, tmp_path / "nowhere.png", picture)
    assert done.returncode == 1
    refused, missing, read_gate_config = lines(done)
    assert str(text) in refused["error"]
    assert str(tmp_path / "nowhere.png") in missing["error"]
    assert read_gate_config["codes"] == [code_id()]


def test_scan_decides_for_real_and_the_second_time_is_refused(config: Path, picture: Path) -> None:
    first, second = lines(gate("scan", "--config", config, picture, picture))
    assert (first["verdict"], first["reason"], first["headline"]) == ("admit", "first_entry", "WELCOME")
    assert (first["subject_id"], first["released"], first["seq"]) == ("ticket-1", False, 1)
    assert (second["verdict"], second["reason"]) == ("deny", "already_used")
    (again,) = lines(gate("scan", "--config", config, picture))
    assert again["reason"] == "already_used"


def test_scan_names_the_table_of_a_linked_guest(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "linked.png"
    phone(code_id(2), Random(2)).save(path)
    (answer,) = lines(gate("scan", "--config", config, path))
    assert answer["headline"] == "GUEST OF TABLE 12"
    assert answer["table"]["arrived"] == 1


def test_scan_with_release_gives_one_pulse(config: Path, picture: Path, tmp_path: Path) -> None:
    done = gate("scan", "--release", "--config", config, picture, picture)
    assert [line["released"] for line in lines(done)] == [True, False]
    edges = [json.loads(line)["state"] for line in (tmp_path / "relay.jsonl").read_text().splitlines()]
    assert edges == [1, 0]
    journal = Journal(read_gate_config(config).journal, read_gate_config(config).gate_id, "unused")
    assert journal.unopened() == []  # the next start of the door annuls nothing
    journal.close()


def test_scan_of_a_file_that_is_no_picture_records_nothing_and_fails(config: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    done = gate("scan", "--config", config, text, tmp_path / "nowhere.png")
    assert done.returncode == 1
    assert [line["reason"] for line in lines(done)] == ["no_picture", "no_picture"]
    assert json.loads(gate("status", "--config", config, "--json").stdout)["journal"]["last_seq"] == 0


def test_screens_explains_where_it_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "file.png"
    file.write_text("x")
    done = gate("screens", "--out", file / "below")
    assert done.returncode == 1
    assert "Name a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_scan_of_a_picture_without_a_code_decides_nothing(config: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    Image.new("L", (64, 48)).save(empty)
    (answer,) = lines(gate("scan", "--config", config, empty))
    assert (answer["verdict"], answer["reason"]) == (None, "no_code")


def test_screens_draws_every_screen_at_device_size_and_four_times_as_large(tmp_path: Path) -> None:
    done = gate("screens", "--out", tmp_path / "out", "--lang", "en")
    assert done.returncode == 0, done.stderr
    small = sorted(path for path in (tmp_path / "out").glob("*.png") if "@4x" not in path.name)
    assert len(small) > 40
    for path in small:
        with Image.open(path) as one, Image.open(path.with_name(path.stem + "@4x.png")) as four:
            assert (one.size, four.size) == ((128, 64), (512, 256))


def test_status_shows_what_needs_attention_and_writes_nothing(config: Path, picture: Path) -> None:
    gate("scan", "--config", config, picture)
    before = sorted((path.name, path.read_bytes()) for path in (config.parent / "state").glob("*.db"))
    done = gate("status", "--config", config, "--json")
    assert done.returncode == 1  # no sync is running
    (answer,) = lines(done)
    assert (answer["online"], answer["journal"]["last_seq"], answer["journal"]["waiting"]) == (False, 1, 1)
    assert answer["event"]["name"] == "Perreo Fridays"
    assert "maguey-sync" in answer["problems"][0]
    assert "OFFLINE" in gate("status", "--config", config).stdout
    assert sorted((p.name, p.read_bytes()) for p in (config.parent / "state").glob("*.db")) == before


@pytest.mark.parametrize(
    ("module", "command"),
    [("gate.cli.main", "run"), ("gate.cli.main", "status"), ("sync.cli", "run"), ("hub.cli.main", "ingest")],
)
def test_every_mistake_in_a_configuration_is_reported_and_exits_with_2(
    module: str, command: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('venu = "x"\ncolour = "red"\n')
    done = call(module, command, "--config", path)
    assert done.returncode == 2
    assert "venu: unknown key. Did you mean 'venue'?" in done.stderr
    assert "colour: unknown key." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "commands"),
    [
        ("gate.cli.main", ["run", "decode", "scan", "screens", "status", "doctor", "replay"]),
        ("gate.cli.main", ["test-relay", "test-screen", "test-lights"]),
        ("sync.cli", ["run", "doctor"]),
        ("hub.cli.main", ["migrate", "ingest", "web", "seed-demo"]),
    ],
)
def test_every_command_has_help(module: str, commands: list[str]) -> None:
    overview = call(module, "--help")
    assert overview.returncode == 0
    for command in commands:
        assert command in overview.stdout
        assert call(module, command, "--help").returncode == 0


def test_a_missing_token_is_reported_before_anything_is_started(config: Path) -> None:
    done = call("sync.cli", "run", "--config", config)
    assert done.returncode == 2
    assert "hub.token_file" in done.stderr


class Door:
    """`maguey-gate run` as a process, with its log."""

    def __init__(self, config: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gate.cli.main", "run", "--config", str(config)],
            stderr=subprocess.PIPE,
            text=True,
        )

    def logged(self) -> Iterator[dict[str, Any]]:
        """The lines of its log as they come; the test's time limit ends a silent one."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            yield json.loads(line)

    def await_words(self, *words: str) -> str:
        """The first line of the log that holds all of these words."""
        for event in self.logged():
            text = json.dumps(event)
            if all(word in text for word in words):
                return text
        raise AssertionError(f"the door ended without saying {words}")

    def kill(self) -> None:
        """Kill it at the end of a test, however that ended."""
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in rest
        return self.process.returncode


@pytest.fixture
def doors() -> Iterator[list[Door]]:
    """Doors added here do not outlive the test."""
    started: list[Door] = []
    yield started
    for door in started:
        door.kill()


def test_a_door_without_camera_screen_and_relay_runs_and_explains_each(
    tmp_path: Path, doors: list[Door]
) -> None:
    door = Door(write(tmp_path, camera="v4l2", screen="ssd1306", turnstile="gpiozero"))
    doors.append(door)
    told: dict[str, str] = {}
    for event in door.logged():
        text = json.dumps(event).replace(str(tmp_path), "")  # the folder has this test's name
        for part in ("camera", "screen", "turnstile"):
            if part in text:
                told.setdefault(part, text)
        if len(told) == 3:
            break
    assert door.stop() == 0
    assert "no-webcam" in told["camera"]
    assert "raspi-config" in told["screen"]
    assert "GPIO" in told["turnstile"]


def test_a_missing_relay_is_on_the_screen(tmp_path: Path, doors: list[Door]) -> None:
    (tmp_path / "camera").mkdir()
    door = Door(write(tmp_path, screen="file", turnstile="gpiozero"))
    doors.append(door)
    door.await_words("turnstile")
    assert door.stop() == 0
    assert (tmp_path / "screen.png").exists()


def test_the_door_stops_cleanly_and_leaves_no_process(config: Path, doors: list[Door]) -> None:
    door = Door(config)
    doors.append(door)
    (config.parent / "camera").mkdir(exist_ok=True)
    hold_up(config.parent / "camera", "one", phone(code_id(), Random(1)))
    door.await_words('"scan answered"', "first_entry")
    children = _children(door.process.pid)
    assert len(children) == 2
    assert door.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    found = {int(child) for thread in threads for child in (thread / "children").read_text().split()}
    return sorted(found | {int(child) for child in text.split()})


def test_a_second_door_on_the_same_folder_is_refused(config: Path) -> None:
    with only_one("door", read_gate_config(config).journal.parent):
        refused = gate("run", "--config", config)
    assert refused.returncode == 1
    assert "another door runs" in refused.stderr


def test_ctrl_c_before_the_door_has_read_its_configuration_ends_it_without_a_traceback(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "gate.toml"
    os.mkfifo(pipe)  # nobody has finished reading it until we close it
    command = [sys.executable, "-m", "gate.cli.main", "run", "--config", str(pipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as door:
        # closed after the signal: one that arrives just before the read does not interrupt it
        with pipe.open("w"):
            door.send_signal(signal.SIGINT)
        said = door.communicate(timeout=PATIENCE_S)[1]
    assert (door.returncode, said) == (128 + signal.SIGINT, "")

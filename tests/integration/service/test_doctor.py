"""`maguey-gate doctor` and the trials as a person calls them; disks that are made wrong for real."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gate.diagnostics.doctor import ask_sync
from gate.rules.model import Status
from gate.rules.payload import code_hash
from sync.cache.writer import Cache
from sync.wire.messages import Change, GateConfig
from tests.factories import NOW, a_record, an_admission, an_event, code_id
from tests.patience import PATIENCE_S

AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


def call(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def gate(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return call(sys.executable, "-m", "gate.cli.main", *arguments, stdin=stdin)


def found(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    assert "Traceback" not in done.stderr, done.stderr
    lines: list[dict[str, str]] = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["check"]: one for one in lines}


def write(folder: Path, state: Path, **sections: str) -> Path:
    """A gate that is not running, with a night that is always on."""
    cache = Cache(state / "cache.db")
    tonight = an_event(doors_open_at=NOW.replace(year=2020), ends_at=NOW.replace(year=2100))
    cache.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(tonight,)))
    cache.put_snapshot("event-1", 1, cache.spool.fill([an_admission()]), NOW)
    cache.close()
    (folder / "camera").mkdir(exist_ok=True)
    (folder / "token").write_text("token-canary-4711")
    (folder / "token").chmod(0o400)
    path = folder / "gate.toml"
    mock = f'driver = "mock"\ntrace = "{folder}/relay.jsonl"'
    keys = {"turnstile": mock, "screen": 'driver = "dummy"', **sections}
    rest = "".join(f"[{name}]\n{lines}\n" for name, lines in keys.items())
    path.write_text(f"""gate_id = "gate-1"
venue = "maguey"
state_dir = "{state}"
runtime_dir = "{folder}/run"
log = "json"
[camera]
driver = "folder"
path = "{folder}/camera"
{rest}[hub]
url = "http://127.0.0.1:9"
token_file = "{folder}/token"
broker = "127.0.0.1"
broker_port = 9
""")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write(tmp_path, tmp_path / "state")


def test_every_device_and_file_has_a_line_and_nothing_is_moved(config: Path, tmp_path: Path) -> None:
    done = gate("doctor", "--config", config, "--json")
    told = found(done)
    assert done.returncode == 1
    fine = {"camera", "focus", "decoder", "screen", "power", "free space", "journal's speed", "token"}
    assert {name for name in fine if told[name]["level"] != "ok"} == set()
    assert told["door"]["level"] == "warning"
    assert {"journal's disk", "journal", "cache", "clock", "hub", "broker", "acknowledgement"} <= told.keys()
    assert not (tmp_path / "relay.jsonl").exists()
    assert "canary" not in done.stdout + done.stderr


def test_the_table_says_the_same_with_what_to_do(config: Path) -> None:
    done = gate("doctor", "--config", config)
    assert done.returncode == 1
    assert "FAULT    broker" in done.stdout
    assert "→ Check hub.broker" in done.stdout


def test_each_device_that_is_missing_is_reported_by_itself(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        tmp_path / "state",
        screen='driver = "ssd1306"\ni2c_port = 99',
        turnstile='driver = "gpiozero"\npin = 17',
        keypad=f'driver = "evdev"\ndevice = "{tmp_path}/no-keypad"',
    )
    told = found(gate("doctor", "--config", config, "--json"))
    assert "raspi-config" in told["screen"]["advice"]
    assert told["keypad"]["level"] == "fault"
    pins = [one for name, one in told.items() if name.startswith("pin")]
    assert pins


def test_a_journal_in_memory_is_a_fault(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as state:
        told = found(gate("doctor", "--config", write(tmp_path, Path(state)), "--json"))
    assert told["journal's disk"]["level"] == "fault"
    assert "in memory" in told["journal's disk"]["result"]


READ_ONLY = "mount --bind {state} {state} && mount -o remount,ro,bind {state}"
IN_MEMORY = "mount -t tmpfs -o size=40m tmpfs {state}"
OVERLAY = (
    "mkdir {work}/up {work}/low && mount -t tmpfs tmpfs {work}/up && mkdir {work}/up/u {work}/up/w && "
    "mount -t overlay -o lowerdir={work}/low,upperdir={work}/up/u,workdir={work}/up/w overlay {state}"
)


@pytest.mark.parametrize(
    ("mount", "check", "words"),
    [
        (READ_ONLY, "journal's disk", "mounted read-only"),
        (READ_ONLY, "journal's folder", "cannot write to it"),
        (IN_MEMORY, "journal's disk", "in memory"),
        (IN_MEMORY, "free space", "MB free"),
        (OVERLAY, "journal's disk", "in memory"),
    ],
)
def test_a_disk_that_would_lose_the_night_is_a_fault(mount: str, check: str, words: str) -> None:
    """Really mounted, in a mount namespace of its own; on a disk, where tests do not usually run."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as disk:
        told = _told_of(Path(disk), mount)
    assert told[check]["level"] == "fault"
    assert words in told[check]["result"]


def _told_of(disk: Path, mount: str) -> dict[str, dict[str, str]]:
    (disk / "state").mkdir()
    config = write(disk, disk / "state")
    command = mount.format(state=disk / "state", work=disk)
    doctor = f"{sys.executable} -m gate.cli.main doctor --config {config} --json"
    return found(call(*AS_ROOT, "unshare", "--mount", "sh", "-c", f"{command} && {doctor}"))


def test_a_network_check_that_hangs_is_named_and_its_process_ended(config: Path) -> None:
    (one,) = ask_sync(config, patience_s=0.01)  # shorter than any program needs to start
    assert (one.check, one.result) == ("network", "No answer within 0.01 s.")


def test_what_the_network_check_finds_is_told_while_it_goes_on(config: Path) -> None:
    """A hub that takes the connection and says nothing; what stands before it is known at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen()
        text = config.read_text().replace("http://127.0.0.1:9", f"http://127.0.0.1:{silent.getsockname()[1]}")
        config.write_text(text)
        command = [sys.executable, "-m", "gate.cli.main", "doctor", "--json", "--config", str(config)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as doctor:
            assert doctor.stdout is not None
            told = [json.loads(doctor.stdout.readline())["check"]]
            with silent.accept()[0]:  # the hub is asked, and the doctor is in the middle of it
                while told[-1] != "gate's certificate":
                    told.append(json.loads(doctor.stdout.readline())["check"])
                assert doctor.poll() is None
                doctor.terminate()
    assert {"door", "camera", "decoder", "journal's disk", "token"} <= set(told)


def test_a_token_that_is_missing_ends_the_network_check_with_its_cause(config: Path) -> None:
    (config.parent / "token").unlink()
    (one,) = ask_sync(config)
    assert "No such file" in one.result
    assert "maguey-sync enrol" in one.result


# --- trials ---


def records(config: Path) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(config.parent / "state" / "journal.db")
    try:
        return db.execute("select seq, record, reason, verdict, released from scans").fetchall()
    finally:
        db.close()


def edges(config: Path) -> list[int]:
    text = (config.parent / "relay.jsonl").read_text()
    return [json.loads(line)["state"] for line in text.splitlines()]


def test_the_relay_is_tried_with_one_recorded_pulse(config: Path) -> None:
    done = gate("test-relay", "--yes", "--config", config)
    assert (done.returncode, edges(config)) == (0, [1, 0])
    assert records(config) == [(1, "event", "test_pulse", "none", 0)]
    assert "number 1" in done.stdout


@pytest.mark.parametrize("answer", ["n\n", "", "\n"])
def test_without_a_yes_nothing_moves_and_nothing_is_recorded(config: Path, answer: str) -> None:
    done = gate("test-relay", "--config", config, stdin=answer)
    assert done.returncode == 1
    assert not (config.parent / "relay.jsonl").exists()
    assert not (config.parent / "state" / "journal.db").exists()


def test_a_pulse_that_cannot_be_recorded_is_not_given(config: Path) -> None:
    """Invariant 11: the commit comes first."""
    (config.parent / "state" / "journal.db").write_bytes(b"no database" * 1000)
    done = gate("test-relay", "--yes", "--config", config)
    assert done.returncode == 1
    assert "journal.db" in done.stderr
    trace = config.parent / "relay.jsonl"
    assert not trace.exists() or edges(config) == []


@pytest.mark.parametrize(
    ("command", "section", "lines"),
    [
        ("test-relay", "turnstile", 'driver = "none"'),
        ("test-screen", "screen", 'driver = "none"'),
        ("test-lights", "lights", 'driver = "mock"'),
    ],
)
def test_what_is_not_wired_cannot_be_tried(tmp_path: Path, command: str, section: str, lines: str) -> None:
    config = write(tmp_path, tmp_path / "state", **{section: lines})
    done = gate(command, "--config", config)
    assert done.returncode == 1
    assert f"[{section}]" in done.stderr


def test_every_signal_is_played_and_named(tmp_path: Path) -> None:
    config = write(tmp_path, tmp_path / "state", lights='driver = "mock"\ngreen_pin = 5\nbuzzer_pin = 13')
    done = gate("test-lights", "--each", "0.05", "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["admit", "vip", "refuse", "attention", "rest", "free_passage", "closed"]


def test_the_panel_is_shown_its_whole_sequence(config: Path) -> None:
    done = gate("test-screen", "--each", "0.05", "--config", config)
    assert done.returncode == 0, done.stderr
    assert {"all_on", "chessboard", "vip-host"} <= set(done.stdout.split())


def test_a_missing_panel_is_explained(tmp_path: Path) -> None:
    config = write(tmp_path, tmp_path / "state", screen='driver = "ssd1306"\ni2c_port = 99')
    done = gate("test-screen", "--config", config)
    assert done.returncode == 1
    assert "raspi-config" in done.stderr
    assert "Traceback" not in done.stderr


# --- replay ---


def test_replay_reports_a_later_refund_and_exits_with_1(config: Path) -> None:
    from gate.store.journal import Journal

    state = config.parent / "state"
    journal = Journal(state / "journal.db", "gate-1", "epoch-1")
    with journal.turn() as turn:
        turn.append(a_record(code_hash=code_hash(code_id()), kind=an_admission().kind))
    journal.close()
    done = gate("replay", "--config", config)
    assert (done.returncode, done.stdout) == (0, "1 scans decided again: 0 differences\n")
    cache = Cache(state / "cache.db")
    cache.put_changes("event-1", [Change(version=2, row=an_admission(status=Status.REFUNDED))], NOW)
    cache.close()
    done = gate("replay", "--config", config)
    assert done.returncode == 1
    assert "was admit first_entry (ga), would be deny refunded (ga)" in done.stdout
    assert "It has been refunded since." in done.stdout
    (difference,) = json.loads(gate("replay", "--config", config, "--json").stdout)["differences"]
    assert difference["seq"] == 1
    assert gate("replay", "--config", config, "--event", "pf").returncode == 1
    nowhere = gate("replay", "--config", config, "--event", "nope")
    assert (nowhere.returncode, "no night 'nope'" in nowhere.stderr) == (2, True)


def test_replay_without_a_journal_says_so(config: Path) -> None:
    done = gate("replay", "--config", config)
    assert done.returncode == 1
    assert "--journal FILE" in done.stderr

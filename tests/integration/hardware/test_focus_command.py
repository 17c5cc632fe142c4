"""`maguey-gate focus` as a person calls it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.hardware.live_kernel import Camera
from tests.integration.hardware.watching import present
from tests.patience import PATIENCE_S

_CONFIG = """gate_id = "gate-1"
venue = "maguey"
state_dir = "{folder}/state"
[hub]
url = "http://127.0.0.1:1"
token_file = "{folder}/token"
[screen]
driver = "file"
path = "{folder}/screen.png"
[camera]
driver = "{driver}"
path = "{folder}/camera"
device = "{folder}/video0"
"""


def _command(folder: Path, driver: str) -> list[str]:
    config = folder / "gate.toml"
    config.write_text(_CONFIG.format(folder=folder, driver=driver))
    return [sys.executable, "-m", "gate.cli.main", "focus", "--config", str(config)]


def test_focus_prints_how_sharp_each_frame_is_until_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    present(tmp_path / "camera", "ANY-CODE")
    command = _command(tmp_path, "folder")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as focus:
        assert focus.stdout is not None
        line = next(line for line in focus.stdout if "code read" in line)
        focus.send_signal(signal.SIGINT)
        focus.stdout.read()
    assert focus.returncode == 0
    words = line.split()
    assert (words[0], words[2]) == ("sharpness", "best")
    assert 100 < int(words[1]) <= int(words[3]) <= 999
    assert (tmp_path / "screen.png").is_file()


def test_focus_stops_by_itself_after_its_time(tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    command = [*_command(tmp_path, "folder"), "--seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    # whether the camera gave a picture in that time depends on the machine
    assert (done.returncode == 0) is ("no code" in done.stdout)
    assert done.returncode == 0 or "gave no picture" in done.stderr


def test_while_the_door_has_the_camera_focus_says_how_to_stop_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Camera(tmp_path, monkeypatch).give("busy")
    command = _command(tmp_path, "v4l2")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "is being used by another program. The door has it while it runs. Run: systemctl stop maguey-gate"
    )


def test_a_missing_camera_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        _command(tmp_path, "v4l2"), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert f"There is no camera at {tmp_path}/video0. Plug it in" in done.stderr

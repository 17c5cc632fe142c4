"""Only Mosquitto gets the authority's signals, whatever is in the pid file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hub.authority.broker_process import reload_broker, restart_broker


@pytest.mark.parametrize("text", ["", "x", "0", "1", "-1", "999999999", "12 34"])
def test_what_is_no_running_mosquitto_is_not_there(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pid"
    file.write_text(text)
    assert not restart_broker(file)
    assert not reload_broker(tmp_path / "none")


def test_another_process_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    with subprocess.Popen(["sleep", "3600"]) as other:
        (tmp_path / "pid").write_text(str(other.pid))
        assert not restart_broker(tmp_path / "pid")
        assert other.poll() is None
        other.kill()

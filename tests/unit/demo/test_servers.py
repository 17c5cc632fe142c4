"""Where the private servers of the demo and of the tests keep their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from demo.servers import temporary_folder

_ASKS = (
    "from demo.servers import temporary_folder\nwith temporary_folder() as f: print(f, flush=True); input()"
)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_stays() -> None:
    living, killed = _somebody(), _somebody()
    try:
        killed[0].send_signal(signal.SIGKILL)
        killed[0].wait()
        assert living[1].is_dir() and killed[1].is_dir()
        with temporary_folder() as mine:
            assert mine.is_dir() and living[1].is_dir()
            assert not killed[1].exists()
        assert not mine.exists()
    finally:
        living[0].communicate(b"\n")
    assert not living[1].exists()


def test_pipes_and_links_of_others_are_neither_waited_for_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "maguey-pipe").mkdir()
    os.mkfifo(tmp_path / "maguey-pipe" / ".in-use")
    (tmp_path / "maguey-link").mkdir()
    (tmp_path / "maguey-link" / ".in-use").symlink_to("/dev/zero")
    with temporary_folder():
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maguey-link", "maguey-pipe"]


def _somebody() -> tuple[subprocess.Popen[bytes], Path]:
    process = subprocess.Popen([sys.executable, "-c", _ASKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().decode().strip())

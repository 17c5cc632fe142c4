"""The lending lock between door and sync."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gate.store.locks import LOCK_FILE, LendingBusy, lending_lock

_HOLDER = """
import sys, pathlib, gate.store.locks
with gate.store.locks.lending_lock(pathlib.Path(sys.argv[1]), 1.0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_side_at_a_time_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    with (
        lending_lock(path, 0.0),
        pytest.raises(LendingBusy, match="held by the other"),
        lending_lock(path, 0.01),
    ):
        pytest.fail("both have it")
    with lending_lock(path, 0.0):
        pass


def test_both_users_may_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with lending_lock(tmp_path / LOCK_FILE, 0.0):
            assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o660
    finally:
        os.umask(before)


def test_a_killed_holder_loses_the_lock(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    command = [sys.executable, "-c", _HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LendingBusy), lending_lock(path, 0.0):
            pytest.fail("both have it")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lending_lock(path, 1.0):
        pass


def test_without_the_lock_file_nothing_is_lent(tmp_path: Path) -> None:
    with pytest.raises(LendingBusy, match="Check the folder"), lending_lock(tmp_path / "gone" / "x", 0.0):
        pytest.fail("there is no such folder")

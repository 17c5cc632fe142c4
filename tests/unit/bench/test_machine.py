"""Facts about the machine, and the memory its processes take."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.machine import facts, filesystem, is_in_memory
from bench.memory import Memory, descendants, memory_of


def test_the_facts_name_what_a_figure_depends_on(tmp_path: Path) -> None:
    told = facts(tmp_path)
    assert {
        "CPU",
        "cores",
        "kernel",
        "Python",
        "SQLite",
        "filesystem",
        "commit",
        "load before",
    } <= told.keys()
    assert all(told.values())


def test_the_filesystem_of_a_folder_is_named() -> None:
    assert filesystem(Path("/proc")) == "proc on proc"
    assert not is_in_memory(Path("/proc"))


def test_memory_includes_children_and_grandchildren() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo ready; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        (sleeper,) = descendants(shell.pid)
        assert sleeper in descendants(os.getpid())
        assert memory_of(shell.pid).pss > memory_of(sleeper).pss > 0
        os.kill(sleeper, 15)
        shell.kill()


def test_pages_shared_by_two_processes_count_once() -> None:
    """Two shells of the same program take less than twice what one takes, but more than one."""
    script = "sh -c 'echo ready; sleep 60; true' & wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        inner = descendants(shell.pid)[0]
        alone = memory_of(inner).alone
        assert alone < memory_of(shell.pid).alone < 2 * alone
        assert memory_of(inner).pss < alone
        for pid in descendants(shell.pid):
            os.kill(pid, 15)


def test_a_process_that_has_exited_takes_no_memory() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert memory_of(gone.pid) == Memory()

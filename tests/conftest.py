"""The order in which tests run, and where they keep their files: in memory, if there is room.

No test needs a disk: a killed process leaves in memory what it would leave on a disk. On a disk, a thousand
small databases spend most of their time on creating and removing files. Set ``TMPDIR`` to have the files
elsewhere, and kept.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from demo.servers import temporary_folder
from tests.long import cases

# a slow case says something about the machine, and nothing about the rule
settings.register_profile(
    "any machine",
    max_examples=cases(50, long=200),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30
"""Four processes and their databases took 1 GB at most."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes read what the first has compiled
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # a shell has what it starts in the background ignore Ctrl-C, and the programs under test inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" in os.environ or not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        return
    passing = contextlib.ExitStack()
    _use(passing.enter_context(temporary_folder(_MEMORY)))
    config.add_cleanup(passing.close)


def _use(folder: Path) -> None:
    folder.chmod(0o711)  # the servers run as other users, and have folders in it
    os.environ["TMPDIR"] = str(folder)  # for child processes, too
    tempfile.tempdir = None


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own, removed after it.

    Its name is short: pytest's own contains the test's name and, with several processes, that of the
    process. A local socket in there would have a longer path than the 107 bytes it may have.
    """
    with tempfile.TemporaryDirectory(prefix="test-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The nights come first: two processes play them while two others wait for servers."""
    items.sort(key=lambda item: "/test_nights_" not in item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of collected tests stay alive: the garbage collector need never look at them again."""
    gc.collect()
    gc.freeze()

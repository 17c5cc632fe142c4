"""The log cannot be written: the disk behind stderr is full, or its reader is gone. The gate goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

import pytest

from demo.night import phone
from tests.factories import code_id
from tests.integration.hardware.watching import hold_up
from tests.integration.service.test_readiness import Gate
from tests.patience import PATIENCE_S, until

RELAY = """
import sys, time
from gate.common.log import configure
from hardware.pins.gpio import mock_factory
from hardware.pins.turnstile import RelayTurnstile
from tests.patience import PATIENCE_S

configure("text", service="maguey-gate")
relay = RelayTurnstile(17, pulse_s=0.1, factory=mock_factory())
output, failures = relay._output, [OSError(5, "bad write")]
switch = output.switch

def switch_off_fails_once(*, on):
    if not on and failures:
        raise failures.pop()
    switch(on=on)

output.switch = switch_off_fails_once
relay.release()
while failures or output._device.value or relay.trouble():
    time.sleep(0.01)
print(not failures, output._device.value, relay.trouble(), relay._thread.is_alive())
"""


@contextmanager
def full() -> Iterator[int]:
    """Every write ends with ENOSPC."""
    file = os.open("/dev/full", os.O_WRONLY)
    yield file
    os.close(file)


@contextmanager
def broken_pipe() -> Iterator[int]:
    """Every write ends with EPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


Sink = Callable[[], AbstractContextManager[int]]
sinks = pytest.mark.parametrize("sink", [full, broken_pipe])


@sinks
def test_a_relay_that_fails_once_is_still_switched_off(sink: Sink) -> None:
    with sink() as stderr:
        done = subprocess.run(
            [sys.executable, "-c", RELAY],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.stdout == "True 0 None True\n"


@sinks
def test_a_guest_is_let_in_and_the_turnstile_locks_again(sink: Sink, tmp_path: Path) -> None:
    gate, trace = Gate(tmp_path), tmp_path / "relay.jsonl"

    def edges() -> list[int]:
        lines = trace.read_text().splitlines() if trace.exists() else []
        return [json.loads(line)["state"] for line in lines]

    with sink() as stderr:
        command = [sys.executable, "-m", "gate.cli.main", "run", "--config", str(gate.write())]
        door = subprocess.Popen(command, stderr=stderr)
    try:
        hold_up(gate.camera, "1", phone(code_id(), Random(5)))
        until(lambda: len(edges()) >= 2)
        assert edges() == [1, 0]
        until(lambda: gate.reading().is_fresh)
        door.send_signal(signal.SIGTERM)
        door.wait(PATIENCE_S)
        assert (edges(), gate.live.exists()) == ([1, 0], False)
    finally:
        door.kill()
        door.wait()


def test_a_program_started_without_stderr_logs_nowhere() -> None:
    says = "import structlog, gate.common.log as log; log.configure('json'); structlog.get_logger().info('x')"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, says],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")

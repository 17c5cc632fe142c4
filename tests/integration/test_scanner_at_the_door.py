"""A whole door as `gate.bootstrap` wires it, with a hand scanner on a serial line: bytes in, relay out."""

from __future__ import annotations

import base64
import os
import pty
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate import bootstrap
from gate.clock import SystemClock
from gate.common.findings import Severity
from gate.config import GateFile, read_gate_config
from gate.door.loop import Door
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.codes import KEY, signed
from tests.factories import an_admission, an_event, code_id
from tests.integration.test_wiring import CONFIG, states
from tests.patience import until

KEYS = """
[keys]
K1 = "{key}"
[scanner]
driver = "serial"
device = "{device}"
"""


class Line:
    """The scanner's end of a serial line."""

    def __init__(self) -> None:
        self.scanner, self.gate = pty.openpty()
        self.path = os.ttyname(self.gate)

    def send(self, text: str) -> None:
        os.write(self.scanner, text.encode())

    def close(self) -> None:
        for fd in (self.scanner, self.gate):
            os.close(fd)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def config(tmp_path: Path, line: Line) -> GateFile:
    key = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
    (tmp_path / "camera").mkdir()
    (tmp_path / "gate.toml").write_text(
        CONFIG.format(home=tmp_path) + KEYS.format(key=key, device=line.path), encoding="utf-8-sig"
    )
    return read_gate_config(tmp_path / "gate.toml")


@pytest.fixture
def door(config: GateFile) -> Iterator[Door]:
    now = SystemClock().now().wall
    night = an_event(doors_open_at=now.replace(year=2020), ends_at=now.replace(year=2090))
    Path(config.state_dir).mkdir()
    with closing(Cache(config.cache)) as cache:
        cache.put_config(GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(night,)))
        cache.put_snapshot("event-1", 1, cache.spool.fill((an_admission(), an_admission(code_id(2)))), now)
    door = bootstrap.make_door(config)
    yield door
    door.close()


def scans(door: Door) -> list[tuple[str, str]]:
    journal = door._parts.journal.part
    if journal is None:
        return []
    asked = "select scan_method, reason from scans where record = 'scan' order by seq"
    return [(method, reason) for method, reason in journal._db.execute(asked)]


def await_scans(door: Door, wanted: list[tuple[str, str]]) -> None:
    def done() -> bool:
        door.step()
        return scans(door) == wanted

    until(done, lambda: str(scans(door)))


def test_what_a_scanner_sends_opens_the_turnstile_once(door: Door, line: Line, tmp_path: Path) -> None:
    door.step()  # what was sent before the line was opened belongs to nobody who stands here now
    line.send("]Q1" + signed() + "\r\n")
    await_scans(door, [("scanner", "first_entry")])
    line.send(code_id(2).lower() + "\t")
    await_scans(door, [("scanner", "first_entry")] * 2)
    until(lambda: states(tmp_path) == [1, 0, 1, 0], lambda: str(states(tmp_path)))


def test_doctor_checks_the_scanner(config: GateFile, line: Line) -> None:
    (found,) = dict(bootstrap.device_checks(config, is_running=False))["scanner"]()
    assert (found.check, found.level) == ("scanner", Severity.OK)
    gone = msgspec.structs.replace(config.scanner, device="/dev/serial/by-id/gone")
    without = msgspec.structs.replace(config, scanner=gone)
    (found,) = dict(bootstrap.device_checks(without, is_running=False))["scanner"]()
    assert (found.check, found.level) == ("scanner", Severity.FAULT)

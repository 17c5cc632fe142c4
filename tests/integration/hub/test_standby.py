"""Hot standby: of two hubs one works, whatever happens to it (protocol 4.2).

Real processes. The active one is the one whose session is in `active_hubs`, and which is connected.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.rows import DictRow

from hub.config import HubConfig
from hub.db.connection import Connection
from sync.wire.messages import Ack
from tests.integration.hub.world import GateOnMqtt, World, record
from tests.patience import stop_dead, until

HOLDER = (
    b"SELECT a.pid, a.client_port FROM active_hubs h"
    b" JOIN pg_stat_activity a ON (a.pid, a.backend_start) = (h.pid, h.backend_start)"
    b" WHERE h.venue = %(venue)s"
)
STANDING_BY = (
    b"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    b" AND pid IS DISTINCT FROM %(holder)s AND query LIKE '%%become_active%%'"
)


class Pair:
    """Two `maguey-hub ingest` of one venue, and which of them is the active one."""

    def __init__(self, config_file: Path, conn: Connection, venue: str) -> None:
        self._conn = conn
        self._venue = venue
        command = [sys.executable, "-m", "hub.cli.main", "ingest", "--config", str(config_file)]
        self.active = subprocess.Popen(command)
        until(lambda: self.holder() is not None)
        self.standby = subprocess.Popen(command)
        until(self.has_standby)

    def has_standby(self) -> bool:
        """Whether a session other than the holder's keeps asking for the lock."""
        return self._conn.execute(STANDING_BY, {"holder": self.holder()}).fetchone() is not None

    def holder(self) -> int | None:
        """The server process of the session with the lock. Never two."""
        rows = self._rows()
        assert len(rows) <= 1
        return rows[0]["pid"] if rows else None

    def is_held_by(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the session with the lock is this hub's."""
        return any(owns(process, row["client_port"]) for row in self._rows())

    def _rows(self) -> list[DictRow]:
        return self._conn.execute(HOLDER, {"venue": self._venue}).fetchall()

    def await_another(self, before: int | None) -> int:
        until(lambda: self.holder() not in (None, before))
        found = self.holder()
        assert found is not None
        return found

    def end(self) -> None:
        for process in (self.active, self.standby):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def pair(config: HubConfig, config_file: Path, conn: Connection) -> Iterator[Pair]:
    both = Pair(config_file, conn, config.venue)
    yield both
    both.end()


@pytest.fixture
def gate(config: HubConfig) -> Iterator[GateOnMqtt]:
    with GateOnMqtt(config.mqtt.port, config.venue) as connected:
        yield connected


def kept(world: World) -> list[int]:
    return [row[0] for row in world.all("SELECT seq FROM scan_logs ORDER BY seq")]


def owns(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether a process has the connection with this local port (proc(5))."""
    sockets = {
        str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.is_symlink()
    }
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        int(fields[1].split(":")[1], 16) == port and f"socket:[{fields[9]}]" in sockets
        for fields in map(str.split, lines)
    )


def test_the_other_hub_takes_over_from_a_killed_one(
    pair: Pair, gate: GateOnMqtt, world: World, conn: Connection
) -> None:
    scans = [record(seq) for seq in range(1, 401)]
    assert gate.resend(*scans[:50])
    before = pair.holder()
    gate.send(*scans[50:100])  # it dies with these on their way
    pair.active.kill()
    pair.active.wait()
    for start in range(100, 400, 50):
        gate.send(*scans[start : start + 50])
    pair.await_another(before)
    assert gate.wait_for_ack(400) or gate.resend(*scans[350:])
    assert kept(world) == list(range(1, 401))
    assert pair.is_held_by(pair.standby)


def test_the_other_hub_takes_over_from_a_stopped_one_which_wakes_as_standby(
    pair: Pair, gate: GateOnMqtt, world: World, conn: Connection
) -> None:
    assert gate.resend(*(record(seq) for seq in range(1, 21)))
    before = pair.holder()
    stop_dead(pair.active.pid)
    second = pair.await_another(before)
    assert pair.is_held_by(pair.standby)
    more = [record(seq) for seq in range(21, 41)]
    assert gate.resend(*more)
    heard = len(gate.acks)
    os.kill(pair.active.pid, signal.SIGCONT)
    # once awake, it asks for the lock like any standby
    until(pair.has_standby)
    assert gate.resend(*(record(seq) for seq in range(41, 61)))
    assert pair.holder() == second
    assert kept(world) == list(range(1, 61))
    assert min(ack.seq for ack in gate.acks[heard:] if ack.epoch == "e1") >= 40
    # and is as good a standby as before
    pair.standby.kill()
    pair.standby.wait()
    pair.await_another(second)
    assert pair.is_held_by(pair.active)
    assert gate.resend(*(record(seq) for seq in range(61, 81)))
    assert kept(world) == list(range(1, 81))


def test_a_hub_whose_session_ends_never_works_beside_another(
    pair: Pair, gate: GateOnMqtt, world: World, conn: Connection
) -> None:
    sent = 0
    for _ in range(3):
        holder = pair.holder()
        conn.execute(b"SELECT pg_terminate_backend(%s)", [holder])
        batch = [record(seq) for seq in range(sent + 1, sent + 21)]
        sent += 20
        pair.await_another(holder)
        assert gate.resend(*batch)
    assert kept(world) == list(range(1, sent + 1))
    assert gate.acks[-1] == Ack(epoch="e1", seq=sent)

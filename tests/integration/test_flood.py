"""One gate floods the production broker beside honest ones; their syncs are real processes (quality 7.1, 19).

The machine's speed decides nothing: the tests wait for events, and measure the beat by what the flooding gate
has sent meanwhile, which takes its time from the same machine.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from demo.servers import free_port
from gate.clock import SystemClock
from gate.rules.model import ScanRecord
from gate.rules.payload import code_hash
from gate.store.cache import CacheReader, LinkState
from gate.store.journal import Journal
from sync.wire.messages import GateStatus, decode
from sync.wire.scans import encode_scans
from tests.factories import a_record, code_id
from tests.integration.test_broker import OURS, Client, Club, gate_topic, open_club
from tests.patience import PATIENCE_S, until
from tests.raw_mqtt import RawGate

A_SECOND = 150
"""Batches of 50 that the flooding gate sends."""
ROUNDS = 8
HONEST = ("gate-1", "gate-2")


class Gate:
    """An honest gate: its journal, which its door writes, its cache, which its door reads, and its sync."""

    def __init__(self, folder: Path, gate_id: str, club: Club) -> None:
        self.gate_id, self.folder = gate_id, folder
        folder.mkdir()
        identity = club.authority.issue(gate_id)
        (folder / "token").write_text("the-token")
        (folder / "gate.toml").write_text(
            f'gate_id = "{gate_id}"\nvenue = "maguey"\nstate_dir = "{folder}"\nruntime_dir = "{folder}/run"\n'
            f'log = "json"\n[hub]\nurl = "http://127.0.0.1:{free_port()}"\ntoken_file = "{folder}/token"\n'
            f'broker = "127.0.0.1"\nbroker_port = {club.broker.port}\nca_file = "{club.authority.file}"\n'
            f'cert_file = "{identity.certificate}"\nkey_file = "{identity.key}"\n'
        )
        self.journal = Journal(folder / "journal.db", gate_id, "epoch-1")
        self._reader, self._clock = CacheReader(folder / "cache.db"), SystemClock()
        command = [sys.executable, "-m", "sync.cli", "run", "--config", str(folder / "gate.toml")]
        with (folder / "sync.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def link(self) -> LinkState:
        return self._reader.link(self._clock.now())

    def beat_ms(self) -> int:
        """When sync last said how the link is."""
        with contextlib.closing(sqlite3.connect(self.folder / "cache.db")) as db:
            ((beat_ms,),) = db.execute("select json_extract(row, '$.beat_ms') from link").fetchall()
        return int(beat_ms)

    def admits(self, ticket: str) -> bool:
        """Decide on a one-time ticket as its door does while the hub is silent: it admits an unused one."""
        if self.knows(ticket):
            return False
        with self.journal.turn() as turn:
            number = self.journal.last_seq() + 1
            turn.append(
                a_record(
                    number,
                    scan_id=str(uuid.uuid4()),
                    gate_id=self.gate_id,
                    occurred_at=datetime.now(UTC),
                    code_hash=code_hash(ticket),
                )
            )
        return True

    def until_connected(self) -> None:
        self._until(lambda: self.link().cut_ms == 0, "a broker")

    def until_it_names(self, gate_id: str) -> None:
        self._until(lambda: self.link().flooding == (gate_id,), "the name of the flooding gate")

    def until_it_knows(self, ticket: str) -> None:
        self._until(lambda: self.knows(ticket), "another gate's scan")

    def until_a_beat_after(self, beat_ms: int) -> None:
        self._until(lambda: self.beat_ms() > beat_ms, "another beat")

    def knows(self, ticket: str) -> bool:
        return bool(self._reader.find(code_hash(ticket)).peers)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, lambda: f"{self.gate_id} never: {what}. {self.log()[-2000:]}")

    def log(self) -> str:
        return (self.folder / "sync.log").read_text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        self._reader.close()
        self.journal.close()


class Flooder:
    """A gate with a valid certificate that floods."""

    def __init__(self, club: Club, gate_id: str, batches: list[bytes]) -> None:
        self._client = club.client(gate_id).connected()
        self._topic = OURS.scans(gate_id)
        self._batches = cycle(batches)
        self._over = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            on_the_way = [
                self._client.hand_over(self._topic, next(self._batches)) for _ in range(A_SECOND // 10)
            ]
            for one in on_the_way:
                one.wait_for_publish(PATIENCE_S)
            self.sent += len(on_the_way)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


def forged(gate_id: str, count: int) -> list[bytes]:
    """Batches of admissions that never happened: random ones, and some of real tickets."""
    source, now = random.Random(3), datetime.now(UTC)

    def one(seq: int) -> ScanRecord:
        code = code_hash(code_id(seq)) if seq % 50 == 0 else f"{source.getrandbits(256):064x}"
        scan_id = str(uuid.UUID(int=source.getrandbits(128)))
        return a_record(seq, gate_id=gate_id, scan_id=scan_id, code_hash=code, occurred_at=now)

    return [encode_scans([one(50 * n + k + 1) for k in range(50)]) for n in range(count)]


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    with open_club(tmp_path_factory) as club:
        club.witness.hear(OURS.status())
        yield club


@pytest.fixture
def gates(club: Club, tmp_path: Path) -> Iterator[list[Gate]]:
    with contextlib.ExitStack() as stack:
        gates = [Gate(tmp_path / gate_id, gate_id, club) for gate_id in HONEST]
        for gate in gates:
            stack.callback(gate.close)
            gate.until_connected()
        yield gates


def who_name(witness: Client, gate_id: str) -> Iterator[str]:
    """The gates whose status says that this one floods, as their statuses come in."""
    while True:
        status = decode(witness.heard.get(timeout=PATIENCE_S)[1], GateStatus)
        if status.flooding == (gate_id,):
            yield status.gate_id


def test_beside_a_flooding_gate_honest_ones_beat_hear_each_other_and_name_it(
    club: Club, gates: list[Gate]
) -> None:
    here, there = gates
    flooder = Flooder(club, "gate-3", forged("gate-3", 200))
    try:
        naming, named = who_name(club.witness, "gate-3"), set[str]()
        while named != set(HONEST):
            named.add(next(naming))
        for gate in gates:
            gate.until_it_names("gate-3")
        sent_before = {gate.gate_id: (gate.beat_ms(), flooder.sent) for gate in gates}
        for number in range(1, ROUNDS + 1):
            ticket = code_id(50 * number)  # the flooding gate claims to have admitted it, too
            assert here.admits(ticket)
            there.until_it_knows(ticket)
            assert not there.admits(ticket)
            for gate in gates:
                beat_ms, sent = sent_before[gate.gate_id]
                gate.until_a_beat_after(beat_ms)
                assert flooder.sent - sent < 5 * A_SECOND
                sent_before[gate.gate_id] = (gate.beat_ms(), flooder.sent)
                assert gate.link().cut_ms == 0  # it never counts as isolated
    finally:
        flooder.close()
    assert [gate.log().count("flood began") for gate in gates] == [1, 1]


@pytest.mark.parametrize(("leaf", "qos"), [("scans", 0), ("status", 1)])
def test_an_excessive_flood_is_not_even_sent_to_honest_gates(
    club: Club, gates: list[Gate], leaf: str, qos: int
) -> None:
    """Measured by what is sent meanwhile, as fast as the broker takes it."""
    here, there = gates
    topic = gate_topic(OURS, "gate-3", leaf)
    with RawGate(club.broker.port, "gate-3", club.tls("gate-3")) as flooder:
        flooder.flood([topic], qos)
        for gate in gates:
            gate.until_it_names("gate-3")
            gate.until_a_beat_after(gate.beat_ms())
        heard = list[int]()
        for number in range(1, ROUNDS + 1):
            ticket = code_id(number)
            assert here.admits(ticket)
            heard.append(flooder.meanwhile(lambda ticket=ticket: there.until_it_knows(ticket)))  # type: ignore[misc]
            assert not there.admits(ticket)
            there.until_a_beat_after(there.beat_ms())
            assert [gate.link().cut_ms for gate in gates] == [0, 0]
        flooder.stop()
    # whoever is still listened to is ahead of all that: before the cutoff, up to 300,000 were sent meanwhile
    assert sorted(heard)[ROUNDS // 2] < 10_000
    assert [gate.log().count("flood began") for gate in gates] == [1, 1]

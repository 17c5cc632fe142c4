"""A stolen gate is locked out of the broker as well, and the others notice nothing."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.authority.service import authority_worker
from hub.db.connection import Connection
from hub.gates.roster import GateEntry, add_gate
from sync.wire.topics import Topics
from tests.club import VENUE, BrokerClient, Venue, certified, open_venue
from tests.integration.hub.test_cli import hub
from tests.integration.hub.world import World
from tests.patience import until

TOPICS = Topics(venue=VENUE)


@pytest.fixture
def venue(tmp_path: Path, dsn: str, conn: Connection) -> Iterator[Venue]:
    """Three gates, and an authority that serves."""
    for number in (1, 2, 3):
        add_gate(conn, VENUE, GateEntry(gate_id=f"gate-{number}"), "Eva")
    with open_venue(tmp_path, dsn) as made, authority_worker(made.config):
        made.restart_broker()
        yield made


class Talker:
    """A gate that sends one scan after the other until it is told to stop."""

    def __init__(self, client: BrokerClient, gate_id: str) -> None:
        self._client, self._topic, self.gate_id = client, TOPICS.scans(gate_id), gate_id
        self.said = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.is_set():
            self._client.say(self._topic, f"{self.gate_id} {self.said}".encode())
            self.said += 1

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self.said


def test_a_stolen_gate_is_thrown_out_and_refused_and_the_others_lose_nothing(
    venue: Venue, conn: Connection, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: certified(conn, name, tmp_path) for name in ("gate-1", "gate-2", "gate-3")}
    gates = {name: venue.client(name, file) for name, file in files.items()}
    assert [gate.next_told() for gate in gates.values()] == ["connected"] * 3
    witness = venue.hub_client("maguey-hub/witness")
    assert witness.next_told() == "connected"
    witness.hear(TOPICS.scans())
    talkers = [Talker(gates[name], name) for name in ("gate-1", "gate-2")]
    until(lambda: all(talker.said > 20 for talker in talkers))

    done = hub("gate", "revoke", "gate-3", "--stolen", "--reason", "gone", "--config", venue.file)

    assert (done.returncode, done.stderr) == (0, "")
    steps = re.findall(r"^ *(\d+) ms  (.+)$", done.stdout, re.MULTILINE)
    assert [words.split()[-1] for _, words in steps] == ["free", "broker", "out", "refused"]
    # who has its key and its certificate is out, and does not come back
    assert gates["gate-3"].next_told() == "lost"
    again = venue.client("gate-3", files["gate-3"])
    assert again.next_told() == "lost"
    # the others were never disturbed, and every message of theirs arrived once, in order
    at_the_end = [talker.said for talker in talkers]
    until(lambda: all(talker.said > before + 20 for talker, before in zip(talkers, at_the_end, strict=True)))
    said = [talker.stop() for talker in talkers]
    gates["gate-1"].say(TOPICS.scans("gate-1"), b"the end")
    assert gates["gate-1"].told.empty() and gates["gate-2"].told.empty()
    both: dict[str, list[int]] = {"gate-1": [], "gate-2": []}
    while (payload := witness.heard.get(timeout=60)) != b"the end":
        who, number = payload.decode().split()
        both[who].append(int(number))
    assert [both["gate-1"], both["gate-2"]] == [list(range(count)) for count in said]
    with capsys.disabled():
        sys.stdout.write(f"\n{done.stdout}{sum(said)} messages of the others\n")
    for client in (*gates.values(), again, witness):
        client.close()

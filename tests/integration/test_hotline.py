"""A claim from end to end: the door's end of the socket, a real `maguey-sync`, a real broker, and a hub.

Whatever is dead or stuck behind the socket costs the door its own time-out at most, and what is known to be
dead costs not even that. Where "at once" is to be shown, the door's time-out is an hour, and it would wait.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from demo.servers import Mosquitto, free_port, mosquitto
from gate.clock import SystemClock
from gate.hotline.client import Hotline
from gate.hotline.messages import Replied
from gate.rules.command import OrderReply
from gate.rules.first_entry import Claim, Grant, Returned
from gate.store.cache import CacheReader, LinkState
from sync.broker.mqtt import BrokerAddress, Connected, LinkEvent, Message, MqttLink
from sync.wire.messages import HubTime, Probe, ToGate, ToHub, encode, to_hub
from sync.wire.topics import Topics
from tests.patience import PATIENCE_S, stop_dead, until

TOPICS = Topics(venue="maguey")
AN_HOUR = 3600.0
WAITS_AN_HOUR = ("-c", """
import sqlite3
connect = sqlite3.connect
sqlite3.connect = lambda *where, **how: connect(*where, **(how | {"timeout": 3600.0}))
from sync.cli import main
main()
""")  # fmt: skip
"""A sync that waits an hour for a cache that somebody else is writing."""


class Hub:
    """The hub's side of claims: grants whatever is asked, in a thread of its own."""

    def __init__(self, broker: Mosquitto) -> None:
        self.said: queue.SimpleQueue[ToHub] = queue.SimpleQueue()
        self.replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[LinkEvent | None] = queue.SimpleQueue()
        wanted = [TOPICS.claims(), TOPICS.replies()]
        at = BrokerAddress(host="127.0.0.1", port=broker.port)
        self.is_mute = False
        self.link = MqttLink(at, "hub", lambda _link, event: self._told.put(event), ("hub", b""), wanted)
        assert self._told.get(timeout=PATIENCE_S) == Connected()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (event := self._told.get()) is not None:
            if isinstance(event, Message) and event.topic == TOPICS.replies("gate-1"):
                self.replies.put(event.payload)
            elif isinstance(event, Message):
                self._answer(to_hub(event.payload))

    def _answer(self, asked: ToHub) -> None:
        now_us = time.time_ns() // 1000
        match asked:
            case Probe(id=number):
                self.tell(HubTime(id=number, received_us=now_us, sent_us=now_us))
            case Claim(scan_id=scan_id):
                self.said.put(asked)
                self.tell(Grant(scan_id=scan_id, answer="granted"))
            case Returned():
                self.said.put(asked)

    def tell(self, message: ToGate) -> None:
        if not self.is_mute:
            self.link.publish(TOPICS.grants("gate-1"), encode(message))

    def close(self) -> None:
        self._told.put(None)
        self._thread.join()
        self.link.close()


class Gate:
    """A gate's folder, its sync as a process, and its door's end of the line."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = SystemClock()
        self.reader = CacheReader(folder / "cache.db")
        (folder / "token").write_text("the-token")
        (folder / "gate.toml").write_text(
            f'gate_id = "gate-1"\nvenue = "maguey"\nstate_dir = "{folder}"\nruntime_dir = "{folder}/run"\n'
            f'log = "json"\n[door]\nclaim_timeout = 5.0\n'
            f'[hub]\nurl = "http://127.0.0.1:{free_port()}"\ntoken_file = "{folder}/token"\n'
            f'broker = "127.0.0.1"\nbroker_port = {broker.port}\n'
        )

    def start(self, program: Sequence[str] = ("-m", "sync.cli")) -> None:
        command = [sys.executable, *program, "run", "--config", str(self.folder / "gate.toml")]
        with (self.folder / "sync.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def stop_dead(self) -> None:
        assert self._process is not None
        stop_dead(self._process.pid)

    def link(self) -> LinkState:
        return self.reader.link(self._clock.now())

    def since_beat_ms(self) -> int:
        """How long ago sync last wrote the state of the link, which it does every second."""
        with contextlib.closing(sqlite3.connect(self.folder / "cache.db")) as db:
            ((beat_ms,),) = db.execute("select json_extract(row, '$.beat_ms') from link").fetchall()
        return self._clock.now().monotonic_ms - int(beat_ms)

    def door(self, timeout_s: float) -> Hotline:
        """Its `ask` asks whatever state the link is in; `is_up` says whether the door would ask."""
        return Hotline(self.folder / "run" / "sync.sock", timeout_s, self._clock)

    def await_true(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, lambda: f"never: {what}. {(self.folder / 'sync.log').read_text()[-2000:]}")

    def answered(self) -> None:
        """Wait until the hub has answered a probe from now on, as sync reports it."""
        since = self._clock.now().monotonic_ms
        self.await_true(lambda: (self.link().answered_ms or 0) > since, "an answered probe")

    def close(self) -> None:
        self.reader.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(timeout=PATIENCE_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
def hub(broker: Mosquitto) -> Iterator[Hub]:
    hub = Hub(broker)
    yield hub
    hub.close()


@pytest.fixture
def gate(tmp_path: Path, broker: Mosquitto, hub: Hub) -> Iterator[Gate]:
    folder = tmp_path / "g"
    folder.mkdir()
    gate = Gate(folder, broker)
    gate.start()
    yield gate
    gate.close()


def a_claim(number: int) -> Claim:
    return Claim(scan_id=f"scan-{number}", code_hash="ab" * 32, event_id="event-1", epoch="epoch-1")


def granted(number: int) -> Grant:
    return Grant(scan_id=f"scan-{number}", answer="granted")


def test_a_claim_is_granted_an_unused_one_returned_and_a_reply_carried(gate: Gate, hub: Hub) -> None:
    gate.answered()
    door = gate.door(AN_HOUR)
    assert door.ask(a_claim(1)) == granted(1)
    assert isinstance(hub.said.get(timeout=PATIENCE_S), Claim)
    door.unused("scan-1")
    assert hub.said.get(timeout=PATIENCE_S) == Returned(scan_id="scan-1")
    hub.link.publish(TOPICS.commands("gate-1"), b"sealed")
    gate.await_true(lambda: door.orders() == [b"sealed"], "the order at the door")
    reply = encode(OrderReply(id="1", gate_id="gate-1", outcome="done")).decode()
    assert door.send(Replied(reply=reply))
    assert hub.replies.get(timeout=PATIENCE_S) == reply.encode()
    door.close()


def test_a_killed_sync_is_noticed_at_once_and_a_new_one_takes_over(gate: Gate) -> None:
    gate.answered()
    door = gate.door(AN_HOUR)
    assert door.ask(a_claim(1)) == granted(1)
    gate.signal(signal.SIGKILL)
    assert door.ask(a_claim(2)) is None
    gate.start()
    gate.answered()
    assert door.is_up(gate.link())
    assert door.ask(a_claim(3)) == granted(3)
    door.close()


def test_a_stopped_sync_costs_one_time_out_and_is_asked_again_when_it_resumes(gate: Gate) -> None:
    gate.answered()
    door = gate.door(AN_HOUR)
    assert door.ask(a_claim(1)) == granted(1)
    gate.stop_dead()
    door._timeout_s = 0.2
    assert door.ask(a_claim(2)) is None
    assert not door.is_up(gate.link())
    door._timeout_s = AN_HOUR
    gate.signal(signal.SIGCONT)
    gate.answered()
    assert door.is_up(gate.link())
    assert door.ask(a_claim(3)) == granted(3)
    door.close()


def test_without_a_broker_a_claim_is_turned_down_at_once(gate: Gate, broker: Mosquitto) -> None:
    gate.answered()
    door = gate.door(AN_HOUR)
    assert door.ask(a_claim(1)) == granted(1)
    broker.kill()
    gate.await_true(lambda: gate.link().cut_ms != 0, "sync's report that the broker is gone")
    assert door.ask(a_claim(2)) is None
    door.close()


def test_a_claim_under_way_when_the_broker_goes_is_turned_down_at_once(
    gate: Gate, broker: Mosquitto, hub: Hub
) -> None:
    gate.answered()
    door = gate.door(AN_HOUR)
    hub.is_mute = True

    def kill_it_once_asked() -> None:
        hub.said.get(timeout=PATIENCE_S)
        broker.kill()

    killer = threading.Thread(target=kill_it_once_asked)
    killer.start()
    assert door.ask(a_claim(1)) is None
    killer.join()
    door.close()


def test_a_cache_that_takes_long_to_write_holds_up_no_claim(gate: Gate) -> None:
    gate.signal(signal.SIGKILL)
    gate.start(WAITS_AN_HOUR)
    gate.answered()
    door = gate.door(AN_HOUR)
    with contextlib.closing(sqlite3.connect(gate.folder / "cache.db", isolation_level=None)) as db:
        db.execute("begin immediate")  # sync's own loop waits for it
        gate.await_true(lambda: gate.since_beat_ms() > 1_500, "sync waiting for its cache")
        for number in range(5):
            assert door.ask(a_claim(number)) == granted(number)
        db.execute("rollback")
    door.close()

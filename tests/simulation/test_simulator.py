"""The simulator itself: the same seed is the same night, and what it plays with does what it says."""

from __future__ import annotations

import subprocess
import sys
from random import Random

from tests.simulation.agenda import Agenda, S
from tests.simulation.broker import Broker, Line, Packet, matches
from tests.simulation.run import Play


def test_the_same_seed_is_the_same_night(play: Play) -> None:
    assert play(7).trace == play(7).trace


def test_another_process_plays_the_same_night(play: Play) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", "8", "--verbose"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    trace = [line for line in told.stdout.splitlines() if line[:10].strip().replace(".", "").isdigit()]
    assert trace == list(play(8).trace)


def test_a_process_that_waits_lets_the_others_go_on() -> None:
    agenda = Agenda()
    done: list[str] = []

    def waits() -> None:
        agenda.run(agenda.now_us + S, lambda: "the answer" not in done)
        done.append(f"heard it at {agenda.now_us}")

    agenda.at(10, waits)
    agenda.at(20, lambda: done.append("the answer"))
    agenda.at(30, lambda: done.append("later"))
    agenda.run(100)
    assert done == ["the answer", "heard it at 20", "later"]


class Client:
    """Hears what the broker delivers."""

    def __init__(self, broker: Broker, client_id: str, *filters: str, persistent: bool = False) -> None:
        self.heard: list[bytes] = []
        self.lost: list[str] = []
        self.line: Line | None = None
        self._broker = broker
        broker.connect(
            client_id, filters, (f"will/{client_id}", b"gone"), self._take, self._on_line,
            self.lost.append, persistent,
        )  # fmt: skip

    def _on_line(self, line: Line) -> None:
        self.line = line

    def _take(self, packet: Packet) -> None:
        self.heard.append(packet.payload)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert self.line is not None
        self._broker.publish(self.line, topic, payload, retain=retain)


def a_broker() -> tuple[Agenda, Broker]:
    agenda = Agenda()
    return agenda, Broker(agenda, Random(1), duplicates=0)


def test_topics_are_matched() -> None:
    assert matches("a/+/c", "a/b/c")
    assert matches("a/#", "a/b/c")
    assert not matches("a/+", "a/b/c")
    assert not matches("a/b/c/d", "a/b/c")


def test_messages_of_a_topic_keep_their_order() -> None:
    agenda, broker = a_broker()
    hears, says = Client(broker, "hears", "a/#"), Client(broker, "says")
    agenda.run(S)
    for number in range(100):
        says.say("a/b", b"%d" % number)
    agenda.run(2 * S)
    assert hears.heard == [b"%d" % number for number in range(100)]


def test_a_short_cut_delays_and_a_long_one_loses() -> None:
    agenda, broker = a_broker()
    hears, says = Client(broker, "hears", "a"), Client(broker, "says")
    agenda.run(S)
    broker.cut("says", down=False)
    says.say("a", b"late")
    agenda.run(10 * S)
    assert hears.heard == []
    broker.heal("says")
    agenda.run(11 * S)
    assert hears.heard == [b"late"]
    broker.cut("says", down=False)
    says.say("a", b"lost")
    agenda.run(40 * S)
    broker.heal("says")
    agenda.run(50 * S)
    assert (hears.heard, says.lost) == ([b"late"], ["connection lost"])


def test_a_broker_that_crashes_forgets_what_it_said_it_had() -> None:
    agenda, broker = a_broker()
    says = Client(broker, "says")
    keeps = Client(broker, "keeps", "a", persistent=True)
    agenda.run(S)
    assert keeps.line is not None
    broker.leave(keeps.line, politely=True)
    agenda.run(2 * S)
    says.say("a", b"gone", retain=True)
    agenda.run(3 * S)
    broker.crash(forgets=True)
    broker.restart()
    again = Client(broker, "keeps", "a", persistent=True)
    agenda.run(5 * S)
    assert (again.heard, broker.retained) == ([], {})


def test_a_session_is_kept_and_delivered_again() -> None:
    agenda, broker = a_broker()
    says = Client(broker, "says")
    keeps = Client(broker, "keeps", "a", persistent=True)
    agenda.run(S)
    says.say("a", b"one")
    agenda.run(2 * S)
    broker.drop("keeps")
    again = Client(broker, "keeps", "a", persistent=True)
    agenda.run(3 * S)
    assert (keeps.heard, again.heard) == ([b"one"], [b"one"])


def test_the_last_will_of_a_client_that_vanishes_is_published() -> None:
    agenda, broker = a_broker()
    hears, dies = Client(broker, "hears", "will/#"), Client(broker, "dies")
    agenda.run(S)
    assert dies.line is not None
    broker.leave(dies.line, politely=False)
    agenda.run(2 * S)
    assert hears.heard == [b"gone"]


def test_a_second_client_with_the_same_name_throws_the_first_one_out() -> None:
    agenda, broker = a_broker()
    first, second = Client(broker, "name"), Client(broker, "name")
    agenda.run(S)
    assert (first.lost, second.lost) == (["connection lost"], [])

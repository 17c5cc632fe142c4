"""What a gate with a valid certificate may ask the broker to send it: what sync asks for, and nothing else.

Every filter that is granted is kept, and looked through for each message of every gate, in the broker's only
thread: 2.9 MB of deep filters took a gigabyte, and groups of shared subscriptions isolated all gates.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.broker.mqtt import BrokerAddress as LinkBroker
from sync.broker.mqtt import Disconnected, LinkEvent, MqttLink
from tests.integration.test_broker import LISTED, OURS, TOPICS, Client, Club, list_gates, open_club
from tests.integration.test_flood import Gate
from tests.patience import PATIENCE_S, until
from tests.sync_bench import Bench

THIEF, HONEST = "gate-1", "gate-2"
MINE = OURS.subscriptions(THIEF)
DEEP = [f"{n:x}" + "/a" * 190 for n in range(8_000)]
MANY = [f"maguey/v1/maguey/admissions/{n:x}/deltas" for n in range(16_000)]
SHARED = [f"$share/{n:x}/{OURS.scans()}" for n in range(12_000)]
GROWTH = 1.3
"""The broker's memory may grow by this factor at most. If kept, each of these floods would exceed it."""


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    with open_club(tmp_path_factory) as club:
        club.witness.hear(OURS.scans())
        yield club


@pytest.fixture
def thief(club: Club) -> Iterator[Client]:
    client = club.client(THIEF).connected()
    yield client
    client.close()


def memory_kib(club: Club) -> int:
    """Peak memory (proc(5))."""
    assert club.broker.process is not None
    status = Path(f"/proc/{club.broker.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def test_every_filter_that_sync_asks_for_is_granted(club: Club, thief: Client, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sync.turn()
    wanted = list(bench.links[0].topics)
    assert len(wanted) == 8
    assert bench.links[0].topics == OURS.subscriptions("gate-1")
    assert thief.hear(*wanted) == wanted


def test_every_filter_that_sync_asks_for_during_a_flood_is_granted(thief: Client) -> None:
    wanted = OURS.peer_subscriptions(LISTED)
    assert thief.hear(*wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        ("#", "+/#", "+", "maguey/#", "maguey/v1/maguey/#", "maguey/v1/maguey/gates/+/+", "+/+/+/+/+/+"),
        (OURS.scans("gate-7"), OURS.status("gate-7"), OURS.claims(), OURS.replies(), f"{OURS.scans()}/#"),
        (OURS.ack(HONEST), OURS.grants(HONEST), OURS.commands(HONEST), OURS.ack("+"), OURS.commands("+")),
        ("$SYS/#", "$SYS/broker/uptime", "$CONTROL/#", "$CONTROL/dynamic-security/v1/#", "$share/x/#", "$/#"),
        tuple(f"$share/{group}/{one}" for group in ("a", "%u", THIEF) for one in MINE),
        tuple(wrong for one in MINE for wrong in (f"/{one}", f"{one}/", f"{one}/#", one.upper(), f"{one} ")),
        tuple(topic for topic in TOPICS if topic not in (*MINE, *OURS.peer_subscriptions(LISTED))),
        tuple(DEEP[:200]),
        tuple(MANY[:2_000]),
    ],
)
def test_no_other_filter_is_granted(thief: Client, wanted: tuple[str, ...]) -> None:
    assert thief.hear(*wanted, *MINE) == MINE


@pytest.mark.parametrize("filters", [DEEP, MANY, SHARED], ids=["deep", "many", "shared"])
def test_the_broker_keeps_no_filter_of_a_flood_and_the_others_go_on(
    club: Club, thief: Client, filters: list[str]
) -> None:
    honest = club.client(HONEST).connected()
    honest.hear(*OURS.subscriptions(HONEST))
    before = memory_kib(club)
    for first in range(0, len(filters), 400):
        assert thief.hear(*filters[first : first + 400]) == []
        honest.say(OURS.scans(HONEST), b"a scan")
        assert club.witness.heard.get(timeout=PATIENCE_S) == (OURS.scans(HONEST), b"a scan")
    assert memory_kib(club) < before * GROWTH
    thief.say(OURS.scans(THIEF), b"the thief's")
    club.witness.say(OURS.ack(HONEST), b"the last")
    assert honest.until(b"the last") == {OURS.scans(THIEF)}
    assert club.witness.until(b"the thief's") == set()
    honest.close()


def test_nobody_may_administer_the_brokers_list(club: Club, thief: Client) -> None:
    before = (club.broker.folder / "gates.json").read_text()
    rights = {"acltype": "subscribePattern", "topic": "#", "allow": True}
    orders = [
        {"command": "setDefaultACLAccess", "acls": [{"acltype": "subscribe", "allow": True}]},
        {"command": "addRoleACL", "rolename": THIEF, **rights},
        {"command": "deleteClient", "username": HONEST},
    ]
    said = json.dumps({"commands": orders}).encode()
    thief.say("$CONTROL/dynamic-security/v1", said)
    club.witness.say("$CONTROL/dynamic-security/v1", said)  # which the hub's listener allows it
    assert thief.hear("#", *MINE) == MINE
    honest = club.client(HONEST).connected()
    assert honest.hear(*OURS.subscriptions(HONEST)) == OURS.subscriptions(HONEST)
    honest.close()
    assert (club.broker.folder / "gates.json").read_text() == before


def test_a_sighup_as_logrotate_sends_it_opens_nothing_and_closes_nothing(club: Club, thief: Client) -> None:
    assert club.broker.process is not None
    club.broker.process.send_signal(signal.SIGHUP)
    thief.hear(*MINE)  # the broker handles signals once a turn, after the packets of that turn
    assert thief.hear("#", "$share/a/#", *MINE) == MINE
    again = club.client(HONEST).connected()
    assert again.hear("#", *OURS.subscriptions(HONEST)) == OURS.subscriptions(HONEST)
    again.close()


def test_a_gate_taken_off_the_list_may_do_nothing_and_is_told_why(club: Club) -> None:
    list_gates(club.broker.folder, [one for one in LISTED if one != "gate-3"])
    club.broker.stop()
    club.broker.start()
    club.witness.connected()
    club.witness.hear(OURS.scans())
    identity = club.authority.issue("gate-3")
    broker = LinkBroker(
        host="127.0.0.1",
        port=club.broker.port,
        ca_file=str(club.authority.file),
        cert_file=str(identity.certificate),
        key_file=str(identity.key),
    )
    told: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
    will = (OURS.status("gate-3"), b"gone")
    link = MqttLink(
        broker, "gate-3", lambda _link, event: told.put(event), will, OURS.subscriptions("gate-3")
    )
    lost = told.get(timeout=PATIENCE_S)
    assert isinstance(lost, Disconnected)
    assert lost.unlisted
    assert "this gate is not in the broker's list" in lost.why
    link.publish(OURS.scans("gate-3"), b"a scan")
    club.witness.say(OURS.alerts(), b"no scan")
    club.witness.say(OURS.scans("gate-2"), b"the last")
    assert club.witness.until(b"the last") == set()
    link.close()


def doctor(gate: Gate) -> dict[str, str]:
    """What `maguey-sync doctor` finds of the way to the hub."""
    command = [
        sys.executable,
        "-m",
        "sync.cli",
        "doctor",
        "--json",
        "--config",
        str(gate.folder / "gate.toml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    found: list[dict[str, str]] = [json.loads(line) for line in done.stdout.splitlines()]
    return next(one for one in found if one["check"] == "acknowledgement")


def test_log_and_doctor_say_that_the_gate_is_not_listed_and_what_to_do(club: Club, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", "gate-7", club)
    why = "the broker refuses every subscription: this gate is not in the broker's list. At the hub run"
    try:
        until(lambda: why in gate.log(), gate.log)
        until(lambda: gate.link().unlisted)
        beside = doctor(gate)
    finally:
        gate.close()
    alone = doctor(gate)
    for found in (beside, alone):
        assert found["level"] == "fault"
        assert "not in the broker's list" in found["result"]
        assert "maguey-hub broker-list" in found["advice"]
    assert gate.log().count(why) == 1

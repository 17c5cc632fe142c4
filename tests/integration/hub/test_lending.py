"""A night divided among its gates: a ticket is lent before it is granted elsewhere (domain 2.3; ADR 15)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from gate.rules.first_entry import Claim, Grant, Returned
from gate.rules.home_gate import home_of
from gate.rules.model import Event
from hub.config import HubConfig
from hub.db.call import call
from hub.db.connection import Connection, connect
from hub.errors import HubError
from hub.gates.home_gates import retire
from hub.web.api import make_app
from sync.wire.messages import GateConfig, GateStatus, LendAnswer, LendRequest, Probe, decode
from tests.integration.hub.asking import NOW, Desk, Night, after, ask, new_id, one_of
from tests.integration.hub.world import PATIENCE, World
from tests.long import cases
from tests.patience import until

TOKEN = "a-token"


@pytest.fixture
def night(world: World) -> Night:
    night = Night(world)
    night.divide()
    return night


@pytest.fixture
def desk(conn: Connection) -> Desk:
    return Desk(conn)


def code_at(night: Night, home: str, retired: tuple[str, ...] = ()) -> str:
    """A new ticket whose home is that gate."""
    while home_of(code := night.code(), night.gates, retired) != home:
        pass
    return code


def claimed(night: Night, code: str, scan: str | None = None) -> Claim:
    return Claim(scan_id=scan or new_id(), code_hash=code, event_id=night.event, epoch="e1")


def lend_of(said: list[tuple[str, Any]]) -> LendRequest:
    ((_, message),) = said
    assert isinstance(message, LendRequest)
    return message


def lent_to(lend: LendRequest, lent: bool = True, used: bool = False) -> LendAnswer:
    return LendAnswer(scan_id=lend.scan_id, code_hash=lend.code_hash, lent=lent, used=used)


def is_alone(night: Night, gate_id: str, code: str) -> bool:
    """Whether the gate may admit the ticket by itself, going by all the hub ever told it."""
    lent = night.world.one("SELECT count(*) FROM lends WHERE (code_hash, gate_id) = (%s, %s)", code, gate_id)
    row = night.world.all("SELECT home_gates, retired_gates FROM events")[0]
    return home_of(code, *row) == gate_id and not lent


# --- whose ticket it is ---


GATES = st.lists(st.text("aZ09_.-é", min_size=1, max_size=8), max_size=6, unique=True)


@given(code=st.text("0123456789abcdef", min_size=64, max_size=64), homes=GATES, data=st.data())
@settings(
    max_examples=cases(40, long=200),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_hub_and_gate_agree_on_every_tickets_home(
    world: World, code: str, homes: list[str], data: st.DataObject
) -> None:
    retired = data.draw(st.lists(st.sampled_from(homes), unique=True)) if homes else []
    assert world.one("SELECT home_of(%s, %s, %s)", code, homes, retired) == home_of(code, homes, retired)


def test_a_tickets_home_is_granted_it_at_once(night: Night) -> None:
    assert night.answer("gate-1", code_at(night, "gate-1")) == "granted"


@pytest.mark.parametrize("policy", ["admit", "deny"])
def test_under_other_policies_no_home_is_asked(night: Night, world: World, policy: str) -> None:
    world.run("UPDATE events SET isolation_policy = %s", policy)
    assert night.answer("gate-2", code_at(night, "gate-1")) == "granted"


def test_before_the_tickets_are_divided_no_home_is_asked(night: Night, world: World) -> None:
    world.run("UPDATE events SET home_gates = '{}'")
    assert night.answer("gate-2", code_at(night, "gate-1")) == "granted"


# --- lending ---


def test_a_ticket_is_lent_before_it_is_granted_elsewhere(night: Night, desk: Desk) -> None:
    code = code_at(night, "gate-1")
    claim = claimed(night, code)
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    said = desk.turn()
    lend = LendRequest(scan_id=claim.scan_id, code_hash=code, event_id=night.event, to="gate-2")
    assert said == [("gate-1", lend)]
    # that the home may have lent the ticket was recorded before the home was asked
    assert not is_alone(night, "gate-1", code)
    desk.hear("gate-1", lent_to(lend))
    assert desk.turn() == [("gate-2", Grant(scan_id=claim.scan_id, answer="granted", reentry=False))]


def test_a_ticket_its_home_admitted_is_taken(night: Night, desk: Desk) -> None:
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    desk.hear("gate-1", lent_to(lend_of(desk.turn()), lent=False, used=True))
    assert desk.turn() == [("gate-2", Grant(scan_id=claim.scan_id, answer="taken", home="gate-1"))]
    assert night.ask("gate-2", claim.code_hash, claim.scan_id) is not None
    # the home is asked again: its admission may be annulled
    desk.hear("gate-2", claimed(night, claim.code_hash))
    assert isinstance(lend_of(desk.turn()), LendRequest)


def test_a_guest_is_sent_to_a_home_that_cannot_say_whether_it_lends(night: Night, desk: Desk) -> None:
    """Its journal lost part of its history, or the door holds the lock."""
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    desk.hear("gate-1", lent_to(lend_of(desk.turn()), lent=False))
    assert desk.turn() == [("gate-2", Grant(scan_id=claim.scan_id, answer="elsewhere", home="gate-1"))]
    assert night.answer("gate-1", claim.code_hash) == "granted"


@pytest.mark.parametrize("silence", ["never heard", "too long", "said goodbye", "only retained"])
def test_a_ticket_whose_home_is_silent_is_answered_elsewhere(night: Night, desk: Desk, silence: str) -> None:
    claim = claimed(night, code_at(night, "gate-1"))
    status = GateStatus(gate_id="gate-1", online=True)
    if silence != "never heard":
        desk.hear("gate-1", status, retained=silence == "only retained")
        desk.turn()
    if silence == "too long":
        desk.wait(5.1)
    if silence == "said goodbye":
        desk.hear("gate-1", msgspec.structs.replace(status, online=False))
    desk.hear("gate-2", claim)
    gate_id, said = one_of(desk.turn())
    assert (gate_id, said["answer"], said["home"]) == ("gate-2", "elsewhere", "gate-1")
    # nobody was asked, so its home still has it
    assert is_alone(night, "gate-1", claim.code_hash)


def test_a_home_that_does_not_answer_has_not_lent(night: Night, desk: Desk) -> None:
    """Its answer is on the way, or it never heard the question: either way nobody is admitted twice."""
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    lend = lend_of(desk.turn())
    desk.wait(2.1)
    desk.hear("gate-1", lent_to(lend))
    assert desk.turn() == []
    # asked again, with the same or another claim, there is nothing left to ask
    desk.hear("gate-2", claim)
    assert desk.turn() == [("gate-2", Grant(scan_id=claim.scan_id, answer="granted", reentry=False))]


def test_a_claim_returned_meanwhile_gets_no_grant(night: Night, desk: Desk) -> None:
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    lend = lend_of(desk.turn())
    desk.hear("gate-2", Returned(scan_id=claim.scan_id))
    desk.hear("gate-1", lent_to(lend))
    assert desk.turn() == []
    desk.hear("gate-3", claimed(night, claim.code_hash))
    assert one_of(desk.turn())[1]["answer"] == "granted"


def test_of_the_home_and_another_gate_that_ask_at_once_one_gets_it(night: Night, desk: Desk) -> None:
    claim, own = claimed(night, code := code_at(night, "gate-1")), claimed(night, code)
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    desk.hear("gate-1", own)
    said = desk.turn()
    assert said[1] == ("gate-1", Grant(scan_id=own.scan_id, answer="granted", reentry=False))
    assert isinstance(said[0][1], LendRequest)
    desk.hear("gate-1", lent_to(said[0][1]))
    gate_id, told = one_of(desk.turn())
    assert (gate_id, told["answer"], told["entry"]["gate"]) == ("gate-2", "taken", "gate-1")


def test_a_lent_ticket_is_granted_by_the_hub_even_to_its_home(night: Night, desk: Desk) -> None:
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    desk.hear("gate-1", lent_to(lend_of(desk.turn())))
    desk.turn()
    night.give_back("gate-2", claim.scan_id)
    assert night.answer("gate-1", claim.code_hash) == "granted"
    assert not is_alone(night, "gate-1", claim.code_hash)


def test_a_lent_ticket_stays_lent(night: Night, desk: Desk) -> None:
    """Asked again, the home cannot say, or is silent by now; it has lent the ticket all the same."""
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    lend = lend_of(desk.turn())
    desk.hear("gate-2", Returned(scan_id=claim.scan_id))
    desk.hear("gate-1", lent_to(lend))
    desk.hear("gate-1", lent_to(lend, lent=False))
    desk.turn()
    desk.wait(60)
    desk.hear("gate-3", claimed(night, claim.code_hash))
    assert one_of(desk.turn())[1]["answer"] == "granted"


@pytest.mark.parametrize("liar", ["gate-2", "gate-3"])
def test_only_its_home_lends_a_ticket(night: Night, desk: Desk, liar: str) -> None:
    claim = claimed(night, code_at(night, "gate-1"))
    desk.hear("gate-1", Probe(id=1))
    desk.turn()
    desk.hear("gate-2", claim)
    lend = lend_of(desk.turn())
    desk.hear(liar, lent_to(lend))
    assert desk.turn() == []
    desk.hear("gate-2", claimed(night, claim.code_hash))
    assert isinstance(lend_of(desk.turn()), LendRequest)


def test_a_loan_that_was_not_asked_for_does_not_count(night: Night, desk: Desk) -> None:
    code = code_at(night, "gate-1")
    desk.hear("gate-1", LendAnswer(scan_id=new_id(), code_hash=code, lent=True))
    assert desk.turn() == []
    assert night.world.one("SELECT count(*) FROM lends") == 0


def test_the_answer_elsewhere_does_not_change_for_the_same_claim(night: Night) -> None:
    code, scan = code_at(night, "gate-1"), new_id()
    told = night.ask("gate-2", code, scan)
    assert told == {"to": "gate-2", "grant": {"answer": "elsewhere", "home": "gate-1"}}
    assert night.ask("gate-2", code, scan, heard=["gate-1"]) == told


# --- dividing, and taking a gate out ---


def config_of(config: HubConfig, gate_id: str) -> GateConfig:
    with TestClient(make_app(config), raise_server_exceptions=False) as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = client.get(f"/api/gates/{gate_id}/config", headers=headers)
    assert response.status_code == 200, response.text
    return decode(response.content, GateConfig)


@pytest.fixture
def undivided(world: World) -> Night:
    night = Night(world)
    world.run("UPDATE events SET isolation_policy = 'home_gate'")
    world.run("UPDATE gates SET token_hash = %s", hashlib.sha256(TOKEN.encode()).hexdigest())
    return night


def homes(config: HubConfig) -> tuple[str, ...]:
    return config_of(config, "gate-1").events[0].homes


@pytest.mark.parametrize(("minutes", "divided"), [(61, False), (59, True), (-60, True)])
def test_tickets_are_divided_an_hour_before_the_doors(
    config: HubConfig, undivided: Night, world: World, minutes: int, divided: bool
) -> None:
    world.run("UPDATE events SET doors_open_at = now() + %s * interval '1 minute'", minutes)
    assert homes(config) == (tuple(undivided.gates) if divided else ())


def test_tickets_are_divided_once(config: HubConfig, undivided: Night, world: World) -> None:
    world.run("UPDATE gates SET status = 'revoked' WHERE gate_id = 'gate-3'")
    assert homes(config) == ("gate-1", "gate-2")
    world.run("UPDATE gates SET status = 'active'")
    world.gate("gate-0", "", undivided.event)
    assert homes(config) == ("gate-1", "gate-2")


def test_other_policies_divide_nothing(config: HubConfig, undivided: Night, world: World) -> None:
    world.run("UPDATE events SET isolation_policy = 'deny'")
    assert homes(config) == ()


def test_dividing_and_retiring_reach_the_gates_through_the_feed(
    config: HubConfig, undivided: Night, world: World, conn: Connection
) -> None:
    homes(config)
    with conn.transaction():
        retire(conn, "pf", "gate-2", "Eva", "water in it", NOW)
    changed = [change.row for change in world.changes(undivided.event)]
    nights = [row for row in changed if isinstance(row, Event)][-2:]
    assert [(row.isolation, row.homes, row.retired) for row in nights] == [
        ("home_gate", tuple(undivided.gates), ()),
        ("home_gate", tuple(undivided.gates), ("gate-2",)),
    ]


def test_a_home_learns_what_was_granted_before_there_were_homes(
    config: HubConfig, undivided: Night, world: World
) -> None:
    far, near = code_at(undivided, "gate-1"), code_at(undivided, "gate-1")
    undivided.ask("gate-2", far)
    undivided.ask("gate-1", near)
    assert config_of(config, "gate-1").lent == {undivided.event: (far,)}
    assert config_of(config, "gate-2").lent == {}


def test_a_gate_learns_what_it_was_asked_to_lend(config: HubConfig, undivided: Night) -> None:
    undivided.divide()
    code = code_at(undivided, "gate-1")
    undivided.ask("gate-2", code, heard=["gate-1"])
    assert config_of(config, "gate-1").lent == {undivided.event: (code,)}


def test_retiring_a_gate_moves_its_own_tickets_and_no_others(night: Night, conn: Connection) -> None:
    codes = [night.code() for _ in range(60)]
    before = {code: home_of(code, night.gates) for code in codes}
    retire(conn, night.event, "gate-2", "Eva", "water in it", NOW)
    moved = {code for code in codes if is_alone(night, "gate-1", code) or is_alone(night, "gate-3", code)}
    assert moved == set(codes)
    assert {code for code in codes if is_alone(night, before[code] or "", code)} == {
        code for code in codes if before[code] != "gate-2"
    }
    assert night.world.all("SELECT actor, action, target, reason FROM audit_log") == [
        ("Eva", "retire", "gate-2", "water in it")
    ]


def test_the_new_home_does_not_admit_alone_a_ticket_already_granted_or_used(
    night: Night, conn: Connection
) -> None:
    """The old home lent or admitted it, and the new one may not have heard of that."""
    granted, entered, own = (code_at(night, "gate-2") for _ in range(3))
    homes = {code: home_of(code, night.gates, ["gate-2"]) for code in (granted, entered, own)}
    assert night.answer("gate-2", granted) == "granted"
    night.world.run(
        "UPDATE tickets SET status = 'checked_in', checked_in_at = now(), checked_in_by = 'gate-2'"
        " WHERE code_hash = %s",
        entered,
    )
    retire(conn, night.event, "gate-2", "Eva", "water in it", NOW)
    alone = {code for code, home in homes.items() if is_alone(night, home or "", code)}
    assert alone == {own}
    assert night.answer(homes[granted] or "", granted) == "taken"


def test_a_claim_that_waited_for_a_retired_gate_asks_the_new_home(night: Night, conn: Connection) -> None:
    code = next(c for c in iter(lambda: code_at(night, "gate-2"), "") if new_home(night, c) == "gate-1")
    scan = new_id()
    night.ask("gate-3", code, scan, heard=["gate-2"])
    retire(conn, night.event, "gate-2", "Eva", "water in it", NOW)
    wanted = {"venue": "maguey", "home": "gate-2", "scan": scan, "code_hash": code, "now": NOW}
    told = call(conn, "take_lend_answer", lent=True, used=False, heard=["gate-1"], **wanted)
    assert (told["to"], told["lend"]) == ("gate-3", "gate-1")


def new_home(night: Night, code: str) -> str | None:
    return home_of(code, night.gates, ["gate-2"])


def test_no_claim_goes_by_the_old_homes_while_new_ones_are_made(night: Night, dsn: str) -> None:
    """Whoever divides the tickets again sees a claim in progress, or the claim sees the new homes."""
    code = next(c for c in iter(lambda: code_at(night, "gate-2"), "") if new_home(night, c) == "gate-1")
    with connect(dsn) as claiming, connect(dsn, autocommit=True) as retiring, ThreadPoolExecutor(1) as pool:
        told = ask(claiming, night, "gate-2", code)
        assert told is not None
        assert told["grant"]["answer"] == "granted"
        done = pool.submit(retire, retiring, "PF", "gate-2", "Eva", "water in it", NOW)
        until_blocked(night.world, retiring.info.backend_pid, done)
        claiming.commit()
        done.result(PATIENCE)
    assert not is_alone(night, "gate-1", code)


def until_blocked(world: World, pid: int, asked: Future[Any] | None = None) -> None:
    """Wait until that connection waits for another; `asked` must not be done before that."""

    def is_blocked() -> bool:
        return bool(world.one("SELECT cardinality(pg_blocking_pids(%s)) > 0", pid))

    until(lambda: is_blocked() or (asked is not None and asked.done()))
    assert asked is None or not asked.done(), "it never waited"


def test_every_ticket_is_granted_once_while_all_gates_race_and_homes_lend(dsn: str, world: World) -> None:
    """Eight gates, each ticket at home at one of them; the homes answer as a door without a journal would."""
    night = Night(world, gates=8)
    night.divide()
    codes = [night.code() for _ in range(20)]
    start = threading.Barrier(len(night.gates))

    def race(gate_id: str) -> list[str]:
        answers = []
        with connect(dsn, autocommit=True) as conn:
            for code in codes:
                start.wait(PATIENCE)
                answers.append(granted_in_the_end(conn, night, gate_id, code))
        return answers

    with ThreadPoolExecutor(len(night.gates)) as pool:
        answers = list(pool.map(race, night.gates))
    for number in range(len(codes)):
        assert sorted(row[number] for row in answers) == ["granted"] + ["taken"] * 7


def granted_in_the_end(conn: Connection, night: Night, gate_id: str, code: str) -> str:
    scan = new_id()
    told = ask(conn, night, gate_id, code, scan, heard=night.gates)
    if told is not None and "lend" in told:
        wanted = {"venue": night.venue, "home": told["lend"], "scan": scan, "code_hash": code}
        wanted |= {"lent": True, "used": False, "heard": night.gates, "now": after(0.01)}
        told = call(conn, "take_lend_answer", **wanted)
    assert told is not None
    return str(told["grant"]["answer"])


@pytest.mark.parametrize(
    ("gate_id", "event", "words"),
    [
        ("gate-1", "XX", "no night 'XX'"),
        ("gate-9", "PF", "no tickets of its own"),
    ],
)
def test_a_retirement_that_is_not_possible_says_why(
    night: Night, conn: Connection, gate_id: str, event: str, words: str
) -> None:
    with pytest.raises(HubError, match=words):
        retire(conn, event, gate_id, "Eva", "water in it", NOW)


def test_the_last_home_is_not_retired(night: Night, conn: Connection) -> None:
    assert "Leave it off" in retire(conn, "PF", "gate-1", "Eva", "water in it", NOW)
    assert "already" in retire(conn, "PF", "gate-1", "Eva", "water in it", NOW)
    retire(conn, "PF", "gate-2", "Eva", "water in it", NOW)
    with pytest.raises(HubError, match="the last gate"):
        retire(conn, "PF", "gate-3", "Eva", "water in it", NOW)


def test_retiring_needs_tickets_that_are_divided(night: Night, conn: Connection, world: World) -> None:
    world.run("UPDATE events SET home_gates = '{}'")
    with pytest.raises(HubError, match="not divided among gates"):
        retire(conn, "PF", "gate-1", "Eva", "water in it", NOW)


def test_the_command_retires_a_gate(config_file: Path, config: HubConfig, night: Night) -> None:
    night.world.run("UPDATE gates SET venue = %s", config.venue)
    command = [sys.executable, "-m", "hub.cli.main", "retire", "gate-1", "--config", str(config_file)]
    command += ["--event", "PF", "--actor", "Eva", "--reason"]
    done = subprocess.run([*command, "water in it"], capture_output=True, text=True, check=True)
    assert "gate-1 is out for 'Night PF'" in done.stdout
    assert subprocess.run([*command, " "], capture_output=True, check=False).returncode == 2
    command[command.index("PF")] = "NO"
    assert subprocess.run([*command, "water in it"], capture_output=True, check=False).returncode == 2
    assert night.world.one("SELECT retired_gates FROM events") == ["gate-1"]


def test_an_unknown_policy_is_refused(world: World) -> None:
    world.event()
    with pytest.raises(psycopg.errors.CheckViolation):
        world.run("UPDATE events SET isolation_policy = 'maybe'")

"""A person frees a ticket that a dead gate holds, and only when its scan can no longer come (ADR 15)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.claims.free_grant import FreeRequest, free
from hub.db.connection import Connection
from hub.errors import HubError, UsageError
from hub.gates.home_gates import retire
from tests.integration.hub.asking import NOW, Night, after, new_id
from tests.integration.hub.world import World


class Held:
    """A night with one ticket, granted to gate-1, which then says nothing more."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.night = Night(world)
        self.code = self.night.code()
        self.ticket = str(world.one("SELECT ticket_id FROM tickets"))
        self.scan = new_id()
        assert self.night.answer("gate-1", self.code, self.scan) == "granted"

    def wish(self, *, is_off: bool = False, ticket: str | None = None) -> FreeRequest:
        return FreeRequest(
            event="pf", ticket=ticket or self.ticket, is_off=is_off, actor="Ana", reason="its card is dead"
        )

    def free(self, *, is_off: bool = False, seconds: float = 120) -> str:
        return free(self.world.conn, self.wish(is_off=is_off), after(seconds))

    def says(
        self, seconds: float, *, epoch: str = "e1", last_seq: int = 0, acked: int = 0, online: bool = True
    ) -> None:
        """Gate-1's status is heard."""
        self.world.run("DELETE FROM gate_status")
        self.world.run(
            "INSERT INTO gate_status (gate_id, online, door, epoch, last_seq, acked, heard_at)"
            " VALUES ('gate-1', %s, true, %s, %s, %s, %s)",
            online, epoch, last_seq, acked, after(seconds),
        )  # fmt: skip

    def unreadable(self, seconds: float) -> None:
        """Something of gate-1 goes to the quarantine."""
        self.world.run(
            "INSERT INTO scan_quarantine"
            " (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error, received_at)"
            " VALUES ('t', 'gate-1', 'e1', 1, 'x', 'h', 1, 'e', %s)",
            after(seconds),
        )

    def elsewhere(self) -> str:
        return self.night.answer("gate-2", self.code)


@pytest.fixture
def held(world: World) -> Held:
    return Held(world)


def test_a_grant_stays_while_nothing_is_known_of_its_gate(held: Held) -> None:
    held.says(5, online=False)
    with pytest.raises(HubError, match="gate-1 holds it, and its scan may still come"):
        held.free()
    assert held.elsewhere() == "taken"
    assert held.world.one("SELECT count(*) FROM audit_log") == 0


def test_a_persons_word_that_the_gate_is_off_frees_the_grant_and_is_recorded(held: Held) -> None:
    held.says(5, online=False)
    assert "Keep gate-1 off" in held.free(is_off=True)
    assert held.elsewhere() == "granted"
    assert held.world.all("SELECT actor, action, reason, details ->> 'scan_id' FROM audit_log") == [
        ("Ana", "free", "its card is dead", held.scan)
    ]


def test_a_gate_that_was_heard_within_a_minute_is_not_off(held: Held) -> None:
    held.says(70)
    with pytest.raises(HubError, match="may still come"):
        held.free(is_off=True, seconds=120)
    assert "free" in held.free(is_off=True, seconds=131)


def test_a_last_will_counts_as_heard_because_the_door_may_still_run(held: Held) -> None:
    """A goodbye or a last will also says "offline" when sync restarts or its line breaks."""
    held.says(119, online=False)
    with pytest.raises(HubError, match="may still come"):
        held.free(is_off=True, seconds=120)
    assert "free" in held.free(is_off=True, seconds=180)


@pytest.mark.parametrize("is_retired", [False, True])
def test_an_unreadable_record_of_its_gate_may_be_the_scan(
    held: Held, conn: Connection, *, is_retired: bool
) -> None:
    if is_retired:
        held.night.divide()
        retire(conn, "PF", "gate-1", "Eva", "water in it", NOW)
    held.unreadable(5)
    with pytest.raises(HubError, match="may still come: something gate-1 has sent since could not be read"):
        held.free(is_off=not is_retired, seconds=1200)
    assert held.elsewhere() == "taken"


def test_an_unreadable_record_from_before_the_grant_is_not_the_scan(held: Held) -> None:
    held.unreadable(-5)
    assert "free" in held.free(is_off=True, seconds=1200)


def test_a_grant_of_a_retired_gate_is_freed_by_a_person(held: Held, conn: Connection) -> None:
    held.night.divide()
    retire(conn, "PF", "gate-1", "Eva", "water in it", NOW)
    held.says(100)
    assert held.elsewhere() == "taken"  # not freed by itself: the guest may have been admitted there last
    with pytest.raises(HubError, match="may still come"):
        held.free(seconds=120)  # it was heard a moment ago
    held.free(seconds=161)
    assert held.elsewhere() == "granted"


@pytest.mark.parametrize(
    ("epoch", "last_seq", "acked", "is_freed"), [("e2", 0, 0, True), ("e2", 3, 2, False), ("e1", 0, 0, False)]
)
def test_a_new_card_frees_the_grant_once_all_its_records_have_arrived(
    held: Held, epoch: str, last_seq: int, acked: int, *, is_freed: bool
) -> None:
    """A salvaged journal has a new numbering, too, and brings the scan."""
    held.says(100, epoch=epoch, last_seq=last_seq, acked=acked)
    if is_freed:
        held.free()
    else:
        with pytest.raises(HubError, match="may still come"):
            held.free()
    assert held.elsewhere() == ("granted" if is_freed else "taken")


def test_a_ticket_whose_guest_is_in_is_never_freed(held: Held) -> None:
    held.night.ingest("gate-1", 1, held.code, held.scan)
    with pytest.raises(HubError, match="came in at gate-1"):
        held.free(is_off=True)


def test_a_scan_that_comes_after_all_is_kept_and_reported_as_a_conflict(held: Held) -> None:
    held.free(is_off=True)
    second = new_id()
    assert held.night.answer("gate-2", held.code, second) == "granted"
    held.night.ingest("gate-2", 1, held.code, second)
    held.night.ingest("gate-1", 1, held.code, held.scan)
    assert held.world.one("SELECT count(*) FROM scan_conflicts") == 1


def test_an_unknown_ticket_grant_or_night_is_an_error(held: Held) -> None:
    with pytest.raises(HubError, match="no such ticket"):
        free(held.world.conn, held.wish(ticket="MGY-NOBODYS"), NOW)
    held.night.give_back("gate-1", held.scan)
    with pytest.raises(HubError, match="no gate holds it"):
        held.free(is_off=True)
    with pytest.raises(UsageError, match="no night 'xx'"):
        free(held.world.conn, FreeRequest(event="xx", ticket="t", is_off=True, actor="A", reason="r"), NOW)


def test_the_command_frees_a_grant(held: Held, config_file: Path) -> None:
    command = [sys.executable, "-m", "hub.cli.main", "free", held.ticket, "--config", str(config_file)]
    said = ["--event", "PF", "--reason", "its card is dead", "--actor", "Ana"]
    refused = subprocess.run([*command, *said], capture_output=True, text=True, check=False)
    assert (refused.returncode, "--gate-is-off" in refused.stderr) == (1, True)
    done = subprocess.run([*command, *said, "--gate-is-off"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert held.elsewhere() == "granted"

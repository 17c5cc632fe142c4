"""Staff orders at a whole door: recorded, carried out once, answered, or refused in words (domain 2.3)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.common.errors import HardwareError, Step
from gate.door.orders import MOST_REMEMBERED, MOST_WAITING
from gate.hotline.messages import Refetch
from gate.ports.screen import Idle, Notice, StaffText, VerdictScreen
from gate.rules.command import LONGEST_ENVELOPE, Action, OrderReply
from gate.rules.model import Reason
from gate.rules.passage import Way
from gate.store.link_row import LinkNote
from tests.doors import SENSOR, Bench, TreacherousTurnstile, guests
from tests.factories import code_id
from tests.staff import Staff

ACTIONS: tuple[Action, ...] = ("release", "hold_open", "close", "show_text", "refetch", "restart")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SENSOR, feed=guests(5))
    bench.clock.synced = True
    yield bench
    bench.close()


@pytest.fixture
def staff(bench: Bench) -> Iterator[Staff]:
    staff = Staff(bench)
    yield staff
    staff.close()


def refused(reply: OrderReply | None) -> str:
    assert reply is not None
    assert reply.outcome == "refused"
    return reply.why


@pytest.mark.parametrize("action", ACTIONS)
def test_every_order_is_recorded_with_who_and_why_and_answered(
    bench: Bench, staff: Staff, action: Action
) -> None:
    reply = staff.order(action)
    assert reply is not None
    assert (reply.outcome, reply.why, reply.gate_id) == ("done", "", "gate-1")
    (record,) = bench.records()
    assert (record.scan_id, record.actor, record.note) == (reply.id, "ana", "she forgot her phone")
    assert (record.record, record.verdict, record.scan_method) == ("event", "none", "staff")
    assert record.released is (action == "release")


def test_a_release_lets_one_person_in_who_is_not_taken_for_an_intruder(bench: Bench, staff: Staff) -> None:
    staff.order("release")
    assert len(bench.relay.releases) == 1
    screen = bench.display.screens[-1]
    assert isinstance(screen, Notice)
    assert screen.word == "released"
    bench.inputs.bodies()
    bench.wait(1)
    assert bench.told() == [("event", "released"), ("passed", "passed")]


def test_a_release_nobody_walks_through_is_annulled_as_expired(bench: Bench, staff: Staff) -> None:
    staff.order("release")
    bench.wait(7.5)
    assert bench.told() == [("event", "released"), ("annulled", "expired")]


def test_a_release_uses_up_nobodys_ticket(bench: Bench, staff: Staff) -> None:
    staff.order("release")
    screen = bench.show(code_id())
    assert isinstance(screen, VerdictScreen)
    assert screen.verdict.reason is Reason.FIRST_ENTRY


def test_no_order_is_recorded_in_a_journal_restored_from_a_backup(bench: Bench, staff: Staff) -> None:
    """The hub already has another record under the next number."""
    staff.order("show_text")
    now = bench.clock.now()
    note = LinkNote(
        connected=True, hub_heard=True, since_ms=0, beat_ms=now.monotonic_ms, boot_id=now.boot_id,
        epoch="epoch-1", acked_seq=1, hub_seq=40,
    )  # fmt: skip
    bench.hub.put_link(note, None)
    assert "put back from a backup" in refused(staff.order("hold_open"))
    assert bench.told() == [("event", "text_shown")]


class Tripped(BaseException):
    """The power goes."""


def test_a_release_is_on_the_disk_before_the_turnstile_moves(
    bench: Bench, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut() -> None:
        with closing(sqlite3.connect(bench.folder / "journal.db")) as db:
            assert db.execute("select reason, released from scans").fetchall() == [("released", 1)]
            assert db.execute("select count(*) from openings").fetchone() == (1,)
        raise Tripped

    monkeypatch.setattr(bench.relay, "release", power_cut)
    staff.send(staff.sealed("release"))
    with pytest.raises(Tripped):
        bench.look()


def test_a_recorded_release_that_was_never_given_is_annulled_at_the_next_start(
    bench: Bench, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = bench.journal.part
    assert journal is not None

    def power_cut(_scan_id: str) -> None:
        raise Tripped

    monkeypatch.setattr(journal, "mark_opening", power_cut)
    sealed = staff.sealed("release")
    staff.send(sealed)
    with pytest.raises(Tripped):
        bench.look()
    bench.kill()
    bench.start()
    bench.wait(1)
    assert bench.told() == [("event", "released"), ("annulled", "not_opened")]
    assert bench.relay.releases == []


def test_an_order_is_carried_out_once_even_across_a_restart(bench: Bench, staff: Staff) -> None:
    sealed = staff.sealed("release")
    first = staff.give(sealed)
    assert first is not None
    second = staff.give(sealed)
    assert second is not None
    assert msgspec.structs.replace(second, at=first.at) == first  # delivered again: the same answer
    staff.close()
    (bench.folder / "sync.sock").unlink()
    bench.kill()
    bench.start()
    again = Staff(bench)
    assert "already" in refused(again.give(sealed))
    again.close()
    assert len(bench.relay.releases) == 1


def test_an_order_is_used_up_even_if_the_turnstile_does_not_open(bench: Bench, staff: Staff) -> None:
    relay = TreacherousTurnstile(lambda: 0.0)
    bench.relay = relay
    bench.parts.turnstile.close()
    relay.break_down(HardwareError("turnstile", "A wire is off.", "Look.", Step.TURNSTILE_WIRING))
    sealed = staff.sealed("release")
    assert "did not open" in refused(staff.give(sealed))
    assert bench.told() == [("event", "released"), ("annulled", "not_opened")]
    assert "did not open" in refused(staff.give(sealed))


def test_a_refused_order_stays_refused_though_it_could_be_carried_out_now(bench: Bench, staff: Staff) -> None:
    bench.clock.synced = False
    sealed = staff.sealed("release")
    assert "does not know the time" in refused(staff.give(sealed))
    bench.clock.synced = True
    assert "does not know the time" in refused(staff.give(sealed))
    assert bench.relay.releases == []


def test_remembered_answers_are_bounded_and_no_order_is_carried_out_twice(bench: Bench, staff: Staff) -> None:
    first = staff.sealed("show_text")
    assert staff.give(first) is not None
    for _ in range(MOST_REMEMBERED):
        staff.order("show_text")
    assert "already" in refused(staff.give(first))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate_id": "gate-2"}, "it is for gate 'gate-2'"),
        ({"action": "show_text", "text": " "}, "there is no text"),
        ({"action": "resume"}, "changes nothing"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_and_not_recorded(
    bench: Bench, staff: Staff, changes: dict[str, Any], words: str
) -> None:
    assert words in refused(staff.order(changes.pop("action", "release"), **changes))
    assert bench.records() == []
    assert bench.relay.releases == []


def test_an_order_is_refused_if_it_has_expired_or_the_time_is_not_known(bench: Bench, staff: Staff) -> None:
    sealed = staff.sealed("release")
    bench.clock.forward(31)
    assert refused(staff.give(sealed)) == "it has expired"
    bench.clock.synced = False
    assert "does not know the time" in refused(staff.order("hold_open"))
    assert bench.records() == []


@pytest.mark.parametrize(("key_id", "why"), [("S1", "its signature is wrong"), ("S9", "is not known here")])
def test_orders_signed_with_another_key_are_refused_and_do_not_fill_the_log(
    bench: Bench, staff: Staff, key_id: str, why: str
) -> None:
    forged = [staff.sealed("release", Ed25519PrivateKey.from_private_bytes(b"x" * 32)) for _ in range(20)]
    forged = [one.replace(b'"key":"S1"', f'"key":"{key_id}"'.encode()) for one in forged]
    with structlog.testing.capture_logs() as log:
        assert all(why in refused(staff.give(one)) for one in forged)
    assert len([line for line in log if line["log_level"] == "warning"]) == 1
    assert bench.records() == []


def test_an_unverified_order_for_another_gate_or_an_unreadable_one_is_not_answered(
    bench: Bench, staff: Staff
) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    assert staff.give(staff.sealed("release", stranger, gate_id="gate-2")) is None
    assert staff.give(b'{"body":"AAAA","key":"S1","signature":""}') is None
    assert staff.give(b"x" * (LONGEST_ENVELOPE + 1)) is None


def test_a_forged_order_does_not_block_the_real_one(bench: Bench, staff: Staff) -> None:
    sealed = staff.sealed("release")
    forged = sealed.replace(b'"key":"S1"', b'"key":"S9"')
    assert "is not known here" in refused(staff.give(forged))
    reply = staff.give(sealed)
    assert reply is not None
    assert reply.outcome == "done"


def test_after_a_flood_of_bad_orders_staff_is_still_heard(bench: Bench, staff: Staff) -> None:
    for _ in range(MOST_WAITING * 2):
        staff.send(b'{"body":"","key":"S1","signature":""}')
    bench.wait(0.05)
    bench.wait(MOST_WAITING / 5 + 1)
    reply = staff.order("release")
    assert reply is not None
    assert reply.outcome == "done"


def way(bench: Bench) -> Way:
    return bench.turnstile.state.way


def test_the_turnstile_is_held_open_closed_and_resumed_by_order(bench: Bench, staff: Staff) -> None:
    staff.order("hold_open")
    assert way(bench) is Way.HELD_OPEN
    assert "held open" in refused(staff.order("release"))
    staff.order("close")
    assert way(bench) is Way.CLOSED
    staff.order("resume")
    assert way(bench) is Way.NORMAL
    assert bench.told() == [("event", "held_open"), ("event", "closed"), ("event", "resumed")]


def test_the_fire_alarm_beats_every_order(bench: Bench, staff: Staff) -> None:
    bench.inputs.fire(on=True)
    bench.look()
    assert "fire alarm" in refused(staff.order("release"))
    staff.order("close")
    assert way(bench) is Way.FREE_PASSAGE
    bench.inputs.fire(on=False)
    bench.wait(6)
    assert way(bench) is Way.CLOSED


def test_a_staff_text_is_shown_for_ten_seconds_between_guests(bench: Bench, staff: Staff) -> None:
    staff.send(staff.sealed("show_text", text="Wristbands to GATE 2"))
    assert isinstance(bench.show(code_id(), seconds=0), VerdictScreen)
    bench.wait(1.4)
    assert isinstance(bench.display.screens[-1], VerdictScreen)
    bench.wait(0.3)
    shown = bench.display.screens[-1]
    assert isinstance(shown, StaffText)
    assert shown.text == "Wristbands to GATE 2"
    bench.wait(4.9)
    bench.inputs.bodies()
    bench.wait(4)
    assert isinstance(bench.display.screens[-1], StaffText)
    bench.wait(2)
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_refetch_is_handed_to_sync(bench: Bench, staff: Staff) -> None:
    staff.send(staff.sealed("refetch"))
    bench.wait(0.25)
    assert Refetch() in staff.heard()


def test_a_restart_is_recorded_and_answered_and_ends_the_door(bench: Bench, staff: Staff) -> None:
    reply = staff.order("restart")
    assert reply is not None
    assert reply.outcome == "done"
    assert bench.told() == [("event", "restarted")]
    assert bench.door.run(threading.Event()) is True


def test_without_a_journal_no_order_is_carried_out(bench: Bench, staff: Staff) -> None:
    journal = bench.journal.part
    assert journal is not None
    journal._db.close()
    assert "cannot be recorded" in refused(staff.order("release"))
    assert bench.relay.releases == []


def test_a_deeply_nested_order_is_dropped_and_the_next_one_carried_out(bench: Bench, staff: Staff) -> None:
    staff.give(b'{"zz":' + b"[" * 1_500)
    reply = staff.order("release")
    assert reply is not None
    assert reply.outcome == "done"

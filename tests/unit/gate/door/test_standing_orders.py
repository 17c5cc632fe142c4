"""Hold-open and close survive a restart of the door; a hold-open ends with its night (domain 2.3)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.ports.screen import Notice
from gate.rules.command import Action
from gate.rules.model import Event
from gate.rules.night import LINGER, night_ends, tonight
from gate.rules.passage import Way
from gate.store.link_row import LinkNote
from sync.wire.messages import GateConfig
from tests.doors import SENSOR, Bench, guests
from tests.factories import DOORS, NOW, an_event, code_id
from tests.fakes import RecordingTurnstile
from tests.staff import Staff

MERIDA = ZoneInfo("America/Merida")
ENDS = an_event().ends_at


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SENSOR, feed=guests(5))
    bench.clock.synced = True
    yield bench
    bench.close()


def order(bench: Bench, *actions: Action) -> None:
    staff = Staff(bench)
    for action in actions:
        reply = staff.order(action, id=str(uuid.uuid4()))
        assert reply is not None
        assert reply.outcome == "done"
    staff.close()
    (bench.folder / "sync.sock").unlink()


def killed_and_started(bench: Bench, *, seconds: float = 5) -> None:
    bench.kill()
    bench.clock.forward(seconds)
    bench.relay = RecordingTurnstile(lambda: bench.clock.monotonic_ms / 1000)
    bench.start()
    bench.wait(0.1)


def way(bench: Bench) -> Way:
    return bench.turnstile.state.way


def word(bench: Bench) -> str:
    screen = bench.display.screens[-1]
    return screen.word if isinstance(screen, Notice) else type(screen).__name__


def test_a_gate_held_open_is_held_open_again_after_a_restart(bench: Bench) -> None:
    order(bench, "hold_open")
    killed_and_started(bench)
    assert (way(bench), word(bench), bench.relay.is_open) == (Way.HELD_OPEN, "held_open", True)
    assert bench.told() == [("event", "held_open")]


def test_a_closed_gate_is_closed_again_after_a_restart_and_answers_nobody(bench: Bench) -> None:
    order(bench, "hold_open", "close")
    killed_and_started(bench)
    assert (way(bench), word(bench), bench.relay.is_open) == (Way.CLOSED, "closed", False)
    bench.show(code_id())
    assert bench.relay.releases == []
    assert bench.told() == [("event", "held_open"), ("event", "closed")]


def test_a_resumed_gate_is_normal_after_a_restart(bench: Bench) -> None:
    order(bench, "close", "resume")
    killed_and_started(bench)
    assert way(bench) is Way.NORMAL


def test_the_first_scan_after_a_restart_already_finds_the_gate_closed(bench: Bench) -> None:
    order(bench, "close")
    bench.kill()
    bench.start()
    bench.show(code_id(), seconds=0)
    assert bench.told() == [("event", "closed")]


def test_the_first_order_after_a_restart_finds_the_state_from_before(bench: Bench) -> None:
    order(bench, "close")
    bench.kill()
    bench.start()
    order(bench, "resume")
    assert way(bench) is Way.NORMAL


def test_a_gate_held_open_works_normally_when_the_night_ends(bench: Bench) -> None:
    order(bench, "hold_open")
    bench.clock.forward((ENDS - bench.clock.wall).total_seconds() - 1)
    bench.look()
    assert way(bench) is Way.HELD_OPEN
    bench.clock.forward(2)
    bench.wait(0.1)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)
    assert bench.told() == [("event", "held_open"), ("event", "resumed")]


def test_a_hold_open_of_last_night_is_not_restored(bench: Bench) -> None:
    order(bench, "hold_open")
    killed_and_started(bench, seconds=12 * 3600)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)
    assert bench.told() == [("event", "held_open"), ("event", "resumed")]
    killed_and_started(bench)
    assert len(bench.records()) == 2


def put_back(bench: Bench, *actions: Action) -> None:
    """Give these orders, kill the door, and put back its journal from before them."""
    bench.kill()
    backup = {file: file.read_bytes() for file in bench.folder.glob("journal.db*")}
    bench.start()
    order(bench, *actions)
    bench.kill()
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    for file, content in backup.items():
        file.write_bytes(content)
    bench.relay = RecordingTurnstile(lambda: bench.clock.monotonic_ms / 1000)


def hub_has(bench: Bench, seq: int) -> None:
    now = bench.clock.now()
    bench.hub.put_link(
        LinkNote(
            boot_id=now.boot_id,
            beat_ms=now.monotonic_ms,
            connected=True,
            hub_heard=True,
            since_ms=0,
            epoch="epoch-1",
            acked_seq=seq,
            hub_seq=seq,
        ),
        None,
    )


def test_a_hold_open_from_before_the_journals_lost_end_is_not_restored(bench: Bench) -> None:
    """Staff had ended it, but that record is lost and the gate does not know."""
    order(bench, "hold_open")
    put_back(bench, "resume")
    hub_has(bench, 2)
    bench.start()
    bench.wait(5)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)
    assert bench.told() == [("event", "held_open"), ("event", "resumed")]
    bench.journal.get(0).end_history_lost()  # type: ignore[union-attr]
    killed_and_started(bench)
    assert way(bench) is Way.NORMAL


def test_a_restored_hold_open_ends_once_its_journal_is_found_to_have_lost_its_end(
    bench: Bench,
) -> None:
    """As if the whole card was restored from an image, including what sync knew about the hub."""
    order(bench, "hold_open")
    put_back(bench, "resume")
    bench.start()
    bench.wait(1)
    assert way(bench) is Way.HELD_OPEN
    hub_has(bench, 2)
    bench.show(code_id(), seconds=10)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)


def test_a_hold_open_ordered_after_the_journals_loss_is_restored(bench: Bench) -> None:
    order(bench, "hold_open")
    put_back(bench, "resume")
    hub_has(bench, 2)
    bench.start()
    bench.wait(1)
    order(bench, "hold_open")
    killed_and_started(bench)
    assert bench.journal.get(0).history_lost() is not None  # type: ignore[union-attr]
    assert way(bench) is Way.HELD_OPEN


def test_a_hold_open_this_door_received_itself_survives_a_loss_of_its_journal(bench: Bench) -> None:
    order(bench, "hold_open")
    killed_and_started(bench)
    order(bench, "resume", "hold_open")
    hub_has(bench, 99)
    bench.show(code_id(), seconds=10)
    assert all(record.epoch != "epoch-1" for record in bench.records())
    assert way(bench) is Way.HELD_OPEN


def test_a_closed_gate_is_closed_again_whatever_its_journal_has_lost(bench: Bench) -> None:
    order(bench, "close")
    put_back(bench, "resume")
    hub_has(bench, 2)
    bench.start()
    bench.wait(5)
    assert way(bench) is Way.CLOSED


def test_a_hold_open_just_after_the_nights_end_does_not_last_into_the_next_night(bench: Bench) -> None:
    """ "Let everybody out", at ten past six."""
    tomorrow = an_event(
        event_id="event-2",
        code="PS",
        doors_open_at=ENDS + timedelta(hours=15),
        ends_at=ENDS + timedelta(days=1),
    )
    bench.hub.put_config(
        GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(), tomorrow))
    )
    bench.clock.forward((ENDS - bench.clock.wall).total_seconds() + 600)
    bench.look()
    order(bench, "hold_open")
    bench.clock.forward(LINGER.total_seconds() - 700)
    bench.look()
    assert way(bench) is Way.HELD_OPEN
    bench.kill()
    bench.start()
    bench.look()
    assert way(bench) is Way.HELD_OPEN
    killed_and_started(bench, seconds=15 * 3600)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)


def test_a_close_order_still_in_force_is_not_pruned(bench: Bench) -> None:
    order(bench, "close")
    bench.clock.forward(32 * 86_400)
    tidied(bench)
    killed_and_started(bench)
    assert way(bench) is Way.CLOSED
    order(bench, "resume")
    bench.clock.forward(32 * 86_400)
    tidied(bench)
    assert bench.records() == []


def tidied(bench: Bench) -> None:
    journal, now = bench.journal.get(0), bench.clock.now()
    assert journal is not None
    journal.tidy(journal.last_seq(), now.wall - timedelta(days=30), now)


def test_a_gate_closed_last_night_is_closed_until_staff_opens_it(bench: Bench) -> None:
    order(bench, "close")
    killed_and_started(bench, seconds=12 * 3600)
    assert way(bench) is Way.CLOSED


def test_after_a_boot_a_gate_is_not_held_open_before_it_knows_the_time(bench: Bench) -> None:
    order(bench, "hold_open")
    bench.kill()
    bench.relay = RecordingTurnstile(lambda: bench.clock.monotonic_ms / 1000)
    bench.clock.reboot()
    bench.start()
    bench.wait(1)
    assert (way(bench), bench.relay.is_open) == (Way.NORMAL, False)
    bench.clock.synced = True
    bench.wait(0.1)
    assert (way(bench), bench.relay.is_open) == (Way.HELD_OPEN, True)


def test_after_a_boot_a_closed_gate_is_closed_whatever_the_time_is(bench: Bench) -> None:
    order(bench, "close")
    bench.kill()
    bench.clock.reboot()
    bench.start()
    bench.look()
    assert way(bench) is Way.CLOSED


def test_a_night_ends_with_its_event_and_without_one_at_six() -> None:
    six = datetime(2026, 11, 21, 6, tzinfo=UTC)
    late = an_event(ends_at=six + timedelta(hours=1))
    cancelled = an_event(status="cancelled", ends_at=late.ends_at)
    short = an_event(doors_open_at=DOORS + timedelta(hours=1), ends_at=six - timedelta(hours=3))
    brunch = an_event(doors_open_at=late.ends_at + timedelta(minutes=15), ends_at=six + timedelta(hours=9))
    for at, events, ends in (
        (NOW, [an_event(ends_at=DOORS + timedelta(hours=7))], DOORS + timedelta(hours=7)),
        (NOW, [an_event(), late], late.ends_at),
        (DOORS - timedelta(hours=6), [late], late.ends_at),
        (six + timedelta(minutes=30), [late], late.ends_at),
        (late.ends_at, [late], late.ends_at + LINGER),
        (short.ends_at, [short, late], late.ends_at),
        (late.ends_at + timedelta(minutes=7), [late, brunch], brunch.doors_open_at),
        (late.ends_at + timedelta(minutes=8), [late, brunch], brunch.ends_at),
        (late.ends_at + LINGER, [late], six + timedelta(days=1)),
        (late.ends_at, [cancelled], six + timedelta(days=1)),
        (NOW, [], six),
        (NOW, [cancelled], six),
        (DOORS - timedelta(days=3), [late], six - timedelta(days=3)),
    ):
        assert night_ends(at, events, UTC) == ends


@given(st.integers(1, 48 * 60), st.integers(0, 30 * 60), st.sampled_from([UTC, MERIDA]))
def test_a_night_that_is_over_and_still_tonight_ends_before_the_next_doors(
    minutes: int, later: int, zone: ZoneInfo
) -> None:
    doors = ENDS + timedelta(minutes=minutes)
    events = [
        an_event(),
        an_event(event_id="event-2", doors_open_at=doors, ends_at=doors + timedelta(hours=8)),
    ]
    at = ENDS + timedelta(minutes=later)
    ends = night_ends(at, events, zone)
    if tonight(events, at) == events[0]:
        assert at < ends <= min(doors, ENDS + LINGER)
    else:
        assert ends > at


@given(
    st.integers(0, 100 * 365 * 24 * 60).map(lambda minutes: DOORS + timedelta(minutes=minutes)),
    st.sampled_from([UTC, MERIDA, ZoneInfo("Europe/Madrid")]),
)
def test_a_night_without_an_event_ends_within_a_day_at_six_in_the_morning(
    at: datetime, zone: ZoneInfo
) -> None:
    ends = night_ends(at, list[Event](), zone)
    assert timedelta() < ends - at <= timedelta(hours=25)
    assert (ends.astimezone(zone).hour, ends.astimezone(zone).minute) == (6, 0)

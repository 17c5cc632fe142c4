"""A list that is known to be behind (domain 2.3): sync remembers it until the list has caught up."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from display.text.words import compose
from gate.common.findings import Severity
from gate.config import read_gate_config
from gate.diagnostics.checks import check_files
from gate.diagnostics.status import gather
from gate.hotline.messages import Refetch
from gate.rules.model import Kind, Status
from gate.rules.presence import Presented
from gate.store.cache import is_stale
from gate.store.link_row import Behind
from sync.broker.mqtt import Connected, Disconnected
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, GateConfig, Head
from tests.doors import make_desk
from tests.factories import DOORS, a_table, an_admission, an_event, code_id, pass_id
from tests.sync_bench import TOPICS, Bench

SATURDAY = an_event(event_id="event-2", code="PS", doors_open_at=DOORS + timedelta(hours=2))


def told(bench: Bench, event_id: str = "event-1") -> bool:
    """Whether the door can read that the list is behind."""
    now = bench.clock.now()
    return is_stale(bench.reader.link(now), event_id, now.monotonic_ms)


def lacks(bench: Bench, event_id: str = "event-1") -> Behind | None:
    return bench.reader.link(bench.clock.now()).behind.get(event_id)


def age(bench: Bench, event_id: str = "event-1") -> int | None:
    return bench.reader.feed(event_id, bench.clock.wall).age_s


def wait(bench: Bench, seconds: int) -> None:
    for _ in range(seconds):
        bench.step(seconds=1)


def head(bench: Bench, version: int, event_id: str = "event-1", generation: int = 1) -> None:
    told = Head(event_id=event_id, version=version, count=1, generation=generation)
    bench.hear(TOPICS.head(event_id), told)


def restart(bench: Bench) -> None:
    """Restart sync, with a broker that crashed in the meantime and has no head any more."""
    bench.clock.forward(3)
    bench.sync = bench.start()
    bench.connect()


@pytest.fixture
def current(bench: Bench) -> Bench:
    """A gate that has everything, up to version 5."""
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    wait(bench, 12)
    assert not told(bench)
    assert age(bench) in (0, 1)
    return bench


def test_a_list_behind_its_head_for_ten_seconds_is_reported_and_ages(current: Bench) -> None:
    head(current, 9)
    wait(current, 9)
    assert not told(current)
    wait(current, 3)
    assert told(current)
    wanted = lacks(current)
    assert wanted is not None
    assert (wanted.version, wanted.missing) == (9, 4)
    assert (age(current) or 0) >= 12


def test_a_restart_of_sync_remembers_what_is_missing_and_since_when(current: Bench) -> None:
    head(current, 9)
    wait(current, 6)
    restart(current)
    wait(current, 2)
    assert told(current)
    wanted = lacks(current)
    assert wanted is not None
    assert (wanted.version, wanted.missing) == (9, 4)


def test_a_lost_connection_does_not_reset_what_is_missing(current: Bench) -> None:
    head(current, 9)
    current.step(Disconnected("broker crashed"))
    current.step(seconds=1)
    current.step(Connected())
    wait(current, 11)
    assert told(current)


def test_a_reboot_does_not_reset_what_is_missing(current: Bench) -> None:
    head(current, 9)
    wait(current, 2)
    current.clock.reboot()
    assert told(current)
    restart(current)
    wait(current, 3)
    assert told(current)


def test_catching_up_ends_it_at_once_and_across_a_restart(current: Bench) -> None:
    head(current, 9)
    wait(current, 12)
    changes = tuple(Change(version=version, row=an_admission()) for version in range(6, 10))
    current.step(FetchedFeed(event_id="event-1", version=9, since=5, changes=changes))
    wait(current, 1)
    assert (told(current), lacks(current), age(current)) == (False, None, 0)
    restart(current)
    wait(current, 12)
    assert not told(current)


def test_a_page_that_is_not_the_last_does_not_make_the_list_current(current: Bench) -> None:
    head(current, 9)
    wait(current, 30)
    page = tuple(Change(version=version, row=an_admission()) for version in (6, 7))
    current.step(FetchedFeed(event_id="event-1", version=7, since=5, changes=page, newest=9))
    wait(current, 1)
    wanted = lacks(current)
    assert wanted is not None
    assert (told(current), wanted.missing) == (True, 2)
    assert (age(current) or 0) >= 30


def test_a_gap_that_is_not_filled_is_reported(current: Bench) -> None:
    cancelled = an_admission(status=Status.CANCELLED)
    change = Change(version=8, row=cancelled)
    current.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(change,)))
    wait(current, 11)
    assert told(current)


def test_a_newer_generation_is_reported_though_its_version_is_lower(current: Bench) -> None:
    head(current, 2, generation=7)
    wait(current, 11)
    wanted = lacks(current)
    assert wanted is not None
    assert (told(current), wanted.missing) == (True, None)


def test_a_night_that_was_never_loaded_is_reported(bench: Bench) -> None:
    bench.connect()
    bench.step(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(an_event(),)))
    wait(bench, 11)
    assert told(bench)


def test_an_ordered_reload_is_remembered_across_a_restart(current: Bench) -> None:
    current.ask(Refetch())
    wait(current, 2)
    restart(current)
    wait(current, 11)
    wanted = lacks(current)
    assert wanted is not None
    assert (told(current), wanted.whole) == (True, True)
    current.step(current.snapshot(5, an_admission()))
    wait(current, 1)
    assert not told(current)


def test_one_night_can_be_behind_while_the_other_stays_current(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.step(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(an_event(), SATURDAY)))
    for event_id in ("event-1", "event-2"):
        bench.step(bench.snapshot(5, an_admission(code_id(1), event_id=event_id), event=event_id))
    head(bench, 9, "event-2")
    wait(bench, 20)
    assert (told(bench, "event-1"), told(bench, "event-2")) == (False, True)
    assert age(bench, "event-1") in (0, 1)
    assert (age(bench, "event-2") or 0) >= 20


def test_the_status_reports_a_list_that_is_behind_to_the_hub(current: Bench) -> None:
    head(current, 9)
    wait(current, 25)
    assert current.status().parts["tickets"].startswith("one night's list is behind for ")
    changes = tuple(Change(version=version, row=an_admission()) for version in range(6, 10))
    current.step(FetchedFeed(event_id="event-1", version=9, since=5, changes=changes))
    wait(current, 11)
    assert "tickets" not in current.status().parts


def test_a_busy_night_that_sync_keeps_up_with_is_never_behind(current: Bench) -> None:
    for version in range(6, 40):
        head(current, version)
        change = Change(version=version, row=an_admission())
        current.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(change,)))
        wait(current, 1)
        assert not told(current)
    assert lacks(current) is None


CONFIG = """gate_id = "gate-1"
venue = "maguey"
state_dir = "{folder}"
runtime_dir = "{folder}/run"
[camera]
driver = "folder"
path = "{folder}"
[turnstile]
driver = "mock"
[screen]
driver = "dummy"
[hub]
url = "http://127.0.0.1:9"
token_file = "{folder}/token"
broker = "127.0.0.1"
"""


def test_admissions_from_an_old_list_after_a_restart_are_flagged(current: Bench) -> None:
    """Passes were cancelled and the head announces it, but the hub does not answer over HTTP."""
    folder, number = current.folder, pass_id(1)
    guest = an_admission(number, kind=Kind.VIP_PASS, reservation_id="reservation-1")
    current.step(current.snapshot(5, an_event(), a_table(), guest))
    current.sync = current.start()
    current.connect()
    head(current, 9)
    wait(current, 83)
    desk = make_desk(current.journal, current.reader, current.clock, {})
    answered = desk.answer(Presented.of(number.encode()))
    assert answered.record is not None
    assert (answered.record.reason.value, answered.record.flags) == ("first_entry", ("stale",))
    assert (answered.record.cache_age_s or 0) >= 83
    assert compose(answered.screen, "en", UTC).banner == ("OLD LIST · 1 min",)
    (folder / "gate.toml").write_text(CONFIG.format(folder=folder))
    status = gather(read_gate_config(folder / "gate.toml"), current.clock)
    (problem,) = [one for one in status.problems if "BEHIND" in one]
    assert problem.startswith("The list of Perreo Fridays is BEHIND the hub's by 4 changes, for 8")
    (finding,) = [one for one in check_files(status) if one.check == "cache"]
    assert (finding.level, "BEHIND the hub's by 4 changes" in finding.result) == (Severity.WARNING, True)

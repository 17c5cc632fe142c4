"""A list that is known to be behind (domain 2.3): what sync knows of it, and forgets once it is mended."""

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
    """Whether the door reads that the list is behind."""
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
    """Sync anew, and a broker that crashed meanwhile: it keeps no head."""
    bench.clock.forward(3)
    bench.sync = bench.start()
    bench.connect()


@pytest.fixture
def current(bench: Bench) -> Bench:
    """A gate that holds all there is: version 5."""
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    wait(bench, 12)
    assert not told(bench)
    assert age(bench) in (0, 1)
    return bench


def test_a_head_that_is_ahead_for_ten_seconds_is_told_of_and_ages_the_list(current: Bench) -> None:
    head(current, 9)
    wait(current, 9)
    assert not told(current)
    wait(current, 3)
    assert told(current)
    wanted = lacks(current)
    assert wanted is not None
    assert (wanted.version, wanted.missing) == (9, 4)
    assert (age(current) or 0) >= 12


def test_a_restart_of_sync_forgets_neither_what_is_missing_nor_since_when(current: Bench) -> None:
    head(current, 9)
    wait(current, 6)
    restart(current)
    wait(current, 2)
    assert told(current)
    wanted = lacks(current)
    assert wanted is not None
    assert (wanted.version, wanted.missing) == (9, 4)


def test_a_connection_that_broke_off_forgets_it_no_more_than_a_restart(current: Bench) -> None:
    head(current, 9)
    current.step(Disconnected("broker crashed"))
    current.step(seconds=1)
    current.step(Connected())
    wait(current, 11)
    assert told(current)


def test_what_was_missing_before_the_machine_was_started_is_still_missing(current: Bench) -> None:
    head(current, 9)
    wait(current, 2)
    current.clock.reboot()
    assert told(current)
    restart(current)
    wait(current, 3)
    assert told(current)


def test_caught_up_it_is_over_at_once_also_after_a_restart(current: Bench) -> None:
    head(current, 9)
    wait(current, 12)
    changes = tuple(Change(version=version, row=an_admission()) for version in range(6, 10))
    current.step(FetchedFeed(event_id="event-1", version=9, since=5, changes=changes))
    wait(current, 1)
    assert (told(current), lacks(current), age(current)) == (False, None, 0)
    restart(current)
    wait(current, 12)
    assert not told(current)


def test_a_page_that_leaves_more_to_come_makes_nothing_current(current: Bench) -> None:
    head(current, 9)
    wait(current, 30)
    page = tuple(Change(version=version, row=an_admission()) for version in (6, 7))
    current.step(FetchedFeed(event_id="event-1", version=7, since=5, changes=page, newest=9))
    wait(current, 1)
    wanted = lacks(current)
    assert wanted is not None
    assert (told(current), wanted.missing) == (True, 2)
    assert (age(current) or 0) >= 30


def test_a_gap_that_is_not_filled_is_told_of(current: Bench) -> None:
    cancelled = an_admission(status=Status.CANCELLED)
    change = Change(version=8, row=cancelled)
    current.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(change,)))
    wait(current, 11)
    assert told(current)


def test_a_generation_behind_is_told_of_though_the_number_is_lower(current: Bench) -> None:
    head(current, 2, generation=7)
    wait(current, 11)
    wanted = lacks(current)
    assert wanted is not None
    assert (told(current), wanted.missing) == (True, None)


def test_a_night_that_was_never_loaded_is_told_of(bench: Bench) -> None:
    bench.connect()
    bench.step(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(an_event(),)))
    wait(bench, 11)
    assert told(bench)


def test_a_reload_that_was_ordered_is_not_forgotten_by_a_restart(current: Bench) -> None:
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


def test_of_two_nights_one_is_behind_and_the_other_stays_current(bench: Bench) -> None:
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


def test_the_gates_status_tells_the_hub(current: Bench) -> None:
    head(current, 9)
    wait(current, 25)
    assert current.status().parts["tickets"].startswith("one night's list is behind for ")
    changes = tuple(Change(version=version, row=an_admission()) for version in range(6, 10))
    current.step(FetchedFeed(event_id="event-1", version=9, since=5, changes=changes))
    wait(current, 11)
    assert "tickets" not in current.status().parts


def test_a_busy_night_that_is_followed_is_never_behind(current: Bench) -> None:
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


def test_restarted_with_the_hubs_web_side_down_a_gate_admits_nobody_without_saying_so(current: Bench) -> None:
    """Two passes were cancelled; the head tells of it, and nobody answers over HTTP."""
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

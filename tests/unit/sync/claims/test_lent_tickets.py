"""This gate's own tickets, lent to others (domain 2.3, situation 3, policy ``home_gate``)."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
import pytest

from gate.rules.home_gate import division_of
from gate.rules.model import Reason, Ruling
from gate.store.journal import Journal
from gate.store.locks import LOCK_FILE, lending_lock
from sync.broker.mqtt import Connected
from sync.feed.fetcher import WantConfig
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, GateConfig, LendAnswer, LendRequest
from tests.factories import a_record, an_event
from tests.sync_bench import TOPICS, Bench

HASH = a_record(1).code_hash or ""
NIGHT = an_event(isolation="home_gate", homes=("gate-1", "gate-2"))
LEND = LendRequest(scan_id="scan-9", code_hash=HASH, event_id="event-1", to="gate-2")


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.connect()
    return bench


def lent(bench: Bench) -> set[str]:
    with closing(sqlite3.connect(bench.folder / "cache.db")) as db:
        return {code for (code,) in db.execute("select code_hash from lent")}


def answers(bench: Bench) -> list[bool]:
    return [answer.lent for answer in bench.to_hub(LendAnswer)]


def config(**lent: tuple[str, ...]) -> GateConfig:
    """A configuration with lent tickets by event."""
    nights = {event.replace("_", "-"): codes for event, codes in lent.items()}
    return GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(NIGHT,), lent=nights)


def test_a_ticket_not_used_here_is_recorded_as_lent_and_lent(bench: Bench) -> None:
    bench.scan()  # another code
    bench.grant(LendRequest(scan_id="scan-9", code_hash="cd" * 32, event_id="event-1", to="gate-2"))
    assert bench.to_hub(LendAnswer) == [LendAnswer(scan_id="scan-9", code_hash="cd" * 32, lent=True)]
    assert lent(bench) == {"cd" * 32}


def test_a_ticket_admitted_here_is_not_lent(bench: Bench) -> None:
    bench.scan()
    bench.grant(LEND)
    assert [(one.lent, one.used) for one in bench.to_hub(LendAnswer)] == [(False, True)]


def test_a_ticket_refused_here_or_whose_admission_was_annulled_is_lent(bench: Bench) -> None:
    bench.scan(verdict=Ruling.DENY, reason=Reason.TOO_EARLY, released=False)
    bench.grant(LEND)
    assert answers(bench) == [True]
    with bench.journal.turn() as turn:
        turn.append(a_record(2, code_hash=HASH))
        turn.append(a_record(3, record="annulled", verdict=Ruling.NONE, refers_to=a_record(2).scan_id))
    bench.grant(LEND)
    assert answers(bench) == [True, True]


def test_a_repeated_request_gets_the_same_answer(bench: Bench) -> None:
    bench.scan()
    bench.grant(LEND)
    bench.grant(LEND)
    assert answers(bench) == [False, False]


def test_while_the_door_admits_alone_nothing_is_lent(bench: Bench) -> None:
    bench.scan()
    with lending_lock(bench.folder / LOCK_FILE, 0.0):
        bench.grant(LEND)
    assert (answers(bench), lent(bench)) == ([False], set())
    assert not bench.to_hub(LendAnswer)[-1].used


def test_a_gate_that_lost_history_lends_nothing(bench: Bench) -> None:
    bench.scan()
    with closing(sqlite3.connect(bench.folder / "journal.db")) as db, db:
        db.execute("insert into meta values ('history_lost', '1')")
    bench.grant(LendRequest(scan_id="scan-9", code_hash="cd" * 32, event_id="event-1", to="gate-2"))
    bench.grant(LEND)
    assert [(one.lent, one.used) for one in bench.to_hub(LendAnswer)] == [(False, False), (False, True)]


def test_a_gate_without_a_journal_lends_nothing(bench: Bench) -> None:
    bench.journal.close()
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    bench.grant(LEND)
    assert answers(bench) == [False]
    bench.journal = Journal(bench.folder / "journal.db", "gate-1", "epoch-2")


def test_tickets_lent_according_to_the_hub_are_known_with_the_first_configuration(bench: Bench) -> None:
    bench.step(seconds=1)
    assert bench.note().lent_as_of == {}
    bench.step(config(event_1=("aa", "bb")))
    bench.step(seconds=1)
    assert (bench.note().lent_as_of, lent(bench)) == ({"event-1": division_of(NIGHT)}, {"aa", "bb"})


def test_a_new_division_of_a_nights_tickets_fetches_the_lent_ones_at_once(bench: Bench) -> None:
    bench.step(config(), FetchedFeed(event_id="event-1", version=5, spooled=bench.cache.spool.fill([NIGHT])))
    bench.wanted.clear()
    retired = msgspec.structs.replace(NIGHT, retired=("gate-2",))
    bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(Change(version=6, row=retired),)))
    assert bench.wanted == [WantConfig()]


def test_a_lent_ticket_stays_lent_whatever_a_later_configuration_says(bench: Bench) -> None:
    bench.grant(LEND)
    bench.step(config())
    bench.step(config(event_1=("aa",)))
    assert lent(bench) == {HASH, "aa"}


def test_lent_tickets_of_a_past_night_are_forgotten(bench: Bench) -> None:
    bench.step(config(event_0=("aa",)))
    bench.step(config())
    assert lent(bench) == set()


def test_the_lent_division_is_remembered_by_the_cache_and_not_without_it(bench: Bench) -> None:
    bench.step(config())
    bench.step(seconds=1)
    bench.sync = bench.start()
    bench.step(Connected(), seconds=1)
    assert bench.note().lent_as_of == {"event-1": division_of(NIGHT)}
    bench.cache.close()
    for file in bench.folder.glob("cache.db*"):
        file.unlink()
    bench.sync = bench.start()
    bench.step(seconds=1)
    assert bench.note().lent_as_of == {}

"""The cost of a batch does not grow with the length of its boots; their times are corrected afterwards."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from gate.rules.model import Kind, Reason, Ruling, ScanRecord
from hub.config import HubConfig
from hub.db.connection import Connection, connect
from hub.ingest.batch import Batch, write_batch
from hub.ingest.settle_boots import LEAST_REST_S, REST, FairTurns, SettleRequest, settle, waiting
from tests.integration.hub.test_conflicts import pairs
from tests.integration.hub.test_consumer import running
from tests.integration.hub.test_corrected_time import EPOCH, at, times
from tests.integration.hub.test_ingest import TOPICS, take, ticket_state
from tests.integration.hub.test_torn_boots import _batches, _night, _tell
from tests.integration.hub.world import GateOnMqtt, World, later
from tests.integration.hub.world import record as scan
from tests.patience import until

FEW, MANY = 1_500, 6_000
SURE: dict[str, Any] = {"clock": "synced", "clock_uncertainty_ms": 5}
READ = (
    b"SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) + n_tup_ins + n_tup_upd)::int AS rows"
    b" FROM pg_stat_xact_user_tables"
)


def refused(gate: str, seq: int, **changes: Any) -> ScanRecord:
    """A refusal `seq` seconds after the boot, at a gate whose clock says 1970."""
    made: dict[str, Any] = {"verdict": Ruling.DENY, "reason": Reason.UNKNOWN, "boot_id": f"long {gate}"}
    return at(seq, EPOCH + timedelta(seconds=seq), seq, gate_id=gate, **(made | changes))


def fill(conn: Connection, gate: str, count: int) -> None:
    """All records of one boot except its first hundred."""
    topic = TOPICS.scans(gate)
    for first in range(101, count + 1, 500):
        made = [refused(gate, seq) for seq in range(first, min(first + 500, count + 1))]
        write_batch(conn, Batch(records=tuple(made), topics={gate: topic}))


def rows(conn: Connection, gate: str, *records: ScanRecord) -> int:
    """How many rows of any table are read or written to take these in; rolled back."""
    with conn.transaction(force_rollback=True):
        before = conn.execute(READ).fetchone()
        take(conn, *records, gate=gate)
        after = conn.execute(READ).fetchone()
    assert before is not None and after is not None
    return int(after["rows"] or 0) - int(before["rows"] or 0)


def settle_all(conn: Connection, venue: str) -> int:
    """Settle until nothing waits; return how many turns that took."""
    turns = 0
    while found := waiting(conn, venue):
        settle(conn, found[0], venue)
        turns += 1
    return turns


def test_the_rows_a_batch_touches_do_not_grow_with_its_boot(world: World, conn: Connection) -> None:
    fill(conn, "gate-1", FEW)
    fill(conn, "gate-2", MANY)
    settle_all(conn, "maguey")
    world.run("ANALYZE")

    def batches(gate: str, last: int) -> dict[str, list[ScanRecord]]:
        surest = {"occurred_at": later(last / 60), "clock": "synced", "clock_uncertainty_ms": 3_000_000}
        return {
            "in order": [refused(gate, seq) for seq in range(last + 1, last + 51)],
            "backwards": [refused(gate, seq) for seq in range(51, 101)],
            "from both ends": [refused(gate, 1), refused(gate, last + 1)],
            "the first good clock": [refused(gate, last + 1, **surest)],
            "clocks that contradict each other": [
                refused(gate, last + 1, **surest),
                refused(gate, last + 2, **(surest | {"occurred_at": later(-300)})),
            ],
        }

    few, many = batches("gate-1", FEW), batches("gate-2", MANY)
    for kind in few:
        less, more = rows(conn, "gate-1", *few[kind]), rows(conn, "gate-2", *many[kind])
        assert more <= 1.5 * less + 100, f"{kind}: {less} rows, and {more} of a boot four times as long"


@pytest.fixture
def hurried(world: World) -> World:
    """A hub that puts off whatever would read more than three scans."""
    made = world.one("SELECT pg_get_functiondef('within_bound'::regproc)")
    assert "constant integer := 1000;" in made
    world.run(made.replace("constant integer := 1000;", "constant integer := 3;").replace("%", "%%"))
    return world


@pytest.mark.parametrize("seed", range(3))
def test_the_times_are_the_same_whether_put_off_or_not(hurried: World, conn: Connection, seed: int) -> None:
    """Whatever came in between, and whatever else was put off (invariant 9)."""
    put_off = 0
    for night in range(4):
        luck = random.Random(f"put off {seed} {night}")
        said, found = _night(luck), {}
        for way in ("at once", "in order", "shuffled", "late ones first"):
            gate = f"gate-{night}-{way.replace(' ', '-')}"
            for batch in _batches(luck, said, way):
                _tell(conn, gate, batch)
                if luck.random() < 0.3 and (found_now := waiting(conn, "maguey")):
                    settle(conn, found_now[0], "maguey")
            put_off += settle_all(conn, "maguey")
            everything = f'[{{"gate_id": "{gate}", "epoch": "e1", "seq": 1}}]'
            assert hurried.all("SELECT * FROM times_to_correct(%s)", everything) == [], (night, way)
            found[way] = times(hurried, gate)
            assert found[way] == found["at once"], (night, way)
    assert put_off > 0


def test_records_that_arrive_during_settling_are_settled_too(hurried: World, conn: Connection) -> None:
    take(conn, *(refused("gate-1", seq) for seq in range(1, 9)))
    take(conn, refused("gate-1", 9, **SURE, occurred_at=later(9)))
    (one,) = waiting(conn, "maguey")
    more = [refused("gate-1", 10, **SURE, occurred_at=later(9) - timedelta(hours=1))]

    def meanwhile() -> None:
        if more:
            take(conn, more.pop())

    assert not settle(conn, one, "maguey", meanwhile)
    assert settle_all(conn, "maguey") > 0
    assert (
        hurried.all('SELECT * FROM times_to_correct(\'[{"gate_id": "gate-1", "epoch": "e1", "seq": 1}]\')')
        == []
    )


def test_an_admission_put_off_counts_at_once_and_moves_with_its_scan(
    hurried: World, conn: Connection
) -> None:
    """Until then it is uncertain by an hour, as every time nobody heard (domain 2.3, First scan wins)."""
    ticket = hurried.ticket(hurried.event())
    mine = refused(
        "gate-2", 6, verdict=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, kind=Kind.GA, subject_id=ticket
    )
    take(conn, *(refused("gate-2", seq) for seq in range(1, 6)), mine, gate="gate-2")
    assert ticket_state(hurried, ticket)[:2] == ("checked_in", True)
    other = scan(1, gate_id="gate-1", subject_id=ticket, occurred_at=later(1), **SURE)
    take(conn, other)
    assert len(pairs(hurried)) == 1
    heard = refused("gate-2", 7, **SURE, occurred_at=later(0) + timedelta(seconds=1))
    take(conn, heard, gate="gate-2")
    settle_all(conn, "maguey")
    assert pairs(hurried) == [(mine.scan_id, other.scan_id, "earlier")]
    assert ticket_state(hurried, ticket)[2:4] == (later(0), "gate-2")


def test_a_running_hub_settles_what_was_put_off(hurried: World, config: HubConfig) -> None:
    with GateOnMqtt(config.mqtt.port, config.venue) as gate, running(config):
        scans = [refused("gate-1", seq) for seq in range(1, 9)]
        assert gate.resend(*scans, refused("gate-1", 9, **SURE, occurred_at=later(9)))
        with connect(config.postgres.dsn, autocommit=True) as own:
            until(lambda: not waiting(own, config.venue))
    assert times(hurried)[0] == (later(9) - timedelta(seconds=8), 6)


def test_a_gate_rests_ten_times_as_long_as_its_turn_took() -> None:
    def asks(gate: str) -> SettleRequest:
        return SettleRequest(gate_id=gate, epoch="e1", seq=1, whole=False, asked=1)

    turns, both = FairTurns(), [asks("gate-1"), asks("gate-2")]
    assert turns.next(both, 0.0) == both[0]
    turns.took("gate-1", 5.0, 5.0)
    assert turns.next(both, 5.0) == both[1]
    turns.took("gate-2", 0.01, 5.01)
    assert turns.next(both, 5.02) is None
    assert turns.next(both, 5.01 + LEAST_REST_S) == both[1]
    assert turns.next(both[:1], 5.0 + REST * 5.0 - 0.1) is None
    assert turns.next(both[:1], 5.0 + REST * 5.0) == both[0]

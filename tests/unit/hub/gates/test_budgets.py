"""A gate may send far more than the busiest door does, but not without limit (protocol 4.5, Fairness)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gate.rules.model import Ruling
from hub.gates.budgets import GATES_LIMIT, GateBudgets
from hub.ingest.batch import Batch, Quarantined
from hub.ingest.scan_budgets import RECORD_BYTES, cost_of, rates_of_scans
from sync.wire.scans import BATCH_LIMIT
from tests.integration.hub.world import record

GUESTS_PER_S = 3
NIGHT_S = 10 * 3600
RECORD = 750


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def batch(records: int, admissions: int) -> Batch:
    verdicts = [Ruling.ADMIT] * admissions + [Ruling.DENY] * (records - admissions)
    return Batch(records=tuple(record(n + 1, verdict=verdict) for n, verdict in enumerate(verdicts)))


def sends(budgets: GateBudgets, gate: str, cost: dict[str, float]) -> bool:
    if budgets.is_spent(gate):
        return False
    for kind, count in cost.items():
        budgets.take(gate, kind, count)
    return True


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=300))
def test_the_busiest_door_is_never_delayed(waits: list[float]) -> None:
    """Two guests a second in any rhythm, each with a scan and a passage, in a message each."""
    clock = Clock()
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), clock)
    one = {"messages": 1.0, "records": 1.0, "admissions": 0.0, "repeats": 0.0}
    owed = 0.0
    for wait in waits:
        clock.now += wait
        owed += 2 * wait
        while owed >= 1:
            owed -= 1
            assert sends(budgets, "gate-1", one | {"admissions": 1.0})
            assert sends(budgets, "gate-1", one)


def test_a_nights_backlog_is_taken_at_once() -> None:
    """From a gate that admitted two a second all night while offline, every batch is taken."""
    clock = Clock()
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), clock)
    budgets.set_absences({"gate-1": NIGHT_S})
    cost = cost_of(batch(BATCH_LIMIT, BATCH_LIMIT // 2), BATCH_LIMIT * RECORD)
    assert all(sends(budgets, "gate-1", cost) for _ in range(2 * 2 * NIGHT_S // BATCH_LIMIT))


def test_the_backlogs_of_twenty_gates_are_taken_at_once() -> None:
    clock = Clock()
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), clock)
    budgets.set_absences({f"gate-{n}": 3600.0 for n in range(20)})
    cost = cost_of(batch(BATCH_LIMIT, BATCH_LIMIT), BATCH_LIMIT * RECORD)
    assert all(sends(budgets, f"gate-{n % 20}", cost) for n in range(100_000 // BATCH_LIMIT))


def test_a_flood_is_stopped_within_seconds_and_harms_no_other_gate() -> None:
    clock = Clock()
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), clock)
    budgets.set_absences({"flooder": 1.0, "honest": 1.0})
    cost = cost_of(batch(BATCH_LIMIT, BATCH_LIMIT), BATCH_LIMIT * RECORD)
    taken = [sends(budgets, "flooder", cost) for _ in range(150)]
    assert taken.index(False) * BATCH_LIMIT <= 400
    assert not any(taken[taken.index(False) :])
    assert sends(budgets, "honest", cost)


def test_records_without_admissions_are_bounded_too() -> None:
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), Clock())
    cost = cost_of(batch(BATCH_LIMIT, 0), BATCH_LIMIT * RECORD)
    assert sum(sends(budgets, "gate-1", cost) for _ in range(1000)) * BATCH_LIMIT <= 1250


def test_records_the_hub_already_has_count_only_as_repeats() -> None:
    """A salvaged journal is sent again as a whole, under other numbers."""
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), Clock())
    again = batch(BATCH_LIMIT, BATCH_LIMIT)
    cost = cost_of(again, BATCH_LIMIT * RECORD, frozenset(one.scan_id for one in again.records))
    assert cost == {"messages": 1, "records": 0, "admissions": 0, "repeats": BATCH_LIMIT}
    assert all(sends(budgets, "gate-1", cost) for _ in range(1500))


def test_long_records_and_unreadable_ones_count_by_their_length() -> None:
    assert cost_of(batch(1, 1), 10 * RECORD_BYTES)["records"] == 10
    bad = Batch(quarantined=(Quarantined(topic="t", gate_id="gate-1", raw=b"x" * 1_000_000, error="?"),))
    assert cost_of(bad, 1_000_000)["records"] == 32  # the quarantine keeps 64 KiB of it


def test_any_number_of_gate_names_takes_bounded_memory() -> None:
    budgets = GateBudgets(rates_of_scans(GUESTS_PER_S), Clock())
    for number in range(GATES_LIMIT + 500):
        sends(budgets, f"gate-{number}", {"messages": 1.0})
    assert len(budgets._levels) == GATES_LIMIT

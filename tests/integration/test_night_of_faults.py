"""A night with everything going wrong: three gates, 300 scans (in `make test-long` 2,000), real processes.

40 one-time tickets (200) are held up at all gates at once. Meanwhile Mosquitto, Postgres and the hub are
killed and started again, lines are cut, slowed and made deaf in one direction, processes are stopped and
resumed. Then everything heals, and SQL checks invariants 1 to 9 of the quality document.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

import psycopg
import pytest

from demo.club import Club, ClubSetup, GateBox, Program, await_true, open_club
from demo.night import Ticket, phone
from gate.common.named_queries import parse_queries
from gate.rules.model import ScanRecord
from sync.wire.scans import record_hash
from tests.long import cases
from tests.patience import PATIENCE_S
from tests.proxy import Proxy, proxy

GATES = 3
SCANS = cases(300, long=2_000)
CONTESTED = cases(40, long=200)
ALONE = cases(100, long=800)
"""Tickets shown at one gate only."""
SEED = 20261121


class Night:
    """The club, the lines between its gates and the servers, and who comes when."""

    def __init__(self, club: Club, lines: dict[tuple[str, int], Proxy]) -> None:
        self.club = club
        self.lines = lines
        self.rng = Random(SEED)

    def picture(self, ticket: Ticket) -> Path:
        """What the guest holds up, the same at every gate."""
        file = self.club.folder / f"ticket-{ticket.number}.png"
        if not file.exists():
            phone(ticket.printed, self.rng).save(file)
        return file

    def lines_of(self, gate: GateBox) -> list[Proxy]:
        return [line for (gate_id, _), line in self.lines.items() if gate_id == gate.gate.gate_id]

    def broker_line(self, gate: GateBox) -> Proxy:
        return self.lines[gate.gate.gate_id, self.club.broker.port]


def _waiting(gate: GateBox) -> int:
    """Guests not looked at yet: the folder camera takes their pictures away."""
    return sum(1 for _ in (gate.folder / "camera").glob("*.*"))


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    lines: dict[tuple[str, int], Proxy] = {}
    with contextlib.ExitStack() as stack:

        def line(gate_id: str, port: int) -> int:
            lines[gate_id, port] = stack.enter_context(proxy(port))
            return lines[gate_id, port].port

        building = ClubSetup(gates=GATES, hold_ms=60, line=line)
        yield Night(stack.enter_context(open_club(tmp_path / "club", print, building)), lines)


def guests(night: Night) -> list[list[tuple[int, Ticket]]]:
    """Who comes, in turns: one turn is (gate, ticket) pairs that are held up together."""
    ga = night.club.night.of(lambda t: t.kind == "ga" and t.status == "issued" and t.event == "PF")
    vip = night.club.night.of(lambda t: t.kind != "ga" and t.status == "issued")
    contested, alone = ga[:CONTESTED], ga[CONTESTED:][:ALONE]
    turns = [[(gate, ticket) for gate in range(GATES)] for ticket in contested]
    turns += [[(night.rng.randrange(GATES), ticket)] for ticket in alone]
    others = SCANS - sum(len(turn) for turn in turns)
    turns += [[(night.rng.randrange(GATES), night.rng.choice(vip + alone))] for _ in range(others)]
    night.rng.shuffle(turns)
    return turns


Fault = tuple[Callable[[], object], Callable[[], object]]


def faults(night: Night) -> list[Fault]:
    """What goes wrong, one after the other, and how it is put right."""
    club = night.club
    one, two, three = club.gates

    def stopped(program: Program) -> Fault:
        return (lambda: _send(program, signal.SIGSTOP), lambda: _send(program, signal.SIGCONT))

    def killed(program: Program) -> Fault:
        return (program.kill, program.start)

    return [
        killed(club.ingest),
        (club.broker.kill, club.broker.start),
        (night.broker_line(one).cut, night.broker_line(one).heal),
        (club.database.kill, club.database.start),
        stopped(two.sync),
        (_each(night.lines_of(two), "cut"), _each(night.lines_of(two), "heal")),
        (_set(night.broker_line(three), "delay_s", 0.15), night.broker_line(three).heal),
        stopped(club.ingest),
        (_set(night.broker_line(two), "loses_down", True), night.broker_line(two).heal),
        killed(one.sync),
        (_set(night.broker_line(one), "loses_up", True), night.broker_line(one).heal),
        killed(three.door),
        stopped(one.door),
        (_each(night.lines.values(), "cut"), _each(night.lines.values(), "heal")),
        (_all(club.broker.kill, club.ingest.kill, club.database.kill),
         _all(club.database.start, club.broker.start, club.ingest.start)),
        killed(club.web),
    ]  # fmt: skip


def _send(program: Program, what: signal.Signals) -> None:
    assert program.process is not None
    program.process.send_signal(what)


def _set(line: Proxy, name: str, value: object) -> Callable[[], object]:
    return lambda: setattr(line, name, value)


def _each(lines: Iterable[Proxy], what: str) -> Callable[[], object]:
    return lambda: [getattr(line, what)() for line in lines]


def _all(*do: Callable[[], object]) -> Callable[[], object]:
    return lambda: [one() for one in do]


def play(night: Night) -> None:
    """Guests come while one fault follows the other; each lasts for a share of the guests."""
    turns, waiting = guests(night), faults(night)
    step = len(turns) // (2 * len(waiting) + 1)
    for number, (begin, end) in enumerate(waiting):
        _let_come(night, turns[2 * number * step : (2 * number + 1) * step])
        begin()
        _let_come(night, turns[(2 * number + 1) * step : (2 * number + 2) * step])
        end()
    _let_come(night, turns[2 * len(waiting) * step :])


def _let_come(night: Night, turns: Sequence[Sequence[tuple[int, Ticket]]]) -> None:
    """Hold up the pictures; wait until the gates whose doors are well have looked at most of them."""
    for turn in turns:
        for gate, ticket in turn:
            night.club.gates[gate].present_file(night.picture(ticket))
    # chosen each time: the gate that was quickest when the guests came may be the one that is stopped
    await_true(lambda: min(map(_waiting, night.club.gates)) < 5, PATIENCE_S, "guests answered", night.club)


def journals(night: Night) -> list[ScanRecord]:
    return [record for gate in night.club.gates for record in gate.records()]


def quiet(night: Night) -> None:
    """All guests answered, all of it in Postgres, every gate in step with the hub again."""
    club = night.club
    await_true(lambda: not any(map(_waiting, club.gates)), PATIENCE_S, "all answered", club)
    await_true(
        lambda: all(_is_quiet(gate) for gate in club.gates), PATIENCE_S, "everything acknowledged", club
    )
    await_true(lambda: _are_in_sync(club), PATIENCE_S, "every cache in step", club)


def _is_quiet(gate: GateBox) -> bool:
    status = gate.status()
    return status.online and status.journal.waiting == 0


def _are_in_sync(club: Club) -> bool:
    with psycopg.connect(club.dsn) as db:
        states = db.execute("select state from gate_nights").fetchall()
    return bool(states) and all(state == "in sync" for (state,) in states)


ASKED = parse_queries((Path(__file__).parent / "invariants.sql").read_text())
"""Each gives the rows that break an invariant; `views` is what they read."""


def broken(night: Night) -> dict[str, list[tuple[object, ...]]]:
    """The invariants that do not hold, with the rows that show it."""
    with psycopg.connect(night.club.dsn, autocommit=True) as db:
        db.execute(ASKED["views"])
        with db.cursor().copy("copy journals from stdin") as copy:
            for record in journals(night):
                place = (record.scan_id, record.gate_id, record.epoch, record.seq, record_hash(record))
                copy.write_row(place)
        found = {name: db.execute(asked).fetchmany(5) for name, asked in ASKED.items() if name != "views"}
    return {name: rows for name, rows in found.items() if rows}


def test_a_night_of_faults_loses_nothing_and_admits_nobody_unrecorded(night: Night) -> None:
    play(night)
    quiet(night)
    assert broken(night) == {}

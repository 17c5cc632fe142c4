"""Plays a plan: sets the night up, lets it happen, heals everything, and waits until it is quiet."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import psycopg

from tests.simulation.agenda import MS, Agenda, S
from tests.simulation.broker import Broker
from tests.simulation.database import SHARED_MEMORY, Session, empty
from tests.simulation.gate import Gate, Seen
from tests.simulation.hub import HOST, Hub
from tests.simulation.machine import Machine
from tests.simulation.plan import GATES, NIGHT_US, Plan, Ticket, Trouble
from tests.simulation.sold import sale, set_up

LONGEST_US = 900 * S
"""The night has to be quiet this long after everything was healed."""
LOOK_US = 1_037 * MS
"""Out of step with what happens every second."""
STILL_US = 5 * S
"""It is quiet if nobody had anything to send, and nobody lacked anything, for so long."""


class Night:
    """One night. `hub_time`: what the hub's clock says is true."""

    def __init__(self, plan: Plan, session: Session, folder: Path, agenda: Agenda) -> None:
        self.plan = plan
        self.agenda = agenda
        self.broken: list[str] = []
        self._session = session
        self._folder = folder
        session.clock = lambda: agenda.wall
        session.back_to_normal()
        session.trouble.is_cut = False
        session.trouble.quiet()
        network = Random(f"network {plan.seed}")
        self.broker = Broker(agenda, network, plan.duplicates)
        with session.trouble.aside():
            empty(session)
            set_up(session, plan)
        self.hub = Hub(agenda, Random(f"hub {plan.seed}"), self.broker, session)
        self.gates = {gate_id: self._gate(gate_id) for gate_id in GATES}

    def _gate(self, gate_id: str) -> Gate:
        card = self._folder / gate_id
        card.mkdir()
        rate, offset_us = self.plan.rates[gate_id], self.plan.offsets_us[gate_id]
        machine = Machine(self.agenda, card, gate_id, rate, offset_us)
        random = Random(f"{gate_id} {self.plan.seed}")

        def serve(request: object) -> object:
            return None if self.broker.wire(gate_id).is_cut else self.hub.serve(request)  # type: ignore[arg-type]

        return Gate(gate_id, machine, self.agenda, random, self.broker, serve, self._pruned, self.plan.prunes)  # type: ignore[arg-type]

    def play(self) -> None:
        """Play all of it."""
        for coming in self.plan.comings:
            self.agenda.at(coming.at_us, lambda coming=coming: self.gates[coming.gate].comes(coming))  # type: ignore[misc]
        for trouble in self.plan.troubles:
            self.agenda.at(trouble.at_us, lambda trouble=trouble: self._begin(trouble))  # type: ignore[misc]
        self.agenda.run(NIGHT_US + 2 * S)
        self._heal()
        self._settle()

    # --- troubles ---

    def _begin(self, trouble: Trouble) -> None:
        detail = {
            key: value for key, value in trouble.detail.items() if key in _TELLING.get(trouble.what, ())
        }
        self.agenda.note(
            "trouble", f"{trouble.what} {trouble.gate if trouble.what in _OF_GATES else ''} {detail or ''}"
        )
        getattr(self, "_" + trouble.what.replace(" ", "_"))(trouble)

    def _later(self, trouble: Trouble, do: Callable[[], None]) -> None:
        self.agenda.at(min(trouble.at_us + trouble.lasts_us, NIGHT_US + S), do)

    def _cut_gate(self, trouble: Trouble) -> None:
        self._cut(trouble, trouble.gate)

    def _cut_hub(self, trouble: Trouble) -> None:
        for client_id in HOST:
            self._cut(trouble, client_id)

    def _cut(self, trouble: Trouble, client_id: str) -> None:
        self.broker.cut(client_id, up=trouble.detail["up"], down=trouble.detail["down"])
        self._later(trouble, lambda: self.broker.heal(client_id))

    def _cut_postgres(self, trouble: Trouble) -> None:
        self.hub.trouble.is_cut = True
        self._later(trouble, lambda: setattr(self.hub.trouble, "is_cut", False))

    def _slow_network(self, trouble: Trouble) -> None:
        wire = self.broker.wire(trouble.gate)
        before, wire.latency_us = wire.latency_us, (20 * MS, 400 * MS)
        self._later(trouble, lambda: setattr(wire, "latency_us", before))

    def _broker_crash(self, trouble: Trouble) -> None:
        self.broker.crash(forgets=trouble.detail["forgets"])
        self._later(trouble, self.broker.restart)

    def _kick(self, trouble: Trouble) -> None:
        self.broker.drop(trouble.gate, "another client with this id")

    def _hub_crash(self, _trouble: Trouble) -> None:
        self.hub.crash()

    def _hub_killed(self, trouble: Trouble) -> None:
        self.hub.trouble.kill_part = trouble.detail["part"]
        if trouble.detail["forgets"] and trouble.detail["part"] != "api":
            self.hub.trouble.kill_at_word = trouble.detail["words"]
        else:
            self.hub.trouble.kill_at = trouble.detail["after"]

    def _commit_lost(self, _trouble: Trouble) -> None:
        self.hub.trouble.lose_commit = True

    def _door_crash(self, trouble: Trouble) -> None:
        self.gates[trouble.gate].kill_door()

    def _door_killed(self, trouble: Trouble) -> None:
        self.gates[trouble.gate].kill_in = trouble.detail["lines"]

    def _sync_crash(self, trouble: Trouble) -> None:
        self.gates[trouble.gate].kill_sync()

    def _sync_killed(self, trouble: Trouble) -> None:
        sync = self.gates[trouble.gate].sync
        if sync is not None:
            sync.kill_in = trouble.detail["lines"]

    def _sync_stopped(self, trouble: Trouble) -> None:
        gate = self.gates[trouble.gate]
        gate.stop_sync(stopped=True)
        self._later(trouble, lambda: gate.stop_sync(stopped=False))

    def _slow_disk(self, trouble: Trouble) -> None:
        gate = self.gates[trouble.gate]
        gate.slow_disk(trouble.detail["commit_us"])
        self._later(trouble, lambda: gate.slow_disk(0))

    def _reboot(self, trouble: Trouble) -> None:
        gate = self.gates[trouble.gate]
        gate.off()
        self._later(trouble, lambda: gate.on(in_1970=trouble.detail["in_1970"]))

    def _new_card(self, trouble: Trouble) -> None:
        gate = self.gates[trouble.gate]
        gate.off()
        self._later(trouble, lambda: gate.on(new_card=True))

    def _clock_jump(self, trouble: Trouble) -> None:
        self.gates[trouble.gate].machine.jump(trouble.detail["jump_us"])

    def _sale(self, trouble: Trouble) -> None:
        ticket: Ticket = trouble.detail["ticket"]
        sql, values = sale(ticket, self.plan)
        self.hub.change(sql, *values)

    def _revoke(self, trouble: Trouble) -> None:
        ticket: Ticket = trouble.detail["ticket"]
        self.hub.change("update tickets set status = %s where id = %s", trouble.detail["status"], ticket.id)

    # --- the end ---

    def _heal(self) -> None:
        self.agenda.note("night", "everything heals")
        self.hub.trouble.is_cut = False
        self.hub.trouble.quiet()
        self.broker.is_up = True
        for client_id in list(self.broker.wires):
            self.broker.heal(client_id)
        self.hub.start()
        for gate in self.gates.values():
            gate.slow_disk(0)
            gate.kill_in = None
            gate.on()
            gate.start_sync()
            if gate.sync is not None:
                gate.sync.kill_in = None
                gate.sync.is_stopped = False

    def _settle(self) -> None:
        """Wait until nobody has had anything to say for a while."""
        until, quiet_since = self.agenda.now_us + LONGEST_US, self.agenda.now_us
        while self.agenda.now_us - quiet_since < STILL_US:
            self.agenda.run(self.agenda.now_us + LOOK_US)
            busy = self._busy()
            if busy:
                quiet_since = self.agenda.now_us
            if self.agenda.now_us > until:
                self.broken.append(f"quiet: it does not become quiet: {', '.join(busy)}")
                return

    def _busy(self) -> list[str]:
        """Who has something to send. If nobody has, who lacks something: a timer may bring it yet."""
        sending = self.broker.waiting() + [one for gate in self.gates.values() for one in gate.busy()]
        return sending or self._lacking()

    def _lacking(self) -> list[str]:
        with self.hub.trouble.aside():
            hub = self._session.execute(_HELD_BY_THE_HUB.encode()).fetchone()
        assert hub is not None
        behind = [
            f"{gate.gate_id} is behind the hub"
            for gate in self.gates.values()
            if gate.versions().get(self.plan.event_id) != hub["version"]
        ]
        return behind + ["the hub has alerts to send"] * hub["has_alerts"]

    def _pruned(self, gone: list[Seen]) -> None:
        """Invariant 5: what goes from a journal is at the hub."""
        places = [(seen.record.gate_id, seen.record.epoch, seen.record.seq) for seen in gone]
        with self.hub.trouble.aside(), contextlib.suppress(psycopg.OperationalError):
            missing = [place for place in places if not self._has(place)]
            self.broken += [f"5 ack safety: {place} was pruned and is not at the hub" for place in missing]

    def _has(self, place: tuple[str, str, int]) -> bool:
        return self._session.execute(_HAS.encode(), place * 3).fetchone() is not None


_OF_GATES = {
    "cut gate", "slow network", "kick", "door crash", "door killed", "sync crash", "sync killed",
    "sync stopped", "slow disk", "reboot", "clock jump", "new card",
}  # fmt: skip
_TELLING = {
    "cut gate": ("up", "down"), "cut hub": ("up", "down"), "broker crash": ("forgets",),
    "reboot": ("in_1970",), "door killed": ("lines",), "hub killed": ("part", "forgets"),
    "sync killed": ("lines",), "clock jump": ("jump_us",),
    "slow disk": ("commit_us",), "revoke": ("ticket", "status"), "sale": ("ticket",),
}  # fmt: skip
_HELD_BY_THE_HUB = (
    "select admission_version as version,"
    " exists (select from alerts where sent_at is null and reason = 'conflict') as has_alerts from events"
)
_HAS = (
    "select 1 from scan_logs where (gate_id, epoch, seq) = (%s, %s, %s)"
    " union all select 1 from scan_quarantine where (gate_id, epoch, seq) = (%s, %s, %s)"
    " union all select 1 from scan_repeats where (gate_id, epoch, seq) = (%s, %s, %s)"
)


@contextlib.contextmanager
def cards(keep: Path | None = None):  # type: ignore[no-untyped-def]
    """A folder for the gates' cards."""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    folder = keep or Path(tempfile.mkdtemp(prefix="maguey-cards-", dir=where))
    try:
        yield folder
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)

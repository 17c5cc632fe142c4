"""The real door of a gate on the simulated machine; its guests come and its process ends as planned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.clock import SystemClock
from gate.common.retried import Retried
from gate.common.systemd import Notifier
from gate.common.watchdog import Heart
from gate.door.desk import Desk
from gate.door.loop import Door
from gate.door.parts import DoorSettings, Parts
from gate.door.turnstile import DoorTurnstile
from gate.hotline.client import Hotline
from gate.hotline.messages import Beat, Ordered, ToSync, to_door
from gate.ports.devices import Inputs, Keypad, Scanner, Turnstile, Voice
from gate.recovery.open_journal import JournalOpener
from gate.rules.decide import Policy
from gate.rules.first_entry import Grant
from gate.rules.passage import Rules
from gate.store.cache import CacheReader, LinkState
from gate.store.journal import Journal
from gate.store.live_file import LiveWriter
from tests.doors import RecordingDisplay
from tests.fakes import (
    RecordingTurnstile,
    RecordingVoice,
    ScriptedEye,
    ScriptedInputs,
    ScriptedKeypad,
    ScriptedScanner,
)
from tests.simulation.agenda import MS, Agenda, S
from tests.simulation.database import Killed
from tests.simulation.kill import killed_after, others_run
from tests.simulation.machine import Machine

TICK_US = S
CLAIM_US = 200 * MS
SOCKET_US = 200
A_MONTH, SECONDS = 30, 5 / 86_400
RULES = Rules(sensor=True, timeout_ms=4_000)
Keys = Mapping[str, Ed25519PublicKey]


class Line(Hotline):
    """The door's end of the local socket, in virtual time: while it waits, everything else goes on.

    It is the other end, too: sync answers by `send`, and ends the connection by `hang_up`.
    """

    def __init__(self, process: Process) -> None:
        super().__init__(process.machine.folder / "sync.sock", CLAIM_US / S, process.clock)
        self._process = process
        self._answers: dict[str, Grant] = {}
        self._waits_for = ""

    def answered(self, packet: bytes) -> None:
        """Sync says something."""
        message = to_door(packet)
        if isinstance(message, Ordered):
            self._orders.append(message.envelope.encode())
        elif isinstance(message, Beat):
            self._answered_ms = message.answered_ms
        elif message.scan_id == self._waits_for:
            self._answers[message.scan_id] = message

    def hung_up(self) -> None:
        """Sync ended the connection."""
        self._waits_for = ""

    def send(self, message: ToSync) -> bool:
        """See `Hotline`."""
        return self._process.to_sync(message)

    def _take_in(self) -> None:
        pass

    def _answer(self, scan_id: str, until: float) -> Grant | None:  # noqa: ARG002 - real time
        self._waits_for = scan_id
        self._process.busy(CLAIM_US, lambda: self._waits_for == scan_id and scan_id not in self._answers)
        self._waits_for = ""
        return self._answers.pop(scan_id, None)


class Process:
    """One run of the door's service, from its start to its end.

    :param to_sync: hands a message to sync; False if nobody takes it.
    """

    def __init__(
        self,
        *,
        gate_id: str,
        machine: Machine,
        agenda: Agenda,
        random: Random,
        keys: Keys,
        to_sync: Callable[[ToSync], bool],
        prunes: bool,
    ) -> None:
        self.gate_id = gate_id
        self.machine = machine
        self.to_sync = to_sync
        self.is_over = False
        self.inputs = ScriptedInputs()
        self.relay = RecordingTurnstile(lambda: 0.0)
        self.clock = SystemClock(machine.read)
        self.commit_us = 0
        self._agenda = agenda
        self._random = random
        self._keys = keys
        self._retain_days: Any = SECONDS if prunes else A_MONTH
        self._eye = ScriptedEye()
        self._cache = CacheReader(machine.folder / "cache.db")
        self.line = Line(self)
        self._parts = self._make_parts()
        self._door = self._make_door()

    def _make_parts(self) -> Parts:
        opening = JournalOpener(
            path=self.machine.folder / "journal.db",
            gate_id=self.gate_id,
            new_epoch=lambda: f"epoch-{self._random.getrandbits(64):016x}",
            hub=self._link,
            clock=self.clock,
        )
        return Parts(
            eye=self._eye,
            display=RecordingDisplay(),
            turnstile=Retried[Turnstile]("turnstile", lambda: self.relay, lambda part: part.close()),
            journal=Retried("journal", lambda: self._watched(opening.open()), opening.close_journal),
            inputs=Retried[Inputs]("inputs", lambda: self.inputs, lambda part: part.close()),
            voice=Retried[Voice]("lights", RecordingVoice, lambda part: part.close()),
            keypad=Retried[Keypad]("keypad", lambda: ScriptedKeypad(lambda: 0.0), lambda part: part.close()),
            scanner=Retried[Scanner]("scanner", ScriptedScanner, lambda part: part.close()),
            cache=self._cache,
            clock=self.clock,
            hotline=self.line,
        )

    def _make_door(self) -> Door:
        settings = DoorSettings(
            gate_name=self.gate_id.upper(), keys=self._keys, retain_days=self._retain_days
        )
        self._passing = DoorTurnstile(
            gate_id=self.gate_id, parts=self._parts, rules=RULES, random=self._random.randbytes
        )
        live = LiveWriter(self.machine.folder / "door.json")
        return Door(settings, self._parts, self._passing, self._desk, Heart(Notifier(""), None), live, UTC)

    def _desk(self, journal: Journal) -> Desk:
        return Desk(
            gate_id=self.gate_id,
            journal=journal,
            cache=self._cache,
            clock=self.clock,
            claims=self.line,
            random=self._random.randbytes,
            policy=Policy(),
            keys=self._keys,
            isolated_after=10.0,
        )

    def _link(self) -> LinkState:
        return self._cache.link(self.clock.now())

    def _watched(self, journal: Journal) -> Journal:
        """A slow disk takes its time in the middle of a commit."""
        journal._db.set_trace_callback(self._statement)
        return journal

    def _statement(self, text: str) -> None:
        if text == "commit" and self.commit_us:
            try:
                self.busy(self.commit_us, lambda: True, may_die=False)
            except BaseException as error:  # SQLite would swallow it
                self._agenda.failed = error

    def busy(self, most_us: int, waiting: Callable[[], bool], *, may_die: bool = True) -> None:
        """Wait, while the others go on. A process that was ended meanwhile does nothing any more."""
        with others_run():
            self._agenda.run(self._agenda.now_us + most_us, waiting)
        if self.is_over and may_die:
            raise Killed

    def look(self, code: str | None = None, *, lines: int | None = None) -> None:
        """One frame, empty or with a code, and what follows from it. May end in `Killed`."""
        self._eye.show(*([code.encode()] if code else []))
        with killed_after(lines, "gate"):
            self._door.step()
        if self.is_over:
            raise Killed

    @property
    def awaited(self) -> int:
        """How many admitted guests have not walked through yet."""
        return len(self._passing.state.awaited)

    @property
    def journal(self) -> Journal | None:
        """The open journal."""
        return self._parts.journal.part

    def end(self) -> None:
        """As kill -9: nothing is closed, and what was in memory is gone."""
        self.is_over = True
        if self.journal is not None:
            with contextlib.suppress(Exception):
                self.journal._db.close()
        self._cache.close()

"""A whole door on the bench: real journal and cache, working fakes of all hardware."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gate.clock import Clock
from gate.common.errors import HardwareError, Step
from gate.common.retried import Retried
from gate.common.systemd import Notifier
from gate.common.watchdog import Heart
from gate.door.desk import Desk
from gate.door.loop import Door
from gate.door.parts import DoorSettings, Parts
from gate.door.turnstile import DoorTurnstile
from gate.hotline.client import Hotline, HubLine
from gate.ports.devices import Inputs, Keypad, Scanner, Turnstile, Voice
from gate.ports.screen import Screen
from gate.recovery.open_journal import JournalOpener
from gate.rules.decide import Policy
from gate.rules.first_entry import Claim, Grant
from gate.rules.model import Admission, FeedRow, ScanRecord
from gate.rules.passage import OrderAction, Rules
from gate.store.cache import CacheReader, LinkState
from gate.store.journal import Journal
from gate.store.live_file import LiveWriter
from gate.store.rows import COLUMNS, from_row
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import StoppedClock, an_admission, an_event, code_id
from tests.fakes import (
    RecordingTurnstile,
    RecordingVoice,
    ScriptedEye,
    ScriptedInputs,
    ScriptedKeypad,
    ScriptedScanner,
)

SENSOR = Rules(sensor=True)
STAFF_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
STAFF_KEYS = {"S1": STAFF_KEY.public_key()}
"""The keys with which the door on the bench verifies staff's orders."""


class RecordingDisplay:
    """A working `Display` that keeps what it was shown."""

    def __init__(self) -> None:
        self.screens: list[Screen] = []

    def show(self, screen: Screen) -> None:
        self.screens.append(screen)

    def trouble(self) -> HardwareError | None:
        return None

    def close(self) -> None:
        pass


class TreacherousTurnstile(RecordingTurnstile):
    """Seems well until it has to open, like a relay whose wire has just come off."""

    def trouble(self) -> HardwareError | None:
        return None


class WitnessedTurnstile(RecordingTurnstile):
    """For every pulse: how many admissions were on the disk when it was given.

    :param folder: where `journal.db` is.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._folder = folder
        self.witnessed: list[int] = []

    def release(self) -> None:
        with closing(sqlite3.connect(f"file:{self._folder / 'journal.db'}?mode=ro", uri=True)) as db:
            ((count,),) = db.execute("select count(*) from scans where verdict = 'admit' and released = 1")
        super().release()
        self.witnessed.append(count)


class SilentHub:
    """No line to the hub: the working `HubLine` of a gate that never had one."""

    def is_up(self, _link: LinkState) -> bool:
        return False

    def ask(self, _claim: Claim) -> Grant | None:
        return None

    def unused(self, scan_id: str) -> None:
        pass


class Bench:
    """A door on the bench. Restart it with `restart`: its files stay, its memory goes.

    :param rules: how people pass; by default without a sensor.
    :param claims: the line to the hub; by default a hotline with nobody at the other end.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules | None = None,
        feed: tuple[FeedRow, ...] | None = None,
        keys: Mapping[str, Ed25519PublicKey] | None = None,
        frames_per_second: int = 20,
        *,
        claims: HubLine | None = None,
    ) -> None:
        self.folder = folder
        self.epochs = itertools.count(1)
        self.keys = keys or {}
        self.claims = claims
        self.frame_s = 1 / frames_per_second
        self.rules = rules or Rules()
        self.clock = StoppedClock()
        self.eye = ScriptedEye()
        self.display = RecordingDisplay()
        self.relay = RecordingTurnstile(lambda: self.clock.monotonic_ms / 1000)
        self.voice = RecordingVoice()
        self.inputs = ScriptedInputs()
        self.keypad = ScriptedKeypad(lambda: self.clock.monotonic_ms / 1000)
        self.scanner = ScriptedScanner()
        self.relay_is_there = True
        self.hub = Cache(folder / "cache.db")
        self.hub.put_config(
            GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),))
        )
        rows = (an_admission(), an_admission(code_id(2))) if feed is None else feed
        self.hub.put_snapshot("event-1", 1, self.hub.spool.fill(rows), self.clock.wall)
        self.start()

    def start(self) -> None:
        """A fresh process on the same files."""
        self.cache = CacheReader(self.folder / "cache.db")
        self.opening = JournalOpener(
            path=self.folder / "journal.db",
            gate_id="gate-1",
            new_epoch=lambda: f"epoch-{next(self.epochs)}",
            hub=self._hub_state,
            clock=self.clock,
        )
        self.journal = Retried("journal", self.opening.open, self.opening.close_journal)
        self.parts = Parts(
            eye=self.eye,
            display=self.display,
            turnstile=Retried[Turnstile]("turnstile", self._open_relay, lambda relay: relay.close()),
            journal=self.journal,
            inputs=Retried[Inputs]("inputs", lambda: self.inputs, lambda part: part.close()),
            voice=Retried[Voice]("lights", lambda: self.voice, lambda part: part.close()),
            keypad=Retried[Keypad]("keypad", lambda: self.keypad, lambda part: part.close()),
            scanner=Retried[Scanner]("scanner", lambda: self.scanner, lambda part: part.close()),
            cache=self.cache,
            clock=self.clock,
            hotline=Hotline(self.folder / "sync.sock", 0.2, self.clock),
        )
        self.turnstile = DoorTurnstile(
            gate_id="gate-1", parts=self.parts, rules=self.rules, random=os.urandom
        )
        self.door = Door(
            DoorSettings(
                gate_id="gate-1",
                gate_name="GATE 1",
                keys=self.keys,
                command_keys=STAFF_KEYS,
                updating_sign=self.folder / "updating",
                release_state=self.folder / "state.json",
            ),
            self.parts,
            self.turnstile,
            lambda journal: make_desk(
                journal, self.cache, self.clock, self.keys, self.claims or self.parts.hotline
            ),
            Heart(Notifier(""), None),
            LiveWriter(self.folder / "run" / "door.json"),
            UTC,
        )

    def kill(self) -> None:
        """As kill -9: nothing is closed, and what was in memory is gone."""
        journal = self.journal.part
        if journal is not None:
            journal._db.close()
            self.journal.part = None
        self.cache.close()

    def _make_desk(self, journal: Journal) -> Desk:
        return make_desk(journal, self.cache, self.clock, self.keys, self.claims or self.parts.hotline)

    def _hub_state(self) -> LinkState:
        return self.cache.link(self.clock.now())

    def _open_relay(self) -> Turnstile:
        if not self.relay_is_there:
            raise HardwareError("turnstile", "No GPIO here.", "Check the wiring", Step.TURNSTILE_WIRING)
        return self.relay

    def close(self) -> None:
        self.parts.close_devices()
        self.parts.close_files()
        self.hub.close()

    def show(self, *codes: str, seconds: float = 2.0) -> Screen:
        """Hold codes up, then take them away for `seconds`; the screen right after the scan."""
        self.eye.show(*(code.encode() for code in codes))
        self.door.step()
        answer = self.display.screens[-1]
        self.wait(seconds)
        return answer

    def wait(self, seconds: float) -> None:
        """Show empty frames, for so long."""
        for _ in range(round(seconds / self.frame_s)):
            self.clock.forward(self.frame_s)
            self.look()

    def order(self, wanted: OrderAction) -> None:
        """Staff's order to everybody, without its envelope."""
        self.door._way_changed(self.turnstile.order(wanted))

    def look(self) -> None:
        """One empty frame."""
        self.eye.show()
        self.door.step()

    def type(self, text: str) -> Screen:
        """Type something; the screen right after."""
        self.keypad.type(text)
        self.look()
        return self.display.screens[-1]

    def records(self) -> list[ScanRecord]:
        """The whole journal."""
        with closing(sqlite3.connect(self.folder / "journal.db")) as db:
            rows = db.execute(f"select {', '.join(COLUMNS)} from scans order by seq").fetchall()
        return [from_row(row) for row in rows]

    def told(self) -> list[tuple[str, str]]:
        """Kind and reason of every record, in order."""
        return [(record.record, record.reason.value) for record in self.records()]


def make_desk(
    journal: Journal,
    cache: CacheReader,
    clock: Clock,
    keys: Mapping[str, Ed25519PublicKey],
    claims: HubLine | None = None,
) -> Desk:
    return Desk(
        gate_id="gate-1",
        journal=journal,
        cache=cache,
        clock=clock,
        claims=claims or SilentHub(),
        random=os.urandom,
        policy=Policy(),
        keys=keys,
        isolated_after=10.0,
    )


def guests(count: int, **changes: object) -> tuple[Admission, ...]:
    """So many tickets, numbered from 1 as `tests.factories.code_id` numbers them."""
    return tuple(an_admission(code_id(n), subject_id=f"ticket-{n}", **changes) for n in range(1, count + 1))

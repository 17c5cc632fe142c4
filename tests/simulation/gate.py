"""One gate: its machine, its two services, its guests in line, and a mirror of all its journal ever held."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from random import Random

from gate.hotline.messages import ToSync
from gate.rules.model import ScanRecord
from gate.store.rows import COLUMNS, from_row
from sync.status import GateIdentity
from tests.codes import KEYS
from tests.simulation import carrier, door
from tests.simulation.agenda import MS, Agenda, S
from tests.simulation.broker import Broker
from tests.simulation.database import Killed
from tests.simulation.hub import VENUE
from tests.simulation.machine import Machine
from tests.simulation.plan import Coming

_NEWER = f"select {', '.join(COLUMNS)} from scans where seq > ? order by seq"
Place = tuple[str, str, int]


class Seen:
    """A record as it was in the journal, and the true times between which it was made.

    `is_lost`: its card was thrown away.
    """

    def __init__(self, record: ScanRecord, since_us: int, until_us: int) -> None:
        self.record = record
        self.since_us = since_us
        self.until_us = until_us
        self.is_lost = False


class _End:
    """Sync's end of one connection of the door."""

    def __init__(self, agenda: Agenda, line: door.Line) -> None:
        self._agenda = agenda
        self._line = line

    def send(self, packet: bytes) -> bool:
        """See `sync.claims.claim_inbox.DoorLine`."""
        self._agenda.after(door.SOCKET_US, lambda: self._line.answered(packet))
        return True

    def close(self) -> None:
        """See `sync.claims.claim_inbox.DoorLine`."""
        self._agenda.after(door.SOCKET_US, self._line.hung_up)


class Gate:
    """See the module's text. `mirror`: every record by its place.

    :param pruned: called with what has gone from the journal.
    :param prunes: see `Plan`.
    """

    def __init__(  # noqa: PLR0917
        self,
        gate_id: str,
        machine: Machine,
        agenda: Agenda,
        random: Random,
        broker: Broker,
        serve: carrier.Serve,
        pruned: Callable[[list[Seen]], None],
        prunes: bool,
    ) -> None:
        self.gate_id = gate_id
        self.machine = machine
        self.mirror: dict[Place, Seen] = {}
        self.door: door.Process | None = None
        self.sync: carrier.Process | None = None
        self.kill_in: int | None = None
        self._agenda, self._random, self._broker, self._serve, self._pruned = (
            agenda,
            random,
            broker,
            serve,
            pruned,
        )
        self._prunes = prunes
        self._line: deque[Coming] = deque()
        self._busy = False
        self._stopped: set[str] = set()
        self._present: list[Seen] = []
        self._last = self._commit_us = 0
        self._reader: sqlite3.Connection | None = None
        self.start_sync()
        self.start_door()

    # --- the door ---

    def start_door(self) -> None:
        """Start the service, if it is not running and the machine is on."""
        if self.door is not None or "machine" in self._stopped:
            return
        self.door = door.Process(
            gate_id=self.gate_id,
            machine=self.machine,
            agenda=self._agenda,
            random=self._random,
            keys=KEYS,
            to_sync=self._to_sync,
            prunes=self._prunes,
        )
        self.door.commit_us = self._commit_us
        self._tick(self.door)

    def _tick(self, process: door.Process) -> None:
        if process.is_over or process is not self.door:
            return
        if not self._busy:
            self._look()
            self._serve_guests()
        self._agenda.after(door.TICK_US, lambda: self._tick(process))

    def comes(self, guest: Coming) -> None:
        """A guest comes, and waits for those before."""
        self._line.append(guest)
        self._serve_guests()

    def _serve_guests(self) -> None:
        while self._line and not self._busy and self.door is not None:
            guest = self._line.popleft()
            lines, self.kill_in = self.kill_in, None
            before = len(self.door.relay.releases)
            process = self.door
            self._look(guest, lines)
            if guest.walks and len(process.relay.releases) > before:
                self._agenda.after(self._random.randint(S // 2, 3 * S), process.inputs.bodies)

    def _look(self, guest: Coming | None = None, lines: int | None = None) -> None:
        process = self.door
        assert process is not None
        self._busy = True
        since_us = self._agenda.now_us
        try:
            process.look(guest.ticket.shown if guest else None, lines=lines)
        except Killed:
            self._door_ended(process)
        finally:
            self._busy = False
            self.see(since_us)

    def kill_door(self) -> None:
        """Whatever it is doing: if it waits for something just now, it ends as soon as it would go on."""
        if self.door is None:
            return
        self.door.is_over = True
        if not self._busy:
            self._door_ended(self.door)

    def _door_ended(self, process: door.Process) -> None:
        self._agenda.note(self.gate_id, "the door ends")
        process.end()
        if self.door is process:
            self.door = None
        self._agenda.after(self._random.randint(S // 3, 5 * S), self.start_door)

    def slow_disk(self, commit_us: int) -> None:
        """From now on a commit takes so long; 0: next to nothing."""
        self._commit_us = commit_us
        if self.door is not None:
            self.door.commit_us = commit_us

    # --- sync ---

    def start_sync(self) -> None:
        """Start the service, if it is not running and the machine is on."""
        if (self.sync is not None and not self.sync.is_over) or "machine" in self._stopped:
            return
        self.sync = carrier.Process(
            identity=GateIdentity(gate_id=self.gate_id, venue=VENUE, version="simulated"),
            machine=self.machine,
            agenda=self._agenda,
            random=self._random,
            broker=self._broker,
            serve=self._serve,
            orders=self._orders,
        )
        self._watch(self.sync)

    def _watch(self, process: carrier.Process) -> None:
        """Restart sync if it ended, as systemd does."""
        if process is not self.sync:
            return
        if process.is_over:
            self.start_sync()
        else:
            self._agenda.after(2 * S, lambda: self._watch(process))

    def _to_sync(self, message: ToSync) -> bool:
        """Over the local socket; False if nobody listens there."""
        sync, process = self.sync, self.door
        if sync is None or sync.is_over or process is None:
            return False
        end = _End(self._agenda, process.line)
        self._agenda.after(door.SOCKET_US, lambda: None if sync.is_over else sync.from_door(end, message))
        return True

    def _orders(self, packet: bytes) -> int:
        if self.door is None:
            return 0
        line = self.door.line
        self._agenda.after(door.SOCKET_US, lambda: line.answered(packet))
        return 1

    def kill_sync(self) -> None:
        """As kill -9."""
        if self.sync is not None and not self.sync.is_over:
            self._agenda.note(self.gate_id, "sync ends")
            self.sync.end()

    def stop_sync(self, *, stopped: bool) -> None:
        """As SIGSTOP and SIGCONT."""
        if self.sync is not None:
            self._agenda.note(self.gate_id, f"sync {'stands still' if stopped else 'goes on'}")
            self.sync.is_stopped = stopped
            self.sync.wake(0)

    def busy(self) -> list[str]:
        """What keeps it from being quiet."""
        sync = self.sync
        if self.door is None or sync is None or sync.is_over or not sync.sync._connection.connected:
            return [f"{self.gate_id} is not up"]
        unacked = self._last - sync.sync._sender.acked
        behind = not sync.fetching.is_idle or not sync.sync._follower.is_current()
        return (
            [f"{self.gate_id} has {unacked} unacknowledged"] * bool(unacked)
            + [f"{self.gate_id} is behind"] * behind
            + [f"{self.gate_id} has guests"] * bool(self._line or self.door.awaited)
        )

    # --- the machine ---

    def off(self) -> None:
        """The power fails."""
        self._stopped.add("machine")
        self.kill_door()
        self.kill_sync()

    def on(self, *, in_1970: bool = False, new_card: bool = False) -> None:
        """It is switched on again, perhaps with an empty card."""
        if "machine" not in self._stopped:
            return
        if self._busy:
            self._agenda.after(100 * MS, lambda: self.on(in_1970=in_1970, new_card=new_card))
            return
        self._agenda.note(
            self.gate_id, f"is switched on{' in 1970' * in_1970}{' with a new card' * new_card}"
        )
        if new_card:
            for seen in self._present:
                seen.is_lost = True
            self._present, self._last, self._reader = [], 0, None
            self.machine.new_card()
        self._stopped.clear()
        self.machine.boot(in_1970=in_1970)
        self.start_sync()
        self.start_door()

    # --- the mirror ---

    def see(self, since_us: int) -> None:
        """Take what is new in the journal into the mirror, and notice what has gone from it."""
        try:
            if self._reader is None:
                path = self.machine.folder / "journal.db"
                self._reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            rows = self._reader.execute(_NEWER, (self._last,)).fetchall()
            ((first,),) = self._reader.execute("select min(seq) from scans").fetchall()
        except sqlite3.OperationalError:
            self._reader = None  # the journal does not exist yet
            return
        for row in rows:
            self._saw(Seen(from_row(row), since_us, self._agenda.now_us))
        if self._present and (first is None or self._present[0].record.seq < first):
            gone = [seen for seen in self._present if first is None or seen.record.seq < first]
            self._present = self._present[len(gone) :]
            self._pruned(gone)

    def _saw(self, seen: Seen) -> None:
        record = seen.record
        place = (record.gate_id, record.epoch, record.seq)
        assert place not in self.mirror, f"two records at {place}"
        self.mirror[place] = seen
        self._present.append(seen)
        self._last = record.seq
        code = f" {record.code_hash[:6]}" if record.code_hash else ""
        flags = f" {','.join(record.flags)}" if record.flags else ""
        self._agenda.note(
            self.gate_id,
            f"#{record.seq} {record.record} {record.verdict.value} {record.reason.value}{code}{flags}",
        )
        if self.sync is not None and not self.sync.is_over:
            self.sync.wake()

    def versions(self) -> dict[str, int]:
        """Feed versions in its cache."""
        path = self.machine.folder / "cache.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return dict(db.execute("select event_id, version from feed").fetchall())

    def cached(self, table: str, event_id: str) -> list[str]:
        """The rows of a table of its cache, of one night."""
        path = self.machine.folder / "cache.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            rows = db.execute(f"select row from {table} where event_id = ?", (event_id,)).fetchall()
        return [text for (text,) in rows]

    def close(self) -> None:
        """The night is over."""
        if self.sync is not None:
            self.sync.end()
        if self.door is not None:
            self.door.end()

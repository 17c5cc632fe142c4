"""Performs what `gate.rules.passage` decides: moves the turnstile, reads the inputs, writes the records.

The order is the promise (quality, invariant 11): a pulse is given only after its admission is on disk, and
after a mark that it is about to be given. An admission without the mark has certainly let nobody through, and
is annulled the next time the journal is opened; one with the mark may have, and counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import structlog

from gate.common.errors import CacheError, HardwareError
from gate.common.outage import Outage
from gate.common.uuids import new_uuid7
from gate.door.parts import Parts
from gate.ports.devices import Turnstile
from gate.rules.model import EventKind, Now, ScanRecord
from gate.rules.passage import (
    OrderAction,
    Outcome,
    Passage,
    Rules,
    Sensed,
    admission_released,
    order,
    releases_lost,
    sense,
)
from gate.rules.records import record_of
from gate.store.journal import Journal

MOST_OWED = 1_000
"""Records kept in memory while the journal cannot be written. Few of them are about tickets, because nobody
is admitted meanwhile."""


class DoorTurnstile:
    """The turnstile of one gate and who walks through it. Used from the door's thread.

    `turns` counts calls of `turn`, for the watchdog.

    :param random: gives that many random bytes, for record ids.
    """

    def __init__(self, *, gate_id: str, parts: Parts, rules: Rules, random: Callable[[int], bytes]) -> None:
        self._gate_id = gate_id
        self._parts = parts
        self._rules = rules
        self._random = random
        self.state = Passage()
        """Who is awaited, and what the way is."""
        self._owed: list[ScanRecord] = []
        self._deafness, self._holding = Outage("inputs"), Outage("holding the turnstile")
        self._unsettled = False
        self._held_open = False
        self._checked: Journal | None = None
        self.turns = 0
        self._log = structlog.get_logger()

    def release(self, relay: Turnstile, journal: Journal, admission: ScanRecord) -> bool:
        """Let one person through whose admission is on disk; False if the turnstile did not open.

        Then the admission is annulled: the guest did not get in, so the ticket is still good.
        """
        now = self._parts.clock.now()
        try:
            _open_for(journal, relay, admission)
        except Exception as error:  # whatever it is: this record let nobody in
            self._log.error("turnstile not opened", error=str(error), seq=admission.seq)
            self._owe(now, [Outcome(record="annulled", reason=EventKind.NOT_OPENED, scan=admission)])
            return False
        self._unsettled = True
        self.state = admission_released(self.state, admission, now.monotonic_ms, self._rules)
        return True

    def turn(self, now: Now) -> tuple[Outcome, ...]:
        """Read the inputs and do what follows from them and from the time.

        :returns: what happened, for screen and sound; `write` records it.
        """
        self.turns += 1
        self.state, outcomes = sense(self.state, self._sensed(now), now.monotonic_ms, self._rules)
        relay = self._parts.turnstile.part
        outcomes += self._lost(relay.lost() if relay is not None else 0)
        self._owe(now, outcomes)
        self._move(now.monotonic_ms)
        return outcomes

    def never_opened(self, pulses: int) -> None:
        """Annul that many admissions, the newest, whose release can no longer be given: the door stops."""
        self._owe(self._parts.clock.now(), self._lost(pulses))

    def _lost(self, pulses: int) -> tuple[Outcome, ...]:
        self.state, outcomes = releases_lost(self.state, pulses)
        return tuple(outcomes)

    def order(self, wanted: OrderAction) -> tuple[Outcome, ...]:
        """Follow an order of staff, and record it.

        :returns: what happened, as from `turn`.
        :raises gate.rules.passage.NotAllowed: it changes nothing.
        """
        outcomes = self.follow(wanted)
        self._owe(self._parts.clock.now(), outcomes)
        return outcomes

    def follow(self, wanted: OrderAction) -> tuple[Outcome, ...]:
        """The same for an order that is recorded already."""
        self.state, outcomes = order(self.state, wanted)
        self._move(self._parts.clock.now().monotonic_ms)
        return outcomes

    def event(self, reason: EventKind, note: str = "") -> None:
        """Record something that happened at the door."""
        self._owe(self._parts.clock.now(), [Outcome(record="event", reason=reason, note=note)])

    def write(self, journal: Journal) -> None:
        """Write what is owed to the journal, and make the marks of pulses durable.

        In a journal that was just opened, also annul the admissions that never let anybody through.

        :raises StoreError: the journal cannot be written, or was restored from a backup; what is owed is kept
            for the next time.
        """
        is_new = journal is not self._checked
        if is_new or self._owed:
            self._write_owed(journal, is_new=is_new)
            self._checked = journal
        if self._unsettled:
            journal.settle()
            self._unsettled = False

    def _write_owed(self, journal: Journal, *, is_new: bool) -> None:
        """All in one turn, so that no other process opens for an admission before it is annulled."""
        with journal.turn() as turn:
            self.check_numbering(journal)
            for record in self._owed:
                turn.append(record)
            lost = journal.unopened() if is_new else []
            for scan in lost:  # domain 2.3: committed and never opened
                never = Outcome(record="annulled", reason=EventKind.NOT_OPENED, scan=scan)
                turn.append(self._record(never, self._parts.clock.now()))
        if lost:
            self._log.warning(
                "admissions annulled", why="never let through", seqs=[scan.seq for scan in lost]
            )
        if lost or self._owed:
            self._unsettled = False  # a commit takes earlier marks to the disk
        self._owed.clear()

    def check_numbering(self, journal: Journal) -> None:
        """Before anything is written, make sure that the journal was not restored from a backup.

        The hub has other records under the numbers it would give.

        :raises gate.store.file_errors.DamagedError: it was; it has to be salvaged.
        """
        with contextlib.suppress(CacheError):  # nobody can tell, and what happened at the door is recorded
            link = self._parts.cache.link(self._parts.clock.now())
            journal.check_numbering(link.epoch, link.hub_seq)

    def _sensed(self, now: Now) -> Sensed:
        """What the inputs say. Without them, nobody is known not to have walked, and no alarm to be over."""
        deaf = Sensed(blocked=True, fire=self.state.fire, tamper=self.state.tamper)
        inputs = self._parts.inputs.get(now.monotonic_ms)
        if inputs is None:
            return deaf
        try:
            sensed = inputs.read()  # also in trouble: one broken contact does not silence the others
        except Exception as error:
            self._deafness.began(error)
            return deaf
        self._deafness.over()
        return sensed

    def _move(self, now_ms: int) -> None:
        """Hold the turnstile as the way says. Repeated each turn, so that a repaired relay follows too."""
        relay = self._parts.turnstile.get(now_ms)
        if relay is None or not (self.state.is_open or self._held_open):
            return
        try:
            if self.state.is_open:
                self._held_open = True  # a broken relay is asked too: it opens when it can
                relay.hold_open()
            else:
                relay.rest()
                self._held_open = False
        except Exception as error:
            self._holding.began(error)
            return  # tried again each turn
        self._holding.over()

    def _owe(self, now: Now, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            of_seq = outcome.scan.seq if outcome.scan else None
            self._log.info("outcome noted", record=outcome.record, reason=outcome.reason.value, of_seq=of_seq)
            self._owed.append(self._record(outcome, now))
        self._spare()

    def _record(self, outcome: Outcome, now: Now) -> ScanRecord:
        return record_of(outcome, now, new_uuid7(now.wall, self._random), self._gate_id)

    def _spare(self) -> None:
        """If too much is owed, drop events of the door before records of tickets."""
        events = [record for record in self._owed if record.record == "event"]
        for record in events[: max(0, len(self._owed) - MOST_OWED)]:
            self._log.warning(
                "event dropped", why="too many wait for the journal", reason=record.reason.value
            )
            self._owed.remove(record)


def let_in(journal: Journal, relay: Turnstile, admission: ScanRecord, now: Now, record_id: str) -> None:
    """Let one person through whose admission is on disk, for a command without a loop.

    :param record_id: for the annulment, if there is one.
    :raises HardwareError: the turnstile did not open; the admission is annulled.
    :raises StoreError: the journal cannot be written.
    """
    try:
        _open_for(journal, relay, admission)
    except HardwareError:
        annulled = Outcome(record="annulled", reason=EventKind.NOT_OPENED, scan=admission)
        with journal.turn() as turn:
            turn.append(record_of(annulled, now, record_id, admission.gate_id))
        raise
    journal.settle()


def _open_for(journal: Journal, relay: Turnstile, admission: ScanRecord) -> None:
    """First the mark, then the pulse (docs/adr/0011)."""
    journal.mark_opening(admission.scan_id)
    relay.release()

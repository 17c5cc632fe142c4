"""The loop of the door: look, notice a presentation, have it answered, look after the rest.

No network and no hardware library here: eyes, turnstile and screen are protocols
(`gate.ports.devices`). What a turn does, in its order: inputs and passage (`gate.door.turnstile`), the camera
(`gate.door.camera`), the keypad (`gate.door.keypad`) and the hand scanner (`gate.door.scanner`), whose codes
are answered by `gate.door.answer`, the screen between guests (`gate.door.signs`), staff's orders
(`gate.door.orders`, `gate.door.standing_orders`) and what the hub tells everybody (`gate.door.alerts`), and
telling others how the door is (`gate.door.report`). Each of these may fail because of a mistake of ours: that
is told once, and the others go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo

from gate.common.outage import Outage
from gate.common.watchdog import Heart
from gate.door.alerts import HubAlerts
from gate.door.answer import GuestAnswers
from gate.door.camera import CodesInView
from gate.door.desk import Desk
from gate.door.idle import IdleScreen
from gate.door.journal_upkeep import JournalUpkeep
from gate.door.keypad import DoorKeypad
from gate.door.orders import StaffOrders
from gate.door.parts import DoorSettings, Parts
from gate.door.report import Report, Tally
from gate.door.scanner import DoorScanner
from gate.door.signs import Signs
from gate.door.standing_orders import StandingOrders
from gate.door.turnstile import DoorTurnstile
from gate.ports.devices import Look
from gate.ports.screen import Notice
from gate.rules.model import EventKind, Now
from gate.rules.passage import OrderAction, Outcome
from gate.store.journal import Journal
from gate.store.live_file import LiveWriter

LOOK_S = 0.2
"""Longest wait for a frame: how late a stop or a change of the idle screen may be noticed."""
WAY_CHANGES = frozenset(
    {
        EventKind.FREE_PASSAGE,
        EventKind.FREE_PASSAGE_OVER,
        EventKind.HELD_OPEN,
        EventKind.CLOSED,
        EventKind.RESUMED,
    }
)
DUTIES = (
    "eye",
    "start",
    "passage",
    "lasting orders",
    "orders",
    "camera",
    "keypad",
    "scanner",
    "left out",
    "alerts",
    "journal",
    "screen",
    "report",
    "goodbye",
)


class Door:
    """One gate.

    :param make_desk: builds the desk around a working journal.
    :param zone: the club's time zone.
    `parts`: what it is made of; the door's own thread uses them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 – what a door is made of
        self,
        settings: DoorSettings,
        parts: Parts,
        turnstile: DoorTurnstile,
        make_desk: Callable[[Journal], Desk],
        heart: Heart,
        live: LiveWriter,
        zone: tzinfo,
    ) -> None:
        self.parts = parts
        self._turnstile = turnstile
        self._tally = Tally()
        self._upkeep = JournalUpkeep(settings, parts)
        self._idle = IdleScreen(settings, parts)
        self._signs = Signs(parts, self._idle, turnstile)
        self._answers = GuestAnswers(parts, turnstile, self._signs, self._tally, make_desk)
        self._in_view = CodesInView(settings, parts)
        self._keypad = DoorKeypad(parts, self._idle, self._signs, self._answers, zone)
        self._scanner = DoorScanner(settings, parts, self._answers)
        self._orders = StaffOrders(
            gate_id=settings.gate_id,
            keys=settings.command_keys,
            parts=parts,
            turnstile=turnstile,
            signs=self._signs,
            changed=self._way_changed,
        )
        self._standing_orders = StandingOrders(parts, turnstile, zone, self._way_changed)
        self._alerts = HubAlerts(settings.gate_id, parts, self._idle, self._signs)
        self._heart = heart
        self._report = Report(parts, turnstile, self._idle, self._tally, heart, live)
        self._outages = {duty: Outage(duty) for duty in DUTIES}

    def run(self, stop: threading.Event) -> bool:
        """Until `stop` is set, or staff orders a restart; then everything is put to rest.

        :returns: whether it is to be started again.
        """
        self._safely("start", lambda: self.parts.display.show(Notice(word="starting")))
        self._safely("start", self._idle.look_at_link)
        with self._heart.watching_threads():
            try:
                while not stop.is_set() and not self._orders.restarts:
                    self.step()
            finally:
                self.close()
        return self._orders.restarts

    def close(self) -> None:
        """Put everything to rest, the turnstile first; what is then known of it is still recorded."""
        self._safely("goodbye", self._report.stopping)
        self._safely("goodbye", self._answers.tell_left_out)
        relay = self.parts.turnstile.part
        self.parts.close_devices()
        self._safely("goodbye", lambda: self._last_words(relay.lost() if relay else 0))
        self.parts.close_files()

    def _last_words(self, lost_pulses: int) -> None:
        journal = self.parts.journal.part
        self._turnstile.never_opened(lost_pulses)
        if journal is not None:
            self._turnstile.write(journal)

    def step(self) -> None:
        """One look, and what follows from it."""
        look = self._look()
        now = self.parts.clock.now()
        self._safely("passage", lambda: self._pass(now))
        self._safely("lasting orders", lambda: self._standing_orders.turn(now))
        self._safely("orders", lambda: self._orders.turn(now))
        answers = self._turnstile.state.answers
        self._safely("camera", lambda: self._looked(look, now, answers=answers))
        self._safely("keypad", lambda: self._keypad.turn(now, answers=answers))
        self._safely("scanner", lambda: self._scanner.turn(now, answers=answers))
        now = self.parts.clock.now()
        self._safely("left out", lambda: self._answers.turn(now.monotonic_ms))
        self._safely("alerts", lambda: self._alerts.turn(now))
        self._safely("journal", lambda: self._upkeep.turn(now))
        self._safely("screen", lambda: self._signs.rest(now.monotonic_ms))
        self._safely("report", lambda: self._report.turn(now, looked=look is not None))

    def order(self, wanted: OrderAction) -> None:
        """What staff orders for the turnstile.

        :raises gate.rules.passage.NotAllowed: it changes nothing.
        """
        self._way_changed(self._turnstile.order(wanted))

    def _way_changed(self, outcomes: Sequence[Outcome]) -> None:
        self._tell(outcomes, self.parts.clock.now().monotonic_ms)

    def _safely(self, duty: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            self._outages[duty].began(error)
        else:
            self._outages[duty].over()

    def _look(self) -> Look | None:
        try:
            look = self.parts.eye.look(LOOK_S)
        except Exception as error:
            self._outages["eye"].began(error)
            time.sleep(LOOK_S)  # it would have waited as long
            return None
        self._outages["eye"].over()
        return look

    def _looked(self, look: Look | None, now: Now, *, answers: bool) -> None:
        if not answers:
            self._in_view.forget()
        elif look is not None:
            presented = self._in_view.looked(look, now)
            if presented is not None:
                self._answers.answer(presented, now)

    def _pass(self, now: Now) -> None:
        """Inputs and passage, and what is to be written of them."""
        self._tell(self._turnstile.turn(now), now.monotonic_ms)
        self.parts.with_journal(self._turnstile.write, now.monotonic_ms)

    def _tell(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """The way changes: said at once. Nobody walked: said unless somebody else is being answered."""
        self._tally.outcomes(outcomes)
        reasons = {outcome.reason for outcome in outcomes}
        if reasons & WAY_CHANGES:
            self._signs.way_changed(now_ms)
        elif reasons & {EventKind.EXPIRED, EventKind.NOT_OPENED} and self._signs.is_free(now_ms):
            self._signs.notice("annulled", now_ms)

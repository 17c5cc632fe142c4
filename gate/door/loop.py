"""The loop of the door: look, answer what is presented, look after the rest.

It uses no network and no hardware library: camera, turnstile and screen are protocols (`gate.ports.devices`).
The duties of a turn are in `Door.step`, in their order; most have a file of their own in this room. If one
fails because of a bug, that is logged once and the others go on.
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
from gate.door.rollback import RollbackNews
from gate.door.scanner import DoorScanner
from gate.door.signs import Signs
from gate.door.standing_orders import StandingOrders
from gate.door.turnstile import DoorTurnstile
from gate.ports.devices import Look
from gate.ports.screen import Notice
from gate.rules.model import EventKind, Now
from gate.rules.passage import Outcome
from gate.store.journal import Journal
from gate.store.live_file import LiveWriter
from gate.store.update_note import UpdateNote, read_update_note

LOOK_S = 0.2
"""The longest wait for a frame, and so the longest until a stop or a change of the idle screen is noticed."""
WAY_CHANGES = frozenset(
    {
        EventKind.FREE_PASSAGE,
        EventKind.FREE_PASSAGE_OVER,
        EventKind.HELD_OPEN,
        EventKind.CLOSED,
        EventKind.RESUMED,
    }
)


class _Outages(dict[str, Outage]):
    """By duty."""

    def __missing__(self, duty: str) -> Outage:
        self[duty] = Outage(duty)
        return self[duty]


def _last_update(settings: DoorSettings) -> UpdateNote | None:
    return read_update_note(settings.release_state) if settings.release_state is not None else None


class Door:
    """One gate.

    :param make_desk: builds the desk around a working journal.
    :param zone: the club's time zone.
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
        self._settings = settings
        self._parts = parts
        self._turnstile = turnstile
        self._tally = Tally()
        self._upkeep = JournalUpkeep(settings, parts)
        self._idle = IdleScreen(settings, parts)
        self._signs = Signs(parts, self._idle, turnstile)
        self._answers = GuestAnswers(parts, turnstile, self._signs, self._tally, make_desk)
        self._camera = CodesInView(settings, parts, self._answers, "camera")
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
        self._rollback = RollbackNews(lambda: _last_update(settings), self._signs)
        self._heart = heart
        self._report = Report(parts, turnstile, self._idle, self._tally, heart, live)
        self._outages = _Outages()

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set or staff orders a restart, then close everything.

        :returns: whether to start again.
        """
        self._safely("start", lambda: self._parts.display.show(Notice(word="starting")))
        self._safely("start", self._idle.look_at_link)
        with self._heart.watching_threads():
            try:
                while not stop.is_set() and not self._orders.restarts:
                    self.step()
            finally:
                self.close()
        return self._orders.restarts

    def close(self) -> None:
        """Close everything, the turnstile before the journal, so that lost releases are recorded."""
        self._safely("goodbye", self._report.stopping)
        self._safely("goodbye", self._answers.record_left_out)
        self._safely("goodbye", self._leave_sign)
        relay = self._parts.turnstile.part
        self._parts.close_devices()
        self._safely("goodbye", lambda: self._last_words(relay.lost() if relay else 0))
        self._parts.close_files()

    def _leave_sign(self) -> None:
        sign = self._settings.updating_sign
        if sign is not None and sign.exists():
            self._parts.display.show(Notice(word="updating", link=self._idle.link(self._now_ms())))

    def _now_ms(self) -> int:
        return self._parts.clock.now().monotonic_ms

    def _last_words(self, lost_pulses: int) -> None:
        journal = self._parts.journal.part
        self._turnstile.never_opened(lost_pulses)
        if journal is not None:
            self._turnstile.write(journal)

    def step(self) -> None:
        """Look once and do what follows."""
        look = self._look()
        now = self._parts.clock.now()
        self._safely("passage", lambda: self._pass(now))
        self._safely("standing orders", lambda: self._standing_orders.turn(now))
        answers = self._turnstile.state.answers
        self._safely("camera", lambda: self._camera.turn(look, now, answers=answers))
        self._safely("keypad", lambda: self._keypad.turn(now, answers=answers))
        self._safely("scanner", lambda: self._scanner.turn(now, answers=answers))
        now = self._parts.clock.now()
        self._safely("orders", lambda: self._orders.turn(now))  # a guest does not wait for them
        self._safely("left out", lambda: self._answers.turn(now.monotonic_ms))
        self._safely("alerts", lambda: self._alerts.turn(now))
        self._safely("rollback", lambda: self._rollback.turn(now))
        self._safely("journal", lambda: self._upkeep.turn(now))
        self._safely("screen", lambda: self._signs.rest(now.monotonic_ms))
        self._safely("report", lambda: self._report.turn(now, looked=look is not None))

    def _way_changed(self, outcomes: Sequence[Outcome]) -> None:
        self._show(outcomes, self._now_ms())

    def _safely(self, duty: str, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            self._outages[duty].began(error)
        else:
            self._outages[duty].over()

    def _look(self) -> Look | None:
        try:
            look = self._parts.eye.look(LOOK_S)
        except Exception as error:
            self._outages["eye"].began(error)
            time.sleep(LOOK_S)  # looking would have taken as long
            return None
        self._outages["eye"].over()
        return look

    def _pass(self, now: Now) -> None:
        """Inputs and passage, and the records of them."""
        self._show(self._turnstile.turn(now), now.monotonic_ms)
        self._parts.with_journal(self._turnstile.write, now.monotonic_ms)

    def _show(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """Show a change of the way at once; that nobody walked, only if nobody else is being answered."""
        self._tally.outcomes(outcomes)
        reasons = {outcome.reason for outcome in outcomes}
        if reasons & WAY_CHANGES:
            self._signs.way_changed(now_ms)
        elif reasons & {EventKind.EXPIRED, EventKind.NOT_OPENED} and self._signs.is_free(now_ms):
            self._signs.notice("annulled", now_ms)

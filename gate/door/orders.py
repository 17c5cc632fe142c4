"""Follows staff's orders (domain 2.3, "Overrides"). Used from the door's thread.

An order is verified (`gate.rules.command`), recorded under its own id, and only then followed: so it is used
up before it has done anything. One that cannot be recorded is not followed. One that was interrupted is not
followed again, and staff sees that no answer came; only what it made of the turnstile for everybody holds
after a restart (`gate.door.standing_orders`). No order ends the free passage of a fire alarm.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.common.errors import StoreError
from gate.common.foreign import read_json
from gate.common.seldom import Seldom
from gate.door.parts import Parts, part_trouble
from gate.door.signs import Signs
from gate.door.turnstile import DoorTurnstile
from gate.hotline.messages import Refetch, Replied
from gate.ports.screen import Notice, StaffText
from gate.ports.signals import Signal
from gate.rules.command import LONGEST_ENVELOPE, Action, Command, Envelope, OrderReply, RefusedOrder, unseal
from gate.rules.model import Now
from gate.rules.passage import NotAllowed, OrderAction, Outcome, Way, order
from gate.rules.records import record_of_order
from gate.store.journal import Journal

EACH_MS = 200
"""A Pi needs less than a millisecond to verify a signature, by estimate: five a second are no burden."""
MOST_WAITING = 32
MOST_REMEMBERED = 100
"""Answers kept for orders that are delivered again. The oldest are dropped; the journal keeps every order."""
_WAYS: Mapping[Action, OrderAction] = {
    "hold_open": OrderAction.HOLD_OPEN,
    "close": OrderAction.CLOSE,
    "resume": OrderAction.RESUME,
}


class _NotFollowed(Exception):
    """An order that is not followed; its text says why."""


class StaffOrders:
    """Orders of one gate.

    `restarts`: the door is to end, so that it is started again.

    :param keys: the keys orders are signed with, by id.
    :param changed: called when the turnstile has opened or closed to everybody, or works normally again.
    """

    def __init__(  # noqa: PLR0913 – whom an order concerns
        self,
        *,
        gate_id: str,
        keys: Mapping[str, Ed25519PublicKey],
        parts: Parts,
        turnstile: DoorTurnstile,
        signs: Signs,
        changed: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._gate_id = gate_id
        self._keys = keys
        self._parts = parts
        self._turnstile = turnstile
        self._signs = signs
        self._changed = changed
        self._waiting: deque[bytes] = deque()
        self._next_ms = 0
        self._answers: dict[str, str] = {}
        self._log = structlog.get_logger()
        self._seldom = Seldom(lambda: parts.clock.now().monotonic_ms / 1000)
        self.restarts = False

    def turn(self, now: Now) -> None:
        """Follow the orders that came, one at a time. What does not fit into the queue is dropped."""
        for sealed in self._parts.hotline.orders():
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(sealed)
            else:
                self._seldom.say(self._log.warning, "unverified order refused", why="too many at once")
        if self._waiting and now.monotonic_ms >= self._next_ms:
            self._next_ms = now.monotonic_ms + EACH_MS
            self._look_at(self._waiting.popleft(), now)

    def _look_at(self, sealed: bytes, now: Now) -> None:
        command = unseal(sealed, self._keys, self._gate_id, now)
        if isinstance(command, RefusedOrder) and not command.id:
            self._seldom.say(self._log.warning, "unverified order refused", why=command.why)
            self._refuse_unverified(sealed, command.why, now)
            return
        if command.id not in self._answers:
            self._remember(command.id, self._answer(command, now))
        self._reply(command.id, self._answers[command.id], now)

    def _refuse_unverified(self, sealed: bytes, why: str, now: Now) -> None:
        """Let a gate that lacks the hub's key say so. The refusal is not remembered: an order that was not
        verified must not stand in the way of a verified one with the same id."""
        claimed = _claimed(sealed)
        if claimed is not None and claimed.gate_id == self._gate_id:
            self._reply(claimed.id, why, now)

    def _remember(self, command_id: str, why: str) -> None:
        """MQTT delivers at least once: an order that comes again gets the same answer."""
        if len(self._answers) >= MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[command_id] = why

    def _answer(self, command: Command | RefusedOrder, now: Now) -> str:
        """Follow it if possible; returns why not, or nothing."""
        if isinstance(command, RefusedOrder):
            self._log.warning("order refused", id=command.id, why=command.why)
            return command.why
        why = ""
        try:
            self._follow(command, now)
        except _NotFollowed as error:
            why = str(error)
        said = {"action": command.action, "actor": command.actor, "reason": command.reason}
        if why:
            self._log.warning("order refused", id=command.id, why=why, **said)
        else:
            self._log.info("order followed", id=command.id, **said)
        return why

    def _reply(self, command_id: str, why: str, now: Now) -> None:
        reply = OrderReply(
            id=command_id,
            gate_id=self._gate_id,
            outcome="refused" if why else "done",
            why=why,
            at=now.wall,
        )
        if not self._parts.hotline.send(Replied(reply=msgspec.json.encode(reply).decode())):
            self._log.warning("order reply dropped", why="sync does not take it", id=command_id)

    def _follow(self, command: Command, now: Now) -> None:
        """Check, record, do, in this order.

        :raises _NotFollowed: why not.
        """
        journal = self._parts.journal.get(now.monotonic_ms)
        if journal is None:
            raise _NotFollowed(f"it cannot be recorded: {self._parts.journal.trouble}")
        try:
            if journal.knows(command.id):
                raise _NotFollowed("it has been followed already")
            self._check(command, now)
            self._do(command, journal, now)
        except StoreError as error:
            self._parts.journal.broke(error, now.monotonic_ms)
            raise _NotFollowed(f"it cannot be recorded: {error}") from error

    def _check(self, command: Command, now: Now) -> None:
        """Raise if it cannot be followed now; then nothing is recorded."""
        if command.action == "release":
            self._check_release(now)
        elif command.action == "show_text" and not command.text.strip():
            raise _NotFollowed("there is no text to show")
        elif command.action in _WAYS:
            try:
                order(self._turnstile.state, _WAYS[command.action])
            except NotAllowed as error:
                raise _NotFollowed(str(error)) from None

    def _check_release(self, now: Now) -> None:
        way = self._turnstile.state.way
        if self._turnstile.state.is_open:
            why = "the fire alarm is on" if way is Way.FREE_PASSAGE else "it is held open"
            raise _NotFollowed(f"the way is free already: {why}")
        relay = self._parts.turnstile.get(now.monotonic_ms)
        trouble = part_trouble(self._parts.turnstile)
        if relay is None or trouble is not None:
            raise _NotFollowed(f"the turnstile is out of order: {trouble}")

    def _do(self, command: Command, journal: Journal, now: Now) -> None:
        """Record it, then follow it."""
        with journal.turn() as turn:
            self._turnstile.check_numbering(journal)
            record = turn.append(record_of_order(command, now, self._gate_id))
        match command.action:
            case "release":
                relay = self._parts.turnstile.get(now.monotonic_ms)
                if relay is None or not self._turnstile.release(relay, journal, record):
                    raise _NotFollowed("the turnstile did not open; that is recorded")
                self._show(Notice(word="released"), Signal.ADMIT, now)
            case "hold_open" | "close" | "resume":
                self._changed(self._turnstile.follow(_WAYS[command.action]))
            case "show_text":
                self._signs.later(StaffText(text=command.text), now.monotonic_ms)
            case "refetch":
                if not self._parts.hotline.send(Refetch()):
                    raise _NotFollowed("sync does not take it; it fetches everything when it starts")
            case "restart":
                self._show(Notice(word="starting"), None, now)
                self.restarts = True

    def _show(self, screen: Notice, signal: Signal | None, now: Now) -> None:
        self._signs.with_link(screen, signal, now.monotonic_ms)


def _claimed(sealed: bytes) -> Command | None:
    """The order in an envelope that was not verified."""
    try:
        envelope = read_json(sealed, Envelope, limit=LONGEST_ENVELOPE)
        return read_json(base64.b64decode(envelope.body, validate=True), Command, limit=LONGEST_ENVELOPE)
    except ValueError:
        return None

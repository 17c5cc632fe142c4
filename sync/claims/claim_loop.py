"""Carries claims and orders between hub and door, in a loop of its own.

The service's loop writes the cache, and a large snapshot blocks it for seconds; a guest waits 0.2 s at most
for a claim. So the door's packets and the hub's answers are handled here, in order of arrival, and nothing
here touches a file. What needs files is passed to the service.

A claim that nobody will answer costs the guest nothing: the door's connection is closed at once, and the door
does not wait. That happens without a broker, and when the hub has not answered a probe lately.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

import structlog

from gate.clock import Clock
from gate.common.seldom import Seldom
from gate.hotline.messages import Beat, Ordered, Refetch, Replied, ToSync, to_packet
from gate.rules.command import LONGEST_ENVELOPE
from gate.rules.first_entry import Claim, Grant, Returned
from sync.broker.mqtt import Message, MqttLink
from sync.broker.read_message import read_or_log
from sync.claims.claim_inbox import BrokerDown, BrokerUp, ClaimEvent, ClaimInbox, DoorLine, FromDoor, FromHub
from sync.claims.hub_clock import HubClock, measure, with_measure
from sync.wire.messages import HubTime, LendRequest, Probe, WireError, to_gate
from sync.wire.messages import encode as to_wire
from sync.wire.topics import Topics

POLL_S = 0.2
GOOD_FOR_S = 2
"""The broker drops older claims and probes: nobody waits for them, and in a queue for an absent hub they
would displace returned claims."""
PROBE_MS = 1_000
ANSWERED_MS = 3_000
"""A hub that answered none of the last three probes will answer no claim."""
SILENT_MS = 10_000
"""A hub that answered no probe for so long is absent, however well the broker works."""
MOST_ASKED = 256
"""Pending claims remembered; a door has one at a time."""
MOST_LATER = 256
"""Messages kept for the hub while there is no broker; then the oldest is dropped."""
MOST_PROBES = 16
PIECE = 100
"""Most events handled before the next probe: a few milliseconds of work."""

ToService = LendRequest | Refetch


class ClaimLoop:
    """Carries claims, probes and replies; `run` runs in a thread of its own.

    :param to_service: passes on what needs files.
    :param tell: sends a packet to every connected door; returns how many took it.
    :param hub_clock: what is known of the hub's clock from before.
    :param timeout_ms: how long a door waits for an answer; a probe that takes longer proves nothing.
    """

    def __init__(  # noqa: PLR0913 – its neighbours, by name
        self,
        topics: Topics,
        gate_id: str,
        clock: Clock,
        *,
        to_service: Callable[[ToService], None],
        tell: Callable[[bytes], int],
        hub_clock: HubClock,
        timeout_ms: int,
    ) -> None:
        self.topics = (topics.grants(gate_id), topics.commands(gate_id))
        """Messages on these topics go into `inbox`."""
        self._topic = topics.claims(gate_id)
        self._replies = topics.replies(gate_id)
        self._commands = topics.commands(gate_id)
        self._clock = clock
        self._to_service = to_service
        self._tell = tell
        self._timeout_ms = timeout_ms
        self.inbox = ClaimInbox()
        """Any thread may put."""
        self.hub_clock = hub_clock
        """Read from any thread."""
        self.answered_ms: int | None = None
        """When the hub last answered a probe in time, on any connection; read from any thread."""
        self.turns = 0
        """How often the loop has turned."""
        self._link: MqttLink | None = None
        self._is_answered = False
        self._heard_ms: int | None = None
        self._asked: OrderedDict[str, DoorLine] = OrderedDict()
        self._unused: OrderedDict[str, None] = OrderedDict()
        self._later: deque[tuple[str, bytes]] = deque(maxlen=MOST_LATER)
        self._probes: deque[int] = deque(maxlen=MOST_PROBES)
        self._probe_at = 0
        self._seldom = Seldom(lambda: clock.now().monotonic_ms / 1000)
        self._log = structlog.get_logger()

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                self._handle(self.inbox.get(POLL_S))
            self.turn()

    def turn(self) -> None:
        """Handle some events and send a probe if one is due. Does not wait."""
        self.turns += 1
        with contextlib.suppress(queue.Empty):
            for _ in range(PIECE):
                self._handle(self.inbox.get(0))
        self._probe()
        self._log_dropped()

    def _log_dropped(self) -> None:
        dropped = self.inbox.take_dropped()
        if dropped and (count := self._seldom.due("dropped", dropped)):
            self._log.warning("claim messages dropped", count=count, why="hub or door send too many")

    def _handle(self, event: ClaimEvent) -> None:
        match event:
            case FromDoor(door, message):
                self._on_door(door, message)
            case FromHub(link, message) if link is self._link:
                read_or_log(message, self._on_hub, self._seldom)
            case BrokerUp(link):
                self._on_up(link)
            case BrokerDown():
                self._on_down()

    # --- the broker ---

    def _on_up(self, link: MqttLink) -> None:
        self._link, self._is_answered, self._heard_ms = link, False, None
        self._probe_at = 0
        self._probes.clear()
        for _ in range(len(self._later)):
            self._publish_later(*self._later.popleft())

    def _on_down(self) -> None:
        """No pending claim will be answered."""
        self._link, self._is_answered, self._heard_ms = None, False, None
        for door in {id(door): door for door in self._asked.values()}.values():
            door.close()
        self._asked.clear()

    def _publish(self, topic: str, payload: bytes, expires_s: int | None = None) -> bool:
        return self._link is not None and self._link.publish(topic, payload, expires_s=expires_s)

    def _publish_later(self, topic: str, payload: bytes) -> None:
        """Publish now, or once there is a broker again."""
        if not self._publish(topic, payload):
            self._later.append((topic, payload))

    # --- from the door ---

    def _on_door(self, door: DoorLine, message: ToSync) -> None:
        match message:
            case Claim():
                self._on_claim(door, message)
            case Returned(scan_id=scan_id):
                self._on_unused(scan_id)
            case Replied(reply=reply):
                self._publish_later(self._replies, reply.encode())
            case Refetch():
                self._to_service(message)

    def _on_claim(self, door: DoorLine, claim: Claim) -> None:
        if claim.scan_id in self._unused:
            return
        if not (self._is_open() and self._publish(self._topic, to_wire(claim), GOOD_FOR_S)):
            door.close()
            return
        self._asked[claim.scan_id] = door
        while len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)

    def hears_hub(self, now_ms: int) -> bool:
        """Whether the hub answered a probe lately on this connection, in time or not."""
        return self._heard_ms is not None and now_ms - self._heard_ms <= SILENT_MS

    def _is_open(self) -> bool:
        """Whether the hub answered a probe in time lately, on this connection."""
        if not self._is_answered or self.answered_ms is None:
            return False
        return self._clock.now().monotonic_ms - self.answered_ms <= ANSWERED_MS

    def _on_unused(self, scan_id: str) -> None:
        """Return the grant, whether it arrived, is under way or never comes."""
        self._asked.pop(scan_id, None)
        self._unused[scan_id] = None
        while len(self._unused) > MOST_ASKED:
            self._unused.popitem(last=False)
        self._publish_later(self._topic, to_wire(Returned(scan_id=scan_id)))

    # --- from the hub ---

    def _on_hub(self, message: Message) -> None:
        if message.topic == self._commands:
            self._on_command(message)
            return
        match to_gate(message.payload):
            case Grant() as grant:
                self._on_grant(grant)
            case HubTime() as answer:
                self._on_time(answer)
            case LendRequest() as lend:
                self._to_service(lend)

    def _on_grant(self, grant: Grant) -> None:
        """Pass it to the door that asked; late ones too, for only the door knows what became of the claim."""
        if grant.scan_id in self._unused:
            if grant.answer == "granted":  # the first return may not have arrived
                self._publish_later(self._topic, to_wire(Returned(scan_id=grant.scan_id)))
            return
        door = self._asked.pop(grant.scan_id, None)
        if door is not None:
            door.send(to_packet(grant))

    def _on_command(self, message: Message) -> None:
        """Pass it on unread: the door verifies it. A retained one is stale."""
        if message.retained or len(message.payload) > LONGEST_ENVELOPE:
            raise WireError("not an order: retained by the broker, or too long")
        packet = to_packet(Ordered(envelope=message.payload.decode(errors="replace")))
        if not self._tell(packet) and (count := self._seldom.due("no door")):
            self._log.warning("order dropped", why="no door is connected", count=count)

    # --- the hub's clock ---

    def _probe(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        if self._link is not None and now_ms >= self._probe_at:
            self._probe_at = now_ms + PROBE_MS
            self._probes.append(now_ms)
            self._publish(self._topic, to_wire(Probe(id=now_ms)), GOOD_FOR_S)

    def _on_time(self, answer: HubTime) -> None:
        if answer.id not in self._probes:
            return
        self._probes.remove(answer.id)
        now = self._clock.now()
        self._heard_ms = now.monotonic_ms
        if now.monotonic_ms - answer.id <= self._timeout_ms:
            self.answered_ms, self._is_answered = now.monotonic_ms, True
            self._tell(to_packet(Beat(answered_ms=now.monotonic_ms)))
        new = measure(now.boot_id, answer.id, now.monotonic_ms, answer)
        if new is not None:
            self.hub_clock = with_measure(self.hub_clock, new)
            self._clock.learn(self.hub_clock.best)

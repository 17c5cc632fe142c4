"""An MQTT broker in memory, the network between it and its clients, and everything that goes wrong there.

It does what Mosquitto does at QoS 1 (protocol 4.2): it sends PUBACK before anything is safe, keeps a session
for a client that asked for one, redelivers what was not acknowledged, publishes last wills, and forgets
sessions and retained messages when it crashes. Messages of one client on one topic keep their order unless
they are sent again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.simulation.agenda import MS, Agenda, Do, S

KEEPALIVE_US = 15 * S
"""A dead line is noticed after this long by both ends."""
OVERTAKES = 0.1
"""How often a message comes before one of another topic that was sent earlier."""
CONNECT_US = 5 * S
"""How long an attempt to connect takes where nothing answers."""

Arrivals = dict[str, int]
"""When the newest message of each topic arrives, each way."""


@functools.cache
def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with ``+`` and ``#``."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number >= len(given) or level not in ("+", given[number]):
            return False
    return len(wanted) == len(given)


@dataclass
class Packet:
    """One message to one client. `mid`: its number there."""

    topic: str
    payload: bytes
    mid: int
    retained: bool = False


@dataclass
class Wire:
    """The cable of one client: which ways are cut, and what waits in the sender's buffer."""

    up_cut: bool = False
    down_cut: bool = False
    cuts: int = 0
    latency_us: tuple[int, int] = (200, 3 * MS)
    waiting: list[tuple[Arrivals, str, Do]] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        return self.up_cut or self.down_cut


@dataclass
class Session:
    """What the broker knows of a client. `unacked`: delivered or to be delivered, in order."""

    client_id: str
    filters: tuple[str, ...]
    no_local: bool
    persistent: bool
    unacked: list[Packet] = field(default_factory=list)
    line: Line | None = None


class Line:
    """One connection, both ends of it. `is_open`: as the broker sees it; `is_lost`: as the client does."""

    def __init__(
        self, session: Session, will: tuple[str, bytes] | None, deliver: Callable[[Packet], None], lost: Do
    ) -> None:
        self.session = session
        self.will = will
        self.deliver = deliver
        self.lost = lost
        self.is_open = True
        self.is_lost = False
        self.arrivals: Arrivals = {}


class Broker:
    """See the module's text.

    :param duplicates: how likely a message is sent twice.
    """

    def __init__(self, agenda: Agenda, random: Random, duplicates: float = 0.02) -> None:
        self.is_up = True
        self.wires: dict[str, Wire] = {}
        self.retained: dict[str, bytes] = {}
        self._agenda = agenda
        self._random = random
        self._duplicates = duplicates
        self._sessions: dict[str, Session] = {}
        self._mid = 0

    # --- the network ---

    def wire(self, client_id: str) -> Wire:
        """A client's cable."""
        return self.wires.setdefault(client_id, Wire())

    def cut(self, client_id: str, *, up: bool = True, down: bool = True) -> None:
        """Cut a client's cable, in one way or both; nobody is told."""
        wire = self.wire(client_id)
        wire.up_cut, wire.down_cut = wire.up_cut or up, wire.down_cut or down
        wire.cuts += 1
        self._agenda.note("network", f"{client_id} is cut off{' up' * up}{' down' * down}")
        number = wire.cuts
        self._agenda.after(KEEPALIVE_US, lambda: self._notice(client_id, number))

    def heal(self, client_id: str) -> None:
        """Mend a client's cable; what waited in the buffers of a connection goes through."""
        wire = self.wire(client_id)
        if not wire.is_cut:
            return
        self._agenda.note("network", f"{client_id} is connected again")
        wire.up_cut = wire.down_cut = False
        wire.cuts += 1
        waiting, wire.waiting = wire.waiting, []
        for arrivals, topic, go in waiting:
            self._travel(wire, topic, arrivals, go)

    def _notice(self, client_id: str, number: int) -> None:
        if self.wire(client_id).cuts == number and self.wire(client_id).is_cut:
            self.drop(client_id, "keep alive timeout")

    def _travel(self, wire: Wire, topic: str, arrivals: Arrivals, go: Do) -> None:
        """Let it travel: messages of one topic never overtake each other, those of several topics rarely."""
        behind = topic if self._random.random() < OVERTAKES else topic[0]
        when = max(self._agenda.now_us + self._random.randint(*wire.latency_us), arrivals.get(behind, 0))
        when = max(when, arrivals.get(topic, 0))
        arrivals[topic] = when
        arrivals[topic[0]] = max(when, arrivals.get(topic[0], 0))
        self._agenda.at(when, go)

    def _up(self, line: Line, topic: str, go: Do) -> None:
        wire = self.wire(line.session.client_id)
        if wire.up_cut:
            wire.waiting.append((line.arrivals, "^" + topic, go))
        else:
            self._travel(wire, "^" + topic, line.arrivals, go)

    def _down(self, line: Line, topic: str, go: Do) -> None:
        wire = self.wire(line.session.client_id)
        if wire.down_cut:
            wire.waiting.append((line.arrivals, topic, go))
        else:
            self._travel(wire, topic, line.arrivals, go)

    # --- connections ---

    def connect(  # noqa: PLR0917 - what a CONNECT and its SUBSCRIBE say
        self,
        client_id: str,
        filters: Sequence[str],
        will: tuple[str, bytes] | None,
        deliver: Callable[[Packet], None],
        connected: Callable[[Line], None],
        lost: Callable[[str], None],
        persistent: bool = False,
    ) -> None:
        """Try to connect and subscribe: `connected` or `lost` is called later."""
        wire = self.wire(client_id)
        if wire.is_cut:
            self._agenda.after(CONNECT_US, lambda: lost("no connection"))
        elif not self.is_up:
            self._agenda.after(MS, lambda: lost("no connection"))
        else:
            latency = self._random.randint(*wire.latency_us) * 3
            accept = lambda: self._accept(client_id, filters, will, deliver, connected, lost, persistent)  # noqa: E731
            self._agenda.after(latency, accept)

    def _accept(  # noqa: PLR0917
        self,
        client_id: str,
        filters: Sequence[str],
        will: tuple[str, bytes] | None,
        deliver: Callable[[Packet], None],
        connected: Callable[[Line], None],
        lost: Callable[[str], None],
        persistent: bool,
    ) -> None:
        if not self.is_up or self.wire(client_id).is_cut:
            self._agenda.after(MS, lambda: lost("connection reset"))
            return
        self.drop(client_id, "session taken over")
        session = self._sessions.get(client_id)
        if session is None or not persistent:
            session = Session(client_id, tuple(filters), no_local=not persistent, persistent=persistent)
            self._sessions[client_id] = session
        line = Line(session, will, deliver, lambda: lost("connection lost"))
        session.line = line
        connected(line)
        for packet in session.unacked:
            self._deliver(line, packet)
        for topic, payload in self.retained.items():
            if any(matches(one, topic) for one in filters):
                self._to(session, topic, payload, retained=True)

    def drop(self, client_id: str, why: str = "kicked") -> None:
        """A connection breaks: both ends learn it, and the last will is published."""
        session = self._sessions.get(client_id)
        if session is not None and session.line is not None:
            self._agenda.note("broker", f"{client_id}: {why}")
            self._break(session, session.line, with_will=True)

    def _break(self, session: Session, line: Line, *, with_will: bool) -> None:
        line.is_open = False
        session.line = None
        self.wire(session.client_id).waiting.clear()
        if not session.persistent:
            self._sessions.pop(session.client_id, None)
        self._agenda.after(MS, lambda: self._tell_lost(line))
        if with_will and line.will is not None:
            self._route(line.will[0], line.will[1], retain=True, sender=session.client_id)

    @staticmethod
    def _tell_lost(line: Line) -> None:
        if not line.is_lost:
            line.is_lost = True
            line.lost()

    def leave(self, line: Line, *, politely: bool) -> None:
        """The client's end is gone: with a goodbye, or because its process died."""
        line.is_lost = True
        if line.is_open:  # what was said before still arrives
            line.arrivals["^bye"] = line.arrivals.get("^", 0)
            self._up(line, "bye", lambda: self._gone(line, politely=politely))

    def _gone(self, line: Line, *, politely: bool) -> None:
        if line.is_open and line.session.line is line:
            self._break(line.session, line, with_will=not politely)

    def crash(self, *, forgets: bool) -> None:
        """Killed: what is on its way is gone; with `forgets` also sessions and retained messages."""
        self._agenda.note("broker", f"crashes{' and forgets' if forgets else ''}")
        self.is_up = False
        for session in list(self._sessions.values()):
            if session.line is not None:
                self._break(session, session.line, with_will=False)
        if forgets:
            self._sessions.clear()
            self.retained.clear()

    def restart(self) -> None:
        """It is back."""
        self._agenda.note("broker", "is back")
        self.is_up = True

    # --- messages ---

    def publish(
        self, line: Line, topic: str, payload: bytes, *, retain: bool, puback: Do = lambda: None
    ) -> None:
        """From a client. `puback` is called if the broker says it has it, which promises nothing."""
        self._up(line, topic, lambda: self._arrived(line, topic, payload, retain=retain, puback=puback))

    def _arrived(self, line: Line, topic: str, payload: bytes, *, retain: bool, puback: Do) -> None:
        if not self.is_up or not line.is_open:
            return
        for _ in range(1 + (self._random.random() < self._duplicates)):
            self._route(topic, payload, retain=retain, sender=line.session.client_id)
        self._down(line, "puback", lambda: puback() if not line.is_lost else None)

    def _route(self, topic: str, payload: bytes, *, retain: bool, sender: str) -> None:
        if retain:
            self.retained[topic] = payload
        for session in list(self._sessions.values()):
            own = session.no_local and session.client_id == sender
            if not own and any(matches(one, topic) for one in session.filters):
                self._to(session, topic, payload, retained=False)

    def _to(self, session: Session, topic: str, payload: bytes, *, retained: bool) -> None:
        self._mid += 1
        packet = Packet(topic, payload, self._mid, retained)
        session.unacked.append(packet)
        if session.line is not None:
            self._deliver(session.line, packet)

    def _deliver(self, line: Line, packet: Packet) -> None:
        self._down(line, packet.topic, lambda: None if line.is_lost else line.deliver(packet))

    def acknowledge(self, line: Line, mid: int) -> None:
        """The client has a message."""
        self._up(line, "puback", lambda: self._acknowledged(line, mid))

    def _acknowledged(self, line: Line, mid: int) -> None:
        if line.is_open:
            unacked = line.session.unacked
            unacked[:] = [packet for packet in unacked if packet.mid != mid]

    def waiting(self) -> list[str]:
        """Who has not acknowledged what."""
        return [
            f"{session.client_id} has not acknowledged {packet.topic} {packet.payload[:80]!r}"
            for session in self._sessions.values()
            for packet in session.unacked[:1]
        ]

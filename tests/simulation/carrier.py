"""The real sync of a gate: it takes a turn when there is something to do, over a simulated network."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

import msgspec
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from gate.clock import SystemClock
from gate.common.errors import MagueyError
from gate.hotline.messages import ToSync
from gate.store.live_file import read_live
from sync.broker.inbox import Inbox
from sync.broker.mqtt import Connected, Disconnected, LinkEvent, Message, MqttLink
from sync.broker.tls import is_lost
from sync.cache.spool import SpoolBusy
from sync.cache.writer import Cache
from sync.claims.claim_inbox import DoorLine, FromDoor
from sync.feed.fetcher import RETRY_S, Want, WantConfig
from sync.feed.snapshot import FetchedFeed, FetchError, HubClient, HubRefused
from sync.service import Sync, SyncEvent
from sync.status import GateIdentity
from sync.upload.outbox import Outbox
from sync.wire.messages import GateConfig
from tests.simulation.agenda import MS, Agenda, S
from tests.simulation.broker import Broker, Packet
from tests.simulation.broker import Line as BrokerLine
from tests.simulation.database import Killed
from tests.simulation.kill import killed_after
from tests.simulation.machine import Machine

TICK_US = S
BUSY_TICK_US = 250 * MS
"""How often it polls while it is not connected."""
POLL_US = 20 * MS
HEARD_US = (50, 10 * MS)
"""How long until it handles what arrived: the turn before, with its commits, may take that long."""

Serve = Callable[[requests.PreparedRequest], tuple[int, bytes, dict[str, str]] | None]
"""The hub's answer to a request: status, body and headers; None: nothing answers."""


class Doors:
    """The local line, as sync has it. `orders`: takes what is for every door there is."""

    def __init__(self, orders: Callable[[bytes], int]) -> None:
        self.turns = 0
        self._orders = orders

    def tell(self, packet: bytes, /) -> int:
        """See `sync.service.DoorLines`."""
        return self._orders(packet)


class SimulatedLink(MqttLink):
    """A connection over the simulated network. Used once, as the real one."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        put: Callable[[MqttLink, LinkEvent], None],
        will: tuple[str, bytes],
        topics: Sequence[str],
    ) -> None:
        self._broker = broker
        self._tell = put
        self._line: BrokerLine | None = None
        self._is_closed = False
        self._turned = 0
        broker.connect(client_id, topics, will, self._delivered, self._on_line, self._on_lost)

    def _on_line(self, line: BrokerLine) -> None:
        if self._is_closed:
            self._broker.leave(line, politely=False)
        else:
            self._line = line
            self._tell(self, Connected())

    def _on_lost(self, why: str) -> None:
        if not self._is_closed:
            self._line = None
            self._tell(self, Disconnected(why))

    def _delivered(self, packet: Packet) -> None:
        if self._line is not None and not self._is_closed:
            self._broker.acknowledge(self._line, packet.mid)
            self._tell(self, Message(packet.topic, packet.payload, packet.retained))

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expires_s: int | None = None,  # noqa: ARG002 – nothing waits here
    ) -> bool:
        """See `MqttLink`."""
        if self._line is None:
            return False
        self._broker.publish(self._line, topic, payload, retain=retain)
        return True

    def listen(self, topics: Sequence[str]) -> None:
        """See `MqttLink`; nobody floods here."""

    def is_alive(self) -> bool:
        """See `MqttLink`."""
        return not self._is_closed

    def is_open(self) -> bool:
        """See `MqttLink`."""
        return self._line is not None

    def beats(self) -> int:
        """See `MqttLink`."""
        self._turned += 1
        return self._turned

    def close(self, farewell: tuple[str, bytes] | None = None) -> None:
        """See `MqttLink`."""
        if farewell is not None:
            self.publish(*farewell, retain=True)
        self._leave(politely=True)

    def die(self) -> None:
        """Its process ended."""
        self._leave(politely=False)

    def _leave(self, *, politely: bool) -> None:
        self._is_closed = True
        if self._line is not None:
            self._broker.leave(self._line, politely=politely)
            self._line = None


class Wires(BaseAdapter):
    """Carries a request of the real HTTP client to the simulated hub."""

    def __init__(self, serve: Serve) -> None:
        super().__init__()
        self._serve = serve

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        """See `BaseAdapter`."""
        answer = self._serve(request)
        if answer is None:
            raise requests.ConnectionError("simulated: nothing answers")
        response = requests.Response()
        response.status_code, body, headers = answer
        response.headers.update(headers)
        response.reason = str(response.status_code)
        response.url = request.url or ""
        response.raw = HTTPResponse(io.BytesIO(body), headers, response.status_code, preload_content=False)
        return response

    def close(self) -> None:
        """There is nothing to close."""


class _Client(HubClient):
    """Reads no certificates: there is nothing to check, and the machine's own take 20 ms."""

    def _mount(self, now: datetime) -> None:
        self._clock_was_lost = is_lost(now)


class Fetching:
    """As `sync.feed.fetcher.Fetcher`, in virtual time: one request at a time, what fails is due again
    later."""

    def __init__(
        self,
        agenda: Agenda,
        random: Random,
        ask: Callable[[Want], GateConfig | FetchedFeed],
        deliver: Callable[[GateConfig | FetchedFeed], None],
    ) -> None:
        self._agenda = agenda
        self._random = random
        self._ask = ask
        self._deliver = deliver
        self._wishes: dict[str, tuple[Want, int]] = {}
        self._asking = self.is_over = False

    def want(self, what: Want) -> None:
        """See `Fetcher`."""
        key = _key(what)
        due = self._wishes[key][1] if key in self._wishes else 0
        self._wishes[key] = (what, due)
        self._go_on()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted."""
        return not self._wishes

    def _go_on(self) -> None:
        if self._asking or not self._wishes or self.is_over:
            return
        now = self._agenda.now_us
        due = [what for what, due in self._wishes.values() if due <= now]
        if due:
            what = min(due, key=lambda one: not isinstance(one, WantConfig))
            self._asking = True
            self._agenda.after(self._random.randint(1 * MS, 30 * MS), lambda: self._fulfil(what))
        else:
            self._agenda.at(min(due for _, due in self._wishes.values()), self._go_on)

    def _fulfil(self, what: Want) -> None:
        if self.is_over:
            return
        key = _key(what)
        try:
            answer = self._ask(what)
        except (FetchError, SpoolBusy) as error:
            wish = self._wishes.pop(key)
            if not isinstance(error, HubRefused):
                self._wishes[key] = (wish[0], self._agenda.now_us + int(RETRY_S * S))
            self._agenda.after(MS, self._done)
            return
        if self._wishes[key][0] == what:
            del self._wishes[key]
        self._agenda.after(self._random.randint(1 * MS, 200 * MS), lambda: self._arrived(answer))

    def _arrived(self, answer: GateConfig | FetchedFeed) -> None:
        if not self.is_over:
            self._deliver(answer)
            self._done()

    def _done(self) -> None:
        self._asking = False
        self._go_on()


def _key(what: Want) -> str:
    return "" if isinstance(what, WantConfig) else what.event_id


class Process:
    """One run of sync's service."""

    def __init__(
        self,
        *,
        identity: GateIdentity,
        machine: Machine,
        agenda: Agenda,
        random: Random,
        broker: Broker,
        serve: Serve,
        orders: Callable[[bytes], int],
    ) -> None:
        self.is_over = self.is_stopped = False
        self.kill_in: int | None = None
        self._agenda = agenda
        self._random = random
        self._broker = broker
        self._identity = identity
        self._inbox = Inbox[SyncEvent]()
        self._links: list[SimulatedLink] = []
        self._is_due = False
        folder = machine.folder
        self.clock = SystemClock(machine.read)
        client = _Client("http://hub", identity.gate_id, token_of(identity.gate_id))
        client._session.mount("http://", Wires(serve))
        self._cache = Cache(folder / "cache.db", lambda: machine.read().wall)
        self._outbox = Outbox(folder / "journal.db")
        self.fetching = Fetching(
            agenda,
            random,
            lambda what: _ask(client, what, self._cache, self.clock.now().monotonic_ms),
            self._answered,
        )
        self.sync = Sync(
            identity=identity,
            cache=self._cache,
            outbox=self._outbox,
            inbox=self._inbox,
            make_link=self._make_link,
            want=self.fetching.want,
            clock=self.clock,
            door=lambda now: read_live(folder / "door.json", now),
            jitter=random.random,
            fetched=lambda: 0,
            doors=Doors(orders),
        )
        self._claims_are_due = False
        self._tick()

    def _make_link(self, will: tuple[str, bytes], topics: Sequence[str]) -> MqttLink:
        link = SimulatedLink(self._broker, self._identity.gate_id, self._heard, will, topics)
        self._links = [link]
        return link

    def _heard(self, link: MqttLink, event: LinkEvent) -> None:
        self.sync.deliver(link, event)
        self._wake_both()

    def _answered(self, answer: GateConfig | FetchedFeed) -> None:
        self._inbox.put((None, answer))
        self._wake_both()

    def from_door(self, line: DoorLine, message: ToSync) -> None:
        """The door says something."""
        self.sync.claims.inbox.put(FromDoor(line, message))
        self._wake_both()

    def _wake_both(self) -> None:
        """Wake every loop that has something to read."""
        if not self._inbox.empty():
            self.wake(self._random.randint(*HEARD_US))
        if not self.sync.claims.inbox.empty():
            self._wake_claims(self._random.randint(20, 300))

    def _wake_claims(self, delay_us: int) -> None:
        if not self._claims_are_due:
            self._claims_are_due = True
            self._agenda.after(delay_us, self._claim)

    def _claim(self) -> None:
        """A turn of the thread between door and hub."""
        self._claims_are_due = False
        if not self.is_over and not self.is_stopped:
            self.sync.claims.turn()
            self._wake_both()

    def wake(self, delay_us: int = POLL_US) -> None:
        """There is something to do."""
        if not self._is_due:
            self._is_due = True
            self._agenda.after(delay_us, self._turn)

    def _tick(self) -> None:
        if not self.is_over:
            self.wake(0)
            self._wake_claims(0)
            self._agenda.after(TICK_US if self.sync._connection.connected else BUSY_TICK_US, self._tick)

    def _turn(self) -> None:
        self._is_due = False
        if self.is_over or self.is_stopped:
            return
        lines, self.kill_in = self.kill_in, None
        try:
            with killed_after(lines, "sync"):
                self.sync.turn()
            self._wake_both()
        except Killed:
            self._agenda.note(self._identity.gate_id, "sync is killed in the middle of its turn")
            self.end()
        except MagueyError as error:
            self._agenda.note(self._identity.gate_id, f"sync ends: {error}")
            self.end()

    @property
    def unacked(self) -> int:
        """What the hub has not acknowledged, as far as sync knows."""
        return self.sync._sender.unacked

    def end(self) -> None:
        """As kill -9."""
        self.is_over = self.fetching.is_over = True
        for link in self._links:
            link.die()
        with contextlib.suppress(Exception):
            self._cache.close()
        self._outbox.close()


def _ask(client: HubClient, what: Want, cache: Cache, asked_ms: int) -> GateConfig | FetchedFeed:
    if isinstance(what, WantConfig):
        return client.config()
    fetched = client.admissions(what.event_id, what.since, cache.spool, what.generation, what.whole)
    return msgspec.structs.replace(fetched, asked_ms=asked_ms)


def token_of(gate_id: str) -> str:
    """A gate's secret."""
    return f"token of {gate_id}"

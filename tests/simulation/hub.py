"""The real hub, turn by turn: its consumer, its feed, what it hears of gates, its web interface.

Its threads, and the waiting in them, are left out; each part is given its turn when a message has come or
its time is up, and tries again a second after it failed, as its thread would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import psycopg
import requests
from litestar.response import Response, Stream

from hub.claims.answers import ClaimAnswers
from hub.config import HubConfig
from hub.config import Postgres as PostgresConfig
from hub.errors import DatabaseDownError
from hub.feed.publisher import HEAD_SECONDS, Publisher
from hub.feed.snapshot import SnapshotCache
from hub.gates.status_listener import StatusListener
from hub.ingest.consumer import Consumer
from hub.mqtt.inbox import Delivery, FairInbox
from hub.web import api
from hub.web.problems import Problem
from sync.wire.topics import Topics
from tests.simulation.agenda import MS, Agenda, S
from tests.simulation.broker import Broker, Packet
from tests.simulation.broker import Line as BrokerLine
from tests.simulation.database import Killed, Session, Trouble

VENUE = "club"
HOST = ("hub", "hub-claims", "hub-status")
"""The hub's connections to the broker; cut together."""
RETRY_US = S
HEAD_US = int(HEAD_SECONDS * S)
BUSY_US = {"consumer": (20 * MS, S), "claims": (100, 3 * MS), "statuses": (MS, 100 * MS)}
"""How long until a part handles a message."""


def microseconds(agenda: Agenda) -> int:
    """The hub's clock, since 1970."""
    return (agenda.wall - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class HubLine:
    """A `hub.mqtt.link.HubLink`: comes back by itself, sends again what was not PUBACKed."""

    def __init__(  # noqa: PLR0917
        self,
        agenda: Agenda,
        random: Random,
        broker: Broker,
        trouble: Trouble,
        client_id: str,
        filters: tuple[str, ...],
        heard: Callable[[], None],
        persistent: bool,
    ) -> None:
        self.inbox = FairInbox()
        self.connects = 0
        self.is_over = False
        self._agenda, self._random, self._broker, self._trouble = agenda, random, broker, trouble
        self._client_id, self._filters = client_id, filters
        self._heard = heard
        self._persistent = persistent
        self._line: BrokerLine | None = None
        self._connection = 0
        self._unsent: dict[int, tuple[str, bytes, bool]] = {}
        self._number = 0
        self._connect()

    @property
    def is_up(self) -> bool:
        """See `Line`."""
        return self._line is not None

    def _connect(self) -> None:
        if not self.is_over:
            self._broker.connect(
                self._client_id, self._filters, None, self._delivered, self._on_line, self._on_lost,
                self._persistent,
            )  # fmt: skip

    def _on_line(self, line: BrokerLine) -> None:
        if self.is_over:
            self._broker.leave(line, politely=False)
            return
        self._line = line
        self._connection += 1
        self.connects += 1
        for number in list(self._unsent):
            self._send(number)
        self._heard()

    def _on_lost(self, _why: str) -> None:
        if not self.is_over:
            self._line = None
            self._connection += 1
            self._agenda.after(self._random.randint(S, 2 * S), self._connect)

    def _delivered(self, packet: Packet) -> None:
        if self._line is not None and not self.is_over:
            now = microseconds(self._agenda)
            message = Delivery(
                packet.topic, packet.payload, packet.mid, self._connection, packet.retained, now
            )
            self.inbox.put(message)
            self._heard()

    def publish(self, topic: str, payload: bytes, retain: bool = False, expires_s: int | None = None) -> None:
        """See `Line`."""
        self._trouble.said()
        self._number += 1
        self._unsent[self._number] = (topic, payload, retain)
        if self._line is not None:
            self._send(self._number)
        if expires_s is not None:
            number = self._number
            self._agenda.after(expires_s * S, lambda: self._forget(number))

    def _send(self, number: int) -> None:
        assert self._line is not None
        topic, payload, retain = self._unsent[number]
        self._broker.publish(self._line, topic, payload, retain=retain, puback=lambda: self._forget(number))

    def _forget(self, number: int) -> None:
        self._unsent.pop(number, None)

    def acknowledge(self, *messages: Delivery) -> None:
        """See `Line`."""
        for message in messages:
            self._trouble.said()
            if self._line is not None and message.connection == self._connection:
                self._broker.acknowledge(self._line, message.mid)

    def tend(self) -> None:
        """See `Line`."""

    def end(self) -> None:
        """Its process ended."""
        self.is_over = True
        if self._line is not None:
            self._broker.leave(self._line, politely=False)


class Part:
    """One thread of the hub: takes a turn when there is something to do, and every so often.

    :param turn: raises what Postgres raises.
    """

    def __init__(self, hub: Hub, name: str, every_us: int, turn: Callable[[], None]) -> None:
        self.is_over = False
        self._hub = hub
        self._agenda = hub.agenda
        self._name = name
        self._every_us = every_us
        self._turn_it = turn
        self._due_us: int | None = None

    def wake(self, delay_us: int) -> None:
        """Take a turn, at the latest then."""
        when = self._agenda.now_us + delay_us
        if self.is_over or (self._due_us is not None and self._due_us <= when):
            return
        self._due_us = when
        self._agenda.at(when, lambda: self._turn(when))

    def _turn(self, when: int) -> None:
        if self.is_over or self._due_us != when:
            return
        self._due_us = None
        try:
            self._hub.trouble.part = self._name
            self._turn_it()
        except (psycopg.Error, DatabaseDownError) as error:
            if not isinstance(error, psycopg.OperationalError | DatabaseDownError):
                raise
            self._agenda.note("hub", f"{self._name}: {str(error)[:60]}")
            self.wake(RETRY_US)
        except Killed:
            self._hub.crash()
        else:
            self.wake(self._every_us)


class Process:
    """One run of the hub: all of its parts live and die together."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._agenda, self._random = hub.agenda, hub.random
        self._lines: list[HubLine] = []
        topics = Topics(venue=VENUE)
        config = HubConfig(venue=VENUE, postgres=PostgresConfig(dsn="dbname=simulated"))
        self._parts: dict[str, Part] = {}
        clock = lambda: self._agenda.now_us / S  # noqa: E731
        scans = self._line("hub", "consumer", (topics.scans(),))
        consumer = Consumer(config, scans, clock)
        publisher = Publisher(scans, topics, clock)
        status = self._line("hub-status", "statuses", (topics.status(), topics.replies()), persistent=False)
        statuses = StatusListener(status, topics)
        asked = self._line("hub-claims", "claims", (topics.claims(), topics.status()))
        claims = ClaimAnswers(VENUE, asked, lambda: microseconds(self._agenda))
        conn = hub.session
        self._heads_at = 0
        self._add("consumer", S, lambda: self._consume(consumer))
        self._add("feed", 2 * S, lambda: self._publish(publisher))
        self._add("claims", S, lambda: claims.turn(conn, 0))
        self._add("statuses", 5 * S, lambda: statuses.turn(conn, 0, self._agenda.wall))
        self.is_over = False

    def _line(
        self, client_id: str, part: str, filters: tuple[str, ...], *, persistent: bool = True
    ) -> HubLine:
        hub = self._hub
        heard = lambda: self._parts[part].wake(self._random.randint(*BUSY_US[part]))  # noqa: E731
        line = HubLine(hub.agenda, hub.random, hub.broker, hub.trouble, client_id, filters, heard, persistent)
        self._lines.append(line)
        return line

    def _add(self, name: str, every_us: int, turn: Callable[[], None]) -> None:
        self._parts[name] = Part(self._hub, name, every_us, turn)
        self._parts[name].wake(self._random.randint(0, 50 * MS))

    def _consume(self, consumer: Consumer) -> None:
        consumer.turn(self._hub.session, 0)
        self.changed()

    def _publish(self, publisher: Publisher) -> None:
        publisher.publish_new(self._hub.session)
        if self._agenda.now_us >= self._heads_at:
            publisher.publish_heads(self._hub.session)
            self._heads_at = self._agenda.now_us + HEAD_US
        if publisher.has_stale_heads:
            self._parts["feed"].wake(HEAD_US)

    def changed(self) -> None:
        """Postgres notifies whoever listens."""
        self._parts["feed"].wake(self._random.randint(500, 5 * MS))

    def end(self) -> None:
        """As kill -9."""
        self.is_over = True
        for part in self._parts.values():
            part.is_over = True
        for line in self._lines:
            line.end()


class Hub:
    """The hub of the night: runs, crashes, is started again. `process`: None while it is down."""

    def __init__(self, agenda: Agenda, random: Random, broker: Broker, session: Session) -> None:
        self.agenda = agenda
        self.random = random
        self.broker = broker
        self.session = session
        self.trouble = session.trouble
        self._snapshots = SnapshotCache()
        self.process: Process | None = Process(self)

    def crash(self) -> None:
        """As kill -9; it comes back after a while."""
        if self.process is None:
            return
        self.agenda.note("hub", "crashes")
        self.process.end()
        self.process = None
        self.session.back_to_normal()
        self._snapshots = SnapshotCache()
        self.agenda.after(self.random.randint(S // 2, 20 * S), self.start)

    def start(self) -> None:
        """A new process."""
        if self.process is None:
            self.agenda.note("hub", "starts")
            self.trouble.quiet()
            self.process = Process(self)

    def change(self, sql: str, *values: object) -> None:
        """Somebody changes something at the hub, over a connection of their own."""
        with self.trouble.aside():
            self.session.execute(sql.encode(), values)
        if self.process is not None:
            self.process.changed()

    # --- HTTP ---

    def serve(self, request: requests.PreparedRequest) -> tuple[int, bytes, dict[str, str]] | None:
        """Answer a gate's request with the real handlers."""
        if self.process is None:
            return None
        self.trouble.part = "api"
        try:
            answer = self._handled(request)
        except Problem as problem:
            return problem.status_code, b"", {}
        except (psycopg.OperationalError, DatabaseDownError):
            return 503, b"", {}
        except Killed:
            self.crash()
            return None
        finally:
            self.session.back_to_normal()
        if isinstance(answer, msgspec.Struct):
            return 200, msgspec.json.encode(answer), {}
        return _sent(answer)

    def _handled(self, request: requests.PreparedRequest) -> Any:
        place = urlsplit(request.url or "")
        parts = str(place.path).split("/")
        headers = {key.lower(): value for key, value in request.headers.items()}
        state = SimpleNamespace(pool=SimpleNamespace(connection=self._connection), snapshots=self._snapshots)
        scope: dict[str, Any] = {"state": {}}  # strangers are not counted here
        stub: Any = SimpleNamespace(headers=headers, app=SimpleNamespace(state=state), scope=scope)
        if parts[4] == "config":
            return api.gate_config.fn(parts[3], stub)
        asked = {key: int(values[0]) for key, values in parse_qs(str(place.query)).items()}
        return api.admissions.fn(parts[3], UUID(parts[5]), stub, **{"since": 0, **asked})

    @contextmanager
    def _connection(self) -> Iterator[Session]:
        try:
            yield self.session
            self.session.commit()
        finally:
            self.session.back_to_normal()


def _sent(answer: Response[Any]) -> tuple[int, bytes, dict[str, str]]:
    pieces: Any = answer.iterator if isinstance(answer, Stream) else [answer.content]
    body = b"".join(pieces)
    return answer.status_code or 200, body, {str(key): str(value) for key, value in answer.headers.items()}

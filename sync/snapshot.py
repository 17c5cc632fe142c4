"""Fetches the gate's configuration and its events' admissions over HTTP (protocol 4.4)."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

import msgspec
import requests
from urllib3.exceptions import HTTPError

from gate.errors import MagueyError, StoreError
from gate.model import Admission, Event, FeedRow, Table, Value
from sync.download import Download
from sync.feed import Place
from sync.meter import Meter, TooMuch
from sync.session import Session
from sync.spool import Spool, Spooled
from sync.tls import context, is_lost
from sync.wire import Change, GateConfig, SnapshotEnd, SnapshotHeader, WireError, decode

READ_S = 20.0
"""Between two pieces of an answer."""
CONFIG_S = 60.0
"""For all of a configuration, and the tries it takes."""
NIGHT_S = 900.0
"""For all of a night's list: 100,000 admissions, 12 MB packed, at 14 KB/s."""
MAX_BYTES = 512 * 1024 * 1024
"""A snapshot larger than this is none; a million admissions take about 400 MB."""
LINE_BYTES = 256 * 1024
"""A row longer than this is none; they take about 400 bytes."""
CONFIG_BYTES = 4 * 1024 * 1024
"""A configuration larger than this is none; a night takes about 400 bytes."""
MOST_CHANGES = 5_000
"""Changes read into memory, about 3 MB; whoever lacks more, in however many pages, loads all."""


class FetchError(MagueyError):
    """The hub could not be asked, or its answer cannot be used."""


class NoAnswer(FetchError):
    """Nothing answers where the hub should be."""


class Refused(FetchError):
    """The hub knows nothing of what was asked for, or does not give it to this gate (403, 404)."""


class Fetched(Value, frozen=True):
    """A whole snapshot (`spooled`) or what came after the version `since` (`changes`).

    `newest`: what the hub has, where that is more than `version`.
    `went_back`: the hub has an older state than this gate had when it asked; nothing of it was read.
    """

    event_id: str
    version: int
    generation: int = 1
    since: int = 0
    spooled: Spooled | None = None
    changes: tuple[Change, ...] = ()
    went_back: bool = False
    newest: int = 0

    @property
    def place(self) -> Place:
        """How far it leads."""
        return Place(generation=self.generation, version=self.version)

    @property
    def newest_place(self) -> Place:
        """How far the hub is."""
        return Place(generation=self.generation, version=max(self.version, self.newest))


class HubClient:
    """Asks the hub as one gate.

    :param url: the hub's address, without a path.
    :param token: the gate's secret; sent in the Authorization header only.
    :param pause: waits so many seconds, before a download that was cut goes on.
    :param wall: the machine's clock, right or wrong.
    :param ticks: seconds, of any origin, for what an answer may take.
    """

    def __init__(  # noqa: PLR0913, PLR0917 – who asks whom, and how
        self,
        url: str,
        gate_id: str,
        token: str,
        ca_file: str = "",
        pause: Callable[[float], None] = time.sleep,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate_id = gate_id
        self._pause = pause
        self._wall = wall
        self._base = f"{url.rstrip('/')}/api/gates/{gate_id}"
        self._meter = Meter(ticks)
        self._session = Session(self._meter)
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.headers["Accept-Encoding"] = "gzip"
        self._session.verify = ca_file or True
        self._ca_file = ca_file
        self._clock_was_lost: bool | None = None

    @property
    def turns(self) -> int:
        """Grows while something comes from the hub, or is tried; for the watchdog."""
        return self._meter.turns

    @property
    def is_looking_up(self) -> bool:
        """Whether it waits for the look-up of a name, which has a time-out of its own."""
        return self._meter.is_looking_up

    def config(self) -> GateConfig:
        """The gate's configuration. Raises `FetchError`."""
        self._meter.begin(CONFIG_S)
        with self._get("/config") as answer, _in_words(answer.url):
            try:
                config = decode(_whole(answer.url, Download(answer, self._meter)), GateConfig)
            except WireError as error:
                raise FetchError(f"{answer.url}: {error}. Are hub and gate of the same version?") from None
            if config.gate_id != self._gate_id:
                raise FetchError(f"{answer.url}: this is the configuration of gate {config.gate_id}.")
            return config

    def admissions(
        self, event_id: str, since: int, spool: Spool, generation: int = 1, whole: bool = False
    ) -> Fetched:
        """All of an event, or what changed after `since`; checked against its digest.

        More than `MOST_CHANGES` are not read: all of the event is asked for instead. Nor is anything of a hub
        that is behind what this gate has.

        :param since: the version this gate has of `generation`; 0: none.
        :param spool: takes the rows of a whole snapshot, which memory need not hold.
        :param whole: ask for all of it, whatever this gate has.
        :raises SpoolBusy: a snapshot waits there; the hub was not asked.
        :raises FetchError: no answer, refused, cut off, altered on the way, of another event, no room.
        """
        spool.check()
        held = Place(generation=generation, version=since)
        first = 0 if whole else since
        fetched = self._fetch(event_id, held, first, spool) or self._fetch(event_id, held, 0, spool)
        if fetched is None:
            raise FetchError(f"event {event_id}: asked for all of it, the hub answered with changes.")
        return fetched

    def _fetch(self, event_id: str, held: Place, since: int, spool: Spool) -> Fetched | None:
        """None: more changes than are held in memory."""
        self._meter.begin(NIGHT_S)
        path, asked = f"/events/{event_id}/admissions", {"since": since, "generation": held.generation}
        with self._get(path, **asked) as answer, _in_words(answer.url):
            url = self._base + path
            download = Download(
                answer, self._meter, lambda headers: self._send(url, asked, headers), self._pause
            )
            lines = _Lines(download.pieces(), event_id)
            header = lines.header
            place = Place(generation=header.generation, version=header.version)
            fetched = Fetched(event_id=event_id, version=header.version, generation=header.generation)
            if place < held:
                return msgspec.structs.replace(fetched, went_back=True)
            if not header.since:
                return msgspec.structs.replace(fetched, spooled=spool.fill(lines.rows()))
            if max(header.count, header.newest - header.since) > MOST_CHANGES:
                return None
            lines.check_follows_on(held)
            return msgspec.structs.replace(
                fetched, since=header.since, newest=header.newest, changes=tuple(lines.changes())
            )

    def _get(self, path: str, **query: Any) -> requests.Response:
        url = self._base + path
        with _in_words(url):  # requests looks at where a redirect leads even if it does not follow
            answer = self._ask(url, query)
        status = answer.status_code
        if status != requests.codes.ok:
            answer.close()
            kind = Refused if status in (403, 404) else FetchError
            raise kind(f"{url}: the hub says {status} {answer.reason}.{_hint(status)}")
        return answer

    def _ask(self, url: str, query: dict[str, Any]) -> requests.Response:
        try:
            return self._send(url, query, {})
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError) as error:
            raise NoAnswer(
                f"{url}: no answer from the hub ({type(error).__name__}). Is it running?"
            ) from None

    def _mount(self, now: datetime) -> None:
        """How the hub is checked over https; another way only once the clock is right, or is lost."""
        try:
            checks = context(self._ca_file, now)
        except OSError as error:  # ssl.SSLError is one
            raise FetchError(f"hub.ca_file: {self._ca_file} cannot be used: {error}.") from None
        self._clock_was_lost = is_lost(now)
        self._session.check_with(checks)

    def _send(self, url: str, query: dict[str, Any], headers: dict[str, str]) -> requests.Response:
        now = self._wall()
        if is_lost(now) != self._clock_was_lost:
            self._mount(now)
        return self._session.get(
            url, params=query, headers=headers, timeout=READ_S, stream=True, allow_redirects=False
        )


@contextlib.contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Whatever an answer does to the libraries that read it: the answer cannot be used."""
    try:
        yield
    except StoreError as error:
        raise FetchError(str(error)) from error
    except TooMuch as error:
        raise FetchError(f"{url}: given up: {error}. It is asked again. Is that the hub?") from None
    except (
        requests.RequestException,
        HTTPError,
        HTTPException,
        OSError,
        ValueError,
        RecursionError,
    ) as error:
        raise FetchError(
            f"{url}: the answer cannot be used ({type(error).__name__}: {error}). It is fetched again."
        ) from None


def _hint(status: int) -> str:
    if 300 <= status < 400:
        return " Redirects are not followed: put the hub's own address into hub.url."
    if status in (401, 403):
        return " Check the gate's token file and whether the gate was revoked."
    return " Check that the hub is migrated and knows this gate." if status == 404 else ""


def _whole(url: str, download: Download) -> bytes:
    """A body that is to fit into memory."""
    whole = bytearray()
    for piece in download.pieces():
        whole += piece
        if len(whole) > CONFIG_BYTES:
            raise FetchError(f"{url}: more than {CONFIG_BYTES} bytes; not read to the end.")
    return bytes(whole)


class _Lines:
    """The lines of one answer about an event: `header` at once, the rest as they come.

    Held are the lines of one piece, and one more: which is the last is known when it is over.
    """

    def __init__(self, pieces: Iterable[bytes], event_id: str) -> None:
        self._digest = hashlib.sha256()
        self._lines = self._split(pieces)
        self.header = msgspec.json.decode(next(self._lines, b""), type=SnapshotHeader)
        if self.header.event_id != event_id:
            raise FetchError(f"asked for event {event_id}, the hub answered with {self.header.event_id}.")

    def rows(self) -> Iterator[FeedRow]:
        """Those of a whole snapshot. Raises `FetchError` after the last if not all of them came."""
        decode = msgspec.json.Decoder(Event | Table | Admission).decode
        for line in self._between():
            row = decode(line)
            self._check_event(row)
            yield row

    def changes(self) -> Iterator[Change]:
        """Those of a catch-up, gapless. Raises `FetchError` after the last if not all of them came."""
        decode = msgspec.json.Decoder(Change).decode
        for version, line in enumerate(self._between(), self.header.since + 1):
            change = decode(line)
            self._check_event(change.row)
            if change.version != version:
                raise self._mixed_up(f"version {change.version} where {version} has its place")
            yield change

    def check_follows_on(self, held: Place) -> None:
        """Raise `FetchError` unless the changes announced are those after what this gate has."""
        of = self.header
        if (of.generation, of.since, of.count) != (held.generation, held.version, of.version - of.since):
            raise self._mixed_up(f"{of.count} changes after {of.since} are to lead to {of.version}")

    def _between(self) -> Iterator[bytes]:
        """What stands between header and end, never more than announced; the end is checked last."""
        for count, line in enumerate(self._lines):
            if count == self.header.count:
                if self._is_end(line):
                    return
                break
            yield line
        raise FetchError(
            f"event {self.header.event_id}: not the {self.header.count} rows that were announced, or "
            "altered ones; asked again."
        )

    def _is_end(self, line: bytes) -> bool:
        """Whether it is the last line, and has the digest of everything before it."""
        if next(self._lines, None) is not None:
            return False
        return msgspec.json.decode(line, type=SnapshotEnd).sha256 == self._digest.hexdigest()

    def _split(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of a body without their ends. All but the last are in the digest when it is over."""
        size, rest, last = 0, b"", b""
        for piece in pieces:
            size += len(piece)
            text = rest + piece
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            if size > MAX_BYTES:
                raise FetchError(f"more than {MAX_BYTES} bytes; not read to the end.")
            if len(rest) > LINE_BYTES:
                raise FetchError(f"a line of more than {LINE_BYTES} bytes; not read to the end.")
            if end:
                begin = text.rfind(b"\n", 0, end - 1) + 1
                self._digest.update(last + text[:begin])
                last = text[begin:end]
                yield from text[: end - 1].split(b"\n")
        if rest:
            self._digest.update(last)
            yield rest

    def _check_event(self, row: FeedRow) -> None:
        """A row of another event would let this event's snapshot change that one."""
        if row.event_id != self.header.event_id:
            raise self._mixed_up(f"a row of event {row.event_id} among its own")

    def _mixed_up(self, what: str) -> FetchError:
        return FetchError(f"event {self.header.event_id}: {what}. Nothing of it is used; asked again.")

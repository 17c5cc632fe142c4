"""Fetches the gate's configuration and its events' admissions over HTTP (protocol 4.4)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

import msgspec
import requests
import structlog
from urllib3.exceptions import HTTPError

from gate.common.errors import StoreError
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value
from gate.rules.command import Envelope
from sync.broker.tls import context, is_lost
from sync.cache.spool import Spool, SpooledSnapshot
from sync.feed.answer_lines import AnswerLines, FetchError, UnreadableChangeError
from sync.feed.download import Download
from sync.feed.http_session import HubSession
from sync.feed.transfer_meter import TransferLimitError, TransferMeter
from sync.wire.enrolment import LIMIT, RenewAnswer, RenewRequest
from sync.wire.messages import LARGEST, Change, FeedPlace, GateConfig, WireError, decode
from sync.wire.wipe import LONGEST_WIPE, RevokedAnswer

__all__ = [
    "FetchError",
    "FetchedCertificate",
    "FetchedFeed",
    "HubClient",
    "HubRefused",
    "HubUnreachable",
    "HubWipes",
]

READ_S = 20.0
"""Most time between two pieces of an answer."""
CONFIG_S = 60.0
"""Time for a whole configuration, including retries."""
NIGHT_S = 900.0
"""Time for a whole night's list: 100,000 admissions, 12 MB packed, at 14 KB/s."""
CONFIG_BYTES = LARGEST
"""Largest configuration; a night takes about 400 bytes."""
_REFUSED = (403, 404, 410)
MOST_CHANGES = 5_000
"""Most changes read into memory, about 3 MB; a gate that lacks more, in any number of pages, loads all."""

_log = structlog.get_logger()


class HubUnreachable(FetchError):
    """Nothing answers at the hub's address."""


class HubRefused(FetchError):
    """The hub does not know what was requested, or refuses it to this gate (403, 404, 410)."""


class HubWipes(HubRefused):
    """The hub says that this gate was stolen and is to erase itself. Whether the hub does, `wipe` proves."""

    def __init__(self, message: str, wipe: Envelope) -> None:
        super().__init__(message)
        self.wipe = wipe


class FetchedCertificate(Value, frozen=True):
    """The gate's next certificate, in PEM."""

    certificate: str


class FetchedFeed(Value, frozen=True):
    """A whole snapshot (`spooled`) or the changes after version `since` (`changes`).

    `newest`: the hub's version, if that is more than `version`.
    `went_back`: the hub has an older state than this gate had when it asked; none of it was read.
    `unread`: what could not be read of a whole snapshot, in words; empty if everything could.
    `asked_ms`: monotonic time of the request; 0: unknown, so before everything.
    """

    event_id: str
    version: int
    generation: int = 1
    since: int = 0
    spooled: SpooledSnapshot | None = None
    changes: tuple[Change, ...] = ()
    went_back: bool = False
    newest: int = 0
    unread: str = ""
    asked_ms: int = 0

    @property
    def place(self) -> FeedPlace:
        """Where it leads."""
        return FeedPlace(generation=self.generation, version=self.version)

    @property
    def newest_place(self) -> FeedPlace:
        """Where the hub is."""
        return FeedPlace(generation=self.generation, version=max(self.version, self.newest))


class HubClient:
    """Requests of one gate to the hub.

    :param url: the hub's address, without a path.
    :param token: the gate's secret; sent in the Authorization header only.
    :param pause: waits so many seconds before a broken download continues.
    :param wall: the machine's clock, right or wrong.
    :param ticks: seconds, of any origin, to limit how long an answer may take.
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
        self._meter = TransferMeter(ticks)
        self._session = HubSession(self._meter)
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.headers["Accept-Encoding"] = "gzip"
        self._session.verify = ca_file or True
        self._ca_file = ca_file
        self._clock_was_lost: bool | None = None

    @property
    def turns(self) -> int:
        """Grows while data arrives from the hub or is tried for; for the watchdog."""
        return self._meter.turns

    @property
    def is_looking_up(self) -> bool:
        """Whether it waits for a name look-up, which has a time-out of its own."""
        return self._meter.is_looking_up

    def config(self) -> GateConfig:
        """The gate's configuration. Raises `FetchError`."""
        self._meter.begin(CONFIG_S)
        with self._get("/config") as answer, _in_words(answer.url):
            try:
                config = decode(_whole(answer.url, Download(answer, self._meter)), GateConfig)
            except WireError as error:
                raise FetchError(f"{answer.url}: {error}. Do hub and gate run the same version?") from None
            if config.gate_id != self._gate_id:
                raise FetchError(f"{answer.url}: this is the configuration of gate {config.gate_id}.")
            return config

    def certificate(self, request: str) -> FetchedCertificate:
        """The gate's next certificate, for the key of this signing request. Raises `FetchError`."""
        self._meter.begin(CONFIG_S)
        asked = msgspec.json.encode(RenewRequest(request=request))
        with self._get("/certificate", {}, asked) as answer, _in_words(answer.url):
            body = _whole(answer.url, Download(answer, self._meter))
            return FetchedCertificate(certificate=read_json(body, RenewAnswer, limit=LIMIT).certificate)

    def admissions(
        self, event_id: str, since: int, spool: Spool, generation: int = 1, whole: bool = False
    ) -> FetchedFeed:
        """All of an event, or its changes after `since`; checked against the answer's digest.

        Everything is requested instead of more than `MOST_CHANGES` changes, or of changes one of which cannot
        be read. Nothing is read from a hub that is behind what this gate has.

        :param since: the version this gate has of `generation`; 0: none.
        :param spool: takes the rows of a whole snapshot, so that memory need not hold them.
        :param whole: request everything, whatever this gate has.
        :raises SpoolBusy: a snapshot waits there; the hub was not asked.
        :raises FetchError: no answer, refused, cut off, altered on the way, of another event, no room.
        """
        spool.check()
        held = FeedPlace(generation=generation, version=since)
        first = 0 if whole else since
        fetched = self._fetch(event_id, held, first, spool) or self._fetch(event_id, held, 0, spool)
        if fetched is None:
            raise FetchError(f"event {event_id}: asked for everything, the hub answered with changes.")
        return fetched

    def _fetch(self, event_id: str, held: FeedPlace, since: int, spool: Spool) -> FetchedFeed | None:
        """None: more changes than fit into memory, or one that cannot be read."""
        self._meter.begin(NIGHT_S)
        path, asked = f"/events/{event_id}/admissions", {"since": since, "generation": held.generation}
        with self._get(path, asked) as answer, _in_words(answer.url):
            url = self._base + path
            download = Download(
                answer, self._meter, lambda headers: self._send(url, asked, headers), self._pause
            )
            lines = AnswerLines(download.pieces(), event_id)
            header = lines.header
            place = FeedPlace(generation=header.generation, version=header.version)
            fetched = FetchedFeed(event_id=event_id, version=header.version, generation=header.generation)
            if place < held:
                return msgspec.structs.replace(fetched, went_back=True)
            if not header.since:
                spooled = spool.fill(lines.rows())
                return msgspec.structs.replace(fetched, spooled=spooled, unread=lines.unread)
            if max(header.count, header.newest - header.since) > MOST_CHANGES:
                return None
            lines.check_follows_on(held)
            try:
                changes = tuple(lines.changes())
            except UnreadableChangeError as error:
                _log.warning("changes rejected; whole night requested", reason=str(error))
                return None
            return msgspec.structs.replace(fetched, since=header.since, newest=header.newest, changes=changes)

    def _get(
        self, path: str, query: dict[str, Any] | None = None, said: bytes | None = None
    ) -> requests.Response:
        """:param said: what to send; None: nothing, only ask."""
        url = self._base + path
        with _in_words(url):  # requests parses a redirect's target even if it does not follow it
            answer = self._ask(url, query or {}, said)
        status = answer.status_code
        if status == requests.codes.gone:
            self._raise_wiped(answer)
        if status != requests.codes.ok:
            answer.close()
            kind = HubRefused if status in _REFUSED or (said is not None and status < 500) else FetchError
            raise kind(f"{url}: the hub says {status} {answer.reason}.{_hint(status)}")
        return answer

    def _raise_wiped(self, answer: requests.Response) -> None:
        """If the hub says more than that this gate was revoked."""
        with _in_words(answer.url):
            body = _whole(answer.url, Download(answer, self._meter))
        with contextlib.suppress(UnreadableError):
            if (wipe := read_json(body, RevokedAnswer, limit=LONGEST_WIPE).wipe) is not None:
                raise HubWipes(f"{answer.url}: this gate was revoked as stolen.", wipe)

    def _ask(self, url: str, query: dict[str, Any], said: bytes | None) -> requests.Response:
        try:
            return self._send(url, query, {}, said)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError) as error:
            raise HubUnreachable(
                f"{url}: no answer from the hub ({type(error).__name__}). Is it running?"
            ) from None

    def _mount(self, now: datetime) -> None:
        """Set how the hub is verified over https; again only when the clock becomes right or is lost."""
        try:
            checks = context(self._ca_file, now)
        except OSError as error:  # ssl.SSLError is one
            raise FetchError(f"hub.ca_file: {self._ca_file} cannot be used: {error}.") from None
        self._clock_was_lost = is_lost(now)
        self._session.check_with(checks)

    def _send(
        self, url: str, query: dict[str, Any], headers: dict[str, str], said: bytes | None = None
    ) -> requests.Response:
        now = self._wall()
        if is_lost(now) != self._clock_was_lost:
            self._mount(now)
        return self._session.request(
            "GET" if said is None else "POST",
            url,
            params=query,
            data=said,
            headers=headers if said is None else headers | {"Content-Type": "application/json"},
            timeout=READ_S,
            stream=True,
            allow_redirects=False,
        )


@contextlib.contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Turns any error of the libraries that read an answer into a `FetchError`."""
    try:
        yield
    except StoreError as error:
        raise FetchError(str(error)) from error
    except TransferLimitError as error:
        raise FetchError(f"{url}: aborted: {error}. It is fetched again. Is that the hub?") from None
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
        return " Redirects are not followed: set hub.url to the hub's own address."
    if status in (401, 403):
        return " Check the gate's token file, and whether the gate was revoked."
    if status == 410:
        return " This gate was revoked for good. Add a new one at the hub, and enrol this machine as that."
    return " Check that the hub's database is migrated and knows this gate." if status == 404 else ""


def _whole(url: str, download: Download) -> bytes:
    """A body that has to fit into memory."""
    whole = bytearray()
    for piece in download.pieces():
        whole += piece
        if len(whole) > CONFIG_BYTES:
            raise FetchError(f"{url}: more than {CONFIG_BYTES} bytes; not read to the end.")
    return bytes(whole)

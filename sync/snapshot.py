"""Fetches the gate's configuration and its events' admissions over HTTP (protocol 4.4)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from gate.errors import MagueyError, StoreError
from gate.model import FeedRow, Value
from sync.spool import Spool, Spooled
from sync.wire import Change, GateConfig, SnapshotEnd, SnapshotHeader, WireError, decode

TIMEOUT_S = (3.0, 20.0)
"""To connect, and between two pieces of an answer."""
PIECE_BYTES = 64 * 1024
"""Of a body that is held at once, after it was unpacked."""
MAX_BYTES = 512 * 1024 * 1024
"""A snapshot larger than this is none; a million admissions take about 400 MB."""
LINE_BYTES = 256 * 1024
"""A row longer than this is none; they take about 400 bytes."""
CONFIG_BYTES = 4 * 1024 * 1024
"""A configuration larger than this is none; a night takes about 400 bytes."""
MOST_CHANGES = 5_000
"""Changes read into memory, about 3 MB; a gate that lacks more loads all of the event."""


class FetchError(MagueyError):
    """The hub could not be asked, or its answer cannot be used."""


class NoAnswer(FetchError):
    """Nothing answers where the hub should be."""


class Refused(FetchError):
    """The hub knows nothing of what was asked for, or does not give it to this gate (403, 404)."""


class Fetched(Value, frozen=True):
    """A whole snapshot (`spooled`) or what came after the version `since` (`changes`).

    `asked`: the version this gate said it had. A hub that is below it was put back in time.
    """

    event_id: str
    version: int
    since: int = 0
    spooled: Spooled | None = None
    changes: tuple[Change, ...] = ()
    asked: int = 0


class HubClient:
    """Asks the hub as one gate.

    :param url: the hub's address, without a path.
    :param token: the gate's secret; sent in the Authorization header only.
    """

    def __init__(self, url: str, gate_id: str, token: str, ca_file: str = "") -> None:
        self._gate_id = gate_id
        self._base = f"{url.rstrip('/')}/api/gates/{gate_id}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = ca_file or True
        retry = Retry(
            total=2,
            backoff_factor=0.2,
            status_forcelist=(502, 503, 504),
            allowed_methods=("GET",),
            respect_retry_after_header=False,  # it could hold up everything else for hours
        )
        self._session.mount("http://", HTTPAdapter(max_retries=retry))
        self._session.mount("https://", HTTPAdapter(max_retries=retry))

    def config(self) -> GateConfig:
        """The gate's configuration. Raises `FetchError`."""
        with self._get("/config") as answer, _in_words(answer.url):
            try:
                config = decode(_whole(answer), GateConfig)
            except WireError as error:
                raise FetchError(f"{answer.url}: {error}. Are hub and gate of the same version?") from None
            if config.gate_id != self._gate_id:
                raise FetchError(f"{answer.url}: this is the configuration of gate {config.gate_id}.")
            return config

    def admissions(self, event_id: str, since: int, spool: Spool) -> Fetched:
        """All of an event, or what changed after `since`; checked against its digest.

        More than `MOST_CHANGES` are not read: all of the event is asked for instead.

        :param spool: takes the rows of a whole snapshot, which memory need not hold.
        :raises SpoolBusy: a snapshot waits there; the hub was not asked.
        :raises FetchError: no answer, refused, cut off, altered on the way, of another event, no room.
        """
        spool.check()
        fetched = self._fetch(event_id, since, spool) or self._fetch(event_id, 0, spool)
        if fetched is None:
            raise FetchError(f"event {event_id}: asked for all of it, the hub answered with changes.")
        return msgspec.structs.replace(fetched, asked=since)

    def _fetch(self, event_id: str, since: int, spool: Spool) -> Fetched | None:
        """None: more changes than are held in memory."""
        with self._get(f"/events/{event_id}/admissions", since=since) as answer, _in_words(answer.url):
            lines = _Lines(answer.iter_content(PIECE_BYTES), event_id)
            header = lines.header
            if not header.since:
                spooled = spool.fill(lines.rows())
                return Fetched(event_id=event_id, version=header.version, spooled=spooled)
            if header.count > MOST_CHANGES:
                return None
            changes = tuple(lines.changes())
            return Fetched(event_id=event_id, version=header.version, since=header.since, changes=changes)

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
            return self._session.get(url, params=query, timeout=TIMEOUT_S, stream=True, allow_redirects=False)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError) as error:
            raise NoAnswer(
                f"{url}: no answer from the hub ({type(error).__name__}). Is it running?"
            ) from None


@contextlib.contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Whatever an answer does to the libraries that read it: the answer cannot be used."""
    try:
        yield
    except StoreError as error:
        raise FetchError(str(error)) from error
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


def _whole(answer: requests.Response) -> bytes:
    """A body that is to fit into memory."""
    whole = b""
    for piece in answer.iter_content(PIECE_BYTES):
        whole += piece
        if len(whole) > CONFIG_BYTES:
            raise FetchError(f"{answer.url}: more than {CONFIG_BYTES} bytes; not read to the end.")
    return whole


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a body without their ends; held is one piece of it."""
    size, rest = 0, b""
    for piece in pieces:
        size += len(piece)
        if size > MAX_BYTES:
            raise FetchError(f"more than {MAX_BYTES} bytes; not read to the end.")
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > LINE_BYTES:
            raise FetchError(f"a line of more than {LINE_BYTES} bytes; not read to the end.")
    if rest:
        yield rest


class _Lines:
    """The lines of one answer about an event: `header` at once, the rest as they come."""

    def __init__(self, pieces: Iterable[bytes], event_id: str) -> None:
        self._lines = _lines(pieces)
        self._digest = hashlib.sha256()
        first = self._seen(next(self._lines, b""))
        self.header = msgspec.json.decode(first, type=SnapshotHeader)
        if self.header.event_id != event_id:
            raise FetchError(f"asked for event {event_id}, the hub answered with {self.header.event_id}.")

    def rows(self) -> Iterator[FeedRow]:
        """Those of a whole snapshot. Raises `FetchError` after the last if not all of them came."""
        decoder = msgspec.json.Decoder(FeedRow)
        for line in self._between():
            row = decoder.decode(line)
            self._check_event(row)
            yield row

    def changes(self) -> Iterator[Change]:
        """Those of a catch-up. Raises `FetchError` after the last if not all of them came."""
        decoder = msgspec.json.Decoder(Change)
        for line in self._between():
            change = decoder.decode(line)
            self._check_event(change.row)
            yield change

    def _between(self) -> Iterator[bytes]:
        """What stands between header and end, never more than announced; the end is checked last."""
        count, line = 0, next(self._lines, b"")
        for following in self._lines:
            if count == self.header.count:
                break
            yield self._seen(line)
            count, line = count + 1, following
        else:
            end = msgspec.json.decode(line, type=SnapshotEnd)
            if end.sha256 == self._digest.hexdigest() and count == self.header.count:
                return
        raise FetchError(
            f"event {self.header.event_id}: {count} of {self.header.count} rows arrived, or altered "
            "ones; asked again."
        )

    def _seen(self, line: bytes) -> bytes:
        self._digest.update(line + b"\n")
        return line

    def _check_event(self, row: FeedRow) -> None:
        """A row of another event would let this event's snapshot change that one."""
        event_id = self.header.event_id
        if row.event_id != event_id:
            raise FetchError(
                f"event {event_id}: a row of event {row.event_id} among its own. Nothing of it is used."
            )

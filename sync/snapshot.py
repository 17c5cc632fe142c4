"""Fetches the gate's configuration and its events' admissions over HTTP (protocol 4.4)."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from gate.errors import MagueyError
from gate.model import FeedRow, Value
from sync.wire import Change, GateConfig, SnapshotEnd, SnapshotHeader, WireError, decode

TIMEOUT_S = (3.0, 20.0)
"""To connect, and between two pieces of an answer."""
MAX_BYTES = 512 * 1024 * 1024
"""A snapshot larger than this is none; a million admissions take about 400 MB."""


class FetchError(MagueyError):
    """The hub could not be asked, or its answer cannot be used."""


class NoAnswer(FetchError):
    """Nothing answers where the hub should be."""


class Refused(FetchError):
    """The hub knows nothing of what was asked for, or does not give it to this gate (403, 404)."""


class Fetched(Value, frozen=True):
    """A whole snapshot (`since` 0, `rows`) or what came after a version (`changes`).

    `asked`: the version this gate said it had. A hub that is below it was put back in time.
    """

    event_id: str
    version: int
    since: int
    rows: tuple[FeedRow, ...] = ()
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
                config = decode(answer.content, GateConfig)
            except WireError as error:
                raise FetchError(f"{answer.url}: {error}. Are hub and gate of the same version?") from None
            if config.gate_id != self._gate_id:
                raise FetchError(f"{answer.url}: this is the configuration of gate {config.gate_id}.")
            return config

    def admissions(self, event_id: str, since: int) -> Fetched:
        """All of an event, or what changed after `since`; checked against its digest.

        :raises FetchError: no answer, refused, cut off, altered on the way or of another event.
        """
        with self._get(f"/events/{event_id}/admissions", since=since) as answer, _in_words(answer.url):
            fetched = _read(answer.iter_lines(chunk_size=64 * 1024), event_id)
            return msgspec.structs.replace(fetched, asked=since)

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


def _read(lines: Iterator[bytes], event_id: str) -> Fetched:
    """Decode line by line, so that a large snapshot is held once, as values."""
    digest = hashlib.sha256()
    first = next(lines, b"")
    header = msgspec.json.decode(first, type=SnapshotHeader)
    if header.event_id != event_id:
        raise FetchError(f"asked for event {event_id}, the hub answered with {header.event_id}.")
    rows: list[FeedRow] = []
    changes: list[Change] = []
    row_decoder, change_decoder = msgspec.json.Decoder(FeedRow), msgspec.json.Decoder(Change)
    size, line = 0, first
    for following in lines:
        size += len(line) + 1
        if size > MAX_BYTES:
            raise FetchError(f"more than {MAX_BYTES} bytes for event {event_id}; not read to the end.")
        digest.update(line + b"\n")
        if line is not first:
            if header.since:
                changes.append(change_decoder.decode(line))
            else:
                rows.append(row_decoder.decode(line))
        line = following
    end = msgspec.json.decode(line, type=SnapshotEnd)
    _check(header, end, digest.hexdigest(), len(rows) + len(changes))
    _check_event(event_id, itertools.chain(rows, (change.row for change in changes)))
    return Fetched(
        event_id=event_id,
        version=header.version,
        since=header.since,
        rows=tuple(rows),
        changes=tuple(changes),
    )


def _check_event(event_id: str, rows: Iterable[FeedRow]) -> None:
    """A row of another event would let this event's snapshot change that one."""
    strange = next((row.event_id for row in rows if row.event_id != event_id), None)
    if strange is not None:
        raise FetchError(f"event {event_id}: a row of event {strange} among its own. Nothing of it is used.")


def _check(header: SnapshotHeader, end: SnapshotEnd, sha256: str, count: int) -> None:
    if end.sha256 != sha256 or count != header.count:
        raise FetchError(
            f"event {header.event_id}: {count} of {header.count} rows arrived, or altered ones; asked again."
        )

"""Fetches the gate's configuration and its events' admissions over HTTP (protocol 4.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
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


class Fetched(Value, frozen=True):
    """A whole snapshot (`since` 0, `rows`) or what came after a version (`changes`)."""

    event_id: str
    version: int
    since: int
    rows: tuple[FeedRow, ...] = ()
    changes: tuple[Change, ...] = ()


class HubClient:
    """Asks the hub as one gate.

    :param url: the hub's address, without a path.
    :param token: the gate's secret; sent in the Authorization header only.
    """

    def __init__(self, url: str, gate_id: str, token: str, ca_file: str = "") -> None:
        self._base = f"{url.rstrip('/')}/api/gates/{gate_id}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = ca_file or True
        retry = Retry(total=2, backoff_factor=0.2, status_forcelist=(502, 503, 504), allowed_methods=("GET",))
        self._session.mount("http://", HTTPAdapter(max_retries=retry))
        self._session.mount("https://", HTTPAdapter(max_retries=retry))

    def config(self) -> GateConfig:
        """The gate's configuration. Raises `FetchError`."""
        with self._get("/config") as answer:
            try:
                return decode(answer.content, GateConfig)
            except WireError as error:
                raise FetchError(f"{answer.url}: {error}. Are hub and gate of the same version?") from None

    def admissions(self, event_id: str, since: int) -> Fetched:
        """All of an event, or what changed after `since`; checked against its digest.

        :raises FetchError: no answer, refused, cut off or altered on the way.
        """
        with self._get(f"/events/{event_id}/admissions", since=since) as answer:
            try:
                return _read(answer.iter_lines(chunk_size=64 * 1024), event_id)
            except (msgspec.DecodeError, requests.RequestException) as error:
                raise FetchError(f"{answer.url}: cannot be used: {error}. It is fetched again.") from None

    def _get(self, path: str, **query: Any) -> requests.Response:
        url = self._base + path
        try:
            answer = self._session.get(url, params=query, timeout=TIMEOUT_S, stream=True)
        except requests.RequestException as error:
            raise FetchError(
                f"{url}: no answer from the hub ({type(error).__name__}). Is it running?"
            ) from None
        if answer.status_code != requests.codes.ok:
            answer.close()
            raise FetchError(
                f"{url}: the hub says {answer.status_code} {answer.reason}.{_hint(answer.status_code)}"
            )
        return answer


def _hint(status: int) -> str:
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
            changes.append(change_decoder.decode(line)) if header.since else rows.append(
                row_decoder.decode(line)
            )
        line = following
    end = msgspec.json.decode(line, type=SnapshotEnd)
    _check(header, end, digest.hexdigest(), len(rows) + len(changes))
    return Fetched(
        event_id=event_id,
        version=header.version,
        since=header.since,
        rows=tuple(rows),
        changes=tuple(changes),
    )


def _check(header: SnapshotHeader, end: SnapshotEnd, sha256: str, count: int) -> None:
    if end.sha256 != sha256 or count != header.count:
        raise FetchError(
            f"event {header.event_id}: {count} of {header.count} rows arrived, or altered ones; asked again."
        )

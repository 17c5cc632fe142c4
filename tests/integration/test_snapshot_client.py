"""Fetching from a hub that cuts off, alters, refuses or mixes up: nothing wrong reaches the cache."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from gate.model import FeedRow
from sync import snapshot as limits
from sync.snapshot import Fetched, FetchError, HubClient, NoAnswer, Refused
from sync.spool import Spool, SpoolBusy
from sync.wire import Change, GateConfig, SnapshotEnd, SnapshotHeader, encode
from tests.factories import a_table, an_admission, an_event, code_id


class Hub(BaseHTTPRequestHandler):
    """A real HTTP server that gives the answer a test has put there."""

    status = 200
    body = b""
    bodies: dict[str, bytes] = {}
    claimed = None
    headers_sent: dict[str, str] = {}
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        body = self.bodies.get(self.path.rpartition("?")[2], self.body)
        self.send_response(self.status)
        self.send_header("Content-Length", str(self.claimed or len(body)))
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[type[Hub]]:
    class Answering(Hub):
        seen: list[tuple[str, str | None]] = []

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    Answering.port = server.server_port  # type: ignore[attr-defined]
    yield Answering
    server.shutdown()
    server.server_close()
    thread.join()


class Client(HubClient):
    """A client with a spool of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, "gate-1", "the-token")
        self.spool = Spool(folder / "spool.db")

    def fetch(self, since: int = 0) -> Fetched:
        return self.admissions("event-1", since, self.spool)


@pytest.fixture
def client(hub: type[Hub], tmp_path: Path) -> Client:
    return Client(f"http://127.0.0.1:{hub.port}", tmp_path)  # type: ignore[attr-defined]


def rows_of(fetched: Fetched) -> list[FeedRow]:
    """What a snapshot brought, in no order."""
    assert fetched.spooled is not None
    with contextlib.closing(sqlite3.connect(fetched.spooled.path)) as db:
        texts = [text for table in TABLES for (text,) in db.execute(f"select row from {table}")]
    return [msgspec.json.decode(text, type=FeedRow) for text in texts]


TABLES = ("events", "tables", "admissions")


ROWS: tuple[FeedRow, ...] = (an_event(), a_table(), an_admission(), an_admission(code_id(2)))


def snapshot(rows: tuple[msgspec.Struct, ...] = ROWS, since: int = 0, event_id: str = "event-1") -> bytes:
    header = SnapshotHeader(event_id=event_id, version=7, since=since, count=len(rows))
    lines = b"".join(msgspec.json.encode(line) + b"\n" for line in (header, *rows))
    return lines + msgspec.json.encode(SnapshotEnd(sha256=hashlib.sha256(lines).hexdigest())) + b"\n"


def test_a_whole_snapshot_arrives_as_it_was_sent(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot()
    fetched = client.fetch()
    assert (fetched.version, fetched.since, fetched.changes) == (7, 0, ())
    assert fetched.spooled is not None
    assert (fetched.spooled.count, rows_of(fetched)) == (4, list(ROWS))
    path = "/api/gates/gate-1/events/event-1/admissions?since=0&generation=1"
    assert hub.seen == [(path, "Bearer the-token")]


def test_what_came_after_a_version_arrives_as_changes(hub: type[Hub], client: Client) -> None:
    changes = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.body = snapshot(changes, since=5)
    assert client.fetch(5).changes == changes


def test_an_answer_that_is_cut_off_anywhere_is_not_used(hub: type[Hub], client: Client) -> None:
    whole = snapshot()
    for length in range(0, len(whole) - 1, 97):
        hub.body = whole[:length]
        with pytest.raises(FetchError):
            client.fetch()


def test_a_connection_that_breaks_in_the_middle_is_told_in_words(hub: type[Hub], client: Client) -> None:
    hub.body, hub.claimed = snapshot()[:300], 100_000  # type: ignore[assignment]
    with pytest.raises(FetchError, match="admissions"):
        client.fetch()


def test_an_altered_answer_is_not_used(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot().replace(b'"kind":"ga"', b'"kind":"vip_host"')
    with pytest.raises(FetchError):
        client.fetch()


def test_another_events_answer_is_not_used(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot(event_id="event-2")
    with pytest.raises(FetchError, match="event-2"):
        client.fetch()


@pytest.mark.parametrize("row", [an_admission(event_id="event-2"), a_table(event_id="event-2")])
def test_a_row_of_another_event_spoils_the_whole_answer(hub: type[Hub], client: Client, row: FeedRow) -> None:
    hub.body = snapshot((*ROWS, row))
    with pytest.raises(FetchError, match="event-2"):
        client.fetch()
    hub.body = snapshot((Change(version=7, row=row),), since=6)
    with pytest.raises(FetchError, match="event-2"):
        client.fetch(6)


def test_what_is_not_used_leaves_nothing_on_the_disk(hub: type[Hub], client: Client) -> None:
    whole = snapshot()
    for body in (whole[:-9], whole[:700], snapshot((*ROWS, an_admission(event_id="event-2")))):
        hub.body = body
        with pytest.raises(FetchError):
            client.fetch()
        assert list(client.spool.path.parent.iterdir()) == []


def test_a_snapshot_may_be_packed(hub: type[Hub], client: Client) -> None:
    hub.body, hub.headers_sent = gzip.compress(snapshot()), {"Content-Encoding": "gzip"}
    assert rows_of(client.fetch()) == list(ROWS)


def test_a_line_without_an_end_is_not_read_to_its_end(hub: type[Hub], client: Client) -> None:
    endless = snapshot() + b"[" * 20_000_000
    hub.body, hub.headers_sent = gzip.compress(endless, 1), {"Content-Encoding": "gzip"}
    assert len(hub.body) < 200_000
    with pytest.raises(FetchError, match="a line of more than"):
        client.fetch()


def test_a_snapshot_without_an_end_is_not_read_to_its_end(
    hub: type[Hub], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    hub.body = snapshot()
    with pytest.raises(FetchError, match="more than 1000 bytes"):
        client.fetch()


def test_more_rows_than_announced_are_not_read(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot().replace(b'"count":4', b'"count":3')
    with pytest.raises(FetchError, match="not the 3 rows that were announced, or altered"):
        client.fetch()


def test_a_configuration_without_an_end_is_not_read_to_its_end(hub: type[Hub], client: Client) -> None:
    hub.body, hub.headers_sent = gzip.compress(b" " * 50_000_000, 1), {"Content-Encoding": "gzip"}
    with pytest.raises(FetchError, match="more than"):
        client.config()


def test_a_gate_that_lacks_very_much_loads_all_of_the_event(
    hub: type[Hub], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CHANGES", 1)
    changes = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.bodies = {"since=5&generation=1": snapshot(changes, since=5), "since=0&generation=1": snapshot()}
    fetched = client.fetch(5)
    assert (fetched.since, fetched.changes) == (0, ())
    assert rows_of(fetched) == list(ROWS)


def test_the_hub_is_not_asked_while_a_snapshot_waits(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot()
    fetched = client.fetch()
    with pytest.raises(SpoolBusy):
        client.fetch()
    assert len(hub.seen) == 1
    assert rows_of(fetched) == list(ROWS)


def test_a_disk_that_is_nearly_full_is_told_in_words(hub: type[Hub], client: Client) -> None:
    client.spool = Spool(client.spool.path, free=lambda _folder: 1_000_000)
    hub.body = snapshot()
    with pytest.raises(FetchError, match="nearly full"):
        client.fetch()


def config(gate_id: str = "gate-1") -> bytes:
    return encode(GateConfig(gate_id=gate_id, gate_name="GATE", venue="maguey", events=()))


def test_the_configuration_of_another_gate_is_refused(hub: type[Hub], client: Client) -> None:
    hub.body = config("gate-9")
    with pytest.raises(FetchError, match="gate-9"):
        client.config()


def test_a_configuration_that_breaks_off_is_told_in_words(hub: type[Hub], client: Client) -> None:
    hub.body, hub.claimed = config()[:20], 500  # type: ignore[assignment]
    with pytest.raises(FetchError, match="config"):
        client.config()


def test_an_answer_that_is_not_packed_as_it_says_is_told_in_words(hub: type[Hub], client: Client) -> None:
    hub.body, hub.headers_sent = config(), {"Content-Encoding": "gzip"}
    with pytest.raises(FetchError, match="cannot be used"):
        client.config()


@pytest.mark.parametrize(
    "where", ["http://.x/", "http://[::1/", "http://127.0.0.1:99999999/", "foo:bar", "\u00ff", "/elsewhere"]
)
def test_a_redirect_is_not_followed_wherever_it_leads(hub: type[Hub], client: Client, where: str) -> None:
    hub.status, hub.headers_sent = 302, {"Location": where}
    with pytest.raises(FetchError):
        client.config()
    assert [path for path, _ in hub.seen] == ["/api/gates/gate-1/config"]


@pytest.mark.parametrize("line", [b'{"t":"admission","code_hash":"\xff"}', b'{"x":' + b"[" * 50_000])
def test_a_row_that_no_parser_can_read_is_told_in_words(hub: type[Hub], client: Client, line: bytes) -> None:
    hub.body = snapshot().replace(b"\n", b"\n" + line + b"\n", 1)
    with pytest.raises(FetchError, match="cannot be used"):
        client.fetch()


def test_a_hub_that_is_busy_cannot_tell_the_gate_to_wait_for_hours(hub: type[Hub], client: Client) -> None:
    hub.status, hub.headers_sent = 503, {"Retry-After": "3600"}
    with pytest.raises(NoAnswer):
        client.config()


@pytest.mark.parametrize("status", [403, 404])
def test_what_the_hub_does_not_give_is_told_apart_from_trouble(
    hub: type[Hub], client: Client, status: int
) -> None:
    hub.status = status
    with pytest.raises(Refused):
        client.fetch()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_says_what_to_do_and_never_shows_the_token(
    hub: type[Hub], client: Client, status: int
) -> None:
    hub.status = status
    with pytest.raises(FetchError, match=str(status)) as caught:
        client.config()
    assert "the-token" not in str(caught.value)


def test_a_hub_that_is_not_there_is_told_in_words() -> None:
    with pytest.raises(FetchError, match="no answer from the hub"):
        HubClient("http://127.0.0.1:9", "gate-1", "t").config()

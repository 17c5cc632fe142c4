"""Fetching from a hub that cuts off, alters, refuses or mixes up: nothing wrong reaches the cache."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from gate.model import FeedRow
from sync.snapshot import FetchError, HubClient, NoAnswer, Refused
from sync.wire import Change, GateConfig, SnapshotEnd, SnapshotHeader, encode
from tests.factories import a_table, an_admission, an_event, code_id


class Hub(BaseHTTPRequestHandler):
    """A real HTTP server that gives the answer a test has put there."""

    status = 200
    body = b""
    claimed = None
    headers_sent: dict[str, str] = {}
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        self.send_header("Content-Length", str(self.claimed or len(self.body)))
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

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


def client(hub: type[Hub]) -> HubClient:
    return HubClient(f"http://127.0.0.1:{hub.port}", "gate-1", "the-token")  # type: ignore[attr-defined]


ROWS: tuple[FeedRow, ...] = (an_event(), a_table(), an_admission(), an_admission(code_id(2)))


def snapshot(rows: tuple[msgspec.Struct, ...] = ROWS, since: int = 0, event_id: str = "event-1") -> bytes:
    header = SnapshotHeader(event_id=event_id, version=7, since=since, count=len(rows))
    lines = b"".join(msgspec.json.encode(line) + b"\n" for line in (header, *rows))
    return lines + msgspec.json.encode(SnapshotEnd(sha256=hashlib.sha256(lines).hexdigest())) + b"\n"


def test_a_whole_snapshot_arrives_as_it_was_sent(hub: type[Hub]) -> None:
    hub.body = snapshot()
    fetched = client(hub).admissions("event-1", 0)
    assert (fetched.version, fetched.since, fetched.rows, fetched.changes) == (7, 0, ROWS, ())
    assert hub.seen == [("/api/gates/gate-1/events/event-1/admissions?since=0", "Bearer the-token")]


def test_what_came_after_a_version_arrives_as_changes(hub: type[Hub]) -> None:
    changes = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.body = snapshot(changes, since=5)
    assert client(hub).admissions("event-1", 5).changes == changes


def test_an_answer_that_is_cut_off_anywhere_is_not_used(hub: type[Hub]) -> None:
    whole = snapshot()
    for length in range(0, len(whole) - 1, 97):
        hub.body = whole[:length]
        with pytest.raises(FetchError):
            client(hub).admissions("event-1", 0)


def test_a_connection_that_breaks_in_the_middle_is_told_in_words(hub: type[Hub]) -> None:
    hub.body, hub.claimed = snapshot()[:300], 100_000  # type: ignore[assignment]
    with pytest.raises(FetchError, match="admissions"):
        client(hub).admissions("event-1", 0)


def test_an_altered_answer_is_not_used(hub: type[Hub]) -> None:
    hub.body = snapshot().replace(b'"kind":"ga"', b'"kind":"vip_host"')
    with pytest.raises(FetchError):
        client(hub).admissions("event-1", 0)


def test_another_events_answer_is_not_used(hub: type[Hub]) -> None:
    hub.body = snapshot(event_id="event-2")
    with pytest.raises(FetchError, match="event-2"):
        client(hub).admissions("event-1", 0)


@pytest.mark.parametrize("row", [an_admission(event_id="event-2"), a_table(event_id="event-2")])
def test_a_row_of_another_event_spoils_the_whole_answer(hub: type[Hub], row: FeedRow) -> None:
    hub.body = snapshot((*ROWS, row))
    with pytest.raises(FetchError, match="event-2"):
        client(hub).admissions("event-1", 0)
    hub.body = snapshot((Change(version=7, row=row),), since=6)
    with pytest.raises(FetchError, match="event-2"):
        client(hub).admissions("event-1", 6)


def config(gate_id: str = "gate-1") -> bytes:
    return encode(GateConfig(gate_id=gate_id, gate_name="GATE", venue="maguey", events=()))


def test_the_configuration_of_another_gate_is_refused(hub: type[Hub]) -> None:
    hub.body = config("gate-9")
    with pytest.raises(FetchError, match="gate-9"):
        client(hub).config()


def test_a_configuration_that_breaks_off_is_told_in_words(hub: type[Hub]) -> None:
    hub.body, hub.claimed = config()[:20], 500  # type: ignore[assignment]
    with pytest.raises(FetchError, match="config"):
        client(hub).config()


def test_an_answer_that_is_not_packed_as_it_says_is_told_in_words(hub: type[Hub]) -> None:
    hub.body, hub.headers_sent = config(), {"Content-Encoding": "gzip"}
    with pytest.raises(FetchError, match="cannot be used"):
        client(hub).config()


@pytest.mark.parametrize(
    "where", ["http://.x/", "http://[::1/", "http://127.0.0.1:99999999/", "foo:bar", "\u00ff", "/elsewhere"]
)
def test_a_redirect_is_not_followed_wherever_it_leads(hub: type[Hub], where: str) -> None:
    hub.status, hub.headers_sent = 302, {"Location": where}
    with pytest.raises(FetchError):
        client(hub).config()
    assert [path for path, _ in hub.seen] == ["/api/gates/gate-1/config"]


@pytest.mark.parametrize("line", [b'{"t":"admission","code_hash":"\xff"}', b'{"x":' + b"[" * 50_000])
def test_a_row_that_no_parser_can_read_is_told_in_words(hub: type[Hub], line: bytes) -> None:
    hub.body = snapshot().replace(b"\n", b"\n" + line + b"\n", 1)
    with pytest.raises(FetchError, match="cannot be used"):
        client(hub).admissions("event-1", 0)


def test_a_hub_that_is_busy_cannot_tell_the_gate_to_wait_for_hours(hub: type[Hub]) -> None:
    hub.status, hub.headers_sent = 503, {"Retry-After": "3600"}
    with pytest.raises(NoAnswer):
        client(hub).config()


@pytest.mark.parametrize("status", [403, 404])
def test_what_the_hub_does_not_give_is_told_apart_from_trouble(hub: type[Hub], status: int) -> None:
    hub.status = status
    with pytest.raises(Refused):
        client(hub).admissions("event-1", 0)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_says_what_to_do_and_never_shows_the_token(hub: type[Hub], status: int) -> None:
    hub.status = status
    with pytest.raises(FetchError, match=str(status)) as caught:
        client(hub).config()
    assert "the-token" not in str(caught.value)


def test_a_hub_that_is_not_there_is_told_in_words() -> None:
    with pytest.raises(FetchError, match="no answer from the hub"):
        HubClient("http://127.0.0.1:9", "gate-1", "t").config()

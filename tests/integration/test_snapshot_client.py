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
from hypothesis import given, settings
from hypothesis import strategies as st

from gate.rules.decide import Policy, Question, decide
from gate.rules.model import Admission, FeedRow, Reason, Removed, Ruling
from gate.rules.payload import Proof, code_hash
from sync.cache.spool import Spool, SpoolBusy
from sync.feed import answer_lines as lines_of
from sync.feed import download
from sync.feed import snapshot as limits
from sync.feed.snapshot import FetchedFeed, FetchError, HubClient, HubRefused, HubUnreachable
from sync.wire.messages import Change, GateConfig, SnapshotEnd, SnapshotHeader, encode
from tests.factories import NOW, a_code, a_table, an_admission, an_event, code_id
from tests.long import cases


class Hub(BaseHTTPRequestHandler):
    """A real HTTP server that gives the answer a test has put there."""

    status = 200
    body = b""
    bodies: dict[str, bytes] = {}
    claimed = None
    headers_sent: dict[str, str] = {}
    seen: list[tuple[str, str | None]]

    cuts: list[int]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        if self.cuts:
            self.answer_cut_off(self.cuts.pop(0))
            return
        body = self.bodies.get(self.path.rpartition("?")[2], self.body)
        self.send_response(self.status)
        self.send_header("Content-Length", str(self.claimed or len(body)))
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_cut_off(self, length: int) -> None:
        """Answer as the hub does, but break the line after so many bytes; if less than 0, at once."""
        if length < 0:
            self.close_connection = True
            return
        asked = self.headers["Range"]
        goes_on = bool(asked) and self.headers["If-Range"] == self.headers_sent["ETag"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if goes_on else 0
        self.send_response(206 if goes_on else 200)
        if goes_on:
            self.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        self.send_header("Content-Length", str(len(self.body) - start))
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body[start : start + length])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hub() -> Iterator[type[Hub]]:
    class Answering(Hub):
        seen: list[tuple[str, str | None]] = []
        cuts: list[int] = []

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
        self.waits: list[float] = []
        super().__init__(url, "gate-1", "the-token", pause=self.waits.append)
        self.spool = Spool(folder / "spool.db")

    def fetch(self, since: int = 0, generation: int = 1) -> FetchedFeed:
        return self.admissions("event-1", since, self.spool, generation)


@pytest.fixture
def client(hub: type[Hub], tmp_path: Path) -> Client:
    return Client(f"http://127.0.0.1:{hub.port}", tmp_path)  # type: ignore[attr-defined]


def rows_of(fetched: FetchedFeed) -> list[FeedRow]:
    """The rows a snapshot brought, in no particular order."""
    assert fetched.spooled is not None
    with contextlib.closing(sqlite3.connect(fetched.spooled.path)) as db:
        texts = [text for table in TABLES for (text,) in db.execute(f"select row from {table}")]
    return [msgspec.json.decode(text, type=FeedRow) for text in texts]


TABLES = ("events", "tables", "admissions")


ROWS: tuple[FeedRow, ...] = (an_event(), a_table(), an_admission(), an_admission(code_id(2)))


def snapshot(
    rows: tuple[msgspec.Struct, ...] = ROWS, since: int = 0, event_id: str = "event-1", **changes: int
) -> bytes:
    header = SnapshotHeader(event_id=event_id, version=7, since=since, count=len(rows))
    header = msgspec.structs.replace(header, **changes)
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


def test_what_is_newer_than_a_version_arrives_as_changes(hub: type[Hub], client: Client) -> None:
    changes = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.body = snapshot(changes, since=5)
    assert client.fetch(5).changes == changes


def test_an_answer_that_is_cut_off_anywhere_is_not_used(hub: type[Hub], client: Client) -> None:
    whole = snapshot()
    for length in range(0, len(whole) - 1, 97):
        hub.body = whole[:length]
        with pytest.raises(FetchError):
            client.fetch()


def test_a_connection_that_breaks_in_the_middle_is_explained(hub: type[Hub], client: Client) -> None:
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


def test_an_answer_that_is_not_used_leaves_nothing_on_the_disk(hub: type[Hub], client: Client) -> None:
    whole = snapshot()
    for body in (whole[:-9], whole[:700], snapshot((*ROWS, an_admission(event_id="event-2")))):
        hub.body = body
        with pytest.raises(FetchError):
            client.fetch()
        assert list(client.spool.path.parent.iterdir()) == []


def test_a_snapshot_may_be_compressed(hub: type[Hub], client: Client) -> None:
    hub.body, hub.headers_sent = gzip.compress(snapshot()), {"Content-Encoding": "gzip"}
    assert rows_of(client.fetch()) == list(ROWS)


@pytest.mark.parametrize("is_packed", [True, False])
def test_an_interrupted_download_resumes_where_it_stopped(
    hub: type[Hub], client: Client, is_packed: bool
) -> None:
    many = tuple(an_admission(code_id(number)) for number in range(2_000))
    hub.body, hub.headers_sent = snapshot(many), {"ETag": '"a"'}
    if is_packed:
        hub.body, hub.headers_sent = gzip.compress(hub.body, 1), {"ETag": '"a"', "Content-Encoding": "gzip"}
    third = len(hub.body) // 3
    hub.cuts = [third, 0, -1, third, -1, len(hub.body)]
    assert set(rows_of(client.fetch())) == set(many)
    assert hub.cuts == []
    assert client.waits  # it pauses between its requests


def test_a_body_that_has_changed_is_not_patched_onto_the_part_received(
    hub: type[Hub], client: Client
) -> None:
    hub.body, hub.headers_sent = snapshot(), {"ETag": '"a"'}
    hub.cuts = [300]

    def move_on(_seconds: float) -> None:
        hub.body, hub.headers_sent = snapshot((an_event(), an_admission())), {"ETag": '"b"'}
        hub.cuts = [10_000]

    client._pause = move_on
    with pytest.raises(FetchError, match="200 to the rest"):
        client.fetch()
    assert rows_of(client.fetch()) == [an_event(), an_admission()]


def test_an_altered_rest_is_detected_at_the_end(hub: type[Hub], client: Client) -> None:
    hub.body, hub.headers_sent = snapshot(), {"ETag": '"a"'}
    hub.cuts = [len(hub.body) // 2, 100_000]

    def alter(_seconds: float) -> None:
        hub.body = hub.body.replace(code_hash(code_id(2)).encode(), code_hash(code_id(3)).encode())

    client._pause = alter
    with pytest.raises(FetchError, match="altered"):
        client.fetch()
    assert list(client.spool.path.parent.iterdir()) == []


def test_a_download_on_a_line_that_stays_broken_is_given_up(
    hub: type[Hub], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TRIES", 2)
    hub.body, hub.headers_sent = snapshot(), {"ETag": '"a"'}
    hub.cuts = [300] + [-1] * 100
    with pytest.raises(FetchError):
        client.fetch()
    assert len(client.waits) == 2


def test_a_hub_that_went_back_is_not_loaded(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot()
    for since, generation in ((8, 1), (1, 2)):
        fetched = client.fetch(since, generation)
        assert (fetched.went_back, fetched.version, fetched.spooled) == (True, 7, None)
    hub.body = snapshot(generation=2)
    fetched = client.fetch(900, 1)
    assert (fetched.went_back, fetched.generation, rows_of(fetched)) == (False, 2, list(ROWS))


CHANGES = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))


@pytest.mark.parametrize(
    "mixed_up",
    [
        snapshot(CHANGES, since=5, version=9),
        snapshot(CHANGES, since=4),
        snapshot(CHANGES, since=5, generation=2),
        snapshot((CHANGES[1], CHANGES[0]), since=5),
        snapshot((CHANGES[0], CHANGES[0]), since=5),
    ],
)
def test_rows_that_contradict_their_header_are_not_used(
    hub: type[Hub], client: Client, mixed_up: bytes
) -> None:
    hub.body = mixed_up
    with pytest.raises(FetchError):
        client.fetch(5)
    assert list(client.spool.path.parent.iterdir()) == []


def test_a_line_without_an_end_is_not_read_to_its_end(hub: type[Hub], client: Client) -> None:
    endless = snapshot() + b"[" * 20_000_000
    hub.body, hub.headers_sent = gzip.compress(endless, 1), {"Content-Encoding": "gzip"}
    assert len(hub.body) < 200_000
    with pytest.raises(FetchError, match="a line of more than"):
        client.fetch()


def test_a_snapshot_without_an_end_is_not_read_to_its_end(
    hub: type[Hub], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_of, "MAX_BYTES", 1000)
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


def test_a_gate_that_lacks_too_much_loads_the_whole_event(
    hub: type[Hub], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CHANGES", 1)
    changes = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.bodies = {"since=5&generation=1": snapshot(changes, since=5), "since=0&generation=1": snapshot()}
    fetched = client.fetch(5)
    assert (fetched.since, fetched.changes) == (0, ())
    assert rows_of(fetched) == list(ROWS)


def test_if_too_much_would_follow_a_page_the_whole_event_is_loaded(hub: type[Hub], client: Client) -> None:
    page = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.bodies = {
        "since=5&generation=1": snapshot(page, since=5, newest=5 + limits.MOST_CHANGES + 1),
        "since=0&generation=1": snapshot(),
    }
    assert rows_of(client.fetch(5)) == list(ROWS)


def test_a_page_says_how_much_more_there_is(hub: type[Hub], client: Client) -> None:
    page = (Change(version=6, row=an_admission()), Change(version=7, row=a_table()))
    hub.body = snapshot(page, since=5, newest=400)
    fetched = client.fetch(5)
    assert (fetched.changes, fetched.place.version, fetched.newest_place.version) == (page, 7, 400)


def test_the_hub_is_not_asked_while_a_snapshot_waits(hub: type[Hub], client: Client) -> None:
    hub.body = snapshot()
    fetched = client.fetch()
    with pytest.raises(SpoolBusy):
        client.fetch()
    assert len(hub.seen) == 1
    assert rows_of(fetched) == list(ROWS)


def test_a_nearly_full_disk_is_explained(hub: type[Hub], client: Client) -> None:
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


def test_a_configuration_that_breaks_off_is_explained(hub: type[Hub], client: Client) -> None:
    hub.body, hub.claimed = config()[:20], 500  # type: ignore[assignment]
    with pytest.raises(FetchError, match="config"):
        client.config()


def test_an_answer_not_compressed_as_it_says_is_explained(hub: type[Hub], client: Client) -> None:
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
def test_a_row_that_no_parser_can_read_makes_the_count_wrong(
    hub: type[Hub], client: Client, line: bytes
) -> None:
    hub.body = snapshot().replace(b"\n", b"\n" + line + b"\n", 1)
    with pytest.raises(FetchError, match="not the 4 rows"):
        client.fetch()


DOUBTFUL = code_id(9)
UNREADABLE = [
    b'{"t":"admission","code_hash":"\xff"}',
    b'{"x":' + b"[" * 50_000,
    b'{"t":"admission","holder":"' + b"x" * 1_100_000 + b'"}',
    b'"' + b"y" * lines_of.LINE_BYTES + b'"',
    b'{"t":"admission","holder":"\\ud800"}',
    b'{"t":"table","seats":' + b"9" * 400 + b"}",
    msgspec.json.encode(Removed(code_hash="0" * 64, event_id="event-1")),
    b"",
    b"null",
    b"\x00",
]


def as_lines(*lines: bytes, since: int = 0, count: int | None = None, version: int = 7) -> bytes:
    """An answer with these lines, whatever they hold."""
    header = SnapshotHeader(event_id="event-1", version=version, since=since, count=len(lines))
    body = b"".join(line + b"\n" for line in (encode(header), *lines))
    return body + encode(SnapshotEnd(sha256=hashlib.sha256(body).hexdigest())) + b"\n"


@pytest.mark.parametrize("line", UNREADABLE, ids=lambda line: repr(line[:24]))
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_line_that_cannot_be_read_spoils_only_itself(
    hub: type[Hub], client: Client, line: bytes, place: int
) -> None:
    lines = [msgspec.json.encode(row) for row in ROWS]
    hub.body = as_lines(*lines[:place], line, *lines[place:])
    fetched = client.fetch()
    assert rows_of(fetched) == list(ROWS)
    assert fetched.unread.startswith(f"1 of 5 lines, first line {place + 2}: ")


def test_the_code_of_an_unreadable_line_is_kept_out(hub: type[Hub], client: Client) -> None:
    """A signed code that is missing from the list would be let in once."""
    subject = "0f0e0d0c-0b0a-4908-8706-050403020100"
    of = {"t": "admission", "code_hash": code_hash(DOUBTFUL), "subject_id": subject, "event_id": "event-1"}
    hub.body = as_lines(msgspec.json.encode(of | {"kind": "of a later version", "status": "issued"}))
    [row] = rows_of(client.fetch())
    assert isinstance(row, Admission)
    verdict = decide(
        Question(
            presented=a_code(DOUBTFUL),
            now=NOW,
            event=an_event(),
            admission=row,
            proof=Proof.VALID,
            policy=Policy(unknown="admit"),
        )
    )
    assert (verdict.ruling, verdict.reason) == (Ruling.DENY, Reason.UNKNOWN)


@settings(max_examples=cases(40, long=200))
@given(st.lists(st.one_of(st.sampled_from(UNREADABLE), st.sampled_from(ROWS)), max_size=12), st.data())
def test_any_mixture_of_lines_in_any_pieces_gives_those_that_can_be_read(
    mixed: list[bytes | FeedRow], data: st.DataObject
) -> None:
    lines = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in mixed]
    body = as_lines(*lines)
    size = data.draw(st.sampled_from([1_000, 4_096, 65_536, 300_000]))
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    found = lines_of.AnswerLines(pieces, "event-1")
    assert list(found.rows()) == [one for one in mixed if not isinstance(one, bytes)]
    assert bool(found.unread) == any(isinstance(one, bytes) for one in mixed)


@pytest.mark.parametrize("line", UNREADABLE, ids=lambda line: repr(line[:24]))
def test_a_gate_that_cannot_read_a_change_loads_the_whole_night(
    hub: type[Hub], client: Client, line: bytes
) -> None:
    """Otherwise it would stay behind, even once a later change corrected it."""
    hub.bodies = {
        "since=5&generation=1": as_lines(msgspec.json.encode(CHANGES[0]), line, since=5),
        "since=0&generation=1": snapshot(),
    }
    fetched = client.fetch(5)
    assert (fetched.since, rows_of(fetched)) == (0, list(ROWS))


def test_a_hub_that_is_busy_cannot_tell_the_gate_to_wait_for_hours(hub: type[Hub], client: Client) -> None:
    hub.status, hub.headers_sent = 503, {"Retry-After": "3600"}
    with pytest.raises(HubUnreachable):
        client.config()


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_by_the_hub_is_told_apart_from_trouble(hub: type[Hub], client: Client, status: int) -> None:
    hub.status = status
    with pytest.raises(HubRefused):
        client.fetch()


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_a_refusal_says_what_to_do_and_never_shows_the_token(
    hub: type[Hub], client: Client, status: int
) -> None:
    hub.status = status
    with pytest.raises(FetchError, match=str(status)) as caught:
        client.config()
    assert "the-token" not in str(caught.value)


def test_a_missing_hub_is_explained() -> None:
    with pytest.raises(FetchError, match="no answer from the hub"):
        HubClient("http://127.0.0.1:9", "gate-1", "t").config()

"""A hub, or an impostor, that tries to hold the gate's only fetcher for ever, or to fill its memory.

A real server on a socket: every attack sends as long as anybody listens. The error and the number of bytes
sent show how it ends; the clock advances by a second each time it is read.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.cache.spool import Spool
from sync.feed import http_session as session
from sync.feed import snapshot
from sync.feed.fetcher import Fetcher, WantConfig
from sync.feed.snapshot import FetchedFeed, FetchError, HubClient
from sync.feed.transfer_meter import WASTE_BYTES
from sync.wire.messages import GateConfig, encode
from tests.certificates import Authority
from tests.integration.test_snapshot_client import ROWS, rows_of
from tests.integration.test_snapshot_client import snapshot as a_night
from tests.long import cases
from tests.patience import PATIENCE_S

CONFIG = encode(GateConfig(gate_id="gate-1", gate_name="GATE", venue="maguey", events=()))
BUFFERS = 16 * 1024 * 1024
"""More than two sockets hold between a sender and a client that reads nothing."""
OK = b"HTTP/1.1 200 OK\r\n"
PACKED = OK + b"Content-Encoding: gzip\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

Script = Callable[[], Iterable[bytes]]


class HostileHub:
    """Answers every request with what its script says, until the client hangs up."""

    def __init__(self, checks: ssl.SSLContext | None = None) -> None:
        self.script: Script = lambda: ()
        self.sent = 0
        self.calls = 0
        self.stays = False
        """At the end it says nothing more, but does not hang up either."""
        self._checks = checks
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                line, _ = self._listener.accept()
                if self._over.is_set():
                    return
                self.calls += 1
                threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(line):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._checks is not None:
                line = self._checks.wrap_socket(line, server_side=True)
            line.recv(65536)
            for piece in self.script():
                line.sendall(piece)
                self.sent += len(piece)
                if self._over.is_set():
                    return
            if self.stays:
                self._over.wait()

    def close(self) -> None:
        self._over.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries happen without a wait."""
    monkeypatch.setattr(session, "RETRY", session.RETRY.new(backoff_factor=0))


@pytest.fixture
def hub() -> Iterator[HostileHub]:
    made = HostileHub()
    yield made
    made.close()


class Client(HubClient):
    """A gate whose clock advances by a second each time it is read."""

    def __init__(self, hub: HostileHub, folder: Path, step_s: float = 1.0, ca_file: str = "") -> None:
        ticks = itertools.count(step=step_s)
        url = f"{'https' if ca_file else 'http'}://127.0.0.1:{hub.port}"
        super().__init__(url, "gate-1", "t", ca_file, lambda _s: None, ticks=lambda: float(next(ticks)))
        self.spool = Spool(folder / "spool.db")

    def night(self) -> FetchedFeed:
        return self.admissions("event-1", 0, self.spool)


def endless(first: bytes, then: bytes, times: int | None = None) -> Script:
    return lambda: itertools.chain([first], itertools.repeat(then, times or 10**9))


def one_by_one(text: bytes) -> Script:
    return lambda: (text[at : at + 1] for at in itertools.cycle(range(len(text))))


def in_chunk(text: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(text), extension, text)


def opened(text: bytes) -> bytes:
    """Compressed, and not yet at its end."""
    pack = zlib.compressobj(wbits=31)
    return pack.compress(text) + pack.flush(zlib.Z_FULL_FLUSH)


ZEROS = bytes(64 * 1024)
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
BOMB = zlib.compressobj(9, wbits=31).compress(bytes(200_000_000))
LENGTH = b"Content-Length: 999999999999\r\n\r\n"

ATTACKS: dict[str, Script] = {
    "a packed body goes on after its end": endless(PACKED + LENGTH + gzip.compress(CONFIG), ZEROS),
    "and with more of the same": endless(PACKED + LENGTH, gzip.compress(b"") * 1000),
    "empty blocks": endless(PACKED + LENGTH + opened(b"{"), EMPTY_BLOCK * 10_000),
    "empty blocks in chunks": endless(PACKED + CHUNKED, in_chunk(opened(b"")[10:] * 5_000)),
    "a bomb": endless(PACKED + LENGTH, BOMB),
    "a drip of the status line": one_by_one(b"H"),
    "a drip of headers": one_by_one(OK + b"X: y\r\n" * 1000),
    "a drip of the body": lambda: itertools.chain([OK + LENGTH], itertools.repeat(b" ")),
    "100 Continue": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "100 Continue with headers": endless(b"", b"HTTP/1.1 100 Continue\r\nX: %b\r\n\r\n" % (b"x" * 60_000)),
    "early hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000),
    "a header without an end": endless(OK + b"X: ", b"x" * 60_000),
    "headers without an end": endless(OK, b"X: %b\r\n" % (b"x" * 60_000)),
    "a status line without an end": endless(b"", b"x" * 60_000),
    "a chunk's size without an end": endless(OK + CHUNKED, b"0" * 60_000),
    "more extension than chunk": endless(OK + CHUNKED, in_chunk(b" ", b";" + b"x" * 60_000)),
    "trailers without an end": endless(OK + CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
    "a redirect with a body": endless(b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + LENGTH, ZEROS),
    "a redirect with a bomb": endless(
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Encoding: gzip\r\n" + LENGTH, BOMB
    ),
    "an error with a body": endless(b"HTTP/1.1 503 Busy\r\n" + LENGTH, ZEROS),
    "a refusal with a body": endless(b"HTTP/1.1 404 No\r\n" + LENGTH, ZEROS),
    "rubbish": endless(b"", b"\xff\x00" * 30_000),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("what", ["configuration", "night"])
def test_no_answer_takes_more_than_its_seconds_and_bytes(
    hub: HostileHub, tmp_path: Path, what: str, name: str
) -> None:
    hub.script = ATTACKS[name]
    client = Client(hub, tmp_path)
    with pytest.raises(FetchError):
        client.config() if what == "configuration" else client.night()
    assert hub.sent <= hub.calls * (WASTE_BYTES + BUFFERS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["100 Continue", "empty blocks", "a drip of the body", "headers without an end"]
)
def test_no_answer_over_tls_takes_more_than_its_seconds_and_bytes(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    web = authority.issue("127.0.0.1", file="web", address="127.0.0.1")
    checks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    checks.load_cert_chain(web.certificate, web.key)
    with contextlib.closing(HostileHub(checks)) as hub:
        hub.script = ATTACKS[name]
        with pytest.raises(FetchError, match=r"aborted|cannot be used"):
            Client(hub, tmp_path, ca_file=str(authority.file)).config()
        assert 0 < hub.sent <= hub.calls * (WASTE_BYTES + BUFFERS)


def test_a_body_that_goes_on_after_its_end_is_not_kept(hub: HostileHub, tmp_path: Path) -> None:
    """The library would keep all of it beside the body."""
    hub.script = endless(PACKED + LENGTH + gzip.compress(CONFIG), ZEROS, times=3_000)
    before = peak_kb()
    with pytest.raises(FetchError, match="after the end"):
        Client(hub, tmp_path, step_s=0.0).config()
    assert peak_kb() - before < 64 * 1024


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_a_download_is_not_resumed_for_ever(hub: HostileHub, tmp_path: Path) -> None:
    """Each connection delivers one byte and says that there are more."""
    began = OK + b'ETag: "a"\r\nContent-Length: 1000000\r\n\r\n{'

    def rest() -> Iterator[bytes]:
        at = hub.calls - 1
        part = b'HTTP/1.1 206 Partial\r\nETag: "a"\r\nContent-Range: bytes %d-999999/1000000\r\n' % at
        yield began if at == 0 else part + b"Content-Length: %d\r\n\r\n " % (1_000_000 - at)

    hub.script = rest
    with pytest.raises(FetchError, match="aborted"):
        Client(hub, tmp_path).night()
    assert 2 < hub.calls < 1000


def test_a_request_to_a_silent_hub_is_given_up(
    hub: HostileHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "READ_S", 0.05)
    hub.stays = True
    for said in (b"", b"HTTP/1.1", OK + LENGTH):
        hub.script = lambda said=said: [said]  # type: ignore[misc]
        with pytest.raises(FetchError):
            Client(hub, tmp_path).config()


def test_a_handshake_that_drips_is_given_up(
    hub: HostileHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CONNECT_S", 0.2)
    begun = b"\x16\x03\x03\x40\x00"  # a handshake record of 16 KiB

    def drip() -> Iterator[bytes]:
        yield begun
        while not threading.Event().wait(0.01):
            yield b"\x00"

    hub.script = drip
    authority = Authority(tmp_path / "authority")
    client = HubClient(f"https://127.0.0.1:{hub.port}", "gate-1", "t", str(authority.file))
    with pytest.raises(FetchError):
        client.config()


def test_no_cookie_is_kept_and_no_proxy_from_the_environment_is_used(
    hub: HostileHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    cookies = b"".join(b"Set-Cookie: c%d=%b\r\n" % (one, b"x" * 1000) for one in range(50))
    hub.script = lambda: [OK + cookies + b"Content-Length: %d\r\n\r\n" % len(CONFIG) + CONFIG]
    client = Client(hub, tmp_path)
    assert client.config().gate_id == "gate-1"
    assert len(client._session.cookies) == 0


def test_the_fetcher_keeps_turning_for_the_watchdog_and_asks_again(hub: HostileHub, tmp_path: Path) -> None:
    answered, asked = threading.Event(), threading.Event()
    client = Client(hub, tmp_path, step_s=0.0)

    def script() -> Iterator[bytes]:
        if hub.calls > 1:
            yield OK + b"Content-Length: %d\r\n\r\n" % len(CONFIG) + CONFIG
            return
        yield PACKED + LENGTH
        asked.set()
        yield from itertools.repeat(EMPTY_BLOCK * 100, 10**9)

    hub.script = script
    fetcher = Fetcher(client, client.spool, lambda _answer: answered.set(), retry_s=0.01)
    before = fetcher.turns()
    fetcher.want(WantConfig())
    assert asked.wait(PATIENCE_S)
    assert answered.wait(PATIENCE_S)  # the second time
    assert fetcher.turns() > before
    fetcher.close()


def test_a_slow_lookup_is_not_mistaken_for_a_dead_thread(
    hub: HostileHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, go_on = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def slow(*args: object, **others: object) -> object:
        looking.set()
        go_on.wait(PATIENCE_S)
        return look_up(*args, **others)  # type: ignore[arg-type]

    client = Client(hub, tmp_path)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    fetcher = Fetcher(client, client.spool, lambda _answer: None)
    fetcher.want(WantConfig())
    assert looking.wait(PATIENCE_S)
    counts = [fetcher.turns() for _ in range(3)]
    assert counts == sorted(set(counts))
    go_on.set()
    fetcher.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostileHub, Client]]:
    made = HostileHub()
    yield made, Client(made, tmp_path_factory.mktemp("spool"), step_s=0.0)
    made.close()


def cut(text: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[begin:end] for begin, end in itertools.pairwise(ends)]


PLACES = st.lists(st.integers(0, 5000), max_size=12)


@settings(
    max_examples=cases(30, long=200),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    packed=st.booleans(),
    chunks=st.none() | PLACES,
    sends=PLACES,
    spoil=st.none() | st.tuples(st.integers(0, 5000), st.sampled_from(["cut", "drop", "double", "junk"])),
)
def test_a_night_arrives_whole_or_not_at_all_in_whatever_pieces(
    honest: tuple[HostileHub, Client],
    packed: bool,
    chunks: list[int] | None,
    sends: list[int],
    spoil: tuple[int, str] | None,
) -> None:
    hub, client = honest
    body = gzip.compress(a_night(), 1) if packed else a_night()
    head = (PACKED if packed else OK) + b"Connection: close\r\n"
    if chunks is None:
        text = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        text = head + CHUNKED + b"".join(map(in_chunk, cut(body, chunks))) + b"0\r\n\r\n"
    text = text if spoil is None else spoiled(text, *spoil)
    hub.script = lambda: cut(text, sends)
    try:
        fetched = client.night()
    except FetchError:
        assert spoil is not None
    else:
        assert rows_of(fetched) == list(ROWS)
        assert fetched.spooled is not None
        fetched.spooled.discard()


def spoiled(text: bytes, place: int, how: str) -> bytes:
    at = place % len(text)
    match how:
        case "cut":
            return text[:at]
        case "drop":
            return text[:at] + text[at + 1 :]
        case "double":
            return text[: at + 1] + text[at:]
        case _:
            return text[:at] + b"\xffjunk" + text[at:]

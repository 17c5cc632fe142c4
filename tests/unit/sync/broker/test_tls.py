"""A gate that does not know the time still reaches its hub, and only its hub."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sync.broker.tls import BUILT, context, is_lost
from sync.feed.snapshot import FetchError, HubClient
from tests.certificates import Authority, Identity
from tests.patience import PATIENCE_S

NOW = datetime.now(UTC)
LOST = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


def greets(server: Identity, client: ssl.SSLContext) -> str:
    """Try a handshake between a server and a gate; return "" or the error."""
    here, there = socket.socketpair()
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine.load_cert_chain(server.certificate, server.key)

    def serve() -> None:
        try:
            mine.wrap_socket(there, server_side=True).close()
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname="127.0.0.1"):
            return ""
    except ssl.SSLError as error:
        return str(error)
    finally:
        thread.join(PATIENCE_S)


def test_a_clock_before_the_build_or_before_the_own_certificate_is_wrong(authority: Authority) -> None:
    own = str(authority.issue("gate-1").certificate)  # valid since yesterday
    assert is_lost(LOST) and is_lost(BUILT - timedelta(seconds=1))
    assert is_lost(NOW - timedelta(days=3), own)
    assert not is_lost(NOW) and not is_lost(NOW, own) and not is_lost(NOW - timedelta(days=3))


def test_in_1970_a_certificate_that_is_not_valid_yet_is_accepted(authority: Authority) -> None:
    authority.valid_from = NOW + timedelta(days=10)  # how a certificate of today looks from 1970
    broker = authority.issue("127.0.0.1", file="broker", address="127.0.0.1")
    assert "not yet valid" in greets(broker, context(str(authority.file), NOW))
    assert greets(broker, context(str(authority.file), LOST)) == ""


def test_in_1970_a_strangers_certificate_and_another_name_are_still_refused(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "strangers").issue("127.0.0.1", address="127.0.0.1")
    assert "verify failed" in greets(stranger, context(str(authority.file), LOST))
    other = authority.issue("other", address="127.0.0.9")
    assert "mismatch" in greets(other, context(str(authority.file), LOST))


class _Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_configuration_can_be_fetched_in_1970(authority: Authority) -> None:
    authority.valid_from = NOW + timedelta(days=10)
    web = authority.issue("127.0.0.1", file="web", address="127.0.0.1")
    checks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    checks.load_cert_chain(web.certificate, web.key)
    server = HTTPServer(("127.0.0.1", 0), _Hub)
    server.socket = checks.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        clock = [NOW]
        client = HubClient(
            f"https://127.0.0.1:{server.server_port}",
            "gate-1",
            "t",
            str(authority.file),
            pause=lambda _s: None,
            wall=lambda: clock[0],
        )
        with pytest.raises(FetchError, match="no answer"):
            client.config()
        clock[0] = LOST
        with pytest.raises(FetchError, match="says 404"):  # it was reached
            client.config()
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()

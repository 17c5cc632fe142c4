"""Whether a hub's web interface is ready, asked as this machine reaches it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fleet.release.hub_probes import WebPlace, web_place, web_trouble


class _Web(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"no database\n")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[HTTPServer]:
    _Web.status = 200
    with HTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_web_interface_is_ready_when_it_says_so(web: HTTPServer) -> None:
    place = WebPlace(port=web.server_port)
    assert web_trouble(place) == ""
    _Web.status = 503
    assert web_trouble(place) == "/readyz answers 503: no database"


def test_one_that_does_not_listen_is_trouble_and_no_traceback(web: HTTPServer) -> None:
    with HTTPServer(("127.0.0.1", 0), _Web) as closed:
        port = closed.server_port
    assert "/readyz: " in web_trouble(WebPlace(port=port))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", WebPlace()),
        ('[web]\nhost = "0.0.0.0"\nport = 80', WebPlace(port=80)),
        ('[web]\nhost = "::"\ncert_file = "x"', WebPlace(host="::1", port=8443, is_tls=True)),
        ("= ?", WebPlace()),
        ("web = 7", WebPlace()),
    ],
)
def test_where_it_listens_is_read_from_the_configuration(text: str, place: WebPlace, tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(text)
    assert web_place(file) == place
    assert web_place(tmp_path / "none.toml") == WebPlace()

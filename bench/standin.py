"""A stand-in for the hub's web server: serves a configuration and one large snapshot to sync.

It sends the product's own messages; the hub itself is measured elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench import night
from bench.bed import GATE_ID, config_of
from gate.clock import SystemClock
from sync.wire.messages import SnapshotEnd, SnapshotHeader, encode


@contextlib.contextmanager
def hub(tickets: int) -> Iterator[str]:
    """Run one; yields its address."""
    answers = {
        f"/api/gates/{GATE_ID}/config": encode(config_of(SystemClock().now())),
        f"/api/gates/{GATE_ID}/events/{night.EVENT_ID}/admissions": snapshot(tickets),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def snapshot(tickets: int) -> bytes:
    """A night as the hub sends it (protocol 4.4)."""
    rows = [encode(row) for row in night.rows(tickets)]
    header = SnapshotHeader(event_id=night.EVENT_ID, version=1, since=0, count=len(rows))
    body = b"".join(line + b"\n" for line in (encode(header), *rows))
    return body + encode(SnapshotEnd(sha256=hashlib.sha256(body).hexdigest())) + b"\n"


def _handler(answers: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path.split("?")[0])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler

"""The bad network of the tests is as bad as it says, and no worse."""

from __future__ import annotations

import socket

from tests.proxy import PIECE_BYTES, proxy


def test_a_torn_connection_first_lets_through_what_is_allowed_whatever_comes_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, proxy(server.getsockname()[1]) as line:
        for allowed in (1, 1000, PIECE_BYTES):
            line.tears_after = allowed
            with socket.create_connection(("127.0.0.1", line.port), 10) as client:
                there, _ = server.accept()
                with there:
                    there.sendall(b"x" * (allowed + 1))
                    assert len(_all_of(client)) == allowed


def _all_of(client: socket.socket) -> bytes:
    read = b""
    while piece := client.recv(PIECE_BYTES):
        read += piece
    return read

"""The hub's MQTT client reads ahead without losing, adding or reordering a byte."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.mqtt.client import READ_AHEAD, ReadAhead


@given(sent=st.binary(min_size=1, max_size=300), sizes=st.lists(st.integers(1, 40), min_size=1))
def test_reading_in_small_pieces_gives_every_byte_in_order(sent: bytes, sizes: list[int]) -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ahead = ReadAhead(ours)
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        got = b""
        for number in range(len(sent) + 1):
            if not (part := ahead.recv(sizes[number % len(sizes)])):
                break
            got += part
            assert ahead.pending() == len(sent) - len(got)
    assert got == sent


def test_an_empty_socket_is_not_taken_for_its_end() -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ours.setblocking(False)
        ahead = ReadAhead(ours)
        with pytest.raises(BlockingIOError):
            ahead.recv(1)
        theirs.sendall(b"ab")
        assert (ahead.recv(1), ahead.pending(), ahead.recv(5)) == (b"a", 1, b"b")
        with pytest.raises(BlockingIOError):
            ahead.recv(1)


def test_the_end_is_seen_after_all_bytes_before_it() -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ahead = ReadAhead(ours)
        theirs.sendall(b"x" * 10)
        theirs.close()
        assert ahead.recv(READ_AHEAD) == b"x" * 10
        assert ahead.recv(1) == b""


def test_other_attributes_are_the_sockets() -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        assert ReadAhead(ours).fileno() == ours.fileno()

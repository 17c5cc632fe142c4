"""The door's end of the socket to sync, over a real socket, with well-behaved and broken peers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate.hotline.client import FRESH_MS, Hotline, may_ask, with_beat
from gate.hotline.messages import Beat, Ordered, ToDoor, to_packet, to_sync
from gate.rules.first_entry import Claim, Grant, Returned
from gate.store.cache import LinkState
from tests.factories import StoppedClock
from tests.patience import PATIENCE_S, until

CLAIM = Claim(scan_id="scan-1", code_hash="c" * 64, event_id="event-1", epoch="epoch-1")
GRANTED = Grant(scan_id="scan-1", answer="granted")
UP = LinkState(alive=True, online=True, cut_ms=0)
TIMEOUT_S = 0.05
Reply = Callable[[socket.socket, bytes], None]


class Sync:
    """The other end. `heard` has every packet, `reply` answers each, `ended` counts lines the door closed."""

    def __init__(self, path: Path, reply: Reply) -> None:
        self.heard: list[bytes] = []
        self.ended = 0
        self.lines: list[socket.socket] = []
        self._reply = reply
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._path = path
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self.lines.append(line)
                threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def _read(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while packet := line.recv(65536):
                self.heard.append(packet)
                self._reply(line, packet)
            self.ended += 1

    def close(self) -> None:
        for one in (self._listener, *self.lines):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._path.unlink(missing_ok=True)


def replies(*messages: ToDoor) -> Reply:
    def reply(line: socket.socket, packet: bytes) -> None:
        if isinstance(to_sync(packet), Claim):
            for message in messages:
                line.send(to_packet(message))

    return reply


@contextlib.contextmanager
def talking(folder: Path, reply: Reply, timeout_s: float = PATIENCE_S) -> Iterator[tuple[Hotline, Sync]]:
    sync = Sync(folder / "sync.sock", reply)
    hotline = Hotline(folder / "sync.sock", timeout_s, StoppedClock())
    try:
        yield hotline, sync
    finally:
        hotline.close()
        sync.close()


def test_a_claim_is_answered(tmp_path: Path) -> None:
    with talking(tmp_path, replies(GRANTED)) as (hotline, sync):
        assert hotline.ask(CLAIM) == GRANTED
        assert [to_sync(packet) for packet in sync.heard] == [CLAIM]
        assert hotline.is_up(UP)


def test_an_answer_to_another_claim_is_dropped_and_the_door_waits_on(tmp_path: Path) -> None:
    late = Grant(scan_id="scan-0", answer="granted")
    taken = Grant(scan_id="scan-1", answer="taken")
    with talking(tmp_path, replies(late, taken)) as (hotline, _):
        assert hotline.ask(CLAIM) == taken


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_claims(tmp_path: Path) -> None:
    with talking(tmp_path, lambda *_: None, TIMEOUT_S) as (hotline, sync):
        assert hotline.ask(CLAIM) is None
        until(lambda: sync.lines)
        sync.lines[0].send(to_packet(GRANTED))
        assert hotline.ask(Claim(scan_id="scan-2", code_hash="d" * 64, event_id="e", epoch="f")) is None


def test_packets_that_are_not_messages_are_skipped(tmp_path: Path) -> None:
    def reply(line: socket.socket, _: bytes) -> None:
        for packet in (b"{", b"null", b"\xff" * 40_000, to_packet(GRANTED)):
            line.send(packet)

    with talking(tmp_path, reply) as (hotline, _):
        assert hotline.ask(CLAIM) == GRANTED


@pytest.mark.parametrize("kind", ["no file", "nobody listens", "not a socket"])
def test_without_anybody_at_the_other_end_a_claim_fails_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sync.sock"
    if kind == "nobody listens":
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left_behind:
            left_behind.bind(str(path))
    if kind == "not a socket":
        path.write_text("")
    hotline = Hotline(path, 3600.0, StoppedClock())
    assert hotline.ask(CLAIM) is None
    assert not hotline.is_up(UP)
    hotline.close()


def test_a_line_closed_during_a_claim_fails_at_once(tmp_path: Path) -> None:
    with talking(tmp_path, lambda line, _: line.shutdown(socket.SHUT_RDWR), 3600.0) as (hotline, _):
        assert hotline.ask(CLAIM) is None


def test_a_restarted_sync_is_reached_at_once(tmp_path: Path) -> None:
    with talking(tmp_path, replies(GRANTED)) as (hotline, sync):
        assert hotline.ask(CLAIM) == GRANTED
        sync.close()
        again = Sync(tmp_path / "sync.sock", replies(GRANTED))
        assert hotline.ask(CLAIM) == GRANTED
        again.close()


def test_sending_to_a_sync_that_reads_nothing_never_blocks(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(tmp_path / "sync.sock"))
    listener.listen(1)  # SIGSTOPped: connections and packets pile up in the kernel
    hotline = Hotline(tmp_path / "sync.sock", TIMEOUT_S, StoppedClock())
    sent = [hotline.send(Returned(scan_id=f"{n:0>8000}")) for n in range(1000)]
    assert sent[0]
    assert not sent[-1]
    assert hotline.ask(CLAIM) is None
    hotline.close()
    listener.close()


def test_orders_are_kept_apart_from_answers_and_returned_once(tmp_path: Path) -> None:
    orders = [Ordered(envelope=f"sealed {n}") for n in range(2)]
    with talking(tmp_path, replies(orders[0], GRANTED, orders[1])) as (hotline, _):
        assert hotline.orders() == []
        assert hotline.ask(CLAIM) == GRANTED
        got: list[bytes] = []
        while len(got) < 2:
            got += hotline.orders()
        assert got == [b"sealed 0", b"sealed 1"]
        assert hotline.orders() == []


def test_without_sync_there_are_no_orders_and_nothing_raises(tmp_path: Path) -> None:
    hotline = Hotline(tmp_path / "sync.sock", TIMEOUT_S, StoppedClock())
    assert hotline.orders() == []
    assert not hotline.send(Returned(scan_id="x"))
    hotline.unused("x")
    hotline.close()


@pytest.mark.parametrize(
    ("link", "failed_ms", "worth_it"),
    [
        (UP, None, True),
        (LinkState(alive=True, cut_ms=5), None, False),
        (LinkState(alive=True, cut_ms=None), None, False),
        (LinkState(alive=False, cut_ms=0), None, False),
        (UP, 100, False),
        (LinkState(alive=True, cut_ms=0, answered_ms=100), 100, False),
        (LinkState(alive=True, cut_ms=0, answered_ms=101), 100, True),
        (LinkState(alive=False, cut_ms=0, answered_ms=101), 100, False),
    ],
)
def test_a_failed_line_is_used_again_once_the_hub_has_answered_since(
    link: LinkState, failed_ms: int | None, worth_it: bool
) -> None:
    assert may_ask(link, failed_ms, 200) is worth_it


def test_an_old_answer_of_the_hub_does_not_prove_that_the_line_works() -> None:
    link = LinkState(alive=True, cut_ms=0, answered_ms=101)
    assert may_ask(link, 100, 101 + FRESH_MS - 1)
    assert not may_ask(link, 100, 101 + FRESH_MS)


def test_with_a_wedged_sync_one_guest_waits_and_the_next_ones_do_not(tmp_path: Path) -> None:
    with talking(tmp_path, lambda *_: None, TIMEOUT_S) as (hotline, sync):
        for _ in range(5):  # five guests
            if hotline.is_up(UP):
                hotline.ask(CLAIM)
        hotline.close()
        until(lambda: sync.ended == 1)
        assert len(sync.heard) == 1


STALE = LinkState(alive=False, cut_ms=6_000)


def test_a_beat_over_the_line_counts_while_syncs_row_is_old(tmp_path: Path) -> None:
    with talking(tmp_path, lambda *_: None) as (hotline, sync):
        assert not hotline.is_up(STALE)
        assert hotline.orders() == []
        until(lambda: len(sync.lines) == 1)
        sync.lines[0].send(to_packet(Beat(answered_ms=StoppedClock().now().monotonic_ms)))
        until(lambda: hotline.orders() == [] and hotline.is_up(STALE))
        sync.close()
        until(lambda: hotline.orders() == [] and not hotline.is_up(STALE))


def test_an_old_beat_counts_for_nothing() -> None:
    assert with_beat(STALE, 101, 101 + FRESH_MS - 1).alive
    assert with_beat(STALE, 101, 101 + FRESH_MS) == STALE
    assert with_beat(STALE, None, 101) == STALE


def test_after_a_failed_claim_an_earlier_beat_is_not_enough() -> None:
    assert not may_ask(with_beat(STALE, 100, 200), 150, 200)
    assert may_ask(with_beat(STALE, 160, 200), 150, 200)

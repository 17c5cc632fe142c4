"""The window over the journal, against a broker and a hub that lose, repeat and reorder."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sync.upload import window as win

BATCH = 50


@given(st.integers(0, 400), st.integers(0, 2**32), st.floats(0, 0.6))
def test_everything_is_acknowledged_in_the_end_whatever_gets_lost(total: int, seed: int, loss: float) -> None:
    rng = random.Random(seed)
    window, hub, now_ms = win.Window(), set[int](), 0
    for _ in range(20_000):
        now_ms += 100
        if rng.random() < 0.01:
            window = win.on_connect(window, now_ms)
        window = win.on_tick(window, now_ms, rng.random())
        while window.sent < total and win.room(window):
            last = min(total, window.sent + BATCH)
            if rng.random() >= loss:
                hub |= set(range(window.sent + 1, last + 1))
            window = win.on_sent(window, last, now_ms)
        if rng.random() >= loss:
            window = win.on_ack(window, _watermark(hub), now_ms)
        if window.acked == total:
            break
    assert window.acked == total == _watermark(hub)


def _watermark(hub: set[int]) -> int:
    seq = 0
    while seq + 1 in hub:
        seq += 1
    return seq


@given(st.lists(st.tuples(st.sampled_from(["ack", "sent", "tick", "connect"]), st.integers(0, 3000))))
def test_the_window_never_overflows_and_takes_no_ack_back_in_a_connection(
    events: list[tuple[str, int]],
) -> None:
    window, now_ms, is_first = win.Window(), 0, False
    for name, number in events:
        before, now_ms = window, now_ms + number
        match name:
            case "ack":
                window = win.on_ack(window, number, now_ms)
            case "sent":
                window = win.on_sent(window, window.sent + min(number, win.room(window)), now_ms)
            case "tick":
                window = win.on_tick(window, now_ms, 0.5)
            case _:
                window = win.on_connect(window, now_ms)
        if name == "ack" and is_first and number < before.acked:
            assert window.acked == window.sent == number  # the hub was restored: what it lacks is sent again
        else:
            assert before.acked <= window.acked <= max(before.sent, before.acked)
        assert window.acked <= window.sent
        assert window.sent - window.acked <= win.IN_FLIGHT
        is_first = name == "connect" or (is_first and name != "ack")


@given(st.integers(0, 300), st.integers(0, 300), st.lists(st.integers(0, 300)))
def test_a_restored_hub_gets_again_what_it_lost(acked: int, left: int, late: list[int]) -> None:
    window = win.on_ack(win.on_connect(win.Window(acked=acked, sent=acked), 0), left, 0)
    assert window.acked == min(acked, left)
    for seq in late:  # within the connection lower ones are late, whatever they say
        after = win.on_ack(window, seq, 0)
        assert after.acked >= window.acked
        window = after


@given(st.integers(0, 300), st.integers(0, 300))
def test_nothing_counts_as_acknowledged_before_it_was_sent(sent: int, ack: int) -> None:
    assert win.on_ack(win.on_sent(win.Window(), sent, 0), ack, 0).acked == min(sent, ack)


def test_waits_double_up_to_half_a_minute_and_jitter_spreads_them() -> None:
    window, now_ms, waits = win.on_sent(win.Window(), 1, 0), 0, []
    for _ in range(7):
        start = now_ms
        while window.sent > window.acked:
            now_ms += 100
            window = win.on_tick(window, now_ms, 0.0)
        waits.append(now_ms - start)
        window = win.on_sent(window, 1, now_ms)
    assert waits == [2000, 4000, 8000, 16000, 30000, 30000, 30000]
    late = win.on_tick(win.on_sent(win.Window(), 1, 0), 2999, 1.0)
    assert late.sent == 1

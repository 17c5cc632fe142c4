"""Which records of the journal to send when: a sliding window over its numbers. Pure.

The broker's own acknowledgement does not count (protocol 4.2). When there is no progress for a while,
everything above the hub's acknowledgement is sent again. The wait doubles, with jitter, so that twenty gates
do not resend in step.
"""

from __future__ import annotations

import msgspec

from gate.common.value import Value

IN_FLIGHT = 1000
"""Most records sent and unacknowledged: 20 batches of 50, where publishing is fastest (quality 7.3)."""
FIRST_WAIT_MS = 2_000
LONGEST_WAIT_MS = 30_000


class Window(Value, frozen=True):
    """`acked`: the hub has all up to here. `sent`: sent up to here. `waits`: resends in a row.

    `since_ms`: monotonic time of the last progress or resend. `is_fresh`: no acknowledgement yet, on this
    connection or since the hub was restored.
    """

    acked: int = 0
    sent: int = 0
    since_ms: int = 0
    waits: int = 0
    is_fresh: bool = False


def on_ack(window: Window, seq: int, now_ms: int) -> Window:
    """The hub has everything up to `seq`.

    The first one on a connection, and after a restore, applies even if it is lower: a hub that was restored
    from a backup lacks what it had acknowledged. Later lower ones are merely late. A higher one counts only
    up to what was sent: a journal restored from a backup gives new scans numbers that the hub knows already.
    """
    if window.is_fresh and seq < window.acked:
        return Window(acked=seq, sent=seq, since_ms=now_ms)
    known = min(seq, window.sent)
    if known <= window.acked:
        return msgspec.structs.replace(window, is_fresh=False)
    return Window(acked=known, sent=window.sent, since_ms=now_ms)


def on_connect(window: Window, now_ms: int) -> Window:
    """A new connection: what was in flight on the old one may be lost."""
    return Window(acked=window.acked, sent=window.acked, since_ms=now_ms, is_fresh=True)


def on_restored(window: Window, said: int, now_ms: int) -> Window:
    """The hub's database is an earlier one.

    :param said: the last acknowledgement. If it is lower it was ignored, and applies now; if not, it is from
        before the restore, and the next one applies.
    """
    fresh = msgspec.structs.replace(window, is_fresh=True)
    return on_ack(fresh, said, now_ms) if said < window.acked else fresh


def on_sent(window: Window, seq: int, now_ms: int) -> Window:
    """Records up to `seq` were published."""
    idle = window.sent == window.acked
    since = now_ms if idle else window.since_ms
    return msgspec.structs.replace(window, sent=max(window.sent, seq), since_ms=since)


def on_tick(window: Window, now_ms: int, jitter: float) -> Window:
    """Fall back to the acknowledged number when nothing was acknowledged for too long.

    :param jitter: 0 to 1, random: spreads the wait between 1 and 1.5 times its length.
    """
    if window.sent == window.acked:
        return window
    wait = min(FIRST_WAIT_MS * 2**window.waits, LONGEST_WAIT_MS) * (1 + jitter / 2)
    if now_ms - window.since_ms < wait:
        return window
    return msgspec.structs.replace(window, sent=window.acked, since_ms=now_ms, waits=window.waits + 1)


def resend(window: Window, now_ms: int) -> Window:
    """Send the unacknowledged records again, now."""
    return msgspec.structs.replace(window, sent=window.acked, since_ms=now_ms)


def room(window: Window) -> int:
    """How many more records may be sent now."""
    return max(0, IN_FLIGHT - (window.sent - window.acked))

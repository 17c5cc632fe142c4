"""The door's end of the local socket to sync: it carries claims to the hub, and orders of staff to the door.

None of this may hold up the door. If nobody has the other end of the socket, a claim fails at once. If no
answer comes, it fails after the claim timeout, and no further claim is tried until sync reports that the hub
answers again. So whatever dies or hangs behind the socket costs one guest that time, once.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from pathlib import Path
from typing import Protocol

import msgspec

from gate.clock import Clock
from gate.common.outage import Outage
from gate.hotline.messages import LONGEST, Beat, Ordered, ToDoor, ToSync, to_door, to_packet
from gate.rules.first_entry import Claim, Grant, Returned
from gate.store.cache import LinkState

FRESH_MS = 5_000
"""The hub is asked for a sign of life every second; without one for this long it counts as silent."""
MOST_ORDERS = 32
"""Nobody gives more orders than this at once; further ones are dropped."""


class HubLine(Protocol):
    """The line to the hub, as the desk uses it. It never raises."""

    def is_up(self, link: LinkState) -> bool:
        """Whether a claim is worth the wait: a line that failed is not used again until it recovers."""

    def ask(self, claim: Claim) -> Grant | None:
        """The hub's answer; None if there is none within the claim timeout."""

    def unused(self, scan_id: str) -> None:
        """Nobody was admitted with this claim. Does not wait."""


def may_ask(link: LinkState, failed_ms: int | None, now_ms: int) -> bool:
    """Whether a claim is worth the wait. Pure; times are monotonic milliseconds of one boot.

    :param failed_ms: when the last claim failed, None if the last one was answered.
    """
    if not link.alive or link.cut_ms != 0:
        return False
    if failed_ms is None:
        return True
    answered = link.answered_ms
    return answered is not None and answered > failed_ms and now_ms - answered < FRESH_MS


def with_beat(link: LinkState, answered_ms: int | None, now_ms: int) -> LinkState:
    """The link, updated with what sync last said over the socket, if that is fresh; its row may be old. Pure.

    :param answered_ms: from the newest `gate.hotline.messages.Beat`.
    """
    if answered_ms is None or now_ms - answered_ms >= FRESH_MS:
        return link
    newest = max(answered_ms, link.answered_ms or 0)
    return msgspec.structs.replace(link, alive=True, cut_ms=0, answered_ms=newest)


class Hotline:
    """The socket: connected when needed, and again after it broke. Used from one thread; never raises.

    :param path: where sync listens.
    :param timeout_s: the longest a claim may take in all (domain 2.3: 0.2 s).
    """

    def __init__(self, path: Path, timeout_s: float, clock: Clock) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._clock = clock
        self._socket: socket.socket | None = None
        self._orders: deque[bytes] = deque(maxlen=MOST_ORDERS)
        self._failed_ms: int | None = None
        self._answered_ms: int | None = None
        self._outage = Outage("claims at the hub")

    def is_up(self, link: LinkState) -> bool:
        """See `HubLine`."""
        now_ms = self._clock.now().monotonic_ms
        return may_ask(with_beat(link, self._answered_ms, now_ms), self._failed_ms, now_ms)

    def ask(self, claim: Claim) -> Grant | None:
        """See `HubLine`."""
        until = time.monotonic() + self._timeout_s
        self._receive()  # answers that came too late
        answer = self._answer(claim.scan_id, until) if self.send(claim) else None
        if answer is None:
            self._failed_ms = self._clock.now().monotonic_ms
            self._outage.began(
                f"no answer within {self._timeout_s} s. "
                "Until it answers, the night's isolation policy decides first entries."
            )
        else:
            self._failed_ms = None
            self._outage.over()
        return answer

    def unused(self, scan_id: str) -> None:
        """See `HubLine`."""
        self.send(Returned(scan_id=scan_id))

    def send(self, message: ToSync) -> bool:
        """Send sync a message without waiting; False if nobody takes it now."""
        packet = to_packet(message)
        # after a restart of sync our socket has no reader, so try once more with a new one
        return self._sent(packet) or (self._socket is None and self._sent(packet))

    def orders(self) -> list[bytes]:
        """The sealed orders since the last call, oldest first. Does not wait."""
        self._receive()
        taken = list(self._orders)
        self._orders.clear()
        return taken

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._answered_ms = None

    def _sent(self, packet: bytes) -> bool:
        try:
            line = self._connected()
            line.send(packet, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False  # sync does not read; closing the socket would lose what it has not read yet
        except OSError:
            self.close()
            return False
        return True

    def _connected(self) -> socket.socket:
        """The socket. Raises `OSError` if nobody listens; connecting to a local socket does not wait."""
        if self._socket is None:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                line.connect(str(self._path))
            except OSError:
                line.close()
                raise
            self._socket = line
        return self._socket

    def _answer(self, scan_id: str, until: float) -> Grant | None:
        """The answer to this claim. Orders are kept for later; answers to other claims came too late."""
        while (left := until - time.monotonic()) > 0:
            message = self._heard(left)
            if isinstance(message, Grant) and message.scan_id == scan_id:
                return message
            if self._socket is None:
                return None
        return None

    def _receive(self) -> None:
        """Receive whatever has come, without waiting."""
        with contextlib.suppress(OSError):
            self._connected()
        for _ in range(MOST_ORDERS):
            if self._heard(0) is None:
                return

    def _heard(self, timeout_s: float) -> ToDoor | None:
        """The next message of sync; None if none came in time, it cannot be read, or the line broke."""
        if self._socket is None:
            return None
        try:
            self._socket.settimeout(timeout_s)
            packet = self._socket.recv(LONGEST)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError:
            packet = b""
        if not packet:
            self.close()
            return None
        return self._read(packet)

    def _read(self, packet: bytes) -> ToDoor | None:
        try:
            message = to_door(packet)
        except ValueError:
            return None
        if isinstance(message, Ordered):
            self._orders.append(message.envelope.encode())
        elif isinstance(message, Beat):
            self._answered_ms = message.answered_ms
        return message

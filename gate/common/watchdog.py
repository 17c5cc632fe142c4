"""The watchdog's heart: it beats only while every loop of the service turns.

Theory of operation. Each loop counts its turns. The counts are given to the `Heart` often; a third
of the watchdog's time after the last ping the next is due, and it is sent as soon as every count
has changed since that last ping. So one loop that stands still stops the pings, whichever it is,
and after `WatchdogSec` systemd starts the service anew. A part that is known to be missing
and is being tried again turns: a broken camera is told on the screen, not cured by restarts.

A thread that ends by an error nobody thought of has no turns to count, and some threads have no count:
`Heart.watching_threads` takes any such end for a loop that stands still.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import msgspec
import structlog

from gate.common.systemd import Notifier
from gate.common.value import Value

PINGS = 3
"""Pings within one watchdog time: one may be late and nothing happens (sd_watchdog_enabled(3) asks for 2)."""


class Beats(Value, frozen=True):
    """How often each loop of the door has turned. A part made anew may begin at 0 again."""

    camera: int
    decision: int
    journal: int
    relay: int


class Rhythm(Value, frozen=True):
    """When it pinged last, and the counts it then had. Times are monotonic ms."""

    interval_ms: int
    pinged_ms: int | None = None
    counts: dict[str, int] = {}


class Pulse(Value, frozen=True):
    """What one reading leads to. `standing`: loops that have not turned though a ping is due."""

    ping: bool = False
    standing: tuple[str, ...] = ()


def pulse(rhythm: Rhythm, now_ms: int, counts: dict[str, int]) -> tuple[Rhythm, Pulse]:
    """Take in one reading of all loops. The first is what the next are compared with."""
    if rhythm.pinged_ms is None:
        return Rhythm(interval_ms=rhythm.interval_ms, pinged_ms=now_ms, counts=counts), Pulse()
    if now_ms - rhythm.pinged_ms < rhythm.interval_ms:
        return rhythm, Pulse()
    standing = tuple(name for name, count in counts.items() if rhythm.counts.get(name) == count)
    if standing:
        return rhythm, Pulse(standing=standing)
    return Rhythm(interval_ms=rhythm.interval_ms, pinged_ms=now_ms, counts=counts), Pulse(ping=True)


class Heart:
    """Tells systemd that the service is ready, alive and stopping. Used from one thread.

    :param watchdog_ms: what `gate.common.systemd.watchdog_ms` says; None: nobody watches.
    """

    def __init__(self, notifier: Notifier, watchdog_ms: int | None) -> None:
        self._notifier = notifier
        self._rhythm = Rhythm(interval_ms=max(1, watchdog_ms // PINGS)) if watchdog_ms else None
        self._standing: tuple[str, ...] = ()
        self._is_ready = self._is_told = False
        self._ended = False
        """Whether a thread has ended by an error."""
        self._log = structlog.get_logger()

    @contextlib.contextmanager
    def watching_threads(self) -> Iterator[None]:
        """While the block runs, a thread that ends by an error is told of, and the pings stop."""
        before = threading.excepthook

        def ended(args: threading.ExceptHookArgs) -> None:
            name = args.thread.name if args.thread is not None else "unknown"
            self._log.error("a thread ended by an error; systemd starts the service anew", thread=name)
            self._ended = True
            before(args)

        threading.excepthook = ended
        try:
            yield
        finally:
            threading.excepthook = before

    def ready(self) -> None:
        """The service does its work. Asked again it changes nothing."""
        self._is_ready = True
        self._is_told = self._is_told or self._notifier.ready()

    def beat(self, now_ms: int, counts: Value) -> None:
        """One turn of the service's main loop; call it at least as often as a ping is due.

        :param now_ms: monotonic.
        :param counts: how often each loop has turned: a struct of numbers such as `Beats`.
        """
        if self._is_ready and not self._is_told:
            self.ready()
        if self._rhythm is None or self._ended:
            return
        self._rhythm, now = pulse(self._rhythm, now_ms, msgspec.structs.asdict(counts))
        if now.ping:
            self._notifier.watchdog()
        self._tell_of(now)

    def _tell_of(self, now: Pulse) -> None:
        """Once for each set of loops that stands, and once when all turn again."""
        if now.standing and now.standing != self._standing:
            self._log.error("standing still; systemd starts the service anew", loops=list(now.standing))
            self._standing = now.standing
        elif now.ping and self._standing:
            self._log.info("all loops turn again", loops=list(self._standing))
            self._standing = ()

    def stopping(self) -> None:
        """The service is putting itself to rest."""
        self._notifier.stopping()
        self._notifier.close()

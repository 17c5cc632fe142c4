"""Pings systemd's watchdog only while every loop of the service turns.

Theory of operation. Each loop counts its turns, and `Heart` gets the counts often. A ping is due when a
third of the watchdog's time has passed since the last one; it is sent as soon as every count has changed
since then. So any loop that hangs stops the pings, and after `WatchdogSec` systemd restarts the service. A
loop that keeps trying to reach a missing part still turns: a broken camera is shown on the screen, and a
restart would not cure it.

A thread that dies of an unexpected error turns no more, and some threads are not counted at all, so
`Heart.watching_threads` treats every such death like a loop that hangs.
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
"""Pings within one watchdog time, so that one may be late (sd_watchdog_enabled(3) asks for 2)."""


class Beats(Value, frozen=True):
    """How often each loop of the door has turned. A part that was made again may begin at 0."""

    camera: int
    decision: int
    journal: int
    relay: int


class Rhythm(Value, frozen=True):
    """When the last ping was, and the counts at that time. Times are monotonic ms."""

    interval_ms: int
    pinged_ms: int | None = None
    counts: dict[str, int] = {}


class Pulse(Value, frozen=True):
    """What one reading leads to. `hanging`: loops that have not turned though a ping is due."""

    ping: bool = False
    hanging: tuple[str, ...] = ()


def pulse(rhythm: Rhythm, now_ms: int, counts: dict[str, int]) -> tuple[Rhythm, Pulse]:
    """Judge one reading of all loops. The first only serves to compare the next ones with."""
    if rhythm.pinged_ms is None:
        return Rhythm(interval_ms=rhythm.interval_ms, pinged_ms=now_ms, counts=counts), Pulse()
    if now_ms - rhythm.pinged_ms < rhythm.interval_ms:
        return rhythm, Pulse()
    hanging = tuple(name for name, count in counts.items() if rhythm.counts.get(name) == count)
    if hanging:
        return rhythm, Pulse(hanging=hanging)
    return Rhythm(interval_ms=rhythm.interval_ms, pinged_ms=now_ms, counts=counts), Pulse(ping=True)


class Heart:
    """Tells systemd that the service is ready, alive or about to end. Used from one thread.

    :param watchdog_ms: from `gate.common.systemd.watchdog_ms`; None without a watchdog.
    """

    def __init__(self, notifier: Notifier, watchdog_ms: int | None) -> None:
        self._notifier = notifier
        self._rhythm = Rhythm(interval_ms=max(1, watchdog_ms // PINGS)) if watchdog_ms else None
        self._hanging: tuple[str, ...] = ()
        self._is_ready = self._is_told = False
        self._ended = False
        """Whether a thread died of an error."""
        self._log = structlog.get_logger()

    @contextlib.contextmanager
    def watching_threads(self) -> Iterator[None]:
        """While the block runs, the pings stop, with a log line, once a thread dies of an error."""
        before = threading.excepthook

        def ended(args: threading.ExceptHookArgs) -> None:
            name = args.thread.name if args.thread is not None else "unknown"
            self._log.error("thread died, systemd will restart the service", thread=name)
            self._ended = True
            before(args)

        threading.excepthook = ended
        try:
            yield
        finally:
            threading.excepthook = before

    def ready(self) -> None:
        """The service is ready. Calling it again changes nothing."""
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
        self._log_changes(now)

    def _log_changes(self, now: Pulse) -> None:
        """Once for each set of hanging loops, and once when all turn again."""
        if now.hanging and now.hanging != self._hanging:
            self._log.error("loops hang, systemd will restart the service", loops=list(now.hanging))
            self._hanging = now.hanging
        elif now.ping and self._hanging:
            self._log.info("loops turn again", loops=list(self._hanging))
            self._hanging = ()

    def stopping(self) -> None:
        """The service is about to end."""
        self._notifier.stopping()
        self._notifier.close()

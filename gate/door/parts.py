"""The parts of one gate, as the door's loop uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gate.clock import Clock
from gate.common.retried import Retried
from gate.hotline.client import Hotline
from gate.ports.devices import Display, Eye, Inputs, Keypad, Scanner, Turnstile, Voice
from gate.store.cache import CacheReader
from gate.store.journal import Journal

CLOSE_S = 1.8
"""What closing may take: the service manager is promised that the door stops within 2 s."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that can break; what is `Retried` is made again by itself until it works."""

    eye: Eye
    display: Display
    turnstile: Retried[Turnstile]
    journal: Retried[Journal]
    inputs: Retried[Inputs]
    voice: Retried[Voice]
    keypad: Retried[Keypad]
    scanner: Retried[Scanner]
    cache: CacheReader
    clock: Clock
    hotline: Hotline

    def close_devices(self) -> None:
        """Put the devices to rest, all at once; one that hangs is left and named in the log. Never raises."""
        closing = [
            _begin(name, close)
            for name, close in (
                ("turnstile", self.turnstile.close),
                ("eye", self.eye.close),
                ("display", self.display.close),
                ("voice", self.voice.close),
                ("inputs", self.inputs.close),
                ("keypad", self.keypad.close),
                ("scanner", self.scanner.close),
            )
        ]
        until = self.clock.now().monotonic_ms + CLOSE_S * 1000
        for thread in closing:
            thread.join(max(0.0, (until - self.clock.now().monotonic_ms) / 1000))
        hanging = [thread.name for thread in closing if thread.is_alive()]
        if hanging:
            structlog.get_logger().error("did not close in time", parts=hanging)

    def close_files(self) -> None:
        """Let go of journal, cache and the line to sync."""
        self.journal.close()
        self.hotline.close()
        self.cache.close()

    def close(self) -> None:
        """Everything."""
        self.close_devices()
        self.close_files()


def _begin(name: str, close: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=close, name=name, daemon=True)
    thread.start()
    return thread

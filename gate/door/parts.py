"""The parts of one gate, as the door's loop uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.clock import Clock
from gate.common.errors import MagueyError, StoreError
from gate.common.retried import Retried
from gate.common.value import Value
from gate.hotline.client import Hotline
from gate.ports.devices import Display, Eye, Inputs, Keypad, Scanner, Turnstile, Voice
from gate.store.cache import CacheReader
from gate.store.journal import Journal

CLOSE_S = 1.8
"""The longest that closing may take: the service manager is promised that the door stops within 2 s."""
T = TypeVar("T")
RetriedPart = Retried[Turnstile] | Retried[Inputs] | Retried[Voice] | Retried[Keypad] | Retried[Scanner]


class DoorSettings(Value, frozen=True):
    """What the loop goes by, from `gate.config.DoorSection`.

    `keys` verify signed tickets, `command_keys` orders of staff; both by key id. `updating_sign`: while this
    file exists, a door that stops leaves UPDATING on its screen; `release_state`: see
    `gate.store.update_note`.
    """

    gate_name: str
    gate_id: str = ""
    keys: Mapping[str, Ed25519PublicKey] = {}
    command_keys: Mapping[str, Ed25519PublicKey] = {}
    rescan_after_ms: int = 1500
    retain_days: int = 30
    isolated_after_ms: int = 10_000
    updating_sign: Path | None = None
    release_state: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that can break. A `Retried` part makes itself again until it works."""

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

    def with_journal(self, use: Callable[[Journal], T], now_ms: int) -> T | None:
        """Use the journal; None while it is out of order. If it fails, it is opened again later."""
        journal = self.journal.get(now_ms)
        if journal is None:
            return None
        try:
            return use(journal)
        except StoreError as error:
            self.journal.broke(error, now_ms)
            return None

    def acked(self, journal: Journal) -> int:
        """The number up to which the hub has this journal's records; 0 if it only has another journal's."""
        link = self.cache.link(self.clock.now())
        journal.check_numbering(link.epoch, link.hub_seq)
        is_ours = link.epoch == journal.epoch and link.acked_seq <= journal.last_seq()
        return link.acked_seq if is_ours else 0

    def close_devices(self) -> None:
        """Close the devices, all at once. Never raises; a device that hangs is left, and named in the log."""
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
            structlog.get_logger().error("parts not closed in time", parts=hanging)

    def close_files(self) -> None:
        """Close the journal, the cache and the line to sync."""
        self.journal.close()
        self.hotline.close()
        self.cache.close()


def part_trouble(device: RetriedPart) -> MagueyError | None:
    """What is broken: what the device reports, or why there is none."""
    made = device.part
    return made.trouble() if made is not None else device.trouble


def _begin(name: str, close: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=close, name=name, daemon=True)
    thread.start()
    return thread

"""Errors of the gate. A refused guest is a value (`gate.rules.model.Verdict`), never one of these.

Every message is for the person who has to act: what happened, what it means, what to do next.
A fault that the screen shows also carries a `Step`, the next step as a key of the catalogues in
`display/text/catalogue.py`, because the screen has one line and speaks two languages.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """What to do next about a fault, as the screen says it (domain 2.4: "in words, with the next step")."""

    CAMERA_CABLE = "camera_cable"
    CAMERA_BUSY = "camera_busy"
    CAMERA_SETTINGS = "camera_settings"
    CAMERA_FOLDER = "camera_folder"
    RIGHTS = "rights"
    RESTART = "restart"
    TURNSTILE_WIRING = "turnstile_wiring"
    PIN_SETTINGS = "pin_settings"
    GPIO_INSTALL = "gpio_install"
    SCREEN_CABLE = "screen_cable"
    SCREEN_SETTINGS = "screen_settings"
    KEYPAD_CABLE = "keypad_cable"
    SCANNER_CABLE = "scanner_cable"
    SENSOR_WIRING = "sensor_wiring"
    CLOSE_HOUSING = "close_housing"
    DISK_FULL = "disk_full"
    DISK_READ_ONLY = "disk_read_only"
    DISK_CHECK = "disk_check"
    HISTORY_LOST = "history_lost"
    RESTART_SYNC = "restart_sync"
    TWO_GATES = "two_gates"


class MagueyError(Exception):
    """Something is broken and a person has to know."""


class ConfigError(MagueyError, ValueError):
    """The configuration cannot be used; the message lists every mistake, one per line."""


class CallError(MagueyError):
    """A command line that nobody can have meant; nothing was done."""


class HardwareError(MagueyError, OSError):
    """A device is missing or does not answer.

    `part` is what failed in the words of the screen (``camera``, ``screen``, ``turnstile``);
    `advice` is what to try next, in full, for the log; `step` the same for the screen.
    """

    def __init__(self, part: str, message: str, advice: str, step: Step = Step.RESTART) -> None:
        super().__init__(f"{message} {advice}")
        self.part = part
        self.advice = advice
        self.step = step


class StoreError(MagueyError, OSError):
    """A file of the gate (journal or cache) cannot be read or written."""

    def __init__(self, message: str, step: Step = Step.DISK_CHECK) -> None:
        super().__init__(message)
        self.step = step


class CacheError(StoreError):
    """The cache cannot be read, so nobody knows right now which tickets are good."""

    def __init__(self, message: str, step: Step = Step.RESTART_SYNC) -> None:
        super().__init__(message, step)

"""Errors of the gate. A refused guest is a value (`gate.model.Verdict`), never one of these.

Every message is for the person who has to act: what happened, what it means, what to do next.
"""

from __future__ import annotations


class MagueyError(Exception):
    """Something is broken and a person has to know."""


class ConfigError(MagueyError, ValueError):
    """The configuration cannot be used; the message lists every mistake, one per line."""


class HardwareError(MagueyError, OSError):
    """A device is missing or does not answer.

    `part` is what failed in the words of the screen (``camera``, ``screen``, ``turnstile``);
    `step` is what to try next, short enough for the screen.
    """

    def __init__(self, part: str, message: str, step: str) -> None:
        super().__init__(f"{message} {step}")
        self.part = part
        self.step = step


class StoreError(MagueyError, OSError):
    """A file of the gate (journal or cache) cannot be read or written."""


class CacheError(StoreError):
    """The cache cannot be read; which tickets are good is not known right now."""

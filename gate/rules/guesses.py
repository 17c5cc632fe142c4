"""Guessing: too many refusals of unknown codes lock the gate for unknown codes (domain 2.3).

Pure. Five refusals by lines 1 to 3 or 5 within a minute lock it for 30 s. Tickets that the cache knows, and
validly signed ones, are answered as usual, so the queue behind a guesser keeps moving. Every scan is decided
as usual, and recorded up to a certain pace (`gate.rules.spared_refusals`); the lock only hides the answer
from the guesser, who reads "please see staff".
"""

from __future__ import annotations

import msgspec

from gate.common.value import Value
from gate.rules.decide import Policy
from gate.rules.model import Flag, Reason, Verdict

MOST_REFUSALS = 5
WINDOW_MS = 60_000
LOCK_MS = 30_000
GUESSES = frozenset({Reason.MALFORMED, Reason.BAD_CHECKSUM, Reason.FORGED, Reason.UNKNOWN})
"""Lines 1 to 3 and 5 of the table: the answers to made-up codes."""


class Guessing(Value, frozen=True):
    """`refused_ms`: when unknown codes were refused, oldest first. All times are monotonic ms."""

    refused_ms: tuple[int, ...] = ()
    locked_until_ms: int = 0

    def is_locked(self, now_ms: int) -> bool:
        """Whether guesses are answered with "see staff" right now."""
        return now_ms < self.locked_until_ms


def count_verdict(guessing: Guessing, verdict: Verdict, now_ms: int) -> tuple[Guessing, bool]:
    """Count one verdict.

    Refusals during the lock do not count, because they answer nothing: so the lock ends.

    :returns: the state for the next scan, and whether this verdict has locked the gate.
    """
    if not is_guess(verdict) or guessing.is_locked(now_ms):
        return guessing, False
    recent = (*(at for at in guessing.refused_ms if now_ms - at < WINDOW_MS), now_ms)
    if len(recent) < MOST_REFUSALS:
        return msgspec.structs.replace(guessing, refused_ms=recent), False
    return Guessing(locked_until_ms=now_ms + LOCK_MS), True


def is_guess(verdict: Verdict) -> bool:
    """Whether this is the answer to a made-up code."""
    return verdict.reason in GUESSES and not verdict.admits


def strict_policy(policy: Policy, *, locked: bool) -> Policy:
    """The venue's policy during a lock: unknown codes are refused even where the policy admits them."""
    return msgspec.structs.replace(policy, unknown="deny") if locked else policy


def hide_from_guesser(verdict: Verdict, *, locked: bool) -> Verdict:
    """The verdict as a locked gate shows it: a guess is flagged, and its screen says only "see staff"."""
    if not locked or not is_guess(verdict):
        return verdict
    return msgspec.structs.replace(verdict, flags=(*verdict.flags, Flag.LOCKED))

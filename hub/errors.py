"""Errors of the hub, for the person who has to act: what happened, what it means, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from gate.common.errors import CallError, MagueyError


class HubError(MagueyError):
    """The hub cannot do what it was asked to do."""


NOTHING_CHANGED = "Nothing was changed"


class UsageError(HubError, CallError):
    """A request that makes no sense; nothing was done. The message lists every mistake.

    :param what: what was not done.
    :param mistakes: each with what was expected.
    """

    def __init__(self, what: str, mistakes: Sequence[str]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{what}: {count}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))


class DatabaseDownError(HubError):
    """Postgres does not answer."""


class SeedError(HubError):
    """The demo night cannot be written."""

"""Errors of the hub, for the person who has to act: what happened, what it means, what to do."""

from __future__ import annotations

from gate.errors import MagueyError


class HubError(MagueyError):
    """The hub cannot do what it was asked to."""


class DatabaseDownError(HubError):
    """Postgres does not answer."""


class SeedError(HubError):
    """The demo night cannot be written."""

"""Errors of the fleet, for the operator: what happened, what it means, what to do next."""

from gate.common.errors import MagueyError


class FleetError(MagueyError):
    """A machine could not be brought where it was to be."""

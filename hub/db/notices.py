"""Waiting for NOTIFY."""

from __future__ import annotations

import threading
import time

from hub.db.connection import Connection

_SLICE_S = 0.2
"""How late a stop may be noticed."""


def wait_for_notice(conn: Connection, seconds: float, stop: threading.Event) -> bool:
    """Wait for a notification, the time to be up, or a stop.

    :param conn: in autocommit, and listening.
    :returns: whether there was one.
    """
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        for _ in conn.notifies(timeout=min(left, _SLICE_S), stop_after=1):
            return True
    return False

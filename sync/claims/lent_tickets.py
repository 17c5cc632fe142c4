"""Answers the hub when it wants to lend one of this gate's own tickets (domain 2.3, situation 3).

First the loan is written down, durably; then the journal is checked for an earlier admission. Both happen
under the lock that the door holds while it admits alone: either the door's admission is seen here, or the
door sees that the ticket is lent. No clock and no deadline is involved.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gate.common.errors import StoreError
from gate.common.outage import Outage
from gate.store.locks import LendingBusy, lending_lock
from sync.cache.writer import Cache
from sync.upload.outbox import Outbox
from sync.wire.messages import LendAnswer, LendRequest

WAIT_S = 0.1
"""The door holds the lock for one commit; the guest at the other gate waits twice this in all."""


class Lender:
    """Answers the hub. Used from the thread that uses cache and outbox.

    :param lock: the lending lock, `gate.store.locks.LOCK_FILE` in `state_dir`.
    """

    def __init__(self, cache: Cache, outbox: Outbox, lock: Path) -> None:
        self._cache = cache
        self._outbox = outbox
        self._lock = lock
        self._outage = Outage("lending")

    def answer(self, lend: LendRequest, at: datetime) -> LendAnswer:
        """Whether the ticket is lent: not if it was admitted here, or if that is uncertain.

        :raises DamagedCacheError: the cache is damaged.
        """
        try:
            with lending_lock(self._lock, WAIT_S):
                self._cache.put_lent(lend.code_hash, lend.event_id, lend.to, at)
                is_lent = self._outbox.knows_unused(lend.code_hash)
                is_used = self._outbox.knows_used(lend.code_hash)
        except (StoreError, LendingBusy) as error:
            self._outage.began(error)
            is_lent = is_used = False
        else:
            self._outage.over()
        return LendAnswer(scan_id=lend.scan_id, code_hash=lend.code_hash, lent=is_lent, used=is_used)

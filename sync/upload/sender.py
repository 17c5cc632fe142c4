"""Sends the journal to the hub: everything above the hub's acknowledgement, until it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from gate.store.link_row import LinkNote
from sync.upload import window as win
from sync.upload.outbox import JournalPlace, Outbox
from sync.wire.messages import Ack
from sync.wire.scans import BATCH_LIMIT, encode_scans

SENT_LIMIT = 64 * 1024
"""Longest batch sent, in bytes: a quarter of what the hub reads. The largest record takes 20 KB."""
HUB_SILENT_WAITS = 2
"""After so many resends in a row without an answer the hub counts as not heard (6 s and more)."""


class Sender:
    """The outgoing half of sync.

    :param before: the link note of sync's last run, None if there was none.
    """

    def __init__(self, outbox: Outbox, before: LinkNote | None) -> None:
        acked = before.acked_seq if before else 0
        self._outbox = outbox
        self._epoch = before.epoch if before else None
        self._window = win.Window(acked=acked, sent=acked)
        self._hub_seq = before.hub_seq if before else 0
        self._said = acked
        """The last acknowledgement, whether it applied or not."""
        self._is_acked = False
        """Whether the hub has acknowledged anything on this connection."""
        self._last_seq: int | None = None
        self._waiting_since: int | None = None
        self._ahead = 0
        """How far the hub is, while the journal is older than what the hub has; else 0."""
        self._log = structlog.get_logger()

    @property
    def epoch(self) -> str | None:
        """The journal's epoch, None while there is no journal."""
        return self._epoch

    @property
    def acked(self) -> int:
        """The hub has everything up to here; never above the journal's last number."""
        return self._window.acked

    @property
    def hub_seq(self) -> int:
        """How far the hub says it is in this epoch; more than `acked` if the journal is older."""
        return self._hub_seq

    @property
    def last_seq(self) -> int:
        """The journal's last number, 0 if it is empty or was not read yet."""
        return self._last_seq or 0

    @property
    def unacked(self) -> int:
        """How many records the hub has not acknowledged."""
        return max(0, self.last_seq - self._window.acked)

    @property
    def is_answered(self) -> bool:
        """Whether the hub acknowledges what it is sent."""
        return self._window.waits < HUB_SILENT_WAITS

    def silent_ms(self, now_ms: int) -> int:
        """How long records have waited on this connection without any acknowledgement."""
        return 0 if self._waiting_since is None else now_ms - self._waiting_since

    def on_connect(self, now_ms: int) -> None:
        """A new connection."""
        self._is_acked, self._waiting_since = False, None
        if self._ahead:  # the hub's numbers do not show what was lost with the old one
            self._window = win.Window(since_ms=now_ms)
        else:
            self._window = win.on_connect(self._window, now_ms)

    def on_ack(self, ack: Ack, now_ms: int) -> None:
        """Apply an acknowledgement; one of another epoch says nothing about this journal."""
        if ack.epoch != self._epoch or ack.seq < 0 or self._last_seq is None:
            return
        self._said = ack.seq
        self._hub_seq = max(self._hub_seq, ack.seq) if self._is_acked else ack.seq
        self._is_acked = True
        if ack.seq > self._last_seq:
            self._is_older(ack.seq, now_ms)
        elif ack.seq > self._ahead:
            self._ahead = 0
        before = self._window.acked
        self._window = win.on_ack(self._window, ack.seq, now_ms)
        if self._window.acked > before:
            self._waiting_since = None

    def on_restored(self, now_ms: int) -> None:
        """The hub's database is an earlier one: its acknowledgement counts again, even if it is lower."""
        if not self._ahead:
            self._window = win.on_restored(self._window, self._said, now_ms)
            self._hub_seq = min(self._hub_seq, self._said)

    def resend(self, now_ms: int) -> None:
        """Send the unacknowledged records again: a gate appeared that may lack them."""
        self._window = win.resend(self._window, now_ms)

    def send(self, publish: Callable[[bytes], bool] | None, now_ms: int, jitter: float) -> None:
        """Publish what may be sent now.

        :param publish: publishes one batch, False if it could not; None without a connection.
        :raises StoreError: the journal cannot be read.
        """
        self._look(now_ms)
        if not self.unacked:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now_ms
        self._window = win.on_tick(self._window, now_ms, jitter)
        while publish and self.last_seq > self._window.sent and win.room(self._window):
            records = self._outbox.above(self._window.sent, min(BATCH_LIMIT, win.room(self._window)))
            if not records:
                return
            batch, last = _batch(records)
            if not publish(batch):
                return
            self._window = win.on_sent(self._window, last, now_ms)

    def _look(self, now_ms: int) -> None:
        if self._outbox.has_changed():
            self._follow_epoch(now_ms)
            self._last_seq = self._outbox.last_seq()
            if self._window.acked > self._last_seq:
                self._is_older(self._window.acked, now_ms)

    def _follow_epoch(self, now_ms: int) -> None:
        """A journal with another epoch numbers from 1 (a re-imaged card)."""
        epoch = self._outbox.epoch()
        if epoch != self._epoch:
            self._log.info("epoch changed", epoch=epoch)
            self._epoch, self._window = epoch, win.Window(since_ms=now_ms)
            self._last_seq, self._ahead, self._hub_seq, self._said = None, 0, 0, 0

    def _is_older(self, hub_seq: int, now_ms: int) -> None:
        """The hub has more of this epoch than the card: new scans get numbers that it already knows."""
        if not self._ahead:
            self._log.error(
                "journal rolled back",
                why="the hub has more of it than this card: the card was restored from a backup, or another "
                "gate runs with a copy of it",
                hub_has=hub_seq,
                card_has=self._last_seq,
                epoch=self._epoch,
                advice="All of it is sent again; the hub keeps each record once and quarantines the misfits. "
                "See the hub's quarantine, and make sure that no other gate uses this card's identity.",
            )
            self._window = win.Window(since_ms=now_ms)
        self._ahead = max(self._ahead, hub_seq)


def _batch(places: Sequence[JournalPlace]) -> tuple[bytes, int]:
    """As many of the first places as fit into one message, and the number of the last of them."""
    batch = encode_scans(places)
    if len(batch) > SENT_LIMIT and len(places) > 1:
        return _batch(places[: len(places) // 2])
    return batch, places[-1].seq

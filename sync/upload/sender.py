"""Sends the journal to the hub: everything above the hub's acknowledgement, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from gate.store.link_row import LinkNote
from sync.upload import window as win
from sync.upload.outbox import JournalPlace, Outbox
from sync.wire.messages import Ack
from sync.wire.scans import BATCH_LIMIT, encode_scans

SENT_LIMIT = 64 * 1024
"""Longest batch that is sent, in bytes: a quarter of what the hub reads. The largest record takes 20 KB."""
HUB_SILENT_WAITS = 2
"""So many resends in a row without an answer, and the hub counts as not heard (6 s and more)."""


class Sender:
    """The outgoing half of sync.

    :param before: what was so when sync last ran, None if it never has.
    """

    def __init__(self, outbox: Outbox, before: LinkNote | None) -> None:
        acked = before.acked_seq if before else 0
        self._outbox = outbox
        self._epoch = before.epoch if before else None
        self._window = win.Window(acked=acked, sent=acked)
        self._hub_seq = before.hub_seq if before else 0
        self._is_told = False
        """Whether the hub has acknowledged anything on this connection."""
        self._last_seq: int | None = None
        self._waiting_since: int | None = None
        self._ahead = 0
        """While the journal is older than what the hub has: how far the hub is."""
        self._log = structlog.get_logger()

    @property
    def epoch(self) -> str | None:
        """The numbering of the journal, None while there is none."""
        return self._epoch

    @property
    def acked(self) -> int:
        """The hub has everything up to here; never above the journal's last number."""
        return self._window.acked

    @property
    def hub_seq(self) -> int:
        """What the hub itself says it has of this numbering, more than `acked` if the journal is older."""
        return self._hub_seq

    @property
    def last_seq(self) -> int:
        """The journal's last number, 0 if it is empty or was not looked at yet."""
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
        """How long something has waited on this connection and nothing of it was acknowledged."""
        return 0 if self._waiting_since is None else now_ms - self._waiting_since

    def on_connect(self, now_ms: int) -> None:
        """A new connection."""
        self._is_told, self._waiting_since = False, None
        if self._ahead:  # what was lost with the old one cannot be told from the hub's numbers
            self._window = win.Window(since_ms=now_ms)
        else:
            self._window = win.on_connect(self._window, now_ms)

    def on_ack(self, ack: Ack, now_ms: int) -> None:
        """Take an acknowledgement for what it says of this journal; of another it says nothing."""
        if ack.epoch != self._epoch or ack.seq < 0 or self._last_seq is None:
            return
        self._hub_seq = max(self._hub_seq, ack.seq) if self._is_told else ack.seq
        self._is_told = True
        if ack.seq > self._last_seq:
            self._is_older(ack.seq, now_ms)
        elif ack.seq > self._ahead:
            self._ahead = 0
        before = self._window.acked
        self._window = win.on_ack(self._window, ack.seq, now_ms)
        if self._window.acked > before:
            self._waiting_since = None

    def resend(self, now_ms: int) -> None:
        """Somebody appeared who may not have heard what the hub has not acknowledged."""
        self._window = win.resend(self._window, now_ms)

    def send(self, publish: Callable[[bytes], bool] | None, now_ms: int, jitter: float) -> None:
        """Publish what may be sent now.

        :param publish: hands over one batch, False if it could not; None without a connection.
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
        """A journal with another epoch numbers from the start (a re-imaged card)."""
        epoch = self._outbox.epoch()
        if epoch != self._epoch:
            self._log.info("new journal", epoch=epoch)
            self._epoch, self._window = epoch, win.Window(since_ms=now_ms)
            self._last_seq, self._ahead, self._hub_seq = None, 0, 0

    def _is_older(self, hub_seq: int, now_ms: int) -> None:
        """The hub has more of this numbering than the card: new scans get numbers it already knows."""
        if not self._ahead:
            self._log.error(
                "this card's journal is older than what the hub has: it was restored from a backup, or "
                "another gate runs with a copy of this card. All of it is sent again, nothing is lost: the "
                "hub keeps once what it knows and quarantines what does not fit. Look into the hub's "
                "quarantine, and make sure that no other gate uses this card's identity.",
                hub_has=hub_seq,
                card_has=self._last_seq,
                epoch=self._epoch,
            )
            self._window = win.Window(since_ms=now_ms)
        self._ahead = max(self._ahead, hub_seq)


def _batch(places: Sequence[JournalPlace]) -> tuple[bytes, int]:
    """As many of the first as one message holds, and the number of the last of them."""
    batch = encode_scans(places)
    if len(batch) > SENT_LIMIT and len(places) > 1:
        return _batch(places[: len(places) // 2])
    return batch, places[-1].seq

"""Reads and checks the lines of one answer about an event (protocol 4.4): digest, count, content. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from gate.common.errors import MagueyError
from gate.common.foreign import UnreadableError, read_json
from gate.rules.model import Admission, Event, FeedRow, Table
from sync.feed.doubtful_row import in_doubt
from sync.feed.download import PIECE_BYTES
from sync.wire.messages import Change, FeedPlace, SnapshotEnd, SnapshotHeader

S = TypeVar("S")
MAX_BYTES = 512 * 1024 * 1024
"""Largest snapshot; a million admissions take about 400 MB."""
LINE_BYTES = 256 * 1024
"""Longest row that is read; most take about 400 bytes, the largest that a hub makes some 35 KB."""
SKIPPED_BYTES = 16 * 1024 * 1024
"""Longest line that is skipped; at a longer one the answer is refused."""
CHANGES_BYTES = 32 * 1024 * 1024
"""Most bytes of changes read together; the largest page that a hub makes is half of it."""


class FetchError(MagueyError):
    """The hub could not be asked, or its answer cannot be used."""


class UnreadableChangeError(FetchError):
    """Changes arrived unaltered, and one of them cannot be read here."""


def _read(line: bytes | None, decoder: msgspec.json.Decoder[S]) -> S:
    if line is None:
        raise UnreadableError(f"more than {LINE_BYTES} bytes")
    return read_json(line, decoder, limit=LINE_BYTES + PIECE_BYTES)


class AnswerLines:
    """The lines of one answer about an event: `header` at once, the rest as they arrive.

    In memory are the lines of one piece and one more: only the end of the answer shows which line is the
    last.
    """

    def __init__(self, pieces: Iterable[bytes], event_id: str) -> None:
        self._digest = hashlib.sha256()
        self._unread = 0
        self._first_unread = ""
        self._lines = self._split(pieces)
        self.header = read_json(next(self._lines, None) or b"", SnapshotHeader, limit=LINE_BYTES)
        if self.header.event_id != event_id:
            raise FetchError(f"asked for event {event_id}, the hub answered with {self.header.event_id}.")

    @property
    def unread(self) -> str:
        """Which rows could not be read so far, in words."""
        return (
            f"{self._unread} of {self.header.count} lines, first {self._first_unread}" if self._unread else ""
        )

    def rows(self) -> Iterator[FeedRow]:
        """The rows of a whole snapshot. Raises `FetchError` after the last if any is missing.

        An unreadable line spoils only itself: without the others nobody would get in.
        """
        decoder = msgspec.json.Decoder(Event | Table | Admission)
        for number, line in enumerate(self._between(), 2):
            row: FeedRow | None
            try:
                row = _read(line, decoder)
            except UnreadableError as error:
                self._unread += 1
                self._first_unread = self._first_unread or f"line {number}: {error}"
                row = in_doubt(line or b"")
            if row is not None:
                self._check_event(row)
                yield row

    def changes(self) -> Iterator[Change]:
        """The changes of a catch-up, without gaps. Raises `FetchError` after the last if any is missing."""
        decoder = msgspec.json.Decoder(Change)
        size = 0
        for version, line in enumerate(self._between(), self.header.since + 1):
            try:
                change = _read(line, decoder)
            except UnreadableError as error:
                where = f"event {self.header.event_id}, version {version}"
                raise UnreadableChangeError(f"{where}: {error}") from None
            size += len(line or b"")
            if size > CHANGES_BYTES:
                where = f"event {self.header.event_id}"
                raise UnreadableChangeError(f"{where}: changes of more than {CHANGES_BYTES} bytes")
            self._check_event(change.row)
            if change.version != version:
                raise self._mixed_up(f"version {change.version} in the place of {version}")
            yield change

    def check_follows_on(self, held: FeedPlace) -> None:
        """Raise `FetchError` unless the announced changes follow what this gate has."""
        head = self.header
        if (head.generation, head.since, head.count) != (
            held.generation,
            held.version,
            head.version - head.since,
        ):
            raise self._mixed_up(f"{head.count} changes after {head.since} are to lead to {head.version}")

    def _between(self) -> Iterator[bytes | None]:
        """The lines between header and end, never more than announced; then checks the end."""
        for count, line in enumerate(self._lines):
            if count == self.header.count:
                if self._is_end(line):
                    return
                break
            yield line
        raise FetchError(
            f"event {self.header.event_id}: not the {self.header.count} rows that were announced, or altered "
            "ones. It is fetched again."
        )

    def _is_end(self, line: bytes | None) -> bool:
        """Whether this is the last line and has the digest of everything before it."""
        if line is None or any(True for _ in self._lines):
            return False
        return read_json(line, SnapshotEnd, limit=LINE_BYTES).sha256 == self._digest.hexdigest()

    def _split(self, pieces: Iterable[bytes]) -> Iterator[bytes | None]:
        """The lines of a body without newlines. At the end all but the last are in the digest.

        None stands for a line of more than `LINE_BYTES`: it only goes into the digest.
        """
        size, rest, last, is_long = 0, b"", b"", 0
        for piece in pieces:
            size += len(piece)
            if size > MAX_BYTES:
                raise FetchError(f"more than {MAX_BYTES} bytes; not read to the end.")
            text = rest + piece
            if is_long:
                begin = text.find(b"\n") + 1 or len(text)
                self._digest.update(text[:begin])
                is_long = 0 if text[:begin].endswith(b"\n") else is_long + begin
                text = text[begin:]
                if not is_long:
                    yield None
            if is_long > SKIPPED_BYTES:
                raise FetchError(f"a line of more than {SKIPPED_BYTES} bytes; not read to the end.")
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            if end:
                begin = text.rfind(b"\n", 0, end - 1) + 1
                self._digest.update(last + text[:begin])
                last = text[begin:end]
                yield from text[: end - 1].split(b"\n")
            if len(rest) > LINE_BYTES:
                self._digest.update(last + rest)
                rest, last, is_long = b"", b"", len(rest)
        if rest or is_long:
            self._digest.update(last)
            yield None if is_long else rest

    def _check_event(self, row: FeedRow) -> None:
        """Refuse a row of another event: this event's snapshot must not change that one."""
        if row.event_id != self.header.event_id:
            raise self._mixed_up(f"a row of event {row.event_id} among its own")

    def _mixed_up(self, what: str) -> FetchError:
        return FetchError(f"event {self.header.event_id}: {what}. None of it is used; it is fetched again.")

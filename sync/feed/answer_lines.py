"""The lines of one answer about an event (protocol 4.4): their digest, their number, what they say. Pure."""

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
"""A snapshot larger than this is none; a million admissions take about 400 MB."""
LINE_BYTES = 256 * 1024
"""A row longer than this is none; they take about 400 bytes, the largest a hub makes some 35 KB."""
SKIPPED_BYTES = 16 * 1024 * 1024
"""A line longer than this is not even skipped; one as long as no gate reads any more takes some megabytes."""
CHANGES_BYTES = 32 * 1024 * 1024
"""Changes longer than this together are not read; a page of the largest a hub makes is half of it."""


class FetchError(MagueyError):
    """The hub could not be asked, or its answer cannot be used."""


class UnreadableChangeError(FetchError):
    """Changes that came as they were sent, and of which one cannot be read here."""


def _read(line: bytes | None, decoder: msgspec.json.Decoder[S]) -> S:
    if line is None:
        raise UnreadableError(f"more than {LINE_BYTES} bytes")
    return read_json(line, decoder, limit=LINE_BYTES + PIECE_BYTES)


class AnswerLines:
    """The lines of one answer about an event: `header` at once, the rest as they come.

    Held are the lines of one piece, and one more: which is the last is known when it is over.
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
        """In words, which rows could not be read so far."""
        return (
            f"{self._unread} of {self.header.count} lines, first {self._first_unread}" if self._unread else ""
        )

    def rows(self) -> Iterator[FeedRow]:
        """Those of a whole snapshot. Raises `FetchError` after the last if not all of them came.

        A line that cannot be read spoils only itself: without the others nobody would get in.
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
        """Those of a catch-up, gapless. Raises `FetchError` after the last if not all of them came."""
        decoder = msgspec.json.Decoder(Change)
        size = 0
        for version, line in enumerate(self._between(), self.header.since + 1):
            try:
                change = _read(line, decoder)
            except UnreadableError as error:
                told = f"event {self.header.event_id}, version {version}: {error}"
                raise UnreadableChangeError(told) from None
            size += len(line or b"")
            if size > CHANGES_BYTES:
                told = f"event {self.header.event_id}: changes of more than {CHANGES_BYTES} bytes"
                raise UnreadableChangeError(told)
            self._check_event(change.row)
            if change.version != version:
                raise self._mixed_up(f"version {change.version} where {version} has its place")
            yield change

    def check_follows_on(self, held: FeedPlace) -> None:
        """Raise `FetchError` unless the changes announced are those after what this gate has."""
        of = self.header
        if (of.generation, of.since, of.count) != (held.generation, held.version, of.version - of.since):
            raise self._mixed_up(f"{of.count} changes after {of.since} are to lead to {of.version}")

    def _between(self) -> Iterator[bytes | None]:
        """What stands between header and end, never more than announced; the end is checked last."""
        for count, line in enumerate(self._lines):
            if count == self.header.count:
                if self._is_end(line):
                    return
                break
            yield line
        raise FetchError(
            f"event {self.header.event_id}: not the {self.header.count} rows that were announced, or "
            "altered ones; asked again."
        )

    def _is_end(self, line: bytes | None) -> bool:
        """Whether it is the last line, and has the digest of everything before it."""
        if line is None or any(True for _ in self._lines):
            return False
        return read_json(line, SnapshotEnd, limit=LINE_BYTES).sha256 == self._digest.hexdigest()

    def _split(self, pieces: Iterable[bytes]) -> Iterator[bytes | None]:
        """The lines of a body without their ends. All but the last are in the digest when it is over.

        None stands for a line of more than `LINE_BYTES`: of that only the digest is kept.
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
        """A row of another event would let this event's snapshot change that one."""
        if row.event_id != self.header.event_id:
            raise self._mixed_up(f"a row of event {row.event_id} among its own")

    def _mixed_up(self, what: str) -> FetchError:
        return FetchError(f"event {self.header.event_id}: {what}. Nothing of it is used; asked again.")

"""Reads one answer of the hub, over as many connections as it takes.

A gate's connection may break several times within one night's list. Only the rest is requested then, from the
byte where it broke (RFC 9110, 14.2, `Range`), while the hub still has the same body (`If-Range`). The body is
unpacked here and not by the HTTP library, because ranges count packed bytes.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException

import requests
from urllib3.exceptions import HTTPError

from sync.feed.transfer_meter import TransferMeter

PIECE_BYTES = 64 * 1024
"""How much of a body is in memory at once, packed and unpacked."""
TRIES = 8
"""Connections in a row without progress before the download fails: half a minute, with the waits between."""
LONGEST_WAIT_S = 5.0
_GZIP_FORMAT = 31
_CUT = (requests.RequestException, HTTPError, HTTPException, OSError)

Get = Callable[[dict[str, str]], requests.Response]
"""Repeats the request with additional headers. Raises what `requests` raises."""


class Download:
    """The body of an answer.

    :param answer: the first response; closed by the caller.
    :param meter: counts the unpacked bytes.
    :param get: requests the rest; None: a broken download fails.
    :param pause: waits so many seconds.
    """

    def __init__(
        self,
        answer: requests.Response,
        meter: TransferMeter,
        get: Get | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._answer = answer
        self._meter = meter
        self._get = get
        self._pause = pause
        self._etag = answer.headers.get("ETag", "")
        self._received = 0

    def pieces(self) -> Iterator[bytes]:
        """The body, unpacked, in pieces of at most `PIECE_BYTES`.

        :raises requests.RequestException, HTTPError, OSError: the connection broke and no other went on.
        :raises ValueError: the packing is unknown or damaged.
        :raises TransferLimitError: it takes more than the meter allows.
        """
        for piece in self._whole():
            self._meter.used(len(piece))
            yield piece

    def _whole(self) -> Iterator[bytes]:
        packing = self._answer.headers.get("Content-Encoding", "identity")
        if packing == "gzip":
            yield from _unpacked(self._packed())
        elif packing == "identity":
            yield from self._packed()
        else:
            raise ValueError(f"packed as {packing[:20]!r}")

    def _packed(self) -> Iterator[bytes]:
        answer = self._answer
        while True:
            try:
                for piece in answer.raw.stream(PIECE_BYTES, decode_content=False):
                    self._received += len(piece)
                    yield piece
                return
            except _CUT:
                if not self._can_go_on:
                    raise
            finally:
                answer.close()
            answer = self._rest()

    @property
    def _can_go_on(self) -> bool:
        """Whether the hub sent an ETag and some of the body arrived."""
        return self._get is not None and bool(self._etag) and self._received > 0

    def _rest(self) -> requests.Response:
        """A response that continues where the last one broke off."""
        for tries in range(TRIES):
            self._pause(min(0.2 * 2**tries, LONGEST_WAIT_S))
            try:
                assert self._get is not None  # or `_can_go_on` is False
                answer = self._get({"Range": f"bytes={self._received}-", "If-Range": self._etag})
            except _CUT as error:
                cut = error
                continue
            if self._goes_on(answer):
                return answer
            answer.close()
            raise requests.RequestException(f"cut off, and the hub says {answer.status_code} to the rest")
        raise cut

    def _goes_on(self, answer: requests.Response) -> bool:
        is_part = answer.status_code == requests.codes.partial_content
        begins = answer.headers.get("Content-Range", "").startswith(f"bytes {self._received}-")
        return is_part and begins and answer.headers.get("ETag") == self._etag


def _unpacked(packed: Iterator[bytes]) -> Iterator[bytes]:
    """The content of one gzip member, which ends where the body does.

    zlib keeps everything that follows the end in memory: it is not given any.
    """
    unpack = zlib.decompressobj(wbits=_GZIP_FORMAT)
    try:
        for piece in packed:
            rest = piece
            while rest and not unpack.eof:
                yield unpack.decompress(rest, PIECE_BYTES)
                rest = unpack.unconsumed_tail or unpack.unused_data
            if rest:
                raise ValueError("more data after the end of the gzip member")
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from None
    if not unpack.eof:
        raise ValueError("it ends before the end of the gzip member")

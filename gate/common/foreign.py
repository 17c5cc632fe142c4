"""Reads JSON and msgpack that somebody else wrote, with one error for all that cannot be read. Pure.

The library raises more than it documents: `DecodeError` for invalid JSON and for the wrong shape,
`UnicodeDecodeError` for text that is not UTF-8, and `RecursionError` for nesting beyond Python's limit, which
is a `RuntimeError` and passes every ``except ValueError``. A thread that reads what strangers send must
survive all of them, so everybody reads with these functions and handles one error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

S = TypeVar("S")

_LONGEST_REASON = 200
"""Characters of the library's own words that are kept: it may quote what was sent."""


class UnreadableError(ValueError):
    """The data is not what was expected. The message says why and fits in a log line."""


@overload
def read_json(data: bytes | str, shape: msgspec.json.Decoder[S], *, limit: int) -> S: ...
@overload
def read_json(data: bytes | str, shape: type[S], *, limit: int, strict: bool = True) -> S: ...
@overload
def read_json(data: bytes | str, shape: Any, *, limit: int, strict: bool = True) -> Any: ...
def read_json(data: bytes | str, shape: Any, *, limit: int, strict: bool = True) -> Any:
    """Read one JSON value of a known shape.

    :param shape: a type, or a ready-made decoder of it, which is quicker for unions.
    :param limit: the longest input that is looked at, in bytes (in characters, of a text).
    :param strict: as in msgspec; without it a number may be written as text.
    :raises UnreadableError: it is too long, not JSON, nested too deeply, or not of that shape.
    """
    if isinstance(shape, msgspec.json.Decoder):
        return _read(data, shape.decode, limit)
    return _read(data, lambda raw: msgspec.json.decode(raw, type=shape, strict=strict), limit)


def read_packed(data: bytes, decoder: msgspec.msgpack.Decoder[S], *, limit: int) -> S:
    """Read one msgpack value. Raises `UnreadableError` as `read_json` does."""
    return _read(data, decoder.decode, limit)


def _read(data: Any, decode: Callable[[Any], S], limit: int) -> S:
    if len(data) > limit:
        raise UnreadableError(f"{len(data)} bytes, more than {limit}")
    try:
        return decode(data)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except (ValueError, OverflowError, MemoryError) as error:  # DecodeError and UnicodeError are ValueErrors
        raise UnreadableError(str(error)[:_LONGEST_REASON] or type(error).__name__) from None

"""Makes ids that sort by time, and recognises UUIDs. Pure: time and randomness are arguments."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime


def new_uuid7(at: datetime, random: Callable[[int], bytes]) -> str:
    """An id for something that happens at a moment, such as a record.

    :param random: gives that many random bytes.
    """
    return uuid7(int(at.timestamp() * 1000), random(10))


def uuid7(unix_ms: int, random: bytes) -> str:
    """A UUID version 7 (RFC 9562, section 5.7).

    :param unix_ms: milliseconds since 1970, 48 bits are used.
    :param random: 10 random bytes.
    """
    if len(random) != 10:
        raise ValueError(f"10 random bytes are needed, not {len(random)}")
    value = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"  # the same as uuid.UUID would write, without its slower checks
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID with its dashes, in lower or upper case."""
    return is_written_uuid(text.lower())


def is_written_uuid(text: str) -> bool:
    """Whether a text is a UUID in the one form that Postgres returns.

    A record's id must have it: on a gate, two forms of one id would be two ids.
    """
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

"""Reads text files that people write: UTF-8, with or without the byte-order mark some editors put in front.

The mark is invisible, so it does not count as part of the text.
"""

from __future__ import annotations

import codecs
from pathlib import Path

_OTHERS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class NotTextError(ValueError):
    """The file is not UTF-8 text. The message says what it seems to be and what to do."""


def read_text(path: Path) -> str:
    """The text of a file.

    :raises OSError: it cannot be read.
    :raises NotTextError: it is something else.
    """
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """Bytes of a file as text, without the mark. Raises `NotTextError`."""
    other = next((name for mark, name in _OTHERS if data.startswith(mark)), None)
    if other is not None:
        raise NotTextError(f"is saved as {other}. Save it as UTF-8 and try again.")
    if b"\0" in data:
        raise NotTextError("holds zero bytes: not a text file, or saved as UTF-16. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotTextError(f"not a text file in UTF-8: see line {line}. Save it as UTF-8.") from None

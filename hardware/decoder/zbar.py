"""QR codes by pyzbar: slower, disturbed by noise, but it reads some that zxing-cpp does not."""

from __future__ import annotations

from functools import cache
from typing import Any

from hardware.decoder.found_code import MOST_CODES, FoundCode, offset_from_middle
from hardware.decoder.picture_file import Grey


def has_zbar() -> bool:
    """Whether pyzbar and its library (Debian: libzbar0) are installed."""
    return _pyzbar() is not None


def read_by_zbar(grey: Grey) -> list[FoundCode]:
    """What pyzbar reads; nothing if it is not installed."""
    pyzbar = _pyzbar()
    if pyzbar is None:
        return []
    try:
        codes = pyzbar.decode(grey, symbols=[pyzbar.ZBarSymbol.QRCODE])
    except (ValueError, pyzbar.PyZbarError):
        # raised for any part of a structured-append sequence, whatever else is in the picture
        return []
    # zbar guesses a charset for anything but ASCII, and guesses wrong
    nearest = sorted(codes, key=lambda code: _offset(code, grey))[:MOST_CODES]
    return [
        FoundCode(code.data, _offset(code, grey)) for code in nearest if code.data and code.data.isascii()
    ]


@cache
def _pyzbar() -> Any | None:
    try:
        from pyzbar import pyzbar
    except ImportError:  # the package, or the C library it loads
        return None
    return pyzbar


def _offset(code: Any, grey: Grey) -> float:
    rect = code.rect
    return offset_from_middle(rect.left + rect.width / 2, rect.top + rect.height / 2, grey.shape)

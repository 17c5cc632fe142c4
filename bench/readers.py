"""Our decoder, and each of the two libraries in it alone, as functions from a picture to bytes."""

from __future__ import annotations

from collections.abc import Callable

import zxingcpp
from pyzbar import pyzbar

from hardware.decoder.decode import read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.picture_file import Grey

Reader = Callable[[Grey], list[bytes]]

_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)


def ours(effort: Effort) -> Reader:
    """The product's cascade."""
    return lambda grey: [found.raw for found in read_codes(grey, effort).found]


def zxing_alone(grey: Grey) -> list[bytes]:
    """zxing-cpp with its defaults, for QR codes."""
    return [code.bytes for code in zxingcpp.read_barcodes(grey, formats=_QR)]


def pyzbar_alone(grey: Grey) -> list[bytes]:
    """pyzbar with its defaults, for QR codes; it raises on parts of structured-append sequences."""
    try:
        return [code.data for code in pyzbar.decode(grey, symbols=[pyzbar.ZBarSymbol.QRCODE])]
    except ValueError:
        return []


READERS: dict[str, Reader] = {
    "one frame": ours(Effort.FRAME),
    "everything": ours(Effort.SECOND_OPINION),
    "still": ours(Effort.STILL),
    "zxing-cpp": zxing_alone,
    "pyzbar": pyzbar_alone,
}

"""Read a picture file as grey values, or say in words why not.

Files come from strangers (a customer's screenshot, a dropped download), so the size is
judged from the header, before any pixel is decompressed.
"""

from __future__ import annotations

import stat
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from gate.errors import MagueyError

Grey = npt.NDArray[np.uint8]
"""Grey values, height × width, 0 black to 255 white."""

MAX_PIXELS = 40_000_000
"""Largest picture read. Phones make 12 to 50 megapixels; decompressed, 40 are 160 MB in colour."""

_MEGAPIXELS = MAX_PIXELS // 1_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")
# what Pillow's three readers were seen to raise on damaged files
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


class PictureError(MagueyError, ValueError):
    """A file that cannot be looked at: missing, no picture, damaged, or too large.

    `why`: the message without the file's path, for a log.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.why = why


def load(path: Path) -> Grey:
    """Read a PNG, JPEG or WebP file.

    Turned as its EXIF orientation says; transparent parts become white, as on a page.

    :returns: grey values, height × width, writable, contiguous.
    :raises PictureError: saying what is wrong with the file and what to do.
    """
    _check_file(path)
    with _open(path) as image:
        _check_size(path, image)
        try:
            return _grey(image)
        except MemoryError:
            raise PictureError(path, "not enough memory to read it. Send a smaller picture.") from None
        except _DAMAGE as error:
            raise PictureError(path, _damaged(error)) from None


def _check_file(path: Path) -> None:
    """Before it is opened: opening a pipe waits for a writer, reading a device may never end."""
    try:
        found = path.stat()
    except OSError as error:
        raise PictureError(path, _why_not(error)) from None
    if stat.S_ISDIR(found.st_mode):
        raise PictureError(path, "is a folder, not a picture. Name the files in it.")
    if not stat.S_ISREG(found.st_mode):
        raise PictureError(path, "is not a regular file. Give a picture file.")
    if found.st_size == 0:
        raise PictureError(path, "the file is empty. Copy it again.")


def _open(path: Path) -> Image.Image:
    try:
        # Pillow warns, and at twice the size raises, from the header; both mean too large here
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path, formats=_FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        why = f"it has far more than the {_MEGAPIXELS} megapixels this gate reads. Send a smaller picture."
        raise PictureError(path, why) from None
    except OSError as error:
        raise PictureError(path, _why_not(error)) from None
    except _DAMAGE:
        raise PictureError(path, "the picture is damaged. Copy it again.") from None


def _why_not(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file. Check the name."
        case PermissionError():
            return "may not be read by this account. Change its permissions."
        case UnidentifiedImageError():
            return "is not a picture this gate can read. Use PNG, JPEG or WebP."
        case OSError(errno=None):  # Pillow's own, about the file's content
            return _damaged(error)
        case _:
            return f"cannot be read ({error.strerror}). Copy it again."


def _damaged(error: Exception) -> str:
    # the system's errors carry the path in their text, Pillow's do not
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"the picture is damaged or cut short ({said}). Copy it again."


def _check_size(path: Path, image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise PictureError(path, "the picture has no pixels. Copy it again.")
    if pixels > MAX_PIXELS:
        why = f"it has {pixels / 1e6:.0f} megapixels, more than the {_MEGAPIXELS} this gate reads."
        raise PictureError(path, f"{why} Send a smaller picture.")


def _grey(image: Image.Image) -> Grey:
    image.draft("L", image.size)  # a JPEG need not be turned into colour first
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bit; Pillow would clip instead of scaling
        return (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return np.array(upright.convert("L"))

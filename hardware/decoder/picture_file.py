"""Reads a picture file as grey values, or says in words why it cannot.

Files come from strangers (a customer's screenshot, a download). Their cost is judged before any pixel is
decompressed: the size of the file, the number of its pieces, the sides and pixels in its header, and how
often a JPEG goes over its pixels. Whatever the library raises after that means that the file is damaged, so
callers handle one error. Native code may still crash or take long: `hardware.decoder.separate_process` and
the camera's process contain that.
"""

from __future__ import annotations

import mmap
import stat
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gate.common.errors import MagueyError
from hardware.decoder.picture_pieces import has_more

Grey = npt.NDArray[np.uint8]
"""Grey values, height × width, 0 black to 255 white."""

MAX_PIXELS = 40_000_000
"""Largest picture read. Phones take 12 to 50 megapixels; 40 take 160 MB in colour, decompressed."""

MAX_SIDE = 20_000
"""Longest side read, in pixels. A phone's panorama has 16,000; at 40 million zxing-cpp ends the process."""

MAX_BYTES = 64 * 1024 * 1024
"""Largest file read. 40 megapixels without any compression are 120 MB, but nobody sends such files."""

MAX_SCANS = 100
"""How often a JPEG may go over its pixels. Progressive ones do so some ten times. A pass over a large picture
costs up to a second, and files with 3,000 passes were made to cost 90 s (the libjpeg authors' "LJT-01-004",
2018)."""

MAX_PIECES = 20_000
"""Most chunks or segments of a file. The largest file read has 8,000 as libpng writes it."""

_MEGAPIXELS = MAX_PIXELS // 1_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")
_BAND = 256
"""Rows turned into grey at once, so that only the picture itself is in memory as a whole."""
_START_OF_SCAN = b"\xff\xda"
_ORIENTATION = 0x0112
"""The EXIF tag (CIPA DC-008, 4.6.5)."""


class PictureError(MagueyError, ValueError):
    """A file that cannot be read: missing, not a picture, damaged, or too large.

    `why`: the message without the file's path, for a log.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.why = why


def load_picture(path: Path) -> Grey:
    """Read a PNG, JPEG or WebP file; of an animation, its first picture.

    It is turned as its EXIF orientation says, and transparent parts become white, as on a page. Takes about
    five bytes of memory a pixel, with 16 bits a colour three.

    :returns: grey values, height × width, writable, contiguous.
    :raises PictureError: says what is wrong with the file and what to do. Nothing else is raised.
    """
    _check_file(path)
    with _open(path) as image:
        try:
            _check_size(path, image)
            return _grey(image)
        except PictureError:
            raise
        except MemoryError:
            raise PictureError(path, "not enough memory to read it. Send a smaller picture.") from None
        except Exception as error:  # decoders raise what their authors did not think of
            raise PictureError(path, _damaged(error)) from None


def _check_file(path: Path) -> None:
    """Called before it is opened: opening a pipe waits for a writer, and reading a device may never end."""
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
    if found.st_size > MAX_BYTES:
        why = f"the file has {found.st_size >> 20} MiB, more than the {MAX_BYTES >> 20} this gate reads."
        raise PictureError(path, f"{why} Send a smaller picture.")
    _check_pieces(path)


def _check_pieces(path: Path) -> None:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            has_too_many = has_more(content, MAX_PIECES)
    except (OSError, ValueError) as error:  # ValueError: emptied since it was checked
        raise PictureError(path, _why_not(error) if isinstance(error, OSError) else _damaged(error)) from None
    if has_too_many:
        why = f"the file is made of more than {MAX_PIECES:,} pieces, which would keep the gate busy."
        raise PictureError(path, f"{why} Take a screenshot of it and send that.")


def _open(path: Path) -> Image.Image:
    try:
        # by the header, Pillow warns, and at twice the size raises; both mean too large here
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path, formats=_FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        why = f"it has far more than the {_MEGAPIXELS} megapixels this gate reads. Send a smaller picture."
        raise PictureError(path, why) from None
    except OSError as error:
        raise PictureError(path, _why_not(error)) from None
    except Exception:
        raise PictureError(path, "the picture is damaged. Copy it again.") from None


def _why_not(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file. Check the name."
        case PermissionError():
            return "may not be read by this account. Change its permissions."
        case UnidentifiedImageError():
            return "is not a picture this gate can read. Use PNG, JPEG or WebP."
        case OSError(errno=None):  # Pillow's own, about the content
            return _damaged(error)
        case _:
            return f"cannot be read ({error.strerror}). Copy it again."


def _damaged(error: Exception) -> str:
    # the text of the system's errors contains the path, Pillow's does not
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"the picture is damaged or cut short ({said}). Copy it again."


def _check_size(path: Path, image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise PictureError(path, "the picture has no pixels. Copy it again.")
    if pixels > MAX_PIXELS:
        why = f"it has {pixels / 1e6:.0f} megapixels, more than the {_MEGAPIXELS} this gate reads."
        raise PictureError(path, f"{why} Send a smaller picture.")
    if max(image.size) > MAX_SIDE:
        why = f"a side of {max(image.size)} pixels is more than the {MAX_SIDE} this gate reads."
        raise PictureError(path, f"{why} Send a smaller picture.")
    if image.format not in ("PNG", "WEBP"):  # JPEG, or several of them in one file (MPO)
        _check_scans(path)


def _check_scans(path: Path) -> None:
    """Refuse a JPEG with too many passes.

    In compressed pixels a zero follows each 0xFF, so this pair of bytes always means a pass (ITU-T T.81,
    B.1.1.5). Thumbnails in the header are counted too; there are one or two.
    """
    count, at = 0, 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while count <= MAX_SCANS and (at := content.find(_START_OF_SCAN, at) + 1):
            count += 1
    if count > MAX_SCANS:
        why = f"this JPEG is made of more than {MAX_SCANS} passes, which would keep the gate busy."
        raise PictureError(path, f"{why} Take a screenshot of it and send that.")


def _grey(image: Image.Image) -> Grey:
    """The picture, decompressed once and turned into grey band by band."""
    turned = _orientation(image)
    image.draft("L", image.size)  # a JPEG need not be turned into colour first
    image.load()
    grey = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _BAND):
        bottom = min(top + _BAND, image.height)
        grey[top:bottom] = _grey_band(image.crop((0, top, image.width, bottom)))
    return np.ascontiguousarray(_upright(grey, turned))


def _grey_band(band: Image.Image) -> Grey:
    if band.mode.startswith("I"):  # 16 bit; Pillow would clip instead of scaling
        return (np.asarray(band).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
    if band.has_transparency_data:
        clear = band.convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return np.asarray(band.convert("L"))


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF numbers them; 1 (upright) also if it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(grey: Grey, orientation: int) -> Grey:
    """Turned and mirrored, so that the first row is the top and the first column the left."""
    if orientation in (5, 6, 7, 8):
        grey = grey.T
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    return grey

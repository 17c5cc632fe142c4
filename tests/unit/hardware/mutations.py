"""Pictures damaged in every way a file can be, each from its own seed.

As a program it reads and decodes many of them in one process, so that a picture that crashes
a library ends it: ``python -m tests.unit.hardware.mutations FIRST COUNT``. The last seed is printed.
"""

from __future__ import annotations

import collections
import io
import json
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from hardware.camera.frame_source import fit
from hardware.decoder.decode import read_codes
from hardware.decoder.effort import effort
from hardware.decoder.picture_file import Grey, PictureError, load_picture
from tests.unit.hardware.scenes import shared

SIZE = (480, 360)
_FOLDERS = ("door/synth-640x480", "door/hostile", *(f"qr-photos/qrcode-{kind}" for kind in range(1, 8)))


@cache
def _bases() -> tuple[Grey, ...]:
    """The originals: phones at a door, hostile codes, photographs."""
    paths = [path for folder in _FOLDERS for path in sorted(shared(folder).glob("*.png"))[:20]]
    return tuple(fit(load_picture(path), SIZE) for path in paths)


def picture(seed: int) -> bytes:
    """A picture file, or what is left of one."""
    random = Random(seed)
    grey = random.choice(_bases())
    for _ in range(random.randint(0, 3)):
        grey = random.choice(SEEN)(grey, random)
    return random.choice(_DAMAGED)(_written(grey, random), random)


# --- what the camera may see


def _noisy(grey: Grey, random: Random) -> Grey:
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, random.uniform(1, 90), grey.shape)
    return (grey + noise).clip(0, 255).astype(np.uint8)


def _cut(grey: Grey, random: Random) -> Grey:
    top, left = random.randrange(grey.shape[0]), random.randrange(grey.shape[1])
    return grey[top : top + random.randint(1, 400), left : left + random.randint(1, 500)]


def _turned(grey: Grey, random: Random) -> Grey:
    angle, shade = random.uniform(0, 360), random.randrange(256)
    return np.asarray(Image.fromarray(grey).rotate(angle, Image.Resampling.BILINEAR, fillcolor=shade))


def _blurred(grey: Grey, random: Random) -> Grey:
    return np.asarray(Image.fromarray(grey).filter(ImageFilter.BoxBlur(random.uniform(0.3, 12))))


def _blocked(grey: Grey, random: Random) -> Grey:
    grey = grey.copy()
    for _ in range(random.randint(1, 40)):
        top, left = random.randrange(grey.shape[0]), random.randrange(grey.shape[1])
        grey[top : top + random.randint(1, 80), left : left + random.randint(1, 80)] = random.randrange(256)
    return grey


def _lit(grey: Grey, random: Random) -> Grey:
    return (((grey / 255) ** random.uniform(0.1, 8)) * 255).astype(np.uint8)


def _sized(grey: Grey, random: Random) -> Grey:
    size = random.choice([(1, 1), (1, 900), (900, 1), (2, 3), (3, 2), (17, 5), (2500, 2), (1000, 800)])
    return np.asarray(Image.fromarray(grey).resize(size))


def _negative(grey: Grey, random: Random) -> Grey:
    return ~grey


def _torn(grey: Grey, random: Random) -> Grey:
    """Rows out of place, as after a rolling shutter or a lost packet."""
    torn = np.roll(grey, random.randint(-300, 300), axis=random.randint(0, 1))
    return torn[:: random.choice([1, 1, -1, 2])]


_Seen = Callable[[Grey, Random], Grey]
SEEN: tuple[_Seen, ...] = (_noisy, _cut, _turned, _blurred, _blocked, _lit, _sized, _negative, _torn)


# --- how it may be written


def _written(grey: Grey, random: Random) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(grey))
    write = random.choice(_WRITTEN)
    out = io.BytesIO()
    write(image, out, random)
    return out.getvalue()


def _png(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    mode = random.choice(["L", "L", "1", "P", "RGB", "RGBA", "LA"])
    image.convert(mode).save(out, "PNG", compress_level=1)


def _jpeg(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    mode, quality = random.choice(["L", "RGB", "CMYK", "YCbCr"]), random.randint(1, 95)
    image.convert(mode).save(out, "JPEG", quality=quality, progressive=random.random() < 0.3)


def _webp(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    image.save(out, "WEBP", quality=random.randint(1, 95), method=0)


def _deep(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    deep = np.asarray(image).astype(np.uint16) * 257
    Image.fromarray(deep).save(out, "PNG", compress_level=1)


def _moving(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    kind = random.choice(["PNG", "WEBP", "GIF"])
    more = [image.rotate(90), Image.new("L", image.size, random.randrange(256))]
    image.save(out, kind, save_all=True, append_images=more, compress_level=1, method=0)


def _turned_by_exif(image: Image.Image, out: io.BytesIO, random: Random) -> None:
    exif = Image.Exif()
    exif[0x0112] = random.choice([*range(10), 255])  # 1 to 8 mean something
    image.save(out, "JPEG", exif=exif)


_Written = Callable[[Image.Image, io.BytesIO, Random], None]
_WRITTEN: tuple[_Written, ...] = (_png, _png, _jpeg, _jpeg, _webp, _deep, _moving, _turned_by_exif)


# --- what may happen to a file


def _whole(data: bytes, random: Random) -> bytes:
    return data


def _short(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def _flipped(data: bytes, random: Random) -> bytes:
    bad = bytearray(data)
    for _ in range(random.choice([1, 3, 30])):
        bad[random.randrange(len(bad))] ^= 1 << random.randrange(8)
    return bytes(bad)


def _holed(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    hole = min(random.randint(1, 4096), len(data) - start)
    return data[:start] + bytes(hole) + data[start + hole :]


def _lying(data: bytes, random: Random) -> bytes:
    """A PNG whose header claims another size and depth, with a correct checksum."""
    if data[12:16] != b"IHDR":
        return data[::-1]
    width, height = random.choices([0, 1, 639, 641, 5000, 65535, 2**31 - 1, 2**32 - 1], k=2)
    depth, colour = random.choice([0, 1, 8, 16, 255]), random.randrange(8)
    header = b"IHDR" + struct.pack(">IIBB", width, height, depth, colour) + data[26:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _doubled(data: bytes, random: Random) -> bytes:
    return data + data[random.randrange(len(data)) :]


def _nonsense(data: bytes, random: Random) -> bytes:
    return random.choice([b"", b"\x00", data[:8] + random.randbytes(500), random.randbytes(2000)])


_Damaged = Callable[[bytes, Random], bytes]
_DAMAGED: tuple[_Damaged, ...] = (
    *(_whole, _whole, _whole, _whole, _whole),
    *(_short, _flipped, _flipped, _holed, _lying, _doubled, _nonsense),
)


def outcome(path: Path, missed: int) -> str:
    """How an eye handles a picture file: ``refused``, ``read`` or ``empty``. Raises nothing."""
    try:
        grey = fit(load_picture(path), SIZE)
    except PictureError:
        return "refused"
    return "read" if read_codes(grey, effort(missed)).found else "empty"


def main(first: int, count: int) -> None:
    """Print the count of each outcome as JSON; each seed goes to stderr before its picture is read."""
    counted: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            sys.stderr.write(f"{seed}\n")
            path = Path(folder) / "picture"
            path.write_bytes(picture(seed))
            counted[outcome(path, seed)] += 1
    sys.stdout.write(json.dumps(counted))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

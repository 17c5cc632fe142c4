"""Every file that can be put in front of a gate is either a grey picture or a sentence."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gate.errors import MagueyError
from hardware.pictures import PictureError, load


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_reads_the_three_formats_as_grey_rows_and_columns(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (40, 20), (200, 200, 200)).save(path)
    grey = load(path)
    assert grey.shape == (20, 40)
    assert grey.dtype == np.uint8
    assert abs(int(grey[10, 10]) - 200) <= 2


def test_turns_the_picture_as_its_exif_orientation_says(tmp_path: Path) -> None:
    image = Image.new("L", (40, 20), 0)
    image.paste(255, (0, 0, 20, 20))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: left becomes top
    image.save(tmp_path / "turned.jpg", exif=exif)
    grey = load(tmp_path / "turned.jpg")
    assert grey.shape == (40, 20)
    assert grey[5, 10] > 200
    assert grey[35, 10] < 50


def test_transparent_parts_are_white_paper(tmp_path: Path) -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    image.putpixel((3, 3), (0, 0, 0, 255))
    image.save(tmp_path / "clear.png")
    grey = load(tmp_path / "clear.png")
    assert grey[0, 0] == 255
    assert grey[3, 3] == 0


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert load(tmp_path / "deep.png")[0, 0] == 0x80


def _png_header(width: int, height: int) -> bytes:
    """A PNG of the given size whose pixels are not there: reading them would be an error."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return header + struct.pack(">I", 100) + b"IDAT"


def _cut_short(path: Path) -> bytes:
    Image.effect_noise((200, 200), 80).save(path, format="PNG")
    return path.read_bytes()[:2000]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 a ticket", "not a picture"),
        (b"GIF89a\x01\x00\x01\x00", "not a picture"),
        (_png_header(8660, 5774), "bad.png: it has 50 megapixels, more than the 40 this gate reads. Send"),
        (_png_header(20000, 20000), "bad.png: it has far more than the 40 megapixels this gate reads. Send"),
        (_png_header(10, 10), "damaged"),
        (b"\x89PNG\r\n\x1a\n garbage", "picture"),
        (b"\xff\xd8\xff\xe0 garbage", "picture"),
    ],
)
def test_refuses_in_words(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=says) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert path.name not in refused.value.why
    assert isinstance(refused.value, MagueyError)


def test_refuses_a_picture_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(_cut_short(path))
    with pytest.raises(PictureError, match="damaged or cut short"):
        load(path)


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        load(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        load(tmp_path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(PictureError, match=r"is not a regular file\. Give a picture file\."):
            load(path)


def test_the_reason_for_a_log_never_has_the_path(tmp_path: Path) -> None:
    """The system's own errors carry it in their text."""
    loop = tmp_path / "secret.png"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("secret" * 50), loop / "secret.png"):
        with pytest.raises(PictureError) as refused:
            load(path)
        assert "secret" not in refused.value.why

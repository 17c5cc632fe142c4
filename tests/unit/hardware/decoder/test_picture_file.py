"""Every file given to a gate is read as a grey picture or refused in words."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from gate.common.errors import MagueyError
from hardware.decoder.picture_file import MAX_BYTES, MAX_PIECES, MAX_SCANS, PictureError, load_picture
from hardware.decoder.picture_pieces import has_more
from hardware.decoder.separate_process import answer_of, decode_apart


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_the_three_formats_are_read_as_grey_pixels(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (40, 20), (200, 200, 200)).save(path)
    grey = load_picture(path)
    assert grey.shape == (20, 40)
    assert grey.dtype == np.uint8
    assert abs(int(grey[10, 10]) - 200) <= 2


def test_a_picture_is_turned_by_its_exif_orientation(tmp_path: Path) -> None:
    image = Image.new("L", (40, 20), 0)
    image.paste(255, (0, 0, 20, 20))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: left becomes top
    image.save(tmp_path / "turned.jpg", exif=exif)
    grey = load_picture(tmp_path / "turned.jpg")
    assert grey.shape == (40, 20)
    assert grey[5, 10] > 200
    assert grey[35, 10] < 50


def test_transparent_parts_are_read_as_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    image.putpixel((3, 3), (0, 0, 0, 255))
    image.save(tmp_path / "clear.png")
    grey = load_picture(tmp_path / "clear.png")
    assert grey[0, 0] == 255
    assert grey[3, 3] == 0


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert load_picture(tmp_path / "deep.png")[0, 0] == 0x80


def _png_header(width: int, height: int) -> bytes:
    """A PNG header of the given size without pixels, so that reading them fails."""
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
def test_a_file_that_is_not_a_readable_picture_is_refused_in_words(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=says) as refused:
        load_picture(path)
    assert str(path) in str(refused.value)
    assert path.name not in refused.value.why
    assert isinstance(refused.value, MagueyError)


def test_a_picture_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(_cut_short(path))
    with pytest.raises(PictureError, match="damaged or cut short"):
        load_picture(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        load_picture(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        load_picture(tmp_path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(PictureError, match=r"is not a regular file\. Give a picture file\."):
            load_picture(path)


def test_the_reason_for_a_log_never_has_the_path(tmp_path: Path) -> None:
    """The system's own errors contain it."""
    loop = tmp_path / "secret.png"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("secret" * 50), loop / "secret.png"):
        with pytest.raises(PictureError) as refused:
            load_picture(path)
        assert "secret" not in refused.value.why


def _png(width: int, height: int, depth: int, colour: int) -> bytes:
    """A PNG of any shape, made without holding its pixels in memory."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    packer, row = zlib.compressobj(1), b"\0" + b"\x80" * (width * samples * depth // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), (b"IDAT", body))
    chunks = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (*parts, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(20_001, 1), (1, 20_001), (30_000_000, 1)])
def test_a_side_longer_than_any_cameras_is_refused_from_the_header(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "long.png"
    path.write_bytes(_png(size[0], 1, 8, 0) if size[1] == 1 else _png(1, size[1], 8, 0))
    with pytest.raises(PictureError, match=r"a side of \d+ pixels is more than the 20000"):
        load_picture(path)


def _jpeg_of(scans: int) -> bytes:
    """A progressive JPEG that repeats its last pass, which changes nothing."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    usual, last = content.count(b"\xff\xda"), content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (scans - usual) + b"\xff\xd9"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(chunks: int) -> bytes:
    pixels = _chunk(b"IDAT", zlib.compress(b"\0" * 110)) + _chunk(b"IEND", b"")
    header = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0))
    return header + _chunk(b"tEXt", b"k\0") * (chunks - 3) + pixels


def _jpeg_with(filling: bytes) -> bytes:
    """A valid JPEG with this after its first marker."""
    file = io.BytesIO()
    Image.new("L", (10, 10)).save(file, "JPEG")
    return file.getvalue()[:2] + filling + file.getvalue()[2:]


def test_a_file_of_far_more_pieces_than_any_picture_is_refused_undecoded(tmp_path: Path) -> None:
    path = tmp_path / "pieces"
    path.write_bytes(_png_of(MAX_PIECES))
    assert load_picture(path).shape == (10, 10)
    one_more = (
        _png_of(MAX_PIECES + 1),
        _jpeg_with(b"\xff\xfe\0\2" * MAX_PIECES),  # empty comments
        _jpeg_with(b"\xff\xd8" * MAX_PIECES),  # markers without a length
        _jpeg_with(b"\xff" * MAX_PIECES),  # fill bytes
        _jpeg_with(b"\xff\xfe\0\2" + b"\0" * MAX_PIECES),  # bytes outside any segment
    )
    for content in one_more:
        path.write_bytes(content)
        with pytest.raises(PictureError, match="more than 20,000 pieces"):
            load_picture(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_pictures_written_by_pillow_are_far_below_the_limit_of_pieces(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"large.{ending}"
    noise = np.random.default_rng(1).integers(0, 256, (1500, 2000), np.uint8)
    Image.fromarray(noise).save(path)
    assert not has_more(path.read_bytes(), MAX_PIECES // 10)


def test_a_jpeg_with_too_many_passes_is_refused_undecoded(tmp_path: Path) -> None:
    path = tmp_path / "passes.jpg"
    path.write_bytes(_jpeg_of(MAX_SCANS))
    assert load_picture(path).shape == (64, 64)
    path.write_bytes(_jpeg_of(MAX_SCANS + 1))
    with pytest.raises(PictureError, match="more than 100 passes"):
        load_picture(path)


def test_a_file_that_is_too_large_is_refused_undecoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PictureError, match="more than the 64 this gate reads"):
        load_picture(path)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(orientation).integers(0, 255, (300, 17), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    assert np.array_equal(load_picture(tmp_path / "turned.png"), expected)


@given(
    place=st.integers(0, 600),
    junk=st.binary(min_size=1, max_size=8),
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
)
def test_a_damaged_file_is_read_or_refused_and_raises_nothing_else(
    place: int, junk: bytes, kind: str
) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), "white").save(file, kind, exif=exif)
    content = file.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        path.write_bytes(content[:place] + junk + content[place + len(junk) :])
        try:
            assert load_picture(path).ndim == 2
        except PictureError as error:
            assert error.why


@pytest.mark.parametrize(("depth", "colour"), [(8, 0), (16, 0), (8, 6), (16, 6), (16, 4)])
def test_decoding_a_picture_takes_a_bounded_number_of_bytes_per_pixel(
    tmp_path: Path, depth: int, colour: int
) -> None:
    """Sixteen-bit pictures once took 21 bytes per pixel, transparent ones 16."""
    path, megapixels = tmp_path / "deep.png", 6
    path.write_bytes(_png(3000, 2000, depth, colour))
    assert decode_apart(path, headroom_mb=megapixels * 9 + 20).found == ()


def test_a_file_that_ends_its_decoder_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    """It needs more than 32 MB: a smaller one may fit into memory the process has free (mallopt(3))."""
    (tmp_path / "large.png").write_bytes(_png(6_000, 6_200, 8, 0))
    with pytest.raises(PictureError, match="not enough memory"):
        decode_apart(tmp_path / "large.png", headroom_mb=1)
    with pytest.raises(PictureError, match="takes too long"):
        decode_apart(tmp_path / "large.png", patience_s=0)
    Image.new("L", (200, 200)).save(tmp_path / "small.png")
    assert decode_apart(tmp_path / "small.png").found == ()


@pytest.mark.parametrize(
    ("status", "how"), [(-11, "SIGSEGV"), (-9, "SIGKILL"), (1, "status 1"), (None, "status None")]
)
def test_the_way_a_decoder_ended_is_reported(status: int | None, how: str) -> None:
    with pytest.raises(PictureError, match=how):
        answer_of(Path("ticket.png"), b"", status)

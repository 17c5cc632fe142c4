"""The cascade of decoders reads our codes, skips others, and survives any picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp
from segno import encoder

from bench.scenes import scene
from hardware.decoder import zxing_cpp
from hardware.decoder.decode import BUDGET_S, read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.filters import LARGE
from hardware.decoder.picture_file import Grey, load_picture
from tests.codes import printed, signed
from tests.factories import code_id
from tests.unit.hardware.hostile import wall, with_good
from tests.unit.hardware.scenes import beside, code, parts, shared

GOOD = "MGY-PF-20250115-ABC123XYZ"
EFFORTS = list(Effort)
HOSTILE = sorted(shared("door/hostile").glob("*.png"))


def _raws(grey: Grey, effort: Effort = Effort.STILL) -> list[bytes]:
    return [found.raw for found in read_codes(grey, effort).found]


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_clean_code_is_read_by_the_first_decoder(effort: Effort) -> None:
    result = read_codes(code(GOOD), effort)
    assert [found.raw for found in result.found] == [GOOD.encode()]
    assert result.decoder == ("zxing" if effort is Effort.STILL else "zxing-global")
    assert result.ms > 0


def test_the_offset_of_a_code_is_its_distance_from_the_middle() -> None:
    frame = np.full((480, 640), 255, dtype=np.uint8)
    picture = code(GOOD, scale=3)
    side = picture.shape[0]
    frame[:side, :side] = picture
    frame[240 - side // 2 : 240 - side // 2 + side, 320 - side // 2 : 320 - side // 2 + side] = code(
        "MIDDLE-OF-THE-PICTURE-XXX", scale=3
    )[:side, :side]
    found = read_codes(frame).found
    assert [one.raw for one in found] == [b"MIDDLE-OF-THE-PICTURE-XXX", GOOD.encode()]
    assert found[0].offset < 0.02
    assert 0.7 < found[1].offset < 1


def test_the_same_code_twice_in_a_picture_is_one() -> None:
    assert _raws(beside(code(GOOD), code(GOOD))) == [GOOD.encode()]


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("path", sorted(shared("door/empty-640x480").iterdir()), ids=lambda path: path.stem)
def test_nothing_is_found_in_a_picture_without_a_code(path: Path, effort: Effort) -> None:
    assert read_codes(load_picture(path), effort).found == ()


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_a_good_code_is_read_beside_any_hostile_one(path: Path, effort: Effort) -> None:
    picture = load_picture(path)
    read_codes(picture, effort)
    assert GOOD.encode() in _raws(beside(picture, code(GOOD)), effort)
    assert GOOD.encode() in _raws(beside(code(GOOD), picture), effort)


def test_hostile_codes_are_read_exactly_or_not_at_all() -> None:
    folder = shared("door/hostile")
    labels = json.loads((folder / "labels.json").read_text())
    for name, label in labels.items():
        raws = _raws(load_picture(folder / name))
        if name in ("micro.png", "structured-append-1of2.png", "structured-append-2of2.png"):
            assert raws == [], name
        elif label.get("text") is not None:
            assert raws == [label["text"].encode()], name
    assert _raws(load_picture(folder / "bytes-0-255.png")) == [bytes(range(256))]


def test_every_part_of_a_structured_append_sequence_is_skipped() -> None:
    for part in parts(GOOD * 3, 3):
        assert _raws(part) == []
        assert _raws(255 - part) == []
        assert _raws(np.ascontiguousarray(np.rot90(part))) == []


def test_a_code_whose_damaged_corner_looks_like_a_sequence_part_is_still_read() -> None:
    picture = code(GOOD, scale=6)
    last = picture.shape[0] - 4 * 6  # beyond the margin of four modules
    corner = picture[last - 12 : last, last - 12 : last]
    read = 0
    for bits in range(16):  # every content the 2×2 modules of the mode indicator can have
        for module_no in range(4):
            y, x = divmod(module_no, 2)
            corner[y * 6 : y * 6 + 6, x * 6 : x * 6 + 6] = 255 * (bits >> module_no & 1)
        read += _raws(picture) == [GOOD.encode()]
    assert read == 16


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_code_in_the_middle_of_a_wall_of_codes_is_reported_first(effort: Effort) -> None:
    assert _raws(with_good(wall(), GOOD), effort)[0] == GOOD.encode()


def test_micro_qr_is_skipped() -> None:
    assert _raws(code("A1B2", micro=True)) == []


def test_dark_mode_and_turned_codes_are_read() -> None:
    assert _raws(255 - code(GOOD)) == [GOOD.encode()]
    assert _raws(np.rot90(code(GOOD))) == [GOOD.encode()]


def test_a_small_code_in_a_large_photograph_is_read() -> None:
    photo = np.full((3000, 4000), 120, dtype=np.uint8)
    small = code(GOOD, scale=3)  # too fine once the photograph is reduced
    photo[2500 : 2500 + small.shape[0], 300 : 300 + small.shape[1]] = small
    assert max(photo.shape) > LARGE
    assert _raws(photo) == [GOOD.encode()]


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (1, 640), (3, 3), (480, 1), (7, 11), (1, 20000), (20000, 1), (3, 20000)]
)
@pytest.mark.parametrize("effort", EFFORTS)
def test_pictures_of_any_shape_are_handled(shape: tuple[int, int], effort: Effort) -> None:
    assert read_codes(np.zeros(shape, dtype=np.uint8), effort).found == ()


@pytest.mark.parametrize("number", [19, 54])
def test_a_poster_in_view_does_not_keep_the_later_steps_from_the_phone(number: int) -> None:
    made = scene(number)
    poster = code("https://example.org/menu", scale=3)
    made.grey[: poster.shape[0], : poster.shape[1]] = poster
    assert _raws(made.grey, Effort.FRAME) == [b"https://example.org/menu"]
    assert _raws(made.grey, Effort.SECOND_OPINION) == [made.text.encode(), b"https://example.org/menu"]


def _in_noise(picture: Grey, contrast: int, noise: float) -> Grey:
    dim = 60 + picture.astype(float) * contrast / 255
    return (dim + np.random.default_rng(3).normal(0, noise, dim.shape)).clip(0, 255).astype(np.uint8)


def test_a_dim_code_in_noise_is_read_only_by_the_smoothing_step() -> None:
    frame = _in_noise(np.pad(code(GOOD, scale=5), 100, constant_values=255), 60, 20)
    assert not zxing_cpp.look(frame).found
    assert not zxing_cpp.look(frame, zxing_cpp.GLOBAL).found
    assert _raws(frame, Effort.FRAME) == [GOOD.encode()]


def test_a_fine_dim_code_in_noise_is_read_by_smoothing() -> None:
    frame = _in_noise(np.pad(code(GOOD, scale=3), 100, constant_values=255), 36, 8)
    assert not zxing_cpp.look(frame).found
    assert not zxing_cpp.look(frame, zxing_cpp.GLOBAL).found
    assert _raws(frame, Effort.FRAME) == [GOOD.encode()]


def test_a_dim_code_without_noise_is_read_in_one_frame() -> None:
    assert _raws(_in_noise(code(GOOD), 32, 0), Effort.FRAME) == [GOOD.encode()]


@pytest.mark.parametrize(
    ("effort", "number", "step"),
    [
        (Effort.FRAME, 2, "zxing"),
        (Effort.FRAME, 17, "zxing-lifted-global"),
        (Effort.FRAME, 68, "zxing-half-smooth"),
        (Effort.FRAME, 6, "zxing-closer-lifted"),
        (Effort.FRAME, 201, "zxing-closer-sharpened"),
        (Effort.SHARPENED, 45, "zxing-sharpened-global"),
        (Effort.LIFTED, 19, "zxing-lifted"),
        (Effort.EVENED, 19, "zxing-evened"),
    ],
)
def test_each_further_step_reads_a_phone_that_the_steps_before_it_do_not(
    effort: Effort, number: int, step: str
) -> None:
    made = scene(number)
    result = read_codes(made.grey, effort)
    assert ([found.raw for found in result.found], result.decoder) == ([made.text.encode()], step)


def _symbol(name: str, text: str, scale: int = 4) -> Grey:
    made = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, name))
    picture = np.array(made.to_image(scale=scale))
    frame = np.full((480, 640), 255, dtype=np.uint8)
    top, left = (480 - picture.shape[0]) // 2, (640 - picture.shape[1]) // 2
    frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


@pytest.mark.parametrize("name", ["Aztec", "DataMatrix", "PDF417"])
@pytest.mark.parametrize("effort", [Effort.WALLET, Effort.SECOND_OPINION, Effort.STILL])
def test_a_ticket_in_another_symbol_is_read(name: str, effort: Effort) -> None:
    assert _raws(_symbol(name, GOOD), effort) == [GOOD.encode()]


@pytest.mark.parametrize("name", ["Aztec", "DataMatrix", "PDF417"])
@pytest.mark.parametrize("effort", [Effort.FINE_WALLET, Effort.STILL])
@pytest.mark.parametrize("scale", [2, 3])
def test_a_ticket_in_another_symbol_is_read_when_it_is_small(name: str, effort: Effort, scale: int) -> None:
    assert _raws(_symbol(name, GOOD, scale), effort) == [GOOD.encode()]


@pytest.mark.parametrize("name", ["Aztec", "DataMatrix", "PDF417"])
@pytest.mark.parametrize("effort", EFFORTS)
def test_what_is_no_ticket_in_another_symbol_is_not_reported(name: str, effort: Effort) -> None:
    assert _raws(_symbol(name, "DL 1234567 DOE JOHN 19700101"), effort) == []


class _Cpu:
    """A clock of CPU time on which every step takes `step_s`."""

    def __init__(self, step_s: float) -> None:
        self.now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now += self._step_s
        return self.now


@pytest.mark.parametrize("effort", [one for one in EFFORTS if one is not Effort.STILL])
def test_no_step_of_a_frame_begins_once_its_time_is_spent(effort: Effort) -> None:
    dim = scene(19).grey  # the first step reads nothing
    assert read_codes(dim, effort, _Cpu(BUDGET_S + 0.001)).found == ()
    slow = _Cpu(BUDGET_S / 2.5)
    read_codes(dim, effort, slow)
    assert slow.now <= 2 * BUDGET_S, "the clock is read once before the first step and once after each"


def test_a_still_picture_is_tried_in_every_way_however_long_it_takes() -> None:
    made = scene(19)
    assert [one.raw for one in read_codes(made.grey, Effort.STILL, _Cpu(60.0)).found] == [made.text.encode()]


@pytest.mark.parametrize("text", [code_id(), signed(), printed()])
def test_a_code_in_a_gs1_symbol_is_read_unchanged(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FNC1 in first position (ISO/IEC 18004, 7.4.8), which some label software always writes."""
    write: Any = encoder.write_segment

    def marked(buffer: Any, *others: Any, **named: Any) -> None:
        if len(buffer) == 0:
            buffer.append_bits(0b0101, 4)
        write(buffer, *others, **named)

    monkeypatch.setattr(encoder, "write_segment", marked)
    assert [found.raw for found in read_codes(code(text, version=12)).found] == [text.encode()]

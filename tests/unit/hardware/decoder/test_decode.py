"""The cascade of decoders reads our codes, skips others, and survives any picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segno import encoder

from hardware.decoder import decode as module
from hardware.decoder.decode import LARGE, has_second_opinion, read_codes
from hardware.decoder.effort import Effort, effort
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
    assert result.decoder == "zxing"
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


def test_smoothing_is_the_weighted_mean_within_rounding() -> None:
    grey = np.random.default_rng(7).integers(0, 256, (20, 30), dtype=np.uint8)
    wide = grey.astype(float)
    rows = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    exact = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    assert np.abs(module._smoothed(grey) - exact).max() <= 2


def test_halving_is_the_mean_of_four_within_rounding() -> None:
    grey = np.random.default_rng(7).integers(0, 256, (21, 31), dtype=np.uint8)
    exact = grey[:20, :30].astype(float).reshape(10, 2, 15, 2).mean(axis=(1, 3))
    assert np.abs(module._halved(grey) - exact).max() <= 1.5


@pytest.mark.parametrize("name", ["glare-00.png", "dirt-00.png"])
def test_a_poster_in_view_does_not_keep_the_second_decoder_from_the_phone(name: str) -> None:
    frame = load_picture(shared("door/synth-640x480") / name)
    ours = _raws(frame, Effort.SECOND_OPINION)
    poster = code("https://example.org/menu", scale=3)
    frame[: poster.shape[0], : poster.shape[1]] = poster
    assert _raws(frame, Effort.FRAME) == [b"https://example.org/menu"]
    assert _raws(frame, Effort.SECOND_OPINION) == [*ours, b"https://example.org/menu"]


def _in_noise(picture: Grey, contrast: int, noise: float) -> Grey:
    dim = 60 + picture.astype(float) * contrast / 255
    return (dim + np.random.default_rng(3).normal(0, noise, dim.shape)).clip(0, 255).astype(np.uint8)


def test_a_dim_code_in_noise_is_read_only_by_the_smoothing_step() -> None:
    frame = _in_noise(np.pad(code(GOOD, scale=5), 100, constant_values=255), 60, 20)
    assert not module._zxing(frame)
    assert not module._zxing(frame, module._GLOBAL)
    result = read_codes(frame, Effort.FRAME)
    assert [found.raw for found in result.found] == [GOOD.encode()]
    assert result.decoder == "zxing-smooth-global"


def test_a_fine_dim_code_in_noise_is_read_by_smoothing() -> None:
    frame = _in_noise(np.pad(code(GOOD, scale=3), 100, constant_values=255), 36, 8)
    assert not module._zxing(frame)
    assert not module._zxing(frame, module._GLOBAL)
    assert _raws(frame, Effort.FRAME) == [GOOD.encode()]


def test_a_dim_code_without_noise_is_read_in_one_frame() -> None:
    assert _raws(_in_noise(code(GOOD), 32, 0), Effort.FRAME) == [GOOD.encode()]


def test_every_third_missed_frame_gets_a_second_opinion() -> None:
    assert [effort(missed) for missed in range(6)] == [Effort.FRAME, Effort.FRAME, Effort.SECOND_OPINION] * 2


def test_the_second_decoder_is_installed_here() -> None:
    assert has_second_opinion(), "Run: apt install libzbar0"


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

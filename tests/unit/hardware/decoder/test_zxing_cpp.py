"""The first decoder: what it reads, where it found something it could not read, and which symbols count."""

from __future__ import annotations

import numpy as np
import pytest
import zxingcpp

from hardware.decoder import zxing_cpp
from hardware.decoder.found_code import MOST_CODES
from hardware.decoder.picture_file import Grey
from tests.unit.hardware.hostile import wall
from tests.unit.hardware.scenes import beside, code, parts

GOOD = "MGY-PF-20250115-ABC123XYZ"


def _spoilt(text: str = GOOD) -> Grey:
    """A code whose finder patterns are whole, and whose content no error correction saves."""
    picture = code(text)
    middle = picture.shape[0] // 2
    picture[middle:, middle:] = 255
    return picture


def test_a_symbol_that_cannot_be_read_is_given_with_its_place_and_side() -> None:
    spoilt = _spoilt()
    side = spoilt.shape[0]
    looked = zxing_cpp.look(np.pad(spoilt, ((0, 0), (300, 0)), constant_values=255))
    assert looked.found == []
    (place,) = looked.unread
    assert abs(place.x - (300 + side / 2)) < 10
    assert abs(place.y - side / 2) < 10
    assert abs(place.side - (side - 48)) < 12, (
        "a margin of four modules of six pixels each way is no part of it"
    )


def test_a_code_is_read_beside_one_that_cannot_be() -> None:
    looked = zxing_cpp.look(beside(_spoilt("MGY-PF-20250115-SPOILT000"), code(GOOD)))
    assert [found.raw for found in looked.found] == [GOOD.encode()]
    assert len(looked.unread) == 1


def test_of_a_wall_of_codes_only_those_nearest_to_the_middle_count() -> None:
    looked = zxing_cpp.look(wall())
    assert 0 < len(looked.found) <= MOST_CODES
    assert [found.offset for found in looked.found] == sorted(found.offset for found in looked.found)
    assert max(found.offset for found in looked.found) < 0.6


def test_a_place_is_cut_out_with_its_margin_and_ends_where_the_picture_does() -> None:
    grey = np.arange(100 * 100, dtype=np.uint32).astype(np.uint8).reshape(100, 100)
    part, inside = zxing_cpp.around(grey, zxing_cpp.Place(50, 50, 20), 0.5)
    assert (part == grey[29:71, 29:71]).all()
    assert inside == (29, 29, 1, (100, 100))
    assert zxing_cpp.around(grey, zxing_cpp.Place(0, 99, 20), 0.5)[0].shape == (22, 21)
    assert zxing_cpp.around(grey, zxing_cpp.Place(50, 50, 5000), 0.5)[0].shape == (100, 100)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_code_read_in_a_part_of_a_picture_has_its_place_in_the_whole(scale: int) -> None:
    whole = np.full((480, 640), 255, dtype=np.uint8)
    symbol = code(GOOD, scale=3)
    side = symbol.shape[0]
    whole[300 : 300 + side, 400 : 400 + side] = symbol
    part, inside = zxing_cpp.around(whole, zxing_cpp.Place(440, 330, 100), 0.5)
    part = np.kron(part, np.ones((scale, scale), np.uint8))
    (found,) = zxing_cpp.look(part, inside=inside._replace(scale=scale)).found
    (expected,) = zxing_cpp.look(whole).found
    assert abs(found.offset - expected.offset) < 0.01


@pytest.mark.parametrize("name", ["Aztec", "DataMatrix", "PDF417"])
def test_the_symbols_of_wallet_passes_are_read_if_they_are_asked_for(name: str) -> None:
    made = zxingcpp.create_barcode(GOOD, getattr(zxingcpp.BarcodeFormat, name))
    picture = np.pad(np.asarray(made.to_image(scale=4)), 40, constant_values=255)
    assert [found.raw for found in zxing_cpp.look(picture, formats=zxing_cpp.WALLET).found] == [GOOD.encode()]
    assert zxing_cpp.look(picture).found == []


def test_many_parts_of_sequences_in_one_picture_hide_no_good_code() -> None:
    row = np.hstack([parts("A PART " * 9, 16)[number] for number in range(4)])
    tall = np.vstack([row, row])
    assert [found.raw for found in zxing_cpp.look(beside(tall, code(GOOD))).found] == [GOOD.encode()]

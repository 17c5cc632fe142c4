"""The second decoder reads codes, and gives nothing where it would guess or raise."""

from __future__ import annotations

import numpy as np

from hardware.decoder.zbar import has_zbar, read_by_zbar
from tests.unit.hardware.scenes import beside, code, parts

GOOD = "MGY-PF-20250115-ABC123XYZ"


def test_the_second_decoder_is_installed_here() -> None:
    assert has_zbar(), "Run: apt install libzbar0"


def test_a_code_is_read_with_its_place() -> None:
    (found,) = read_by_zbar(np.pad(code(GOOD), ((0, 0), (200, 0)), constant_values=255))
    assert found.raw == GOOD.encode()
    assert 0.2 < found.offset < 0.6


def test_bytes_whose_meaning_it_would_guess_are_not_given() -> None:
    assert read_by_zbar(code("Ω Ñandú".encode())) == []


def test_a_part_of_a_sequence_gives_nothing() -> None:
    assert read_by_zbar(beside(parts(GOOD * 3, 3)[0])) == []

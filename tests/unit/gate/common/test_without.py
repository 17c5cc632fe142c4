"""A library that is kept out of one import, and out of no other."""

from __future__ import annotations

import importlib
import sys

import pytest

from gate.common.without import without


def test_what_is_left_out_cannot_be_imported_inside_and_can_be_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_what_is_loaded_already_stays_loaded() -> None:
    with without("sys"):
        assert importlib.import_module("sys") is sys

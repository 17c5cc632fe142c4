"""The pictures to read: test pictures with their contents, and generated empty frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from hardware.decoder.picture_file import Grey, load_picture

ENDINGS = (".png", ".jpg", ".webp")
CHARSETS = ("utf-8", "cp932", "gb18030", "latin-1")
"""Encodings of the codes' contents: the expected texts are Unicode, a decoder returns bytes."""
PHOTOGRAPHS = tuple(f"qrcode-{number}" for number in range(1, 7))
NOTHING_THERE = ("falsepositives-1", "falsepositives-2")


class Sample(msgspec.Struct, frozen=True):
    """A picture, its kind, and the texts that count as reading it."""

    kind: str
    path: Path
    expected: frozenset[str]


def photographs(data: Path) -> list[Sample]:
    """All photographs, folder by folder."""
    return [sample for kind in PHOTOGRAPHS for sample in _folder(data / "qr-photos" / kind)]


def _folder(folder: Path) -> Iterator[Sample]:
    for path in in_folder(folder):
        binary, text = path.with_suffix(".bin"), path.with_suffix(".txt")
        raw = binary.read_bytes() if binary.exists() else text.read_bytes()
        yield Sample(folder.name, path, frozenset(texts(raw)))


def door_scenes(data: Path) -> list[Sample]:
    """Phones held up to a door camera; the kind is what disturbs the picture."""
    folder = data / "door" / "synth-640x480"
    labels = json.loads((folder / "labels.json").read_text())
    return [
        Sample(name.rsplit("-", 1)[0], folder / name, frozenset([label["text"]]))
        for name, label in labels.items()
    ]


def without_codes(data: Path) -> list[Path]:
    """Photographs without any code."""
    return [path for kind in NOTHING_THERE for path in in_folder(data / "qr-photos" / kind)]


def in_folder(folder: Path) -> list[Path]:
    """The pictures in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)


def texts(raw: bytes) -> Iterator[str]:
    """What bytes may mean in each encoding, with line ends and margins normalised."""
    for charset in CHARSETS:
        try:
            yield raw.decode(charset).strip().replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue


def empty_frames(data: Path) -> dict[str, Grey]:
    """640×480 frames without a code, by name: the shared ones, if present, and two generated ones."""
    shared = data / "door" / "empty-640x480"
    frames = {path.stem: load_picture(path) for path in in_folder(shared)} if shared.is_dir() else {}
    return {**frames, "plain": np.full((480, 640), 128, np.uint8), "sensor noise": _noise()}


def _noise() -> Grey:
    """A dim wall at high gain: noise of 10 grey values around 90."""
    noise = np.random.default_rng(1).normal(90, 10, (480, 640))
    return noise.clip(0, 255).astype(np.uint8)

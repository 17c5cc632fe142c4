"""How many photographs the cascade reads, compared with each of its decoders alone (quality 7.3).

Prints a table. Fails if the cascade reads fewer than zxing-cpp alone,
or if anything is read in a picture that holds no code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zxingcpp
from pyzbar import pyzbar

from hardware.decoder.decode import read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.picture_file import Grey, load_picture
from tests.unit.hardware.scenes import shared

PICTURES = (".png", ".jpg", ".webp")
CATEGORIES = [f"qrcode-{number}" for number in range(1, 7)]
NOTHING_THERE = ["falsepositives-1", "falsepositives-2"]
CHARSETS = ("utf-8", "cp932", "gb18030", "latin-1")
"""The encodings of these codes: the expected texts are Unicode, and a decoder gives bytes."""

Reader = Callable[[Grey], list[bytes]]


class Sample(msgspec.Struct, frozen=True):
    """A picture and the texts that count as having read it."""

    category: str
    path: Path
    expected: frozenset[str]


class Score(msgspec.Struct):
    """Pictures read, and milliseconds spent on all of them."""

    read: int = 0
    ms: float = 0.0


def _ours(effort: Effort) -> Reader:
    return lambda grey: [found.raw for found in read_codes(grey, effort).found]


def _zxing(grey: Grey) -> list[bytes]:
    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
    return [code.bytes for code in zxingcpp.read_barcodes(grey, formats=formats)]


def _pyzbar(grey: Grey) -> list[bytes]:
    try:
        return [code.data for code in pyzbar.decode(grey, symbols=[pyzbar.ZBarSymbol.QRCODE])]
    except ValueError:
        return []


READERS: dict[str, Reader] = {
    "one frame": _ours(Effort.FRAME),
    "everything": _ours(Effort.SECOND_OPINION),
    "still": _ours(Effort.STILL),
    "zxing-cpp": _zxing,
    "pyzbar": _pyzbar,
}


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in PICTURES)


def _texts(raw: bytes) -> Iterator[str]:
    for charset in CHARSETS:
        try:
            yield raw.decode(charset).strip().replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue


def _photographs() -> Iterator[Sample]:
    for category in CATEGORIES:
        for path in _pictures(shared(f"qr-photos/{category}")):
            binary, text = path.with_suffix(".bin"), path.with_suffix(".txt")
            raw = binary.read_bytes() if binary.exists() else text.read_bytes()
            yield Sample(category, path, frozenset(_texts(raw)))


def _door() -> Iterator[Sample]:
    folder = shared("door/synth-640x480")
    for name, label in json.loads((folder / "labels.json").read_text()).items():
        yield Sample("door", folder / name, frozenset([label["text"]]))


def _scores(samples: list[Sample]) -> dict[tuple[str, str], Score]:
    scores = {(name, sample.category): Score() for name in READERS for sample in samples}
    for sample in samples:
        grey = load_picture(sample.path)
        for name, reader in READERS.items():
            started = time.perf_counter()
            raws = reader(grey)
            score = scores[name, sample.category]
            score.ms += (time.perf_counter() - started) * 1000
            score.read += any(sample.expected.intersection(_texts(raw)) for raw in raws)
    return scores


def _table(samples: list[Sample], scores: dict[tuple[str, str], Score]) -> str:
    categories = list(dict.fromkeys(sample.category for sample in samples))
    lines = ["category   pictures" + "".join(f"{name:>20}" for name in READERS)]
    for category in categories:
        count = sum(sample.category == category for sample in samples)
        cells = [scores[name, category] for name in READERS]
        lines.append(
            f"{category:10} {count:8}" + "".join(f"{c.read:8} {c.ms / count:8.2f} ms" for c in cells)
        )
    totals = (
        f"{_total(scores, name):8} {100 * _total(scores, name) / len(samples):8.1f} % " for name in READERS
    )
    lines.append(f"{'all':10} {len(samples):8}" + "".join(totals))
    return "\n".join(lines)


def _total(scores: dict[tuple[str, str], Score], name: str) -> int:
    return sum(score.read for (reader, _), score in scores.items() if reader == name)


@pytest.mark.parametrize("samples", [list(_photographs()), list(_door())], ids=["photographs", "door"])
def test_reads_at_least_what_each_decoder_reads_alone(
    samples: list[Sample], capsys: pytest.CaptureFixture[str]
) -> None:
    scores = _scores(samples)
    with capsys.disabled():
        sys.stdout.write(f"\n{_table(samples, scores)}\n")
    alone = max(_total(scores, "zxing-cpp"), _total(scores, "pyzbar"))
    for effort in ("one frame", "everything", "still"):
        assert _total(scores, effort) >= alone, effort


@pytest.mark.parametrize("category", NOTHING_THERE)
def test_nothing_is_read_where_there_is_no_code(category: str) -> None:
    for path in _pictures(shared(f"qr-photos/{category}")):
        grey = load_picture(path)
        for effort in Effort:
            assert read_codes(grey, effort).found == (), f"{path.name} with {effort.name}"


@pytest.mark.parametrize("category", ["microqrcode-1", "qrcode-7"])
def test_micro_qr_and_parts_of_sequences_are_not_read(category: str) -> None:
    for path in _pictures(shared(f"qr-photos/{category}")):
        assert read_codes(load_picture(path)).found == (), path.name


def test_every_code_of_a_picture_with_several_is_read() -> None:
    found = read_codes(load_picture(shared("qr-photos/multi-1") / "multi-qr.png")).found
    assert len(found) == 4
    assert [one.offset for one in found] == sorted(one.offset for one in found)


def test_the_command_reads_the_photographs_at_least_as_well_as_zxing_cpp_alone() -> None:
    samples = list(_photographs())
    empty = [path for name in NOTHING_THERE for path in _pictures(shared(f"qr-photos/{name}"))]
    paths = [*(sample.path for sample in samples), *empty]
    command = [sys.executable, "-m", "gate.cli.main", "decode", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [str(path) for path in paths]
    read = sum(bool(answer["codes"]) for answer in answers[: len(samples)])
    assert not any(answer["codes"] for answer in answers[len(samples) :])
    assert read >= sum(bool(_zxing(load_picture(sample.path))) for sample in samples)

"""Pictures gone wrong stop nothing: most in one process, a share before real eyes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gate.ports.devices import Look
from hardware.camera.spec import CameraDriver, CameraSpec
from hardware.eye.eye import NOT_A_PICTURE, ChildEye
from tests.integration.hardware.watching import raws, until
from tests.long import cases
from tests.paths import ROOT
from tests.unit.hardware.mutations import picture
from tests.unit.hardware.scenes import code

MANY = cases(600, long=2000)
PART, SHARE, GOOD_EVERY = MANY // 4, cases(60, long=120), 20


@pytest.mark.parametrize("first", range(0, MANY, PART))
def test_mutated_pictures_stop_no_decoder(first: int) -> None:
    command = [sys.executable, "-m", "tests.unit.hardware.mutations", str(first), str(PART)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"after these seeds: {done.stderr[-2000:]}"
    counted = json.loads(done.stdout)
    assert sum(counted.values()) == PART
    # otherwise they would be too tame, or too wild, to prove anything
    assert min(counted[kind] for kind in ("refused", "read", "empty")) > PART // 10


@pytest.mark.parametrize("driver", ["files", "folder"])
def test_an_eye_goes_on_through_mutated_pictures_and_reads_the_good_ones(
    tmp_path: Path, driver: CameraDriver
) -> None:
    files = []
    for seed in range(SHARE):
        files.append(tmp_path / f"{seed:04}.png")
        files[-1].write_bytes(picture(2000 + seed))
        if seed % GOOD_EVERY == GOOD_EVERY - 1:
            files.append(tmp_path / f"{seed:04}-good.png")
            Image.fromarray(code(f"GOOD-{seed}")).save(files[-1])
    spec = CameraSpec(driver=driver, path=str(tmp_path), files=tuple(map(str, files)), fps=1000, hold_ms=50)
    eye = ChildEye(spec)
    good = {f"GOOD-{seed}".encode() for seed in range(GOOD_EVERY - 1, SHARE, GOOD_EVERY)}
    seen: dict[str, list[bytes]] = {}

    def all_seen(look: Look | None) -> bool:
        if look is not None:
            seen.setdefault(look.source, []).extend(raws(look))
        read = {raw for codes in seen.values() for raw in codes}
        return good <= read and len(seen) >= len(files)

    until(eye, all_seen)
    assert any(raw.startswith(NOT_A_PICTURE) for codes in seen.values() for raw in codes)
    assert eye.trouble() is None
    eye.close()

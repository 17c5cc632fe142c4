"""Camera and decoder in real child processes, killed, stopped and starved in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Look, Restarts
from gate.rules.payload import Malformed, parse
from gate.rules.presence import Sighting
from hardware.camera.file_names import alias
from hardware.camera.spec import CameraDriver, CameraSpec
from hardware.eye import freshness
from hardware.eye.eye import NOT_A_PICTURE, ChildEye
from tests import patience
from tests.integration.hardware.watching import is_running, pids, present, raws, read, until
from tests.unit.hardware.scenes import code, shared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "camera"
    folder.mkdir()
    return folder


@pytest.fixture
def eye(folder: Path) -> Iterator[ChildEye]:
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)))
    until(eye, lambda look: look is not None)
    yield eye
    eye.close()


def test_a_picture_is_read_through_both_processes(eye: ChildEye, folder: Path) -> None:
    present(folder, "ONE")
    look = read(eye, "ONE")
    assert look.source == alias("ONE.png")
    assert look.decode_ms > 0
    assert look.sightings[0].offset < 0.05
    assert eye.trouble() is None


@pytest.mark.parametrize(("which", "counted"), [(0, Restarts(1, 0)), (1, Restarts(0, 1))])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_child_is_replaced_and_the_next_picture_read(
    eye: ChildEye, folder: Path, which: int, counted: Restarts, how: signal.Signals
) -> None:
    present(folder, "BEFORE")
    read(eye, "BEFORE")
    victim = pids(eye)[which]
    os.kill(victim, how)
    present(folder, "AFTER")
    read(eye, "AFTER")
    assert eye.restarts() == counted
    assert pids(eye)[which] != victim
    assert eye.trouble() is None


def test_a_decoder_that_hangs_is_replaced_and_the_picture_still_read(folder: Path) -> None:
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)), decoder_deadline_s=1.0)
    until(eye, lambda look: look is not None)
    patience.stop_dead(pids(eye)[1])
    present(folder, "PATIENT")
    read(eye, "PATIENT")
    assert eye.restarts().decoder >= 1
    eye.close()


def test_a_camera_that_hangs_is_replaced(folder: Path) -> None:
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)), camera_deadline_s=2.0)
    until(eye, lambda look: look is not None)
    patience.stop_dead(pids(eye)[0])
    present(folder, "PATIENT")
    read(eye, "PATIENT")
    assert eye.restarts().camera >= 1
    eye.close()


def test_a_decoder_that_wants_too_much_memory_is_replaced(tmp_path: Path) -> None:
    files = []
    for index in range(2):
        files.append(tmp_path / f"{index}.png")
        Image.new("L", (2300, 2300), 255).save(files[-1])
    spec = CameraSpec(driver="files", files=tuple(map(str, files)))
    eye = ChildEye(spec, decoder_headroom_mb=3)  # a copy of one such frame is 5 MB
    refused = until(eye, lambda look: look is not None and bool(look.sightings))
    assert refused is not None
    assert refused.sightings[0].raw.startswith(NOT_A_PICTURE)
    assert eye.restarts().decoder >= 2
    eye.close()


_LEAKING_ZXING = """
import zxingcpp
read_barcodes, kept = zxingcpp.read_barcodes, []

def leak(grey, **how):
    kept.append(bytearray(8_000_000))
    return read_barcodes(grey, **how)

zxingcpp.read_barcodes = leak
"""


def test_a_decoder_that_leaks_memory_is_replaced_each_time_and_goes_on_reading(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_LEAKING_ZXING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    present(folder, "STILL-READ")
    spec = CameraSpec(driver="folder", path=str(folder), fps=1000, hold_ms=60_000)
    eye = ChildEye(spec, decoder_headroom_mb=200)
    until(eye, lambda _: eye.restarts().decoder >= 2)
    read(eye, "STILL-READ")
    assert eye.restarts().decoder >= 2
    eye.close()


def test_a_decoder_that_keeps_ending_is_reported_until_it_reads_again(eye: ChildEye, folder: Path) -> None:
    killed: set[int] = set()

    def fuse_blown(_: Look | None) -> bool:
        pid = pids(eye)[1]
        if pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        return eye.trouble() is not None

    until(eye, fuse_blown)
    trouble = eye.trouble()
    assert trouble is not None
    assert trouble.part == "decoder"
    present(folder, "WELL")
    read(eye, "WELL")
    assert eye.trouble() is None


def test_a_file_that_is_no_picture_is_answered_and_the_next_is_read(eye: ChildEye, folder: Path) -> None:
    (folder / "letter.png").write_text("Dear gate,")
    look = until(eye, lambda look: look is not None and bool(look.sightings))
    assert look is not None
    assert raws(look) == [NOT_A_PICTURE + alias("letter.png").encode()]
    assert isinstance(parse(raws(look)[0]), Malformed)
    present(folder, "NEXT")
    read(eye, "NEXT")


@pytest.mark.parametrize("driver", ["folder", "files"])
def test_a_refused_picture_is_logged_without_its_name(folder: Path, driver: CameraDriver) -> None:
    secret = folder / "MGY-PF-20261120-SECRET.png"
    secret.write_text("Dear gate,")
    with capture_logs() as logs:
        eye = ChildEye(CameraSpec(driver=driver, path=str(folder), files=(str(secret),)))
        look = until(eye, lambda look: look is not None and bool(look.sightings))
        eye.close()
    assert look is not None
    assert raws(look) == [NOT_A_PICTURE + alias(secret.name).encode()]
    assert [line["source"] for line in logs if line["event"] == "picture refused"] == [alias(secret.name)]
    assert "SECRET" not in repr(logs)
    assert str(folder) not in repr(logs)


_FATAL_PILLOW = """
import os
from PIL import Image
opened = Image.open

def crash(path, **how):
    if path.name == "evil.png":
        os.abort()
    return opened(path, **how)

Image.open = crash
"""


def test_a_picture_that_crashes_the_camera_is_set_aside_and_the_next_is_read(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_FATAL_PILLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (folder / "evil.png").write_text("Dear gate,")
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)))
    look = until(eye, lambda look: look is not None and bool(look.sightings))
    assert look is not None
    assert raws(look) == [NOT_A_PICTURE + alias("evil.png").encode()]
    assert (folder / "refused" / "evil.png").is_file()
    assert eye.restarts() == Restarts(2, 0)
    present(folder, "NEXT")
    read(eye, "NEXT")
    assert eye.trouble() is None
    eye.close()


def test_without_a_camera_the_eye_starts_says_so_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "plugged-in-later"
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)))
    until(eye, lambda _: eye.trouble() is not None)
    trouble = eye.trouble()
    assert isinstance(trouble, HardwareError)
    assert (trouble.part, trouble.step) == ("camera", Step.CAMERA_FOLDER)
    assert trouble.advice == "Create it or correct camera.path."
    folder.mkdir()
    present(folder, "LATE")
    read(eye, "LATE")
    until(eye, lambda _: eye.trouble() is None)
    eye.close()


def test_a_list_of_pictures_is_gone_through_once_in_order() -> None:
    folder = shared("door/synth-640x480")
    names = [f"clean-0{index}.png" for index in range(3)]
    files = (*(str(folder / name) for name in names), str(folder / "none.png"))
    eye = ChildEye(CameraSpec(driver="files", files=files))
    looks: list[Look] = []

    def finished(look: Look | None) -> bool:
        looks.extend([look] if look else [])
        return eye.exhausted()

    until(eye, finished)
    assert [look.source for look in looks] == [f"file:{name}" for name in [*names, "none.png"]]
    assert all(raws(look)[0].startswith(b"MGY-PF-") for look in looks[:3])
    eye.close()


def _gone_through(eye: ChildEye) -> list[str]:
    """Where the looks at a list came from."""
    sources: list[str] = []

    def finished(look: Look | None) -> bool:
        sources.extend([look.source] if look else [])
        return eye.exhausted()

    until(eye, finished)
    return sources


def test_a_camera_that_dies_within_a_list_repeats_no_picture_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise `maguey-gate scan` would record the pictures before it a second time."""
    (tmp_path / "sitecustomize.py").write_text(_FATAL_PILLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ["a.png", "evil.png", "b.png", "evil.png", "evil.png"]
    for name in set(names):
        Image.fromarray(code(name)).save(tmp_path / name)
    eye = ChildEye(CameraSpec(driver="files", files=tuple(str(tmp_path / name) for name in names)))
    assert _gone_through(eye) == [f"file:{name}" for name in names]
    assert eye.restarts().camera == 6
    eye.close()


def test_a_list_may_be_longer_than_an_argument(tmp_path: Path) -> None:
    names = [f"{number:0200}.png" for number in range(800)]
    eye = ChildEye(CameraSpec(driver="files", files=tuple(str(tmp_path / name) for name in names)))
    assert _gone_through(eye) == [f"file:{name}" for name in names]
    eye.close()


def test_a_code_that_nobody_asked_for_in_time_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door stood still: the guest has gone, and a pulse would let in the next one."""
    held_up, nobody = Look(sightings=(Sighting.of(b"ONE"),)), Look()
    eye = ChildEye(CameraSpec(driver="v4l2", device=str(tmp_path / "none")))
    eye._publish(held_up)
    eye._publish(nobody)
    assert eye.look(0) == held_up
    eye._publish(held_up)
    eye._publish(nobody)
    with monkeypatch.context() as later:
        later.setattr(freshness, "KEPT_S", -1.0)
        assert eye.look(0) is None
    eye._publish(nobody)
    assert eye.look(0) == nobody
    eye.close()


def test_a_picture_shown_only_once_is_answered_however_late(
    eye: ChildEye, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Look(sightings=(Sighting.of(b"ONE"),))
    monkeypatch.setattr(freshness, "KEPT_S", -1.0)
    eye._publish(shown)
    assert eye.look(0) == shown


def test_closing_leaves_no_process_and_no_open_file(folder: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 – names only
    eye = ChildEye(CameraSpec(driver="folder", path=str(folder)))
    until(eye, lambda look: look is not None)
    both = pids(eye)
    eye.close()
    eye.close()
    assert not any(is_running(pid) for pid in both)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert eye.look(60.0) is None


_DOOR = """
import sys, time from hardware.eye.eye import ChildEye from hardware.camera.spec import CameraSpec eye =
ChildEye(CameraSpec(driver="folder", path=sys.argv[1])) while eye.look(1.0) is None: pass
print(eye._camera.pid, eye._decoder.pid, *[name for name in ("numpy", "zxingcpp", "PIL") if name in
sys.modules], flush=True) time.sleep(600)
"""


def test_children_die_with_the_door_and_leave_its_interrupts_to_it(folder: Path) -> None:
    door = subprocess.Popen([sys.executable, "-c", _DOOR, str(folder)], stdout=subprocess.PIPE, text=True)
    assert door.stdout is not None
    words = door.stdout.readline().split()
    pids = [int(word) for word in words[:2]]
    assert words[2:] == [], "the door's own process must not load the libraries of its children"
    for pid in pids:
        for ignored in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, ignored)
    assert all(is_running(pid) for pid in pids)
    door.kill()
    door.wait()
    door.stdout.close()
    patience.until(lambda: not any(is_running(pid) for pid in pids))


def test_the_eye_beats_even_without_a_camera_and_stops_when_closed(tmp_path: Path) -> None:
    eye = ChildEye(CameraSpec(driver="folder", path=str(tmp_path / "missing")))
    until(eye, lambda _: eye.trouble() is not None)
    before = eye.beats()
    until(eye, lambda _: eye.beats() > before + 1)
    eye.close()
    after = eye.beats()
    assert eye.look(60.0) is None
    assert eye.beats() == after

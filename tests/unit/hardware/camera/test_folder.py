"""Cameras that read files, and the frames they make of pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gate.common.errors import HardwareError
from hardware.camera import folder
from hardware.camera.file_names import alias, file_url
from hardware.camera.folder import SETTLE_S, FilesCamera, FolderCamera
from hardware.camera.frame_source import Frame, fit
from hardware.camera.open import open_camera
from hardware.camera.spec import LONGEST_SIDE, CameraSpec
from hardware.camera.tried_files import TriedFiles
from hardware.decoder.decode import read_codes
from hardware.decoder.picture_file import Grey, load_picture
from tests.unit.hardware.scenes import code


def _save(grey: Grey, path: Path) -> Path:
    Image.fromarray(grey).save(path)
    return path


def _spec(folder: Path, hold_ms: int = 0) -> CameraSpec:
    return CameraSpec(driver="folder", path=str(folder), fps=1000, hold_ms=hold_ms)


def _frames(camera: FolderCamera, count: int) -> list[Frame]:
    frames = [camera.grab(1.0) for _ in range(count)]
    return [frame for frame in frames if frame is not None]


def _raws(frame: Frame) -> list[bytes]:
    return [found.raw for found in read_codes(frame.grey).found]


def _aged(path: Path) -> Path:
    """Make the file's last change long enough ago for the file to be judged."""
    long_ago = path.stat().st_mtime - SETTLE_S - 1
    os.utime(path, (long_ago, long_ago))
    return path


def test_an_empty_folder_is_a_dark_frame(tmp_path: Path) -> None:
    (frame,) = _frames(FolderCamera(_spec(tmp_path)), 1)
    assert frame.grey.shape == (480, 640)
    assert not frame.grey.any()


def test_a_picture_is_shown_and_then_moved_to_seen(tmp_path: Path) -> None:
    _save(code("A"), tmp_path / "a.png")
    camera = FolderCamera(_spec(tmp_path))
    frames = _frames(camera, 4)
    assert [_raws(frame) for frame in frames] == [[], [b"A"], [], []]
    assert frames[1].source == alias("a.png")
    assert (tmp_path / "seen" / "a.png").is_file()
    assert not (tmp_path / "a.png").exists()


def test_a_picture_is_held_for_its_time(tmp_path: Path) -> None:
    _save(code("A"), tmp_path / "a.png")
    camera = FolderCamera(_spec(tmp_path, hold_ms=60_000))
    assert [_raws(frame) for frame in _frames(camera, 6)] == [[]] + [[b"A"]] * 5
    assert (tmp_path / "a.png").exists()


def test_pictures_come_oldest_first_with_a_dark_frame_in_between(tmp_path: Path) -> None:
    _save(code("NEW"), tmp_path / "a.png")
    _aged(_save(code("OLD"), tmp_path / "b.png"))
    frames = _frames(FolderCamera(_spec(tmp_path)), 5)
    assert [_raws(frame) for frame in frames] == [[], [b"OLD"], [], [b"NEW"], []]


def test_the_same_name_twice_replaces_nothing(tmp_path: Path) -> None:
    camera = FolderCamera(_spec(tmp_path))
    for text in ("A", "B"):
        _save(code(text), tmp_path / "a.png")
        _frames(camera, 4)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["a-2.png", "a.png"]


def test_a_file_that_is_not_a_picture_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("not a picture")
    _aged(tmp_path / "bad.png")
    frames = _frames(FolderCamera(_spec(tmp_path)), 3)
    assert [bool(frame.refused) for frame in frames] == [False, True, False]
    assert "not a picture" in frames[1].refused
    assert (tmp_path / "refused" / "bad.png").is_file()


def test_a_files_name_is_never_reported(tmp_path: Path) -> None:
    _save(code("A"), tmp_path / "MGY-PF-SECRET.png")
    _aged(tmp_path / "MGY-PF-SECRET.png")
    (tmp_path / "bad.MGY-PF-SECRET").write_text("not a picture")
    _aged(tmp_path / "bad.MGY-PF-SECRET")
    told = [frame.source + frame.refused for frame in _frames(FolderCamera(_spec(tmp_path)), 6)]
    assert sum("file:" in words for words in told) == 2
    assert not any("SECRET" in words or str(tmp_path) in words for words in told)


def test_an_alias_tells_files_apart_and_keeps_the_ending_of_a_picture() -> None:
    assert alias("a.PNG").endswith(".png")
    assert "." not in alias("a.MGY-PF-1")
    assert len({alias(name) for name in ("a.png", "b.png", "a.jpg", "a", "\udcff")}) == 5
    assert file_url("\udcff.png") == "file:\ufffd.png"


class Crash(BaseException):
    """Ends the camera's process as a crash in native code would."""


def test_a_file_that_crashed_the_camera_twice_is_set_aside_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _aged(_save(code("EVIL"), tmp_path / "evil.png"))
    opened: list[str] = []

    def crashing(path: Path) -> Grey:
        opened.append(path.name)
        if path.name == "evil.png":
            raise Crash
        return load_picture(path)

    monkeypatch.setattr(folder, "load_picture", crashing)
    for _ in range(2):
        with pytest.raises(Crash):
            _frames(FolderCamera(_spec(tmp_path)), 2)
    _save(code("GOOD"), tmp_path / "good.png")
    frames = _frames(FolderCamera(_spec(tmp_path)), 3)
    assert "ended twice" in frames[1].refused
    assert _raws(frames[2]) == [b"GOOD"]
    assert opened == ["evil.png", "evil.png", "good.png"]
    assert [path.name for path in (tmp_path / "refused").iterdir()] == ["evil.png"]


def test_a_file_that_crashed_the_camera_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _aged(_save(code("A"), tmp_path / "a.png"))

    def crashing(path: Path) -> Grey:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(folder, "load_picture", crashing)
        with pytest.raises(Crash):
            _frames(FolderCamera(_spec(tmp_path)), 2)
    assert [_raws(frame) for frame in _frames(FolderCamera(_spec(tmp_path)), 2)] == [[], [b"A"]]
    assert not list((tmp_path / "refused").iterdir())


def test_a_marker_cut_short_by_a_power_cut_is_ignored(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for content in ("", "key", "key two", "other 2", "a b c"):
        marker.write_text(content)
        assert TriedFiles(marker).begin("key")
    assert TriedFiles(marker).begin("key")
    assert not TriedFiles(marker).begin("key")
    TriedFiles(marker).over()
    assert TriedFiles(marker).begin("key")


def test_a_file_still_being_written_is_left_alone(tmp_path: Path) -> None:
    whole = _save(code("A"), tmp_path / "seen.png").read_bytes()
    (tmp_path / "seen.png").unlink()
    camera = FolderCamera(_spec(tmp_path))
    (tmp_path / "a.png").write_bytes(whole[:300])
    assert [frame.refused for frame in _frames(camera, 5)] == [""] * 5
    (tmp_path / "a.png").write_bytes(whole)
    assert [b"A"] in [_raws(frame) for frame in _frames(camera, 3)]


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    _save(code("A"), tmp_path / "a.png").rename(tmp_path / ".a.png.part")
    (tmp_path / "more").mkdir()
    frames = _frames(FolderCamera(_spec(tmp_path)), 4)
    assert not any(frame.grey.any() for frame in frames)
    assert (tmp_path / ".a.png.part").exists()


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="does not exist") as broken:
        open_camera(_spec(tmp_path / "none"))
    assert broken.value.part == "camera"


def test_a_folder_that_vanished_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    camera = FolderCamera(_spec(folder))
    for name in ("seen", "refused"):
        (folder / name).rmdir()
    folder.rmdir()
    with pytest.raises(HardwareError, match="is gone"):
        _frames(camera, 1)


def test_a_list_of_pictures_is_shown_once(tmp_path: Path) -> None:
    good = _save(code("A"), tmp_path / "a.png")
    camera = FilesCamera(CameraSpec(driver="files", files=(str(good), str(tmp_path / "none.png"))))
    first, second = camera.grab(0), camera.grab(0)
    assert first is not None
    assert second is not None
    assert _raws(first) == [b"A"]
    assert "no such file" in second.refused
    assert camera.exhausted()
    assert camera.grab(0) is None


def test_a_large_picture_of_a_list_is_scaled_to_fit_a_slot(tmp_path: Path) -> None:
    large = _save(np.full((3000, 4000), 255, dtype=np.uint8), tmp_path / "large.png")
    frame = FilesCamera(CameraSpec(driver="files", files=(str(large),))).grab(0)
    assert frame is not None
    assert frame.grey.shape == (LONGEST_SIDE * 3 // 4, LONGEST_SIDE)


@pytest.mark.parametrize("shape", [(100, 100), (3000, 500), (500, 3000), (480, 640), (1, 1), (2000, 1)])
def test_any_picture_fits_the_frame(shape: tuple[int, int]) -> None:
    framed = fit(np.full(shape, 77, dtype=np.uint8), (640, 480))
    assert framed.shape == (480, 640)
    assert set(np.unique(framed)) == {77}


def test_a_code_without_a_margin_gets_one() -> None:
    bare = code("NO-MARGIN")[24:-24, 24:-24]
    assert [found.raw for found in read_codes(fit(bare, (640, 480))).found] == [b"NO-MARGIN"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (CameraSpec(driver="v4l2", device="/dev/video-none"), "no camera at /dev/video-none"),
        (CameraSpec(driver="v4l2", device="/dev/null"), "does not work"),
    ],
)
def test_a_missing_webcam_is_reported(spec: CameraSpec, says: str) -> None:
    with pytest.raises(HardwareError, match=says) as broken:
        open_camera(spec)
    assert broken.value.step

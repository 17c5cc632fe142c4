"""Cameras that look at picture files: a watched folder, and a list of files.

The folder camera is the camera of the demo and the tests, and the way to hold a picture up to a gate on the
desk: a file that appears is shown for a moment, then moved to ``seen/``, or to ``refused/`` if it is not a
picture. Files whose names start with a dot are left alone, so a writer may use ``.name.part`` and rename.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from gate.common.errors import HardwareError, Step
from hardware.camera.file_names import alias, file_url
from hardware.camera.frame_source import Frame, dark, fit
from hardware.camera.spec import LONGEST_SIDE, CameraSpec
from hardware.camera.tried_files import CRASHES, TriedFiles
from hardware.decoder.picture_file import Grey, PictureError, load_picture

SETTLE_S = 1.0
"""How long after its last change a file that is not a picture yet may still become one."""

_Stamp = tuple[int, int]  # size and mtime_ns: one of them changes while the file is written


class HeldPicture:
    """One picture being held up."""

    def __init__(self, path: Path, grey: Grey, until: float) -> None:
        self.path, self.grey, self.until = path, grey, until


class FolderCamera:
    """Watches a folder. Raises `HardwareError` if it is missing or its files cannot be moved."""

    def __init__(self, spec: CameraSpec) -> None:
        self._folder = Path(spec.path)
        self._size, self._hold_s, self._period_s = spec.size, spec.hold_ms / 1000, 1 / max(1, spec.fps)
        self._dark = dark(spec.size)
        self._due = time.monotonic()
        self._stamps: dict[Path, _Stamp] = {}
        self._showing: HeldPicture | None = None
        self._tries = TriedFiles(self._folder / "refused" / ".reading")
        self._make_folders()

    def grab(self, timeout_s: float) -> Frame | None:
        """The next frame at the configured rate: the picture held up, or a dark frame."""
        wait = self._due - time.monotonic()
        if wait > timeout_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, wait))
        self._due = max(self._due, time.monotonic() - self._period_s) + self._period_s
        return self._held() or self._next() or Frame(self._dark, "folder")

    def exhausted(self) -> bool:
        """Never: another file may appear."""
        return False

    def close(self) -> None:
        """Nothing to release. A picture that is held up now will be shown again next time."""

    def _make_folders(self) -> None:
        if not self._folder.is_dir():
            what = f"The folder {self._folder} does not exist, so there is no picture to look at."
            raise HardwareError("camera", what, "Create it or correct camera.path.", Step.CAMERA_FOLDER)
        try:
            for name in ("seen", "refused"):
                (self._folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _held(self) -> Frame | None:
        """The picture held up; after its time it is moved away, and a dark frame follows."""
        if self._showing is None:
            return None
        showing = self._showing
        if time.monotonic() < showing.until:
            return Frame(showing.grey, alias(showing.path.name))
        self._showing = None
        self._move(showing.path, "seen")
        return Frame(self._dark, "folder")

    def _next(self) -> Frame | None:
        for path in self._waiting():
            try:
                grey = self._load(path)
            except PictureError as error:
                if not _settled(path):
                    continue
                self._move(path, "refused")
                self._tries.over()
                return Frame(self._dark, alias(path.name), refused=error.why)
            self._showing = HeldPicture(path, grey, time.monotonic() + self._hold_s)
            return Frame(grey, alias(path.name))
        return None

    def _load(self, path: Path) -> Grey:
        """A picture as a frame; refused unread if reading it has ended this process too often."""
        try:
            if not self._tries.begin(f"{alias(path.name)}/{self._stamps[path][1]}"):
                raise PictureError(path, CRASHES)
        except OSError as error:
            self._check_folder()
            raise self._unwritable(error) from error
        grey = self._read(path)
        self._tries.over()
        return grey

    def _read(self, path: Path) -> Grey:
        try:
            return fit(load_picture(path), self._size)
        except PictureError:  # anything else ends this process, and the mark stays
            self._tries.over()
            raise

    def _waiting(self) -> list[Path]:
        """The files that have not changed since the last look, oldest first."""
        before, self._stamps = self._stamps, self._stamp()
        still = [path for path, stamp in self._stamps.items() if before.get(path) == stamp]
        return sorted(still, key=lambda path: (self._stamps[path][1], path.name))

    def _stamp(self) -> dict[Path, _Stamp]:
        stamps: dict[Path, _Stamp] = {}
        try:
            for path in self._folder.iterdir():
                if not path.name.startswith(".") and path.is_file():
                    stamps[path] = (path.stat().st_size, path.stat().st_mtime_ns)
        except FileNotFoundError:  # moved away between two calls; the next look follows in 40 ms
            self._check_folder()
        except OSError as error:
            what = f"The folder {self._folder} cannot be read ({error.strerror})."
            raise HardwareError("camera", what, "Let this account read it.", Step.RIGHTS) from error
        return stamps

    def _check_folder(self) -> None:
        if not self._folder.is_dir():
            what = f"The folder {self._folder} is gone, so there is no picture to look at."
            raise HardwareError("camera", what, "Create it again.", Step.CAMERA_FOLDER)

    def _move(self, path: Path, where: str) -> None:
        try:
            path.rename(_free_name(self._folder / where / path.name))
        except FileNotFoundError:
            return  # whoever put it there has taken it back
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> HardwareError:
        what = f"Pictures in {self._folder} cannot be moved away after they were shown ({error.strerror})."
        return HardwareError("camera", what, "Let this account write there.", Step.RIGHTS)


class FilesCamera:
    """Shows each picture of a list in one frame of its own size."""

    def __init__(self, spec: CameraSpec) -> None:
        self._files = deque(Path(name) for name in spec.files)
        self._size = spec.size

    def grab(self, timeout_s: float) -> Frame | None:
        """The next picture, at most `LONGEST_SIDE` pixels long; None after the last."""
        del timeout_s  # there is nothing to wait for
        if not self._files:
            return None
        path = self._files.popleft()
        try:
            grey = load_picture(path)
        except PictureError as error:
            return Frame(dark(self._size), file_url(path.name), refused=error.why)
        longest = max(grey.shape)
        return Frame(fit(grey, _within(grey)) if longest > LONGEST_SIDE else grey, file_url(path.name))

    def exhausted(self) -> bool:
        """Whether every picture was shown."""
        return not self._files

    def close(self) -> None:
        """Nothing to release."""


def _within(grey: Grey) -> tuple[int, int]:
    height, width = grey.shape
    scale = LONGEST_SIDE / max(grey.shape)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _settled(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > SETTLE_S
    except FileNotFoundError:
        return False


def _free_name(path: Path) -> Path:
    """`path`, with a number before its ending if it exists already: an earlier file is never replaced."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return free

"""Lets picamera2 run on libcamera's virtual camera, which lacks three things a Pi's has.

Loaded when Python starts, by a `.pth` file in the tree that `make pibox-camera` builds, so that
the camera's own process has it too; changes picamera2 once that is imported. Nothing of the
gate imports this, and the gate's code runs unchanged.
"""

from __future__ import annotations

import importlib.util
import mmap
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _AfterImport(MetaPathFinder):
    """Calls `_adapt` on picamera2's main module as soon as it has run."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "picamera2.picamera2":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _adapt(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _adapt(module: Any) -> None:
    from picamera2.allocators.allocator import Allocator, Sync
    from picamera2.allocators.libcameraallocator import LibcameraAllocator

    class Mapped(Sync):  # type: ignore[misc]
        """Maps a buffer by the lengths of its planes.

        picamera2's own maps what libcamera says is used of them. The virtual camera of libcamera
        0.4 says 0, which maps the file to the end of its last page, and that is no picture's size.
        """

        def __init__(self, _allocator: Any, buffer: Any, _write: bool) -> None:
            self._planes = buffer.planes

        def __enter__(self) -> mmap.mmap:
            self._memory = mmap.mmap(self._planes[0].fd, sum(plane.length for plane in self._planes))
            return self._memory

        def __exit__(self, *_: object) -> None:
            self._memory.close()

    class Exported(LibcameraAllocator):  # type: ignore[misc]
        """Buffers from libcamera itself: there is no dma heap here, from which a Pi takes them."""

        def __init__(self, camera: Any) -> None:
            super().__init__(camera)
            self.sync = Mapped

    made = module.Picamera2.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        self.allocator = Exported(self.camera)

    def raw_modes(self: Any) -> list[dict[str, Any]]:
        """One mode, the largest picture: the virtual camera has no raw ones to be listed."""
        largest = self.camera.generate_configuration([module.VIDEO]).at(0)
        return [{"format": str(largest.pixel_format), "size": (largest.size.width, largest.size.height)}]

    module.DmaAllocator = Allocator  # made once when opened and once when closed, and never asked
    module.Picamera2.__init__ = init
    module.Picamera2._get_raw_modes = raw_modes


sys.meta_path.insert(0, _AfterImport())

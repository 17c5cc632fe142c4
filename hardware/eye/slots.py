"""Memory shared with the child processes: a few slots, each large enough for one frame.

It has no name in the file system (`memfd_create`): however a process is killed, the kernel frees the memory
with the last process that has it open, and nothing is left to delete.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.decoder.picture_file import Grey


class Slots:
    """`count` slots of `size` bytes. The children get the maker's `fd`."""

    def __init__(self, fd: int, count: int, size: int) -> None:
        self.fd, self.count, self.size = fd, count, size
        self._memory = mmap.mmap(fd, count * size)

    @classmethod
    def make(cls, count: int, size: int) -> Slots:
        """Reserve the memory; only pages that are written to are used."""
        fd = os.memfd_create("maguey-frames")
        os.ftruncate(fd, count * size)
        return cls(fd, count, size)

    def holds(self, grey: Grey) -> bool:
        """Whether a frame is small enough for a slot."""
        return grey.size <= self.size

    def write(self, slot: int, grey: Grey) -> None:
        """Copy a frame into a slot."""
        self.view(slot, grey.shape[1], grey.shape[0])[:] = grey

    def view(self, slot: int, width: int, height: int) -> Grey:
        """The frame in a slot, not copied: valid until the slot is filled again."""
        import numpy as np  # here, because the door makes the slots without looking into them

        start = slot * self.size
        if not (0 <= slot < self.count and 0 < width * height <= self.size):
            raise ValueError(f"slot {slot} with {width}×{height} pixels")
        flat = np.frombuffer(self._memory, dtype=np.uint8, count=width * height, offset=start)
        return flat.reshape(height, width)

    def close(self) -> None:
        """Release the memory. Whoever made the slots has to call it."""
        self._memory.close()
        os.close(self.fd)

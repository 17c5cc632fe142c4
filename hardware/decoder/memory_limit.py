"""The memory of a process that runs native code on the pictures of strangers: its limit, and its reuse."""

from __future__ import annotations

import ctypes
import resource

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 32 * 1024 * 1024
"""Bytes. More than all the pictures that are made of one frame; glibc allows no larger threshold."""


def limit_memory(headroom_mb: int) -> None:
    """Let this process grow by at most `headroom_mb` from here on; 0: no limit.

    Beyond the limit Python raises `MemoryError`, and native code gets no memory: either way the child ends
    and is replaced, instead of starving the whole gate.
    """
    if headroom_mb:
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115, PTH123 – keeps pathlib out
        limit = pages * resource.getpagesize() + headroom_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def keep_freed_memory() -> None:
    """Keep what this process frees, for the next frame.

    By default glibc returns memory of a picture's size to the kernel at once. Getting it again, page by page,
    took three times as long as the arithmetic on it.
    """
    libc = ctypes.CDLL(None)
    for setting in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        libc.mallopt(setting, _KEPT)

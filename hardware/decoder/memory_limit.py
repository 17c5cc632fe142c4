"""Limits the memory of a process that runs native code on the pictures of strangers."""

from __future__ import annotations

import resource


def limit_memory(headroom_mb: int) -> None:
    """Let this process grow by at most `headroom_mb` from here on; 0: no limit.

    Beyond the limit Python raises `MemoryError`, and native code gets no memory: either way the child ends
    and is replaced, instead of starving the whole gate.
    """
    if headroom_mb:
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115, PTH123 – keeps pathlib out
        limit = pages * resource.getpagesize() + headroom_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

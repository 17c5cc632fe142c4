"""Reads types for the first time in several threads at once: ``python -m tests.unit.gate.common.first_use``.

A program of its own, because a library that cannot do this ends the process (msgspec 0.22 nearly always did).
"""

from __future__ import annotations

import sys
import threading
from typing import Annotated, Literal

import msgspec

TYPES, THREADS = 200, 6
_FIELDS = [f"field_{number}" for number in range(30)]
_RAW = msgspec.json.encode({"inner": dict.fromkeys(_FIELDS, 1), "others": []})


def _new_type(number: int) -> type[msgspec.Struct]:
    kinds = (Annotated[int, msgspec.Meta(ge=0)], int | None, Literal[1, 2])
    fields = [(name, kinds[place % 3]) for place, name in enumerate(_FIELDS)]
    inner = msgspec.defstruct(f"Inner{number}", fields)
    return msgspec.defstruct(f"Outer{number}", [("inner", inner), ("others", list[inner])])  # type: ignore[valid-type]


def _read_at_once(shape: type[msgspec.Struct]) -> int:
    """In how many threads it was read."""
    ready, read = threading.Barrier(THREADS), []

    def read_it() -> None:
        ready.wait()
        read.append(msgspec.json.decode(_RAW, type=shape))

    threads = [threading.Thread(target=read_it) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(read)


if __name__ == "__main__":
    sys.setswitchinterval(1e-6)
    sys.stdout.write(str(sum(_read_at_once(_new_type(number)) for number in range(TYPES))))

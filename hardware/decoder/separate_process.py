"""Reads one picture file in a separate process, so that a file can harm nothing but its own answer.

Pillow, zxing-cpp and zbar are native code, and a file may be made to crash them, to fill the memory or to
keep them busy. The process is forked, which takes milliseconds because the libraries are loaded already. Use
it in a process without threads.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from gate.common.foreign import UnreadableError, read_packed
from hardware.decoder.decode import Decoded, read_codes
from hardware.decoder.memory_limit import limit_memory
from hardware.decoder.picture_file import PictureError, load_picture

PATIENCE_S = 60.0
"""Longest time for one file. 40 megapixels without a code take some 3 s on a PC, 15 s on a Pi 4."""
HEADROOM_MB = 640
"""Most memory for one file: 40 megapixels take 200 MB as a picture, and 80 MB more to be searched."""
_LONGEST = 1024 * 1024


class _Refused(msgspec.Struct, tag=True):
    why: str


class _Read(msgspec.Struct, tag=True):
    decoded: Decoded


_answers = msgspec.msgpack.Decoder(_Refused | _Read)


def decode_apart(path: Path, patience_s: float = PATIENCE_S, headroom_mb: int = HEADROOM_MB) -> Decoded:
    """The codes in one picture file.

    :raises PictureError: it is not a picture, costs too much, or ended the process that read it.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_read, args=(path, theirs, patience_s, headroom_mb), daemon=True)
    child.start()
    theirs.close()
    try:
        packet = ours.recv_bytes(_LONGEST) if ours.poll(patience_s) else None
    except (EOFError, OSError):
        packet = b""
    finally:
        child.kill()
        child.join()
        ours.close()
    return answer_of(path, packet, child.exitcode)


def answer_of(path: Path, packet: bytes | None, status: int | None) -> Decoded:
    """What a process answered about a file before it ended.

    :param packet: its answer; None: none came in time; anything unreadable: it ended first.
    :param status: as `multiprocessing.Process.exitcode` has it.
    """
    if packet is None:
        raise PictureError(path, "it takes too long to read. Take a screenshot of it and try that.")
    try:
        answer: _Refused | _Read = read_packed(packet, _answers, limit=_LONGEST)
    except UnreadableError:
        how = signal.Signals(-status).name if status and status < 0 else f"status {status}"
        why = f"reading it ended the decoder ({how}): it may have been made to do that. Do not try it again."
        raise PictureError(path, why) from None
    if isinstance(answer, _Refused):
        raise PictureError(path, answer.why)
    return answer.decoded


def _read(path: Path, answer: Connection, patience_s: float, headroom_mb: int) -> None:
    """In the child. Anything raised here, other than a refusal, ends it without an answer."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(patience_s) + 1,) * 2)
    limit_memory(headroom_mb)
    try:
        found: _Refused | _Read = _Read(read_codes(load_picture(path)))
    except PictureError as error:
        found = _Refused(error.why)
    except MemoryError:
        found = _Refused("not enough memory to read it. Send a smaller picture.")
    answer.send_bytes(msgspec.msgpack.encode(found))
    os._exit(0)  # without cleaning up what is the parent's

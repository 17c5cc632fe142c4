"""The program of the two child processes: ``python -m hardware.child camera|decoder``.

They exist to be killed: the decoder is native code reading pictures of strangers, and a
camera driver may hang where no signal reaches it. A child answers its parent's requests
until the parent's end of the socket closes, and dies with the parent whatever happens.
Few imports, because its start is the time a guest waits after a crash.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys

import msgspec

from gate.errors import HardwareError
from hardware import messages as m

_PR_SET_PDEATHSIG = 1


class Assignment(msgspec.Struct, frozen=True):
    """What the parent starts a child with, as JSON in its standard input.

    `headroom_mb`: memory the child may use beyond what it has once its libraries are
    loaded, 0 for no limit. `camera`: a `CameraSpec`, for the camera child.
    """

    role: str
    parent: int
    socket_fd: int
    memory_fd: int
    slots: int
    slot_size: int
    headroom_mb: int = 0
    camera: msgspec.Raw = msgspec.Raw(b"null")


def main(told: bytes) -> int:
    """Run one child until its parent lets go of it; returns the exit status."""
    assignment = msgspec.json.decode(told, type=Assignment)
    _belong_to(assignment.parent)
    talk = socket.socket(fileno=assignment.socket_fd)
    try:
        _serve(assignment, talk)
    except HardwareError as error:
        said = str(error).removesuffix(" " + error.advice)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the parent may be gone by now
            talk.send(m.pack(m.Broken(error.part, said, error.advice, error.step)))
        return 3
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the parent is gone
    return 0


def _belong_to(parent: int) -> None:
    """Die with the parent; leave Ctrl-C and the service's stop to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def _serve(assignment: Assignment, talk: socket.socket) -> None:
    if assignment.role == "camera":
        from hardware.child_camera import serve
    else:
        from hardware.child_decoder import serve
    serve(assignment, talk)


def limit_memory(headroom_mb: int) -> None:
    """Let this process grow by at most `headroom_mb` from here on; 0: no limit.

    Beyond it Python raises `MemoryError` and native code gets no memory: either way the
    child ends and is replaced, instead of starving the whole gate.
    """
    if headroom_mb:
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115, PTH123 – keeps pathlib out
        limit = pages * resource.getpagesize() + headroom_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer.read()))

"""The program of the two child processes: ``python -m hardware.eye camera|decoder``.

They exist to be killed: the decoder is native code that reads the pictures of strangers, and a camera driver
may hang where no signal reaches it. A child answers its parent's requests until the parent's end of the
socket closes, and always dies with the parent. It imports little, because a guest waits for its start after
a crash.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys

import msgspec

from gate.common.errors import HardwareError
from hardware.eye import messages as m
from hardware.eye.assignment import Assignment

_PR_SET_PDEATHSIG = 1


def main(given: bytes) -> int:
    """Run one child until its parent closes the socket. Returns the exit status."""
    assignment = msgspec.json.decode(given, type=Assignment)
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
    """Die with the parent, and leave Ctrl-C and the end of the service to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def _serve(assignment: Assignment, talk: socket.socket) -> None:
    if assignment.role == "camera":
        from hardware.eye.camera_child import serve_camera

        serve_camera(assignment, talk)
    else:
        from hardware.eye.decoder_child import serve_decoder

        serve_decoder(assignment, talk)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer.read()))

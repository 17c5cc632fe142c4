"""Keeps one child process: starts it, asks it, replaces it.

A child is *starting* until it says `Ready`, then *idle*, or *busy* with one request. Starting and requests
have a deadline. A child that ends, misses a deadline or says that its device is broken is killed and
replaced. `hardware.eye.restarts` says how soon; the outage is logged when it begins and when it is over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from gate.common.errors import HardwareError, Step
from gate.common.foreign import UnreadableError
from gate.common.outage import Outage
from hardware.camera.spec import CameraSpec
from hardware.eye import messages as m
from hardware.eye.assignment import Assignment
from hardware.eye.restarts import SLOW_RETRY_S, RestartPolicy
from hardware.eye.slots import Slots

Role = Literal["camera", "decoder"]

START_S: dict[Role, float] = {"camera": 20.0, "decoder": 8.0}
"""How long a child may take to start. Importing picamera2 on a Zero 2 W takes longest; the decoder took 0.13
s, on a Zero 2 W 15 times as long."""

KILL_S = 0.5
"""How long to wait for a killed child; one that is stuck in a driver ends when the driver returns."""

_PROOF: dict[Role, tuple[int, int]] = {"camera": (3, 2), "decoder": (1, 3)}
"""For `RestartPolicy`. A frozen camera may give one picture when it is opened, so it takes three to prove
that it works, and a second process without one proves that it does not. A file may end the decoder twice,
because it is tried twice."""

_ROOT = Path(__file__).resolve().parents[2]
_HINTS: dict[Role, tuple[str, Step]] = {
    "camera": ("Check the camera's cable.", Step.CAMERA_CABLE),
    "decoder": ("Restart the gate.", Step.RESTART),
}

_log = structlog.get_logger()


class ChildKeeper:
    """Keeps one child of `role` alive. Belongs to one thread, the eye's."""

    def __init__(
        self,
        role: Role,
        slots: Slots,
        deadline_s: float,
        *,
        headroom_mb: int = 0,
        camera: CameraSpec | None = None,
    ) -> None:
        self.role: Role = role
        self.pid = 0
        self._slots, self._deadline_s = slots, deadline_s
        self._headroom_mb = headroom_mb
        self.camera = camera  # for the next process
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._due = 0.0  # when the awaited answer is due, or, without a child, the next start
        self._awaiting = False
        self._failures = RestartPolicy(*_PROOF[role])
        self._trouble: HardwareError | None = None
        self._outage = Outage(role)
        self._noted = ""

    @property
    def restarts(self) -> int:
        """How many children ended or were replaced."""
        return self._failures.count

    @property
    def is_idle(self) -> bool:
        """Whether a request may be sent."""
        return self._socket is not None and not self._awaiting

    @property
    def fileno(self) -> int | None:
        """What to wait on for an answer; None while there is no child."""
        return None if self._socket is None else self._socket.fileno()

    @property
    def wakes_at(self) -> float:
        """Monotonic seconds at which `tend` must be called even if nothing was heard."""
        return self._due if self._awaiting or self._socket is None else float("inf")

    def trouble(self) -> HardwareError | None:
        """What is broken; None while all is well, or while a replacement is starting."""
        return self._trouble

    def tend(self, now: float) -> None:
        """Start the child if it is time, replace it if it is overdue."""
        if now < self.wakes_at:
            return
        if self._socket is None:
            self._start(now)
        else:
            self.fail(f"did not answer within {self._deadline_s:g} s")

    def ask(self, request: m.Request) -> None:
        """Send a request to an idle child."""
        assert self._socket is not None and not self._awaiting
        self._await(time.monotonic() + self._deadline_s)
        try:
            self._socket.send(m.pack(request))
        except OSError:
            self._fail_ended()

    def hear(self) -> m.Captured | m.Read | None:
        """The answer that has arrived, if it is one to a request."""
        if self._socket is None:
            return None
        try:
            packet = self._socket.recv(m.LARGEST)
            answer = m.reply(packet) if packet else None
        except BlockingIOError:
            return None
        except (OSError, UnreadableError):
            answer = None
        return self._take(answer)

    def fail(self, why: str, error: HardwareError | None = None) -> None:
        """Replace the child soon. Trouble is reported only if that does not help.

        :param error: what to report then; by default, it is made from `why`.
        """
        keeps_failing = self._end()
        self._due = time.monotonic() + self._failures.retry_s
        self._report(why, (error or self._keeps_ending(why)) if keeps_failing else None)

    def fail_at_once(self, error: HardwareError) -> None:
        """Replace the child later, and report at once what a person has to fix."""
        self._end()
        self._due = time.monotonic() + SLOW_RETRY_S
        self._report(str(error), error)

    def _end(self) -> bool:
        self._drop()
        self._failures.ended(time.monotonic())
        return self._failures.keep_coming

    def _report(self, why: str, error: HardwareError | None) -> None:
        self._trouble = error or self._trouble
        if self._trouble is not None:
            self._outage.began(self._trouble)
        else:
            _log.warning(f"{self.role} replaced", reason=why, restarts=self.restarts)

    def delivered(self) -> None:
        """The child has done its work. Once it has done so often enough, whatever was wrong is over."""
        self._failures.delivered()
        if self._trouble is not None and self._failures.works:
            self._trouble = None
            self._failures.forget()
            self._outage.over()

    def release(self) -> None:
        """Close the socket, which makes the child close its device and end."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def stop(self, patience_s: float) -> None:
        """Wait for a released child to end, at most `patience_s`, then kill it."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        self._drop()

    def _start(self, now: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = self._spawn(theirs.fileno())
            except OSError as error:  # out of memory or processes
                ours.close()
                what = f"The {self.role}'s process cannot be started ({error.strerror})."
                self.fail_at_once(HardwareError(self.role, what, "Restart the gate.", Step.RESTART))
                return
        ours.setblocking(False)
        self._socket, self.pid = ours, self._process.pid
        self._await(now + START_S[self.role])

    def _spawn(self, socket_fd: int) -> subprocess.Popen[bytes]:
        assignment = Assignment(
            role=self.role,
            parent=os.getpid(),
            socket_fd=socket_fd,
            memory_fd=self._slots.fd,
            slots=self._slots.count,
            slot_size=self._slots.size,
            headroom_mb=self._headroom_mb,
            camera=msgspec.Raw(msgspec.json.encode(self.camera)),
        )
        with os.fdopen(os.memfd_create("maguey-assignment"), "w+b") as given:
            given.write(msgspec.json.encode(assignment))
            given.seek(0)
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "hardware.eye", self.role],
                pass_fds=(socket_fd, self._slots.fd),
                env=_environment(),
                stdin=given,  # a long list of pictures does not fit into an argument
                process_group=0,  # Ctrl-C in a terminal goes to the door alone, even while the child starts
            )

    def _await(self, due: float) -> None:
        self._due, self._awaiting = due, True

    def _take(self, answer: m.ChildReply | None) -> m.Captured | m.Read | None:
        match answer:
            case None:
                self._fail_ended()
            case m.Broken(part, message, advice, step):
                self.fail_at_once(HardwareError(part, message, advice, step))
            case m.Ready(note):
                self._awaiting = False
                self._note(note)
            case m.Captured() | m.Read():
                self._awaiting = False
                return answer
        return None

    def _note(self, note: str) -> None:
        if note and note != self._noted:
            _log.warning(f"{self.role} degraded", reason=note)
        self._noted = note

    def _fail_ended(self) -> None:
        self.fail(_how_it_ended(self._process))

    def _drop(self) -> None:
        self.release()
        self._awaiting = False
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_S)
            self._process = None

    def _keeps_ending(self, why: str) -> HardwareError:
        what = f"The {self.role} keeps failing ({why}), also after its process was replaced."
        return HardwareError(self.role, what, *_HINTS[self.role])


def _how_it_ended(process: subprocess.Popen[bytes] | None) -> str:
    """How a child ended whose socket closed. It may be about to end: a moment is enough to know."""
    if process is None:
        return "ended"
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(0.05)
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return "closed its socket"


def _environment() -> dict[str, str]:
    """This process's, so that the child finds the same packages; numpy's libraries get one thread."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}

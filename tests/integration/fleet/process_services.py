"""A service manager that works: real processes, readiness by datagram, restarts. For one service."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path

from fleet.release.services import ServiceError, UnitReading

NAME = "maguey-gate.service"


class ProcessServices:
    """Runs ``current/bin/maguey-gate run``.

    :param start_s: longest wait until it is ready.
    """

    def __init__(self, folder: Path, start_s: float) -> None:
        self._program = folder / "opt" / "current" / "bin" / "maguey-gate"
        self._memory = folder / "run" / "memory"
        self._notify = folder / "run" / "notify"
        self._start_s = start_s
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._spawn()

    def _spawn(self) -> None:
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(str(self._notify))
            heard.settimeout(self._start_s)
            environment = os.environ | {"NOTIFY_SOCKET": str(self._notify)}
            self._process = subprocess.Popen([self._program, "run"], env=environment)
            try:
                heard.recv(100)
            except TimeoutError:
                raise ServiceError(f"{NAME} did not get ready.") from None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.restarts = 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def units(self) -> tuple[UnitReading, ...]:
        if self._process is not None and self._process.poll() is not None:
            self.restarts += 1
            with contextlib.suppress(ServiceError):
                self._spawn()
        state = "active" if self.is_running else "failed"
        return (
            UnitReading(name=NAME, state=state, restarts=self.restarts, memory=int(self._memory.read_text())),
        )

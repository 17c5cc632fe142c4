"""Postgres' own programs, pg_dump and pg_restore, told where the database is without showing a password."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict

from hub.db.connection import conninfo
from hub.errors import HubError

_SERVICE = "maguey"
BY_SERVICE = f"--dbname=service={_SERVICE}"
"""The argument that names the database of `ClientPrograms`."""
_TOLD_BYTES = 4096


class ProgramError(HubError):
    """A program of Postgres failed or is missing."""


class ClientPrograms:
    """Starts Postgres' programs for one database.

    :param service_file: names it (libpq manual, 34.17), password included. Arguments and environment can be
        read by others on the machine, this file only by its owner.
    """

    def __init__(self, service_file: Path) -> None:
        self._environment = {**os.environ, "PGSERVICEFILE": str(service_file), "LC_MESSAGES": "C"}

    def start(
        self,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | int,
        stdout: IO[bytes] | int,
        errors: IO[bytes],
    ) -> subprocess.Popen[bytes]:
        """Start one.

        :param errors: a file that takes what it says.
        :raises ProgramError: it is not installed.
        """
        try:
            return subprocess.Popen(
                [program, *arguments], stdin=stdin, stdout=stdout, stderr=errors, env=self._environment
            )
        except FileNotFoundError:
            raise ProgramError(f"{program} is not installed: apt-get install postgresql-client.") from None


@contextlib.contextmanager
def client_programs(dsn: str) -> Iterator[ClientPrograms]:
    """Postgres' programs for the database of `dsn`, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="maguey-") as folder:
        file = Path(folder) / "service.conf"
        with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"[{_SERVICE}]\n")
            opened.writelines(f"{key}={value}\n" for key, value in conninfo_to_dict(conninfo(dsn)).items())
        yield ClientPrograms(file)


def feed_program(program: subprocess.Popen[bytes], source: IO[bytes]) -> None:
    """Hand it everything on its standard input, or as much as it reads before it ends."""
    assert program.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        shutil.copyfileobj(source, program.stdin)
    with contextlib.suppress(BrokenPipeError):
        program.stdin.close()


def await_end(program: subprocess.Popen[bytes], name: str, errors: IO[bytes]) -> None:
    """Wait for its end. Raises `ProgramError` with the end of what it said, if it failed."""
    if program.wait() == 0:
        return
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TOLD_BYTES))
    told = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    raise ProgramError(f"{name} failed: {_reason(told) or f'exit code {program.returncode}'}.")


def _reason(told: list[str]) -> str:
    """The line with the error itself, which others explain."""
    line = next((line for line in told if "error:" in line), told[-1] if told else "")
    reason = line.partition("error: ")[2] or line
    if "server version mismatch" in reason:
        return f"{reason}; install the client programs of the server's version"
    return reason.rstrip(".")

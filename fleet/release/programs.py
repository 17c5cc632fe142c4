"""Asks the programs of a release, old or new, from outside: what they print as JSON, in a bounded time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.errors import FleetError
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value

LONGEST_ANSWER = 16 * 1024 * 1024
WRONG_CONFIGURATION = 2
"""The exit code of every program for a call or a configuration it cannot use."""
_SAID = 300


class ProbeError(FleetError):
    """The program could not be asked, or did not answer in its time."""


class Answer(Value, frozen=True):
    """What a program said. `said`: the end of its error output, on one line."""

    code: int
    output: bytes
    said: str

    def json(self) -> Any:
        """Its output as JSON.

        :raises ProbeError: it is none.
        """
        try:
            return read_json(self.output, Any, limit=LONGEST_ANSWER)
        except UnreadableError as error:
            raise ProbeError(f"its answer cannot be read ({error}): {self.said or 'no word why'}") from None


def ask_program(program: Path, arguments: Sequence[str], limit_s: float, user: str | None = None) -> Answer:
    """Run a program and wait for its end.

    :param user: who runs it, if this process is root's and there is such a user.
    :raises ProbeError: it cannot be run, or takes longer.
    """
    try:
        done = subprocess.run(
            [str(program), *arguments], capture_output=True, timeout=limit_s, check=False,
            stdin=subprocess.DEVNULL, cwd="/", **_as(user),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ProbeError(f"{program.name} {arguments[0]} took longer than {limit_s:.0f} s") from None
    except OSError as error:
        raise ProbeError(f"{program}: {error.strerror}") from None
    said = " ".join(done.stderr.decode("utf-8", "replace").split())[-_SAID:]
    return Answer(code=done.returncode, output=done.stdout, said=said)


def _as(user: str | None) -> dict[str, Any]:
    if user is None or os.geteuid() != 0:
        return {}
    import grp
    import pwd

    try:
        groups = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
        main = grp.getgrgid(groups[0]).gr_gid
    except KeyError:
        return {}
    return {"user": user, "group": main, "extra_groups": groups, "umask": 0o007}

"""One machine: boots Debian with real systemd and sshd, loses its power, boots again."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.namespaces import run, within
from tests.patience import PATIENCE_S, until
from trees.control_groups import ControlGroup

USER = "ops"
"""Who logs in, with the club's key, and may use sudo without a password, as on a new Raspberry Pi OS."""
_UNTIL_HERE_ENDS = """
exec 3<&0
(read -r _ <&3; echo 1 >"$1/cgroup.kill") &
unshare --mount --pid --fork --mount-proc "$0" "$@" 3<&-
kill $!
"""
"""Ends the machine when its standard input ends, so when this process does."""


@dataclass
class Tree:
    """Made by `Club.machine`.

    :ivar name: the host's name.
    :ivar namespace: where its network is.
    :ivar place: `disk` in it has what the machine wrote; the rest of the machine lies below, shared.
    :ivar key: the private key of the laptop.
    """

    name: str
    address: str
    namespace: str
    club: str
    lower: Path
    place: Path
    key: Path
    known_hosts: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for folder in ("disk", "work", "root"):
            (self.place / folder).mkdir(parents=True)
        self.disk = self.place / "disk"
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        self._write("etc/machine-id", f"{secrets.token_hex(16)}\n")
        self._make_host_key()
        self._let_in(self.key.with_suffix(".pub").read_text())

    def boot(self) -> None:
        """Switch it on; returns when somebody can log in."""
        assert self._process is None, f"{self.name} is on"
        group = ControlGroup.make(self.name)
        self.group = group
        words: list[str | Path] = [
            group.path,
            self.lower / "root",
            self.place,
            self.namespace,
            self.name,
            self.lower / "debs",
        ]
        with (self.place / "console").open("ab") as console:
            self._process = subprocess.Popen(
                ["sh", "-c", _UNTIL_HERE_ENDS, Path(__file__).with_name("inside.sh"), *words],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
            )
        until(self._answers, lambda: f"{self.name} does not boot: {self.console()}")
        until(self._lets_in, lambda: f"{self.name} lets nobody in: {self.console()}")

    def ssh(self, command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """What a shell command of `USER` gave.

        :param given: its standard input.
        """
        options: list[str | Path] = [
            "-F",
            "none",
            "-i",
            self.key,
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
        ]
        strict = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"]
        return subprocess.run(
            ["ip", "netns", "exec", self.club, "ssh", *options, *strict, f"{USER}@{self.address}", command],
            input=given,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def root(self, command: str, given: bytes = b"") -> str:
        """The output of a shell command of root's, which succeeds."""
        done = self.ssh(f"sudo sh -c {_quoted(command)}", given)
        assert done.returncode == 0, (
            f"{self.name}: {command}: {done.returncode}: {done.stdout!r} {done.stderr!r}"
        )
        return done.stdout.decode()

    def hard_stop(self) -> None:
        """A power cut: every process is gone at once. What was written stays, as on an honest disk."""
        self._end()

    def stop(self) -> None:
        """An orderly shutdown, as `poweroff`."""
        (init,) = _children(_children(_children([self._pid()])))
        os.kill(init, signal.SIGRTMIN + 4)  # systemd(1): starts poweroff.target
        until(self.group.is_empty, lambda: f"{self.name} does not stop: {self.console()}")
        self._end()

    def journal(self, *options: str) -> str:
        """The text of systemd's journal, all boots, also of a machine that is off."""
        return run(
            "journalctl", f"--directory={self.disk / 'var/log/journal'}", "-o", "cat", "--no-pager", *options
        )

    def console(self) -> str:
        """What it printed while it booted."""
        return (self.place / "console").read_text(errors="replace")

    def remove(self) -> None:
        """Switch it off, if it is on."""
        if self._process is not None:
            self._end()

    def _end(self) -> None:
        assert self._process is not None, f"{self.name} is off"
        self.group.remove()
        self._process.communicate(timeout=PATIENCE_S)
        self._process = None

    def _pid(self) -> int:
        assert self._process is not None, f"{self.name} is off"
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: {self.console()}"
        with within(self.club):
            try:
                with socket.create_connection((self.address, 22), timeout=1) as sshd:
                    return sshd.recv(4) == b"SSH-"
            except OSError:
                return False

    def _lets_in(self) -> bool:
        return (
            self.ssh("true").returncode == 0
        )  # sshd answers before systemd lets users log in (pam_nologin(8))

    def _make_host_key(self) -> None:
        place = self.disk / "etc/ssh/ssh_host_ed25519_key"
        place.parent.mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(place))
        kind, key, _ = place.with_suffix(".pub").read_text().split()
        with self.known_hosts.open("a") as known:
            known.write(f"{self.address} {kind} {key}\n")

    def _let_in(self, key: str) -> None:
        owner = (self.lower / "root/home" / USER).stat()
        place = self.disk / "home" / USER / ".ssh"
        self._write(f"home/{USER}/.ssh/authorized_keys", key)
        for path in (place.parent, place, place / "authorized_keys"):
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o600 if path.is_file() else 0o700)

    def _write(self, name: str, text: str) -> None:
        place = self.disk / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def _children(of: list[int]) -> list[int]:
    found = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in of]
    return [int(pid) for one in found for pid in one]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

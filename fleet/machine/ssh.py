"""One machine over SSH: commands as root, each with a deadline, and what they said, bounded.

What a command is given travels on its standard input: an argument can be read by everybody on the machine.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from fleet.errors import FleetError
from fleet.inventory.file import MachineLogin
from gate.common.value import Value

CONNECT_S = 15.0
COMMAND_S = 60.0
MOST_SAID = 1024 * 1024
"""Bytes of each output that are kept; the rest is read and dropped."""
_CHUNK = 32 * 1024
_TURN_S = 0.2
_LAST_LINES = 5
_KNOWING = threading.Lock()
"""Several machines are set up at once, and all of their keys are in one file."""


class MachineError(FleetError):
    """A machine cannot be reached, or did not do what it was told. Run again, it goes on where it stopped."""


class Ran(Value, frozen=True):
    """How a command ended. `out`, `err`: their first MiB."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last lines of what it said."""
        return "\n".join((self.err.strip() or self.out.strip()).splitlines()[-_LAST_LINES:])


class RootShell(Protocol):
    """A machine that runs shell commands as root."""

    name: str
    host_key: str
    """Its SSH host key, as ``SHA256:…`` (`ssh-keygen -l`)."""

    def run(self, command: str, given: bytes = b"", limit_s: float = COMMAND_S) -> Ran:
        """Run a shell command, whatever its code.

        :param given: its standard input; the only place for a secret.
        :raises MachineError: the connection broke, or it takes longer than `limit_s`.
        """
        ...


@contextlib.contextmanager
def open_machine(login: MachineLogin, known_hosts: Path, key: Path | None = None) -> Iterator[SshMachine]:
    """Connect, and make sure that commands run as root.

    A machine that is met for the first time is remembered in `known_hosts`; one with another key is refused.

    :param key: a private key; None: those of the SSH agent and of ~/.ssh.
    :raises MachineError: in words, whatever the cause.
    """
    client = paramiko.SSHClient()
    try:
        with _in_words(login):
            _know(client, known_hosts)
            client.connect(
                login.address,
                port=login.port,
                username=login.user,
                pkey=_private_key(key) if key else None,
                allow_agent=key is None,
                look_for_keys=key is None,
                timeout=CONNECT_S,
                banner_timeout=CONNECT_S,
                auth_timeout=CONNECT_S,
            )
        machine = SshMachine(login, client)
        machine.become_root()
        yield machine
    finally:
        client.close()


class SshMachine:
    """Use `open_machine`."""

    def __init__(self, login: MachineLogin, client: paramiko.SSHClient) -> None:
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(10)
        self._transport = transport
        self._login = login
        self.name = login.name
        self.host_key = _fingerprint(transport.get_remote_server_key())

    def become_root(self) -> None:
        """Raises `MachineError` if this user may not."""
        ran = self.run("id -u", limit_s=CONNECT_S)
        if ran.code != 0 or ran.out.strip() != "0":
            user = self._login.user
            raise MachineError(
                f"{self.name}: {user} may not use sudo without a password. On the machine, as root: "
                f"echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/010_{user}"
            )

    def run(self, command: str, given: bytes = b"", limit_s: float = COMMAND_S) -> Ran:
        """See `RootShell.run`."""
        prefix = "" if self._login.user == "root" else "sudo -n "
        with self._unbroken():
            channel = self._transport.open_session(timeout=CONNECT_S)
            with contextlib.closing(channel):
                channel.exec_command(f"{prefix}sh -c {shlex.quote(command)}")
                return _Talk(channel, given, time.monotonic() + limit_s).finish(self.name, limit_s)

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException):
            raise MachineError(
                f"{self.name}: the connection broke. What was begun there may go on. Run this again: it goes "
                "on where it stopped."
            ) from None


class _Talk:
    """One command: gives it its input while reading what it says, so that neither waits for the other."""

    def __init__(self, channel: paramiko.Channel, given: bytes, deadline: float) -> None:
        self._channel = channel
        self._given = given
        self._deadline = deadline
        self._out, self._err = bytearray(), bytearray()

    def finish(self, name: str, limit_s: float) -> Ran:
        giver = threading.Thread(target=self._give, daemon=True)
        giver.start()
        listener = threading.Thread(
            target=self._listen, args=(self._channel.recv_stderr, self._err), daemon=True
        )
        listener.start()
        self._listen(self._channel.recv, self._out)
        listener.join(max(0.0, self._deadline - time.monotonic()))
        if not self._channel.status_event.wait(max(0.0, self._deadline - time.monotonic())):
            raise MachineError(
                f"{name}: a command did not end within {limit_s:.0f} s. What was begun there may go on. Look "
                "at the machine, then run this again: it goes on where it stopped."
            )
        if self._channel.exit_status < 0:
            raise EOFError
        return Ran(code=self._channel.exit_status, out=_text(self._out), err=_text(self._err))

    def _give(self) -> None:
        """A command that ends without reading all of it has said why."""
        with contextlib.suppress(OSError):
            for start in range(0, len(self._given), _CHUNK):
                self._channel.sendall(self._given[start : start + _CHUNK])
            self._channel.shutdown_write()

    def _listen(self, receive: object, kept: bytearray) -> None:
        assert callable(receive)
        self._channel.settimeout(_TURN_S)
        while time.monotonic() < self._deadline:
            try:
                said = receive(_CHUNK)
            except TimeoutError:
                continue
            if not said:
                return
            kept += said[: MOST_SAID - len(kept)]


@contextlib.contextmanager
def _in_words(login: MachineLogin) -> Iterator[None]:
    """Why nobody could log in."""
    who, place = login.name, f"{login.address} port {login.port}"
    try:
        yield
    except paramiko.BadHostKeyException as error:
        raise MachineError(
            f"{who}: the machine at {place} has another key than before: {_fingerprint(error.key)}. It has a "
            "new card, or it is another machine that answers in its place. If you put in a new card: "
            f"ssh-keygen -f known_hosts -R '{_known_as(login)}'"
        ) from None
    except paramiko.AuthenticationException:
        raise MachineError(
            f"{who}: {place} does not let {login.user} in with your key. Is it the key of its card, and the "
            "user of the inventory? Try: ssh-add -l"
        ) from None
    except socket.gaierror:
        raise MachineError(f"{who}: nobody knows the name {login.address}. Give an address.") from None
    except (paramiko.SSHException, EOFError) as error:
        why = str(error)[:200]
        raise MachineError(f"{who}: {place} answers, but not as an SSH server does: {why}.") from None
    except OSError as error:
        why = str(error.strerror or error)[:200]
        raise MachineError(
            f"{who}: nobody answers at {place} ({why}). Is it on, and on this network? A new card takes "
            "some minutes for its first boot."
        ) from None


class _Remember(paramiko.MissingHostKeyPolicy):
    """Keeps the key of a machine that is met for the first time."""

    def __init__(self, known_hosts: Path) -> None:
        self._file = known_hosts

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        line = f"{hostname} {key.get_name()} {key.get_base64()}\n"
        with _KNOWING, self._file.open("a", encoding="utf-8") as file:
            file.write(line)


def _private_key(file: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(file.expanduser())
    except (paramiko.PasswordRequiredException, TypeError):
        raise MachineError(f"{file}: has a passphrase. Call ssh-add {file}, and leave out --key.") from None
    except OSError as error:
        raise MachineError(f"{file}: {error.strerror}. Name your private key with --key FILE.") from None
    except (paramiko.SSHException, ValueError, UnsupportedAlgorithm):
        raise MachineError(f"{file}: no private key for SSH. Name another with --key FILE.") from None


def _know(client: paramiko.SSHClient, known_hosts: Path) -> None:
    with _KNOWING:
        if known_hosts.exists():
            client.load_host_keys(str(known_hosts))
    client.set_missing_host_key_policy(_Remember(known_hosts))


def _known_as(login: MachineLogin) -> str:
    """sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    return login.address if login.port == paramiko.config.SSH_PORT else f"[{login.address}]:{login.port}"


def _fingerprint(key: paramiko.PKey) -> str:
    digest = hashlib.sha256(key.asbytes()).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _text(said: bytearray) -> str:
    return said.decode("utf-8", "replace")

"""An SSH server on a private port that really runs commands, as the user of the tests."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from tests.patience import PATIENCE_S


@dataclass
class SshServer(paramiko.ServerInterface):
    """Lets in whoever has `key`. `sudo`: what is put before a command instead of ``sudo -n``."""

    key: paramiko.PKey
    host_key: paramiko.PKey
    sudo: str = ""
    port: int = 0
    cut: bool = False

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        return AUTH_SUCCESSFUL if key == self.key else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        words = self.sudo + command.removeprefix("sudo -n ")
        given = channel.makefile("rb").read() if "cat" in command else b""
        if self.cut:
            channel.get_transport().close()
            return
        done = subprocess.run(words, shell=True, input=given, capture_output=True, check=False)
        with contextlib.suppress(OSError):
            channel.sendall(done.stdout)
            channel.sendall_stderr(done.stderr)
            channel.send_exit_status(done.returncode)
            channel.close()


@contextlib.contextmanager
def serving(server: SshServer) -> Iterator[SshServer]:
    """Answer on a port of 127.0.0.1, which is then in the server."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE_S)
    server.port = listener.getsockname()[1]
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                transport = paramiko.Transport(listener.accept()[0])
                transports.append(transport)
                transport.add_server_key(server.host_key)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=server)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()

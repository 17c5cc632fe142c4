"""Reports the state of a service to systemd: `sd_notify(3)`, one datagram per message.

Used by both services. Without `NOTIFY_SOCKET` (started by hand, in a test) it is silent. It
never waits and never raises: a message that systemd does not accept is dropped.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from gate.common.outage import Outage

_DATAGRAM_LIMIT = 1024
"""Longest `STATUS=` sent, in bytes; `systemctl status` shows one line."""


class Notifier:
    """One service's connection to systemd.

    :param address: `NOTIFY_SOCKET`: a path, or ``@`` and a name in the abstract namespace; empty if there
        is no systemd.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._outage = Outage("systemd notification")

    def ready(self) -> bool:
        """The service is ready. False if that could not be sent: call again."""
        return self._tell("READY=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        line = " ".join(text.split()).encode()[:_DATAGRAM_LIMIT].decode("utf-8", "ignore")
        return self._tell(f"STATUS={line}")

    def watchdog(self) -> bool:
        """Still alive. If this does not come for `WatchdogSec`, systemd restarts the service."""
        return self._tell("WATCHDOG=1")

    def stopping(self) -> bool:
        """The service is about to end."""
        return self._tell("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, message: str) -> bool:
        if not self._address:
            return True
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto(message.encode(), self._address)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            self._outage.began(f"{error}. systemd may restart this service; look at NotifyAccess=.")
            return False
        self._outage.over()
        return True


def watchdog_ms(environ: Mapping[str, str], pid: int) -> int | None:
    """The longest interval between two `WATCHDOG=1` that systemd accepts, in ms; None without a watchdog.

    :param environ: holds `WATCHDOG_USEC` in microseconds, and maybe `WATCHDOG_PID`, the process it is for.
    :param pid: this process.
    """
    wanted = environ.get("WATCHDOG_USEC", "")
    meant_pid = environ.get("WATCHDOG_PID", str(pid))
    if not (wanted.isdecimal() and int(wanted) > 0) or meant_pid != str(pid):
        return None
    return max(1, int(wanted) // 1000)

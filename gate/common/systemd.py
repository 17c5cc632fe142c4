"""Tells systemd how the service is: `sd_notify(3)`, one datagram a message.

Used by both services. Without `NOTIFY_SOCKET` (started by hand, in a test) it is silent. It
never waits and never raises: a system manager that does not take a message costs the message.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from gate.common.outage import Outage

_DATAGRAM_LIMIT = 1024
"""Longest `STATUS=` sent, in bytes; `systemctl status` shows one line."""


class Notifier:
    """One service's way to tell.

    :param address: what `NOTIFY_SOCKET` says: a path, or a name in the abstract namespace after
        an ``@``; empty: there is nobody to tell.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._outage = Outage("telling systemd")

    def ready(self) -> bool:
        """The service does its work from now on. False if it could not be told: tell again."""
        return self._tell("READY=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        line = " ".join(text.split()).encode()[:_DATAGRAM_LIMIT].decode("utf-8", "ignore")
        return self._tell(f"STATUS={line}")

    def watchdog(self) -> bool:
        """Still alive; without it for `WatchdogSec` systemd starts the service anew."""
        return self._tell("WATCHDOG=1")

    def stopping(self) -> bool:
        """The service is putting itself to rest."""
        return self._tell("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket."""
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
            self._outage.began(f"{error}. systemd may start this service anew; look at NotifyAccess=.")
            return False
        self._outage.over()
        return True


def watchdog_ms(environ: Mapping[str, str], pid: int) -> int | None:
    """How often at least systemd wants to hear `WATCHDOG=1`, in ms; None if it does not.

    :param environ: `WATCHDOG_USEC` in microseconds; `WATCHDOG_PID`, if there, is whom it means.
    :param pid: this process.
    """
    wanted = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(pid))
    if not (wanted.isdecimal() and int(wanted) > 0) or meant != str(pid):
        return None
    return max(1, int(wanted) // 1000)

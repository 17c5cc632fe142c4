"""HTTP to the hub, with every byte counted (`sync.feed.transfer_meter`).

It follows no redirect, keeps no cookie, and takes no proxy or password from the environment: requests would
read the whole body of a redirect before it looks at the target, and collect cookies for ever.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.retry import Retry

from sync.feed.transfer_meter import TransferMeter

CONNECT_S = 3.0
"""Time to connect to one address."""
MOST_ADDRESSES = 4
"""Addresses of the hub's name that are tried."""
RETRY = Retry(
    total=2,
    backoff_factor=0.2,
    status_forcelist=(502, 503, 504),
    allowed_methods=("GET",),
    respect_retry_after_header=False,  # it could block everything else for hours
)


class HubSession(requests.Session):
    """One gate's HTTP session with the hub.

    :param meter: counts all traffic.
    """

    def __init__(self, meter: TransferMeter) -> None:
        super().__init__()
        self._meter = meter
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.mount("http://", _Adapter(meter))

    def check_with(self, checks: ssl.SSLContext) -> None:
        """Verify the hub over https with this context, from the next connection on."""
        self.mount("https://", _Adapter(self._meter, checks))

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 – none is followed
        """None: no redirect is followed."""
        return None


class _Adapter(HTTPAdapter):
    def __init__(self, meter: TransferMeter, checks: ssl.SSLContext | None = None) -> None:
        self._meter = meter
        self._checks = checks
        super().__init__(max_retries=RETRY)

    def init_poolmanager(self, *args: Any, **others: Any) -> None:
        """See `HTTPAdapter`."""
        if self._checks is not None:
            self._checks.sslsocket_class = type("_Counted", (_Safe,), {"meter": self._meter})
            others["ssl_context"] = self._checks
        super().init_poolmanager(*args, **others)
        self.poolmanager.pool_classes_by_scheme = _pools(self._meter)


class _Plain(socket.socket):
    """A socket whose traffic is counted."""

    meter: TransferMeter

    def recv_into(self, *args: Any, **others: Any) -> int:
        """As `socket.recv_into`; raises `TransferLimitError` as well."""
        with _in_time(self, self.meter):
            count = super().recv_into(*args, **others)
        self.meter.arrived(count)
        return count


class _Safe(ssl.SSLSocket):
    """The same over TLS. Counts decrypted bytes; a handshake has the time-out of a connection."""

    meter: TransferMeter

    def recv_into(self, *args: Any, **others: Any) -> int:
        """As `SSLSocket.recv_into`; raises `TransferLimitError` as well."""
        with _in_time(self, self.meter):
            count = super().recv_into(*args, **others)
        self.meter.arrived(count)
        return count


@contextlib.contextmanager
def _in_time(line: socket.socket, meter: TransferMeter) -> Iterator[None]:
    """One read, within its own time-out and the meter's."""
    wanted, left = line.gettimeout(), meter.left()
    line.settimeout(left if wanted is None else min(wanted, left))
    try:
        yield
    finally:
        line.settimeout(wanted)


def _pools(meter: TransferMeter) -> dict[str, type[HTTPConnectionPool]]:
    """The pools from which urllib3 takes connections."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, meter)

    class Safe(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, meter)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SafePool(HTTPSConnectionPool):
        ConnectionCls = Safe

    return {"http": PlainPool, "https": SafePool}


def _connect(wanted: HTTPConnection, meter: TransferMeter) -> socket.socket:
    try:
        return _dial(wanted.host, wanted.port or wanted.default_port, meter)
    except OSError as error:
        raise NewConnectionError(wanted, str(error)) from error


def _dial(host: str, port: int, meter: TransferMeter) -> socket.socket:
    """A counted connection to the first address that accepts. Raises `OSError`, `TransferLimitError`."""
    with meter.looking_up():
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    failed = OSError("its name has no address")
    for family, kind, protocol, _, address in found[:MOST_ADDRESSES]:
        with contextlib.ExitStack() as closing:
            line = closing.enter_context(_Plain(family, kind, protocol))
            line.meter = meter
            line.settimeout(min(CONNECT_S, meter.left()))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                line.connect(address)
            except OSError as error:
                failed = error
            else:
                closing.pop_all()
                return line
    raise failed

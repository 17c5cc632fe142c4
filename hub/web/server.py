"""The hub's web server: uvicorn, with a deadline for everything a stranger can make it wait for (protocol
4.5).

uvicorn only ends connections that are silent between two requests. Here a connection has a deadline for each
phase: the head of a request, its body, the answer. A byte now and then does not extend it.
`hub.web.connection_slots` limits connections, `hub.web.request_limits` requests.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gate.common.seldom import Seldom
from hub.config import Web
from hub.web.connection_slots import ConnectionOwner, ConnectionSlots
from hub.web.library_logs import SeldomHandler
from hub.web.minute_limits import network_of

BACKLOG = 64
"""Accepted at once by the system before any can be closed: open files besides
`hub.web.connection_slots.MOST`."""
KEEP_ALIVE_S = 5
HEAD_BYTES = 16 * 1024
HANDSHAKE_S = 10.0
"""Time for TLS; until then a connection has no deadline of ours."""

_log = structlog.get_logger()


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds, and bytes of a request, after which a connection is ended.

    `head`: from the connection to the end of the first request's head. `body`: to the end of its body.
    `answer`: to the end of the answer; a gate resumes a long download on another connection. `next`: from
    there to the end of the next request's head, with the rest of the answer read. `stall`: without room for
    more of the answer; a client that reads takes 48 KiB in that time.
    """

    head: float = 10.0
    body: float = 15.0
    answer: float = 600.0
    next: float = 60.0
    stall: float = 30.0
    request_bytes: int = 1024 * 1024


class HttpConnection(H11Protocol):
    """uvicorn's connection, with deadlines.

    :param connections: all open ones.
    :param proxies: those believed when they say whom they ask for.
    """

    def __init__(
        self,
        *args: Any,
        connections: ConnectionSlots[HttpConnection],
        deadlines: Deadlines,
        proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network],
        seldom: Seldom,
        **others: Any,
    ) -> None:
        super().__init__(*args, **others)
        self._connections, self._deadlines = connections, deadlines
        self._proxies, self._seldom = proxies, seldom
        self.app_state = {**self.app_state, "connection": self}
        self._phase: tuple[str, object] = ("", None)
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    # --- its owner ---

    def identify(self, gate_id: str) -> None:
        """A request on it showed this gate's token."""
        _close_for_another(self._connections.identify(self, gate_id))

    def _owner(self) -> ConnectionOwner:
        address = self.client[0] if self.client else ""
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return ConnectionOwner("address", address)
        is_proxy = any(known in network for network in self._proxies)
        return ConnectionOwner("proxy" if is_proxy else "address", network_of(address))

    # --- its deadlines ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._set_deadline()
        _close_for_another(self._connections.add(self, self._owner()))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += len(data)
        if self._received > self._deadlines.request_bytes:
            self.drop("its request was too long")
            return
        super().data_received(data)

    def handle_events(self) -> None:
        """As uvicorn's: parses what was received."""
        super().handle_events()
        self._set_deadline()

    def on_response_complete(self) -> None:
        """As uvicorn's: the answer was handed over, but not yet read."""
        super().on_response_complete()
        self._set_deadline()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(self._deadlines.stall, self.drop, "it did not read its answer")

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        _cancel(self._stall)
        self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._connections.remove(self)
        _cancel(self._deadline)
        _cancel(self._stall)

    def drop(self, why: str) -> None:
        """End it, whatever is under way."""
        self._connections.remove(self)
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._seldom.say(_log.info, f"connection ended: {why}")
        self.transport.abort()

    def _set_deadline(self) -> None:
        """When the phase changes, the deadline starts again."""
        waits_for = self._waits_for()
        if (waits_for, self.cycle) == self._phase:
            return
        self._phase = waits_for, self.cycle
        if waits_for in ("head", "next"):
            self._received = 0
        _cancel(self._deadline)
        seconds: float = getattr(self._deadlines, waits_for)
        self._deadline = self.loop.call_later(seconds, self.drop, f"too long for the {waits_for}")

    def _waits_for(self) -> str:
        if self.cycle is None:
            return "head"
        if self.cycle.response_complete:
            return "next"
        return "body" if self.cycle.more_body else "answer"


def _close_for_another(connection: HttpConnection | None) -> None:
    if connection is not None:
        connection.drop("there were too many, and it was the oldest")


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def server_config(
    app: Any,
    place: Web,
    seldom: Seldom,
    connections: ConnectionSlots[HttpConnection] | None = None,
    deadlines: Deadlines | None = None,
) -> uvicorn.Config:
    """uvicorn's configuration.

    :param seldom: takes the log lines that anybody can cause: everything uvicorn and asyncio log.
    """
    made = functools.partial(
        HttpConnection,
        connections=ConnectionSlots() if connections is None else connections,
        deadlines=deadlines or Deadlines(),
        proxies=[ipaddress.ip_network(proxy) for proxy in place.proxies],
        seldom=seldom,
    )
    config = uvicorn.Config(
        app,
        host=place.host,
        port=place.port_used,
        ssl_certfile=place.cert_file,
        ssl_keyfile=place.key_file,
        http=made,  # type: ignore[arg-type]  # called as the class would be
        ws="none",
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=HEAD_BYTES,
        forwarded_allow_ips=list(place.proxies),
        server_header=False,
    )
    _log_seldom(seldom)
    return config


def _log_seldom(seldom: Seldom) -> None:
    """Also for what uvicorn and asyncio log, of which a stranger can cause any number."""
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [SeldomHandler(seldom)]
        logger.propagate = False

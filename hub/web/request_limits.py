"""How many requests are answered for each gate and each address (protocol 4.4, 4.5), around the application.

A request with a gate's token counts for that gate, which has a limit of its own. All others are a stranger's,
and count for their address: 20 a minute that show a token, a wrong one included, or pay; and 200 of the
others. Beyond that the answer is 429, without asking the database. A gate behind an address that has used up
its limit is still recognised, by the hashes of all tokens, which are read at most every `TOKENS_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.path import normalize_path

from hub.web.minute_limits import MinuteLimits, network_of

PAY_OR_SHOW_PER_MINUTE = 20
READS_PER_MINUTE = 200
GATE_PER_MINUTE = 600
"""A gate asks for its configuration once a minute, and for changes when it is behind."""
TOKENS_S = 5.0
"""A newly enrolled gate behind an address that has used up its limit waits at most so long."""
_GATES, _WEBHOOKS, _METRICS = "/api/gates/", "/api/webhooks/", "/metrics/"
_READING = ("GET", "HEAD", "OPTIONS")

Hashes = Callable[[], dict[str, str]]
"""Reads the SHA-256 of every gate's token, by gate. May be slow, and may raise anything."""


class Visit:
    """One request, as its handler sees it. From any thread.

    :param identify: takes the gate whose token was shown; returns the seconds it has to wait, or 0.
    """

    def __init__(self, identify: Callable[[str], float]) -> None:
        self._identify = identify
        self.gate: str | None = None
        """The gate whose token was shown."""

    def identify(self, gate_id: str) -> float:
        """The request showed this gate's token. Returns the seconds it has to wait, or 0."""
        self.gate = gate_id
        return self._identify(gate_id)


def identify_gate(state: dict[str, Any], gate_id: str) -> float:
    """For the handler of a gate's request: see `Visit.identify`. 0 without `RequestLimits`."""
    visit = state.get("visit")
    return visit.identify(gate_id) if isinstance(visit, Visit) else 0.0


class RequestLimits:
    """An ASGI application around another.

    :param hashes: reads the tokens there are.
    :param clock: seconds, of any origin.
    """

    def __init__(self, app: ASGIApp, hashes: Hashes, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._tokens = _Tokens(hashes, clock)
        self._clock = clock
        self._pay_or_show = MinuteLimits(PAY_OR_SHOW_PER_MINUTE)
        self._reads = MinuteLimits(READS_PER_MINUTE)
        self._gates = MinuteLimits(GATE_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification, 3.0."""
        limits = self._limits(scope)
        if limits is None:
            await self._app(scope, receive, send)
            return
        who = network_of((scope.get("client") or ("", 0))[0])
        wait = limits.take(who, self._clock())
        if wait and not await self._is_gate(scope):
            await _refuse(send, wait)
            return
        visit = Visit(self._identifier(scope))
        scope["state"] = {**scope.get("state", {}), "visit": visit}
        await self._app(scope, receive, send if wait else _CountedSend(send, visit, limits, who))

    def _limits(self, scope: Any) -> MinuteLimits | None:
        """What limits this request; None if nothing does."""
        if scope["type"] != "http":
            return None
        path = _as_routed(scope)
        if path.startswith(_WEBHOOKS):
            return None
        is_reading = scope["method"] in _READING and not path.startswith((_GATES, _METRICS))
        return self._reads if is_reading else self._pay_or_show

    async def _is_gate(self, scope: Any) -> bool:
        path = _as_routed(scope)
        if not path.startswith(_GATES):
            return False
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = shown.partition(b" ")
        return scheme.lower() == b"bearer" and await self._tokens.has(path.split("/")[3], token)

    def _identifier(self, scope: Any) -> Callable[[str], float]:
        loop = asyncio.get_running_loop()
        connection = scope.get("state", {}).get("connection")

        def identify(gate_id: str) -> float:
            if connection is not None:
                loop.call_soon_threadsafe(connection.identify, gate_id)
            return self._gates.take(gate_id, self._clock())

        return identify


def _as_routed(scope: Any) -> str:
    """The path as the application sees it, ending in a slash: doubled slashes lead to the same place."""
    return normalize_path(scope["path"]).rstrip("/") + "/"


class _CountedSend:
    """Does not count a request after all, if it was a gate's or the hub itself failed."""

    def __init__(self, send: Send, visit: Visit, limits: MinuteLimits, who: str) -> None:
        self._send = send
        self._visit = visit
        self._limits = limits
        self._who = who

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_free(message["status"]):
            self._limits.give_back(self._who)
        await self._send(message)

    def _is_free(self, status: int) -> bool:
        return self._visit.gate is not None or status >= 500


class _Tokens:
    """The hashes of the gates' tokens, so that a wrong token costs no query."""

    def __init__(self, hashes: Hashes, clock: Callable[[], float]) -> None:
        self._hashes = hashes
        self._clock = clock
        self._known: dict[str, str] = {}
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    async def has(self, gate_id: str, token: bytes) -> bool:
        async with self._reading:
            if self._clock() - self._read_at >= TOKENS_S:
                self._read_at = self._clock()
                await asyncio.to_thread(self._read)
        given = hashlib.sha256(token).hexdigest()
        return hmac.compare_digest(given, self._known.get(gate_id, ""))

    def _read(self) -> None:
        with contextlib.suppress(Exception):  # Postgres is away, which other requests log; the old ones stay
            self._known = self._hashes()


async def _refuse(send: Send, wait: float) -> None:
    seconds = math.ceil(wait)
    detail = f"Too many requests from this address. Ask again in {seconds} s."
    problem = {"type": "about:blank", "title": "Too many requests", "status": 429, "detail": detail}
    body = msgspec.json.encode(problem)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % seconds),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

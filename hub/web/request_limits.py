"""How many requests of whom are answered (protocol 4.4, 4.5), around the application.

Who shows a gate's right token is that gate, and counts as nobody else; it has a budget of its own. All others
are strangers, and count by the address they come from: 20 a minute of what says who somebody is or pays, a
wrong token among them, and 200 of the rest. Beyond that the answer is 429, without a look at the database. A
gate behind an address that has used up its share is still known: by the hashes of all tokens, read at most
every `TOKENS_S`.
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
"""A gate asks for its configuration once a minute, and for the list when it is behind."""
TOKENS_S = 5.0
"""A gate that enrolled just now, behind an address that is used up, waits so long."""
_GATES, _WEBHOOKS = "/api/gates/", "/api/webhooks/"
_READING = ("GET", "HEAD", "OPTIONS")

Hashes = Callable[[], dict[str, str]]
"""Reads the SHA-256 of every gate's token, by gate. Takes its time, and raises what it likes."""


class Visit:
    """One request, as its handler sees it. From any thread.

    :param show: says whose token was shown; answers in how many seconds the gate may ask, 0: now.
    """

    def __init__(self, show: Callable[[str], float]) -> None:
        self._show = show
        self.gate: str | None = None
        """The gate whose right token was shown."""

    def showed(self, gate_id: str) -> float:
        """The request showed this gate's right token. In how many seconds it may ask; 0: now."""
        self.gate = gate_id
        return self._show(gate_id)


def wait_of(state: dict[str, Any], gate_id: str) -> float:
    """What the handler of a gate's request has to say: see `Visit.showed`. 0 where nobody counts."""
    visit = state.get("visit")
    return visit.showed(gate_id) if isinstance(visit, Visit) else 0.0


class RequestLimits:
    """An ASGI application around another.

    :param hashes: the tokens there are.
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
        rates = self._rates(scope)
        if rates is None:
            await self._app(scope, receive, send)
            return
        who = network_of((scope.get("client") or ("", 0))[0])
        wait = rates.take(who, self._clock())
        if wait and not await self._is_gate(scope):
            await _refuse(send, wait)
            return
        visit = Visit(self._shower(scope))
        scope["state"] = {**scope.get("state", {}), "visit": visit}
        await self._app(scope, receive, send if wait else _Counting(send, visit, rates, who))

    def _rates(self, scope: Any) -> MinuteLimits | None:
        """What counts the request; None: nothing does."""
        if scope["type"] != "http":
            return None
        path = _as_routed(scope)
        if path.startswith(_WEBHOOKS):
            return None
        is_reading = scope["method"] in _READING and not path.startswith(_GATES)
        return self._reads if is_reading else self._pay_or_show

    async def _is_gate(self, scope: Any) -> bool:
        path = _as_routed(scope)
        if not path.startswith(_GATES):
            return False
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = shown.partition(b" ")
        return scheme.lower() == b"bearer" and await self._tokens.has(path.split("/")[3], token)

    def _shower(self, scope: Any) -> Callable[[str], float]:
        loop = asyncio.get_running_loop()
        line = scope.get("state", {}).get("line")

        def show(gate_id: str) -> float:
            if line is not None:
                loop.call_soon_threadsafe(line.showed, gate_id)
            return self._gates.take(gate_id, self._clock())

        return show


def _as_routed(scope: Any) -> str:
    """The path as the application will take it, ending in a slash: doubled slashes lead to the same place."""
    return normalize_path(scope["path"]).rstrip("/") + "/"


class _Counting:
    """Gives back what was counted, if it was no stranger after all, or the hub itself failed."""

    def __init__(self, send: Send, visit: Visit, rates: MinuteLimits, who: str) -> None:
        self._send = send
        self._visit = visit
        self._rates = rates
        self._who = who

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_free(message["status"]):
            self._rates.give_back(self._who)
        await self._send(message)

    def _is_free(self, status: int) -> bool:
        return self._visit.gate is not None or status >= 500


class _Tokens:
    """The hashes of the gates' tokens, so that a wrong one costs no look into the database."""

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
        with contextlib.suppress(Exception):  # Postgres is away, as other requests tell; these stay known
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

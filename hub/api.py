"""The hub's HTTP interface for gates: protocol 4.4. OpenAPI at ``/schema``.

A gate shows its token (``Authorization: Bearer …``) and reads only what is its own. The hub
keeps the token's SHA-256 only.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO, Annotated, Any
from uuid import UUID

import msgspec
import psycopg
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath, Parameter
from litestar.response import Stream
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from gate.model import Event
from hub.config import HubConfig
from hub.database import Connection, conninfo
from hub.problems import Problem, on_any_error, on_database_error, on_http_error
from hub.queries import query
from hub.snapshot import chunks, lines, look_up
from sync.wire import GATE_ID, GateConfig

Pool = ConnectionPool[psycopg.Connection[DictRow]]
NDJSON = "application/x-ndjson"
POOL_SIZE = 8
_POOL_SECONDS = 3.0
_SPOOL_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_NOBODY = secrets.token_hex(32)
"""The hash of a token nobody has: an unknown gate takes as long to refuse as a wrong token."""


class Gate(msgspec.Struct, frozen=True):
    """A gate that has shown who it is."""

    gate_id: str
    venue: str
    name: str


def make_app(config: HubConfig) -> Litestar:
    """The application; it connects to Postgres when it starts, and starts without one too."""
    pool: Pool = ConnectionPool(
        conninfo(config.postgres.dsn),
        kwargs={"row_factory": dict_row},
        min_size=1,
        max_size=POOL_SIZE,
        timeout=_POOL_SECONDS,
        reset=_back_to_normal,
        open=False,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        pool.open(wait=False)
        try:
            yield
        finally:
            pool.close(timeout=1.0)

    return Litestar(
        [healthz, readyz, gate_config, admissions],
        state=State({"pool": pool}),
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(title="Maguey hub", version="1"),
        exception_handlers={
            HTTPException: on_http_error,
            psycopg.Error: on_database_error,
            PoolTimeout: on_database_error,
            Exception: on_any_error,
        },
    )


@get("/healthz", media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """This process answers."""
    return "ok\n"


@get("/readyz", media_type=MediaType.TEXT, sync_to_thread=True)
def readyz(state: State) -> str:
    """The database answers too, and has been migrated."""
    with _pool(state).connection() as conn:
        conn.execute(query("ready"))
    return "ready\n"


@get("/api/gates/{gate_id:str}/config", sync_to_thread=True)
def gate_config(gate_id: FromPath[str], request: Request[Any, Any, State]) -> GateConfig:
    """The gate's name, every night a guest may hold a ticket for, and which of them it serves."""
    with _pool(request.app.state).connection() as conn:
        gate = _authenticate(conn, gate_id, request)
        events = conn.execute(query("gate_config_events"), {"gate_id": gate_id}).fetchall()
        names = conn.execute(query("gate_names"), {"venue": gate.venue}).fetchall()
    return GateConfig(
        gate_id=gate.gate_id,
        gate_name=gate.name,
        venue=gate.venue,
        events=tuple(msgspec.json.decode(row["event"], type=Event) for row in events),
        gate_names={row["gate_id"]: row["name"] for row in names},
    )


@get("/api/gates/{gate_id:str}/events/{event_id:uuid}/admissions", media_type=NDJSON, sync_to_thread=True)
def admissions(
    gate_id: FromPath[str],
    event_id: FromPath[UUID],
    request: Request[Any, Any, State],
    since: Annotated[int, Parameter(ge=0, description="version the gate has; 0 for all")] = 0,
) -> Response[Any]:
    """A night's admissions as NDJSON: all of them, or the changes since a version.

    The first line is a header with the version, the last one carries the SHA-256 of all bytes
    before it. Changes are only given when every one of them is still kept; else everything.
    """
    gzip = "gzip" in request.headers.get("accept-encoding", "")
    with _pool(request.app.state).connection() as conn:
        _authenticate(conn, gate_id, request)
        _check_serves(conn, gate_id, str(event_id))
        # the snapshot's transaction starts after this one
        conn.rollback()
        found = look_up(conn, str(event_id), since)
        if found is None:
            raise _no_such_event(event_id)
        etag = f'"{event_id}-{found.header.version}"'
        if etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers={"ETag": etag})
        # whole before the first byte goes out: a gate that stalls keeps no connection to Postgres
        body = _written(chunks(lines(conn, found), gzip))
    headers = {"ETag": etag, "Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if gzip else {})
    return Stream(_read(body), media_type=NDJSON, headers=headers)


def _written(pieces: Iterator[bytes]) -> IO[bytes]:
    """In memory, or in a file that has no name if it is long."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - `_read` closes it
    try:
        spool.writelines(pieces)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def _read(spool: IO[bytes]) -> Iterator[bytes]:
    with spool:
        while piece := spool.read(_PIECE_BYTES):
            yield piece


def _back_to_normal(conn: Connection) -> None:
    conn.isolation_level = None
    conn.read_only = None


def _pool(state: State) -> Pool:
    pool: Pool = state.pool
    return pool


def _authenticate(conn: Connection, gate_id: str, request: Request[Any, Any, State]) -> Gate:
    """The gate whose path this is, if the token is its own. Raises `Problem`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        detail = "Send the gate's token: 'Authorization: Bearer <token>'. It is in the gate's configuration."
        raise Problem(401, "No token", detail)
    if not GATE_ID.fullmatch(gate_id):
        detail = "A gate's id is 1 to 64 letters, digits, '-', '_' or '.'. Check gate_id in gate.toml."
        raise Problem(404, "No such gate", detail)
    row = conn.execute(query("gate"), {"gate_id": gate_id}).fetchone()
    given = hashlib.sha256(token.encode()).hexdigest()
    # compared also for a gate that does not exist, so that the time tells nothing
    known = (row["token_hash"] if row else None) or _NOBODY
    if not hmac.compare_digest(given, known) or row is None or row["token_hash"] is None:
        detail = (
            f"This token does not belong to gate '{gate_id}'. Check gate id and token, or enrol it again."
        )
        raise Problem(401, "Wrong token", detail)
    if row["revoked"]:
        detail = f"Gate '{gate_id}' was revoked. Ask the owner; a new enrolment is needed."
        raise Problem(403, "Gate revoked", detail)
    return Gate(row["gate_id"], row["venue"], row["name"])


def _check_serves(conn: Connection, gate_id: str, event_id: str) -> None:
    if conn.execute(query("gate_serves"), {"gate_id": gate_id, "event_id": event_id}).fetchone() is None:
        detail = f"Gate '{gate_id}' does not serve event {event_id}. Assign it to the event at the hub."
        raise Problem(403, "Not this gate's event", detail)


def _no_such_event(event_id: UUID) -> Problem:
    return Problem(404, "No such event", f"There is no event {event_id}; read the gate's config again.")

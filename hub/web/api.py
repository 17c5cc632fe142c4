"""The hub's HTTP interface for gates: protocol 4.4. OpenAPI at ``/schema``.

A gate shows its token (``Authorization: Bearer …``) and reads only its own data. The hub stores only the
SHA-256 of a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import psycopg
from litestar import Litestar, MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath, Parameter
from litestar.response import Stream
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from gate.common.foreign import read_json
from gate.common.seldom import Seldom
from gate.rules.model import Event
from hub.authority.ends import certificate_warnings
from hub.config import HubConfig
from hub.db.call import call
from hub.db.connection import Connection, conninfo, retry_conflicts
from hub.db.statements import query
from hub.feed.config_bounds import bounded
from hub.feed.snapshot import SnapshotBody, SnapshotCache, SnapshotPlan, body_of, etag, plan_snapshot
from hub.web.enrolment import authority_certificate, enroll, renew
from hub.web.gate_identity import ConnectionsPool, authenticate_gate, pool_of
from hub.web.metrics import MetricsPage, metrics
from hub.web.problems import Problem, on_any_error, on_database_error, on_http_error
from sync.wire.messages import LARGEST, GateConfig

NDJSON = "application/x-ndjson"
POOL_SIZE = 8
_POOL_SECONDS = 3.0
_LOOK_S = 5.0
"""How often counted log lines are written."""
_RANGE = re.compile(r"bytes=(\d{1,15})-")
"""The only form of Range that is understood: from a byte to the end. Others get everything (RFC 9110,
14.2)."""


def make_app(config: HubConfig, seldom: Seldom | None = None) -> Litestar:
    """The application. It connects to Postgres after it has started, so it starts without Postgres too.

    :param seldom: takes the log lines that anybody can cause.
    :raises ConfigError: the token for the metrics cannot be read.
    """
    seldom = seldom or Seldom()
    pool: ConnectionsPool = ConnectionPool(
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
        logging = asyncio.create_task(_log_counted(seldom))
        try:
            yield
        finally:
            logging.cancel()
            pool.close(timeout=1.0)

    return Litestar(
        [healthz, readyz, metrics, gate_config, admissions, authority_certificate, enroll, renew],
        state=State(
            {
                "pool": pool,
                "hub": config,
                "snapshots": SnapshotCache(),
                "seldom": seldom,
                "metrics_page": MetricsPage(),
                "metrics_token": config.web.metrics_token(),
            }
        ),
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(title="Maguey hub", version="1"),
        exception_handlers={
            HTTPException: on_http_error,
            psycopg.Error: on_database_error,
            PoolTimeout: on_database_error,
            Exception: on_any_error,
        },
    )


async def _log_counted(seldom: Seldom) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        seldom.look()


def token_hashes(app: Litestar) -> dict[str, str]:
    """The SHA-256 of every valid token, by gate. Raises what Postgres raises."""
    with pool_of(app.state).connection() as conn:
        return {row["gate_id"]: row["token_hash"] for row in conn.execute(query("gate_tokens"))}


@get("/healthz", media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """This process answers."""
    return "ok\n"


@get("/readyz", media_type=MediaType.TEXT, sync_to_thread=True)
def readyz(state: State) -> str:
    """The database answers too, and is migrated. Below that, a line for each certificate that ends soon."""
    hub: HubConfig = state.hub
    with pool_of(state).connection() as conn:
        conn.execute(query("ready"))
        warnings = certificate_warnings(conn, hub.venue, datetime.now(UTC))
    return "\n".join(["ready", *warnings, ""])


def _assign_home_gates(conn: Connection, gate_id: str) -> None:
    with conn.transaction():
        call(conn, "assign_home_gates", gate=gate_id)


@get("/api/gates/{gate_id:str}/config", sync_to_thread=True)
def gate_config(gate_id: FromPath[str], request: Request[Any, Any, State]) -> GateConfig:
    """The gate's name, every night a guest may hold a ticket for, and which of them it serves.

    Within an hour of the doors, the first gate that asks has the night's tickets divided among its gates, if
    that is its policy. `lent` are those of the gate's own that it may no longer admit alone.
    """
    with pool_of(request.app.state).connection() as conn:
        gate = authenticate_gate(conn, gate_id, request)
        retry_conflicts(lambda: _assign_home_gates(conn, gate_id))
        events = conn.execute(query("gate_config_events"), {"gate_id": gate_id}).fetchall()
        # after the nights, so that `lent` is never older than the home gates it comes with
        lent = conn.execute(query("gate_lent"), {"gate_id": gate_id}).fetchall()
        names = conn.execute(query("gate_names"), {"venue": gate.venue}).fetchall()
        revoked = conn.execute(query("revoked_gates"), {"venue": gate.venue}).fetchall()
    config = GateConfig(
        gate_id=gate.gate_id,
        gate_name=gate.name[:120],
        venue=gate.venue,
        events=tuple(read_json(row["event"], Event, limit=LARGEST) for row in events),
        gate_names={row["gate_id"]: row["name"] for row in names},
        lent={row["event_id"]: tuple(row["codes"]) for row in lent},
        revoked=tuple(row["gate_id"] for row in revoked),
    )
    return bounded(config)


@get("/api/gates/{gate_id:str}/events/{event_id:uuid}/admissions", media_type=NDJSON, sync_to_thread=True)
def admissions(
    gate_id: FromPath[str],
    event_id: FromPath[UUID],
    request: Request[Any, Any, State],
    since: Annotated[int, Parameter(ge=0, description="version the gate has; 0 for all")] = 0,
    generation: Annotated[int, Parameter(ge=0, description="of the version the gate has")] = 1,
) -> Response[Any]:
    """A night's admissions as NDJSON: all of them, or the changes since a version.

    The first line is a header with the version, the last one has the SHA-256 of all bytes before it. Changes
    are only sent if all of them are still stored, else everything. They come 500 at a time: `version` is the
    last of them, and `newest` in the header the last there is. A download of everything that was cut is
    resumed with `Range: bytes=N-` and the ETag in `If-Range`, even if the night has changed since, as long as
    that body is kept; else the answer is the whole night as it is now.
    """
    gzip = "gzip" in request.headers.get("accept-encoding", "")
    night = str(event_id)
    with pool_of(request.app.state).connection() as conn:
        authenticate_gate(conn, gate_id, request)
        _check_serves(conn, gate_id, night)
        # the snapshot's transaction begins after this one
        conn.rollback()
        found = _found(conn, night, since, generation)
        name = etag(found, gzip)
        if name in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers={"ETag": name})
        if not found.is_whole:
            return _answer(body_of(conn, found, gzip), gzip, 0)
    # holds no database connection: a slow gate keeps none from the others
    snapshots: SnapshotCache = request.app.state.snapshots
    start = _start(request)
    begun = snapshots.find(night, gzip, request.headers.get("if-range", "")) if start else None
    if begun is not None:
        return _answer(begun, gzip, start)
    body = _whole(request.app.state, found, gzip)
    has_changed = request.headers.get("if-range", body.etag) != body.etag
    return _answer(body, gzip, 0 if has_changed else start)


def _found(conn: Connection, event_id: str, since: int, generation: int) -> SnapshotPlan:
    found = plan_snapshot(conn, event_id, since, generation)
    if found is None:
        detail = f"There is no event {event_id}; read the gate's config again."
        raise Problem(404, "No such event", detail)
    return found


def _whole(state: State, wanted: SnapshotPlan, gzip: bool) -> SnapshotBody:
    """All of a night, no older than `wanted`: a body that another request has written, or a new one."""
    snapshots: SnapshotCache = state.snapshots
    night = wanted.header.event_id
    with snapshots.alone(night, gzip), pool_of(state).connection() as conn:
        found = _found(conn, night, 0, 0)
        body = snapshots.between(night, gzip, wanted.place, found.place)
        if body is None:
            body = body_of(conn, found, gzip)
            snapshots.put(body)
        return body


def _start(request: Request[Any, Any, State]) -> int:
    """The byte to resume at; 0 for everything, also for a Range that is not supported."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    return int(asked[1]) if asked else 0


def _answer(body: SnapshotBody, gzip: bool, start: int) -> Response[Any]:
    headers = {"ETag": body.etag, "Vary": "Accept-Encoding", "Accept-Ranges": "bytes"}
    headers |= {"Content-Encoding": "gzip"} if gzip else {}
    if start and start >= body.size:
        headers["Content-Range"] = f"bytes */{body.size}"
        return Response(b"", status_code=416, headers=headers)
    headers["Content-Length"] = str(body.size - start)
    if start:
        headers["Content-Range"] = f"bytes {start}-{body.size - 1}/{body.size}"
    return Stream(body.read(start), status_code=206 if start else 200, media_type=NDJSON, headers=headers)


def _back_to_normal(conn: Connection) -> None:
    conn.isolation_level = None
    conn.read_only = None


def _check_serves(conn: Connection, gate_id: str, event_id: str) -> None:
    if conn.execute(query("gate_serves"), {"gate_id": gate_id, "event_id": event_id}).fetchone() is None:
        detail = f"Gate '{gate_id}' does not serve event {event_id}. Assign it to the event at the hub."
        raise Problem(403, "Not this gate's event", detail)

"""Which gate asks: by the token it shows, whose hash the database has."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from typing import Any

import msgspec
import psycopg
from litestar import Request
from litestar.datastructures import State
from psycopg.rows import DictRow
from psycopg_pool import ConnectionPool

from gate.common.errors import ConfigError
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.gates.signing_key import signer
from hub.web.problems import Problem
from hub.web.request_limits import identify_gate
from sync.wire.topics import GATE_ID
from sync.wire.wipe import Wipe, seal_wipe

ConnectionsPool = ConnectionPool[psycopg.Connection[DictRow]]
_NOBODY = secrets.token_hex(32)
"""The hash of a token nobody has, so that an unknown gate is refused as slowly as a wrong token."""


class KnownGate(msgspec.Struct, frozen=True):
    """A gate that has identified itself."""

    gate_id: str
    venue: str
    name: str


def pool_of(state: State) -> ConnectionsPool:
    """The application's connections to Postgres."""
    pool: ConnectionsPool = state.pool
    return pool


def authenticate_gate(conn: Connection, gate_id: str, request: Request[Any, Any, State]) -> KnownGate:
    """The gate in the path, if the token is its own. Raises `Problem`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        detail = "Send the gate's token: 'Authorization: Bearer <token>'. It is in the gate's configuration."
        raise Problem(401, "No token", detail)
    if not GATE_ID.fullmatch(gate_id):
        detail = "A gate's id is 1 to 64 letters, digits, '-', '_' or '.'. Check gate_id in gate.toml."
        raise Problem(404, "No such gate", detail)
    row = conn.execute(query("gate"), {"gate_id": gate_id}).fetchone()
    given = hashlib.sha256(token.encode()).hexdigest()
    # also compared for a gate that does not exist, so that the time reveals nothing
    known = (row["token_hash"] if row else None) or _NOBODY
    if not hmac.compare_digest(given, known) or row is None or row["token_hash"] is None:
        detail = (
            f"This token does not belong to gate '{gate_id}'. Check gate id and token, or enrol it again."
        )
        raise Problem(401, "Wrong token", detail)
    if row["revoked"]:
        detail = f"Gate '{gate_id}' was revoked. Its id is never used again: add and enrol a new gate."
        raise Problem(410, "Gate revoked", detail, more=_wipe(conn, gate_id, request.app.state.hub))
    wait = identify_gate(request.scope["state"], gate_id)
    if wait:
        detail = f"Gate '{gate_id}' asks too often. Is somebody else using its token?"
        raise Problem(429, "Too many requests", detail, {"Retry-After": str(math.ceil(wait))})
    return KnownGate(row["gate_id"], row["venue"], row["name"])


def _wipe(conn: Connection, gate_id: str, config: HubConfig) -> dict[str, Any]:
    """What a stolen gate is told besides, if this hub can sign orders."""
    row = conn.execute(query("wiped_gate"), {"gate_id": gate_id}).fetchone()
    if row is None or not row["certificates"]:
        return {}
    try:
        made = signer(config.commands)
    except ConfigError:
        return {}
    wipe = Wipe(gate_id=gate_id, certificates=tuple(row["certificates"]))
    return {"wipe": msgspec.to_builtins(seal_wipe(wipe, made.key_id, made.key))}

"""How a machine becomes a gate over HTTP, and how a gate renews its certificate (protocol 4.4).

This process never has the authority's key: it writes down what is to be signed, and waits for the answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromPath, RawBody

from gate.common.errors import ConfigError
from gate.common.foreign import UnreadableError, read_json
from hub.authority.certificates import RequestError
from hub.authority.enrolment import (
    MOST_A_DAY,
    AuthorityAwayError,
    EnrolmentRefusedError,
    ask_renewal,
    await_certificate,
    listening,
    read_authority,
    take_enrolment,
)
from hub.config import HubConfig
from hub.errors import HubError
from hub.gates.signing_key import command_keys_of
from hub.web.gate_identity import authenticate_gate, pool_of
from hub.web.problems import Problem
from sync.wire.enrolment import LIMIT, EnrolAnswer, EnrolRequest, RenewAnswer, RenewRequest

ANSWER_S = 8.0
"""Longest wait for the authority; it takes milliseconds."""


@get("/api/authority", media_type="application/x-pem-file", sync_to_thread=True)
def authority_certificate(state: State) -> str:
    """The certificate of the authority that signs this hub and its gates.

    A machine asks for it before it can know the hub, and believes it only if its token names its SHA-256.
    """
    return _authority(state.hub)


@post("/api/gates/enroll", status_code=200, sync_to_thread=True, request_max_body_size=LIMIT)
def enroll(body: RawBody, request: Request[Any, Any, State]) -> EnrolAnswer:
    """Become a gate, with a token of `maguey-hub enrol`: a certificate for the key in the signing request.

    The same request again gets the same answer, as long as the token lasts.
    """
    said = _read(body, EnrolRequest)
    config: HubConfig = request.app.state.hub
    authority, now = _authority(config), datetime.now(UTC)
    with pool_of(request.app.state).connection() as conn, _as_problems(), listening(conn):
        row = await_certificate(conn, take_enrolment(conn, config.venue, said, now), ANSWER_S)
    return EnrolAnswer(
        gate_id=said.gate_id,
        gate_name=row["name"][:120],
        venue=row["venue"],
        certificate=row["certificate"],
        authority=authority,
        command_keys=command_keys_of(config.commands),
    )


@post(
    "/api/gates/{gate_id:str}/certificate", status_code=200, sync_to_thread=True, request_max_body_size=LIMIT
)
def renew(gate_id: FromPath[str], body: RawBody, request: Request[Any, Any, State]) -> RenewAnswer:
    """Another certificate for a gate, for a new key. The old one stays good until its end."""
    with pool_of(request.app.state).connection() as conn:
        authenticate_gate(conn, gate_id, request)
        conn.commit()
        said = _read(body, RenewRequest)
        with _as_problems(), listening(conn):
            asked = ask_renewal(conn, gate_id, said.request)
            if asked is None:
                detail = f"At most {MOST_A_DAY} certificates a day. Is somebody else using this gate's token?"
                raise Problem(429, "Too many certificates", detail, {"Retry-After": "86400"})
            row = await_certificate(conn, asked, ANSWER_S)
    return RenewAnswer(certificate=row["certificate"])


def _authority(config: HubConfig) -> str:
    try:
        return read_authority(config.mqtt.ca_file)
    except ConfigError as error:
        raise Problem(503, "No authority", str(error)) from None


def _read(body: bytes, shape: Any) -> Any:
    try:
        said = read_json(body, shape, limit=LIMIT)
    except UnreadableError as error:
        raise Problem(400, "Cannot be read", f"This is no {shape.__name__}: {error}") from None
    if said.v != 1:
        raise Problem(400, "Cannot be read", f"Version {said.v} is not known here; update the hub.")
    return said


@contextlib.contextmanager
def _as_problems() -> Iterator[None]:
    """Turns what the authority refuses into answers."""
    try:
        yield
    except RequestError as error:
        raise Problem(400, "No signing request", str(error)) from None
    except EnrolmentRefusedError as error:
        # a stranger's guess is no more than a wrong token
        raise Problem(401 if error.why == "unknown" else 403, "Not enrolled", str(error)) from None
    except AuthorityAwayError as error:
        raise Problem(503, "Authority away", str(error), {"Retry-After": "5"}) from None
    except HubError as error:
        raise Problem(403, "Not signed", str(error)) from None

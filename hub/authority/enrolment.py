"""Enrolment at the hub: a token for one machine, once, for 15 minutes; and renewal."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.rows import DictRow

from gate.common.errors import ConfigError
from hub.authority.certificates import certificate_digest_of_pem, requested_key
from hub.db.call import call
from hub.db.connection import Connection
from hub.db.notices import wait_for_notice
from hub.db.statements import query
from hub.errors import HubError
from hub.gates.home_gates import find_gate
from sync.wire.enrolment import (
    EnrolRequest,
    EnrolToken,
    ed25519_of_ssh,
    enrolment_statement,
    sha256_hex,
    ssh_fingerprint,
)

TOKEN_LIFE = timedelta(minutes=15)
MOST_A_DAY = 8
"""Certificates one gate may ask for in a day; it needs one in 16 months."""
HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_PEM = 16 * 1024

REFUSALS = {
    "unknown": "This hub has made no such token.",
    "another gate": "The token is for another gate. Use it with that gate's id.",
    "revoked": "The gate was revoked, and its id is never used again. Add a new gate.",
    "another machine": "The token is for a machine with another SSH host key, and stays good for that one.",
    "used": "The token was used before, and not with this key.",
    "late": "The token is too old: it is good for 15 minutes.",
}
"""Why a token is refused (`take_enrolment`), in words."""


class EnrolmentRefusedError(HubError):
    """The token does not open anything. `why`: a key of `REFUSALS`."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{REFUSALS[why]} A new one: maguey-hub enrol GATE --host-key SHA256:…")
        self.why = why


class AuthorityAwayError(HubError):
    """Nothing was signed in time; nothing is used up."""


def read_authority(file: str | None) -> str:
    """The gates' authority's certificate, in PEM: hub.toml's ``[mqtt] ca_file``. Raises `ConfigError`."""
    if file is None:
        raise ConfigError(
            "hub.toml names no [mqtt] ca_file, so gates could not recognise this hub. Make the authority "
            "(maguey-hub authority init), and name its ca.pem there."
        )
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(_LARGEST_PEM).decode("ascii")
        certificate_digest_of_pem(text)
    except OSError as error:
        raise ConfigError(f"mqtt.ca_file: {file}: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"mqtt.ca_file: {file} is no certificate.") from None
    return text


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made, and for what."""

    gate_id: str
    host_key: str
    expires_at: datetime
    token: EnrolToken


def make_enrolment(conn: Connection, venue: str, wanted: NewToken, actor: str, now: datetime) -> None:
    """Let a machine enrol as this gate, once. Earlier tokens of the gate are too late from now on.

    :raises UsageError: there is no such gate. HubError: it was revoked. Nothing was made.
    """
    if find_gate(conn, venue, wanted.gate_id)["revoked"]:
        raise HubError(f"{wanted.gate_id}: {REFUSALS['revoked']}")
    row = {
        "token_hash": wanted.token.sha256,
        "gate_id": wanted.gate_id,
        "host_key": wanted.host_key,
        "expires_at": wanted.expires_at,
        "now": now,
    }
    details = {"host_key": wanted.host_key, "expires_at": wanted.expires_at}
    audit = {
        "actor": actor,
        "action": "make enrolment token",
        "target": wanted.gate_id,
        "reason": "by command",
    }
    with conn.transaction():
        conn.execute(query("make_enrolment"), row)
        conn.execute(query("write_audit"), audit | {"details": msgspec.json.encode(details).decode()})


def take_enrolment(conn: Connection, venue: str, said: EnrolRequest, now: datetime) -> str:
    """Accept an enrolment. The same one again is the same request.

    :returns: the id of what the authority is to sign.
    :raises RequestError: its signing request cannot be used. EnrolmentRefusedError: the token is not good for
        this; staff is alerted, unless it is a stranger's guess.
    """
    key = requested_key(said.request)
    if not _SHA256.fullmatch(said.token_sha256):
        raise EnrolmentRefusedError("unknown")
    fingerprint, is_signed = _host(said)
    outcome = call(
        conn,
        "take_enrolment",
        venue=venue,
        gate=said.gate_id,
        token_hash=sha256_hex(said.token),
        host_key=fingerprint,
        signed=is_signed,
        request=said.request,
        content=_content(key.public_bytes(serialization.Encoding.DER, _SPKI), said.token_sha256),
        new_token_hash=said.token_sha256,
        now=now,
    )
    if "refused" in outcome:
        raise EnrolmentRefusedError(outcome["refused"])
    return str(outcome["request"])


_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def _content(key: bytes, token_hash: str) -> str:
    """The same key and the same token: the same machine going on, though it signed its request anew."""
    return hashlib.sha256(token_hash.encode() + key).hexdigest()


def _host(said: EnrolRequest) -> tuple[str, bool]:
    """The fingerprint of the host key, and whether the request is signed with it."""
    try:
        blob = base64.b64decode(said.host_key, validate=True)
        key = Ed25519PublicKey.from_public_bytes(ed25519_of_ssh(blob))
        key.verify(base64.b64decode(said.signature, validate=True), enrolment_statement(said))
    except (ValueError, InvalidSignature):
        return "", False
    return ssh_fingerprint(blob), True


@contextlib.contextmanager
def listening(conn: Connection) -> Iterator[None]:
    """In autocommit, and told when the authority has answered. Begins and ends outside of a transaction."""
    conn.autocommit = True
    conn.execute(query("listen_authority_done"))
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute(query("unlisten"))
            conn.autocommit = False


def await_certificate(conn: Connection, request_id: str, seconds: float) -> DictRow:
    """The authority's answer, as `request_outcome`, once there is one.

    :param conn: `listening`.
    :raises AuthorityAwayError: there is none in time. HubError: it refused.
    """
    until = time.monotonic() + seconds
    while True:
        row = conn.execute(query("request_outcome"), {"id": request_id}).fetchone()
        if row is not None and row["refused"] is not None:
            raise HubError(row["refused"])
        if row is not None and row["certificate"] is not None:
            return row
        left = until - time.monotonic()
        if row is None or left <= 0:
            raise AuthorityAwayError(
                "The hub's authority does not answer. Start it: systemctl start maguey-hub-authority. "
                "Nothing is used up; ask again."
            )
        wait_for_notice(conn, min(left, 1.0), threading.Event())


def ask_renewal(conn: Connection, gate_id: str, request: str) -> str | None:
    """Ask for another certificate of a gate. Returns the request's id; None: it asks too often.

    :raises RequestError: the signing request cannot be used.
    """
    requested_key(request)
    wanted = {"gate_id": gate_id, "request": request, "most": MOST_A_DAY}
    row = conn.execute(query("ask_renewal"), wanted).fetchone()
    return None if row is None else str(row["id"])

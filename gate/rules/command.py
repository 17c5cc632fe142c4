"""Orders of staff from the hub: signed, short-lived, for one gate, used once (domain 2.3, "Overrides"). Pure.

The hub signs and the door itself verifies, so whatever carries an order in between need not be trusted. The
journal makes sure that an order is followed once: its record has the order's own id, and an id is never there
twice.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gate.common.foreign import read_json
from gate.common.uuids import is_written_uuid
from gate.common.value import Value
from gate.rules.model import Moment, Now

Action = Literal["release", "hold_open", "close", "resume", "show_text", "refetch", "restart"]
LONGEST_LIFE_S = 600
"""An order is for now, so one that is valid for longer is refused."""
LONGEST_TEXT = 200
LONGEST_ENVELOPE = 4096

OrderText = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]


class Command(Value, frozen=True):
    """One order. `id`: a UUID, which becomes the `scan_id` of its record. `text`: what to show."""

    id: str
    gate_id: str
    action: Action
    reason: OrderText
    actor: OrderText
    issued_at: Moment
    expires_at: Moment
    text: OrderText = ""


class Envelope(Value, frozen=True):
    """A command in transit. `body`: the command's JSON, in base64; `signature`: Ed25519 over those bytes of
    JSON, in base64; `key`: the id of the key."""

    body: str
    key: str
    signature: str
    v: int = 1


class OrderReply(Value, frozen=True):
    """What became of a command: ``done``, or ``refused`` with `why` in words."""

    id: str
    gate_id: str
    outcome: Literal["done", "refused"]
    why: str = ""
    at: datetime | None = None
    v: int = 1


class RefusedOrder(Value, frozen=True):
    """A command that is not followed. `id`: for the reply, empty if it could not be read."""

    why: str
    id: str = ""


def seal(command: Command, key_id: str, key: Ed25519PrivateKey) -> bytes:
    """A signed command, ready to travel."""
    body = msgspec.json.encode(command)
    envelope = Envelope(
        body=base64.b64encode(body).decode(),
        key=key_id,
        signature=base64.b64encode(key.sign(body)).decode(),
    )
    return msgspec.json.encode(envelope)


def unseal(
    sealed: bytes, keys: Mapping[str, Ed25519PublicKey], gate_id: str, now: Now
) -> Command | RefusedOrder:
    """The command in an envelope, if it is genuine, for this gate and still valid. Never raises.

    Without a confirmed clock the gate cannot tell whether a command has expired, so it follows none.
    """
    if len(sealed) > LONGEST_ENVELOPE:
        return RefusedOrder(why="it is too long")
    try:
        envelope = read_json(sealed, Envelope, limit=LONGEST_ENVELOPE)
        body = base64.b64decode(envelope.body, validate=True)
        signature = base64.b64decode(envelope.signature, validate=True)
    except ValueError:
        return RefusedOrder(why="it cannot be read")
    key = keys.get(envelope.key)
    if key is None:
        return RefusedOrder(why=f"its key {envelope.key[:16]!r} is not known here: see [command_keys]")
    try:
        key.verify(signature, body)
        command = read_json(body, Command, limit=LONGEST_ENVELOPE)
    except InvalidSignature:
        return RefusedOrder(why="its signature is wrong")
    except ValueError:
        return RefusedOrder(why="it is signed but cannot be read: another version?")
    why = _why_not(command, gate_id, now)
    return RefusedOrder(why=why, id=command.id) if why else command


def _why_not(command: Command, gate_id: str, now: Now) -> str | None:
    if command.gate_id != gate_id:
        return f"it is for gate {command.gate_id[:64]!r}"
    if now.clock != "synced":
        return "this gate does not know the time, so it cannot tell whether it has expired"
    if now.wall >= command.expires_at:
        return "it has expired"
    if command.expires_at - min(command.issued_at, now.wall) > timedelta(seconds=LONGEST_LIFE_S):
        return f"it is valid for longer than {LONGEST_LIFE_S} s"
    return None if is_written_uuid(command.id) else "its id is not a UUID"

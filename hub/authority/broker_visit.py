"""A short visit at the gates' listener under a gate's name: is this certificate let in?

The broker keeps one session for each name. So a visit with a good certificate throws out whoever is there
under the same name, and one with a revoked certificate proves that the broker has read its list. Nothing is
said or heard meanwhile.
"""

from __future__ import annotations

import socket
import ssl
import struct
import tempfile
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hub.authority.folders import pem, pem_of_key

SECONDS = 3.0
"""Time for each step of a visit; here it takes milliseconds."""
_CONNACK = 0x20
_DISCONNECT = b"\xe0\x00"
_CLEAN_START = 2
_KEEPALIVE_S = 10


class BrokerPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The gates' listener, and the authority of its certificate."""

    host: str
    port: int
    ca_file: str


class Visitor(msgspec.Struct, frozen=True):
    """Who connects."""

    gate_id: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Visitor({self.gate_id!r})"


class BrokerAwayError(Exception):
    """Nobody answers there, or not our broker."""


def is_let_in(place: BrokerPlace, visitor: Visitor) -> bool:
    """Connect to the broker under a gate's name, without a session, and leave.

    :raises BrokerAwayError: the broker is not there.
    """
    context = _context(place, visitor)
    try:
        line = socket.create_connection((place.host, place.port), SECONDS)
    except OSError as error:
        raise BrokerAwayError(f"Mosquitto does not answer at {place.host}:{place.port}: {error}") from None
    with line:
        return _is_accepted(line, context, place.host, visitor.gate_id)


def _context(place: BrokerPlace, visitor: Visitor) -> ssl.SSLContext:
    """The library takes keys from files only."""
    try:
        made = ssl.create_default_context(cafile=place.ca_file)
        with tempfile.TemporaryDirectory(prefix="maguey-") as folder:
            file = Path(folder) / "visit.pem"
            file.touch(0o600)
            file.write_bytes(pem_of_key(visitor.key) + pem(visitor.certificate))
            made.load_cert_chain(file)
    except OSError as error:
        raise BrokerAwayError(f"{place.ca_file} cannot be used: {error}") from None
    return made


def _is_accepted(line: socket.socket, context: ssl.SSLContext, host: str, gate_id: str) -> bool:
    """With TLS 1.3 a refusal comes only after the handshake, instead of the first answer."""
    try:
        with context.wrap_socket(line, server_hostname=host) as safe:
            safe.sendall(connect_packet(gate_id))
            answer = safe.recv(4)
            if answer:
                safe.sendall(_DISCONNECT)
            return len(answer) == 4 and answer[0] == _CONNACK and answer[3] == 0
    except ssl.SSLCertVerificationError as error:
        raise BrokerAwayError(f"{host} is not our broker: {error.verify_message}") from None
    except TimeoutError:
        raise BrokerAwayError(f"Mosquitto at {host} does not answer") from None
    except OSError:  # an alert, or the connection was reset
        return False


def connect_packet(client_id: str) -> bytes:
    """CONNECT of MQTT 5 (3.1) without properties: forget the session there was."""
    name = client_id.encode()
    body = b"\x00\x04MQTT\x05" + struct.pack("!BHB", _CLEAN_START, _KEEPALIVE_S, 0)
    body += struct.pack("!H", len(name)) + name
    assert len(body) < 128  # one byte of length: a gate's id has at most 64 characters
    return struct.pack("!BB", 0x10, len(body)) + body

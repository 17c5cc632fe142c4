"""A gate with a valid certificate makes the broker hold only so much, whatever it sends and never reads.

Each attack sends far more than is kept. Without its bound each took hundreds of megabytes, some for ever.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.integration.test_broker import OURS, Club, open_club
from tests.integration.test_subscriptions import memory_kib
from tests.patience import PATIENCE_S

THIEF, HONEST = "gate-1", "gate-2"
SCANS = OURS.scans(THIEF)
MOST_KIB = 100_000
"""The most memory the broker may use: ten times what it uses when idle."""
LARGEST = 256_000
"""Bytes; the largest packet the broker takes is little more."""
SENT = 200
"""Packets of that size: 50 MB."""


def number(value: int) -> bytes:
    """A variable byte integer (MQTT 5, 1.5.5)."""
    made = bytearray()
    while value >= 128:
        made.append(value % 128 | 128)
        value //= 128
    return bytes([*made, value])


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + number(len(body)) + body


PROPERTIES = (b"\x26" + text("") + text("")) * (LARGEST // 5)
"""Empty user properties, which take the most of the broker's memory for their length."""
PING = b"\xc0\0"


def publish(
    topic: str, qos: int, *, which: int = 1, retain: bool = False, properties: bytes = b"", payload: int = 1
) -> bytes:
    head = text(topic) + (struct.pack("!H", which) if qos else b"") + number(len(properties)) + properties
    return packet(0x30 | qos << 1 | retain, head + b"x" * payload)


def connect(flags: int, properties: bytes = b"", will: bytes = b"") -> bytes:
    head = text("MQTT") + bytes([5, flags, 0, 60]) + number(len(properties)) + properties
    return packet(0x10, head + text(THIEF) + will)


class Mute:
    """The thief's connection: it sends, and never reads."""

    def __init__(self, club: Club, first: bytes = connect(2)) -> None:
        identity = club.authority.issue(THIEF)
        context = ssl.create_default_context(cafile=str(club.authority.file))
        context.load_cert_chain(identity.certificate, identity.key)
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(1)
        line.connect(("127.0.0.1", club.broker.port))
        self._line = context.wrap_socket(line, server_hostname="127.0.0.1")
        self.send(first)

    def send(self, *packets: bytes) -> None:
        """Send as many of them as the broker takes, until it ends the connection or takes no more."""
        with contextlib.suppress(OSError):
            for one in packets:
                self._line.sendall(one)

    def close(self) -> None:
        self._line.close()


def asks(*filters: str, qos: int) -> bytes:
    return packet(0x82, b"\0\1\0" + b"".join(text(one) + bytes([qos]) for one in filters))


def pings(club: Club) -> None:
    with contextlib.closing(Mute(club)) as mute:
        mute.send(*[PING * 60_000] * 20)


def publishes_where_it_may_not(club: Club) -> None:
    with contextlib.closing(Mute(club)) as mute:
        mute.send(*[publish("elsewhere", 1) * 5_000] * 20)


def never_releases(club: Club) -> None:
    """QoS 2: all beyond the first hundred is kept for ever, even after the sender has left."""
    with contextlib.closing(Mute(club)) as mute:
        mute.send(*(publish(SCANS, 2, which=one, properties=PROPERTIES) for one in range(1, SENT)))


def listens_to_itself(club: Club) -> None:
    with contextlib.closing(Mute(club)) as mute:
        mute.send(asks(OURS.scans(), qos=1), *[publish(SCANS, 1, properties=PROPERTIES)] * SENT)


def listens_to_itself_at_once(club: Club) -> None:
    """QoS 0: each message is a packet that waits, whatever max_queued_bytes says."""
    with contextlib.closing(Mute(club)) as mute:
        mute.send(asks(OURS.scans(), qos=0), *[publish(SCANS, 0, payload=LARGEST)] * (3 * SENT))


def leaves_much_behind(club: Club) -> None:
    with contextlib.closing(Mute(club)) as mute:
        told = [publish(one, 1, retain=True, properties=PROPERTIES) for one in OURS.publications(THIEF)]
        mute.send(*told * (SENT // 4))


def has_long_last_wills(club: Club) -> None:
    properties = PROPERTIES[: len(PROPERTIES) // 2]
    will = number(len(properties)) + properties + text(OURS.status(THIEF)) + text(b"x" * 60_000)
    for _ in range(20):
        Mute(club, connect(2 | 4 | 32, will=will)).close()


def introduces_itself_at_length(club: Club) -> None:
    for _ in range(20):
        Mute(club, connect(2, PROPERTIES)).close()


@pytest.fixture
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    with open_club(tmp_path_factory) as club:
        club.witness.hear(OURS.scans(HONEST))
        yield club


@pytest.mark.parametrize(
    "attack",
    [
        pings,
        publishes_where_it_may_not,
        never_releases,
        listens_to_itself,
        listens_to_itself_at_once,
        leaves_much_behind,
        has_long_last_wills,
        introduces_itself_at_length,
    ],
)
def test_the_brokers_memory_stays_bounded_and_other_clients_go_on(
    club: Club, attack: Callable[[Club], None]
) -> None:
    attack(club)
    honest = club.client(HONEST).connected()
    assert honest.hear(*OURS.subscriptions(HONEST)) == OURS.subscriptions(HONEST)
    honest.say(OURS.scans(HONEST), b"a scan")
    assert club.witness.heard.get(timeout=PATIENCE_S) == (OURS.scans(HONEST), b"a scan")
    honest.close()
    assert memory_kib(club) < MOST_KIB

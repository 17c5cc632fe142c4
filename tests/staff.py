"""Staff at the other end of a door's socket, with the hub's key."""

from __future__ import annotations

import itertools
import socket
import uuid
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.hotline.messages import LONGEST, Ordered, Replied, to_packet, to_sync
from gate.rules.command import Action, Command, OrderReply, seal
from tests.doors import STAFF_KEY, Bench


class Staff:
    """Sync's end of the door's socket, with the hub's key."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ids = itertools.count(1)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(bench.folder / "sync.sock"))
        self._listener.listen()
        bench.look()  # the door connects
        self._line, _ = self._listener.accept()
        self._line.setblocking(False)

    def sealed(self, action: Action, key: Ed25519PrivateKey = STAFF_KEY, **changes: Any) -> bytes:
        now = self.bench.clock.wall
        order = Command(
            id=str(uuid.UUID(int=next(self.ids))),
            gate_id="gate-1",
            action=action,
            reason="she forgot her phone",
            actor="ana",
            issued_at=now,
            expires_at=now + timedelta(seconds=30),
            text="OK" if action == "show_text" else "",
        )
        return seal(msgspec.structs.replace(order, **changes), "S1", key)

    def send(self, sealed: bytes) -> None:
        self._line.send(to_packet(Ordered(envelope=sealed.decode())))

    def order(self, action: Action, **changes: Any) -> OrderReply | None:
        """Give an order; the door's answer after one turn."""
        return self.give(self.sealed(action, **changes))

    def give(self, sealed: bytes) -> OrderReply | None:
        self.send(sealed)
        self.bench.wait(0.25)
        replies = [
            msgspec.json.decode(said.reply, type=OrderReply)
            for said in self.heard()
            if isinstance(said, Replied)
        ]
        return replies[-1] if replies else None

    def heard(self) -> list[object]:
        found: list[object] = []
        while True:
            try:
                found.append(to_sync(self._line.recv(LONGEST)))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._line.close()
        self._listener.close()

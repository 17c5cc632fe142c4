"""Which gates are not listened to for a while, and what is listened to then (protocol 4.5). Pure.

Whoever takes in what a flooding gate sends is kept busy with it, though it is dropped unread, and what the
other gates say waits behind it. So far beyond what any door can say the broker is told to send none of it:
filters for every gate by its name take the place of the one for all, and leave that gate out. What it says in
earnest is not lost by that: scans it sends until the hub itself has acknowledged them, its status is kept by
the broker. After a pause it is listened to again, and each pause is longer than the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from gate.common.allowance import Allowance, Rate
from sync.wire.topics import GATE_ID

MESSAGES = Rate(per_s=200, at_once=3_000)
"""A door makes five a second, and as a home answers for the tickets of 19 others; at once, a journal of
100,000 records in batches of 50, and all that a bad line makes it send again; or what the broker keeps for
a hub that was away (max_queued_messages in config/mosquitto)."""
BYTES = Rate(per_s=2 * 1024 * 1024, at_once=128 * 1024 * 1024)
"""The same journal takes 80 MB."""
UNNUMBERED = 20
"""For so many counts a message at QoS 0: no gate sends any, and the broker never waits for who takes them."""
PAUSE_MS = (10_000, 240_000)
"""How long it is not listened to: the first time, and at most."""
FRESH_MESSAGES, FRESH_BYTES = 200, 64 * 1024 * 1024
"""What of its budget there is when it is listened to again: a backlog goes on, a flood is noticed at once."""
KEPT_TO_IT_MS = 600_000
"""So long within its budget, and a gate's pauses begin anew with the shortest."""
MOST_SENDERS = 1_000
_GATE_LEVEL = 4


class _Sender:
    """What is known of one gate."""

    def __init__(self, now_ms: int) -> None:
        self.messages = Allowance(MESSAGES, now_ms / 1000)
        self.bytes = Allowance(BYTES, now_ms / 1000)
        self.pause_ms = 0
        self.until_ms = now_ms

    def spend(self, messages: float, size: int, now_ms: int) -> bool:
        were_enough = self.messages.spend(messages, now_ms / 1000)
        return self.bytes.spend(size, now_ms / 1000) and were_enough

    def pause(self, now_ms: int) -> None:
        shortest, longest = PAUSE_MS
        if not self.pause_ms or now_ms - self.until_ms > KEPT_TO_IT_MS:
            self.pause_ms = shortest
        else:
            self.pause_ms = min(2 * self.pause_ms, longest)
        self.until_ms = at_ms = now_ms + self.pause_ms
        self.messages = Allowance(MESSAGES, at_ms / 1000, left=FRESH_MESSAGES)
        self.bytes = Allowance(BYTES, at_ms / 1000, left=FRESH_BYTES)


class Cutoff:
    """Counts what comes of each gate. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._senders: dict[str, _Sender] = {}

    def arrived(self, gate_id: str, messages: float, size: int, now_ms: int) -> bool:
        """So much of it came; whether it is not listened to from now on."""
        sender = self._sender(gate_id, now_ms)
        if now_ms < sender.until_ms:
            return False  # was on its way
        if sender.spend(messages, size, now_ms):
            return False
        sender.pause(now_ms)
        return True

    def is_cut_off(self, gate_id: str, now_ms: int) -> bool:
        """Whether this one is not listened to."""
        sender = self._senders.get(gate_id)
        return sender is not None and now_ms < sender.until_ms

    def cut_off(self, now_ms: int) -> frozenset[str]:
        """Who is not listened to."""
        return frozenset(name for name, sender in self._senders.items() if now_ms < sender.until_ms)

    def heard(self) -> frozenset[str]:
        """Of whom anything came, as far as is remembered."""
        return frozenset(self._senders)

    def _sender(self, gate_id: str, now_ms: int) -> _Sender:
        if gate_id not in self._senders:
            if len(self._senders) >= MOST_SENDERS:
                del self._senders[next(iter(self._senders))]
            self._senders[gate_id] = _Sender(now_ms)
        return self._senders[gate_id]


class FilterChange(msgspec.Struct, frozen=True):
    """What to tell the broker, in this order, so that nothing goes past meanwhile."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


def gate_in(topic: str) -> str:
    """The gate whose topic this is, of whatever venue; empty if it is no gate's."""
    levels = topic.split("/", _GATE_LEVEL + 1)
    is_gates = len(levels) > _GATE_LEVEL + 1 and levels[_GATE_LEVEL - 1] == "gates"
    return levels[_GATE_LEVEL] if is_gates and GATE_ID.fullmatch(levels[_GATE_LEVEL]) else ""


def filters_by_name(wide: Sequence[str], gates: Iterable[str], cut_off: Collection[str]) -> tuple[str, ...]:
    """The filters to listen to: `wide` as they are, or for each gate but those that are cut off.

    :param gates: all that may have something to say; one that is not among them is not heard meanwhile.
    """
    if not cut_off:
        return tuple(wide)
    listened_to = sorted(set(gates) - set(cut_off))
    return tuple(name for one in wide for name in _named(one, listened_to))


def _named(wide: str, gates: Sequence[str]) -> list[str]:
    levels = wide.split("/")
    if levels[_GATE_LEVEL - 1 : _GATE_LEVEL + 1] != ["gates", "+"]:
        return [wide]
    return ["/".join([*levels[:_GATE_LEVEL], gate_id, *levels[_GATE_LEVEL + 1 :]]) for gate_id in gates]


def filter_change(held: Collection[str], wanted: Collection[str]) -> FilterChange:
    """From the filters that are held to those that are wanted."""
    return FilterChange(
        subscribe=tuple(one for one in wanted if one not in held),
        unsubscribe=tuple(one for one in held if one not in wanted),
    )

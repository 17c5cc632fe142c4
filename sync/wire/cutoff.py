"""Which gates are cut off for a while, and what to subscribe to meanwhile (protocol 4.5). Pure.

Receiving a flood keeps a client busy even if it drops every message unread, and the other gates' messages
wait behind it. So far beyond what any door can send, the broker is asked to deliver none of it: one filter
per gate replaces the filter for all gates, and leaves the flooding one out. Nothing genuine is lost: the gate
sends its scans until the hub has acknowledged them, and the broker retains its status. After a pause it is
subscribed to again; each pause is longer than the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from gate.common.allowance import Allowance, Rate
from sync.wire.topics import GATE_ID

MESSAGES = Rate(per_s=200, at_once=3_000)
"""A door sends five a second, and a home gate answers for the tickets of 19 others. At once: a journal of
100,000 records in batches of 50, with all that a bad line makes it resend; or what the broker queues for an
absent hub (max_queued_messages in config/mosquitto)."""
BYTES = Rate(per_s=2 * 1024 * 1024, at_once=128 * 1024 * 1024)
"""The same journal takes 80 MB."""
UNNUMBERED = 20
"""What a message at QoS 0 counts as: no gate sends any, and the broker never slows down for the receiver."""
PAUSE_MS = (10_000, 240_000)
"""How long a gate is cut off: the first time, and at most."""
FRESH_MESSAGES, FRESH_BYTES = 200, 64 * 1024 * 1024
"""Its budget after a pause: enough for a backlog to continue, and a flood is noticed at once."""
KEPT_TO_IT_MS = 600_000
"""After so long within its budget, a gate's next pause is the shortest again."""
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
    """Counts what each gate sends. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._senders: dict[str, _Sender] = {}

    def arrived(self, gate_id: str, messages: float, size: int, now_ms: int) -> bool:
        """Count what a gate sent; returns whether that cuts it off."""
        sender = self._sender(gate_id, now_ms)
        if now_ms < sender.until_ms:
            return False  # it was on its way already
        if sender.spend(messages, size, now_ms):
            return False
        sender.pause(now_ms)
        return True

    def is_cut_off(self, gate_id: str, now_ms: int) -> bool:
        """Whether this gate is cut off."""
        sender = self._senders.get(gate_id)
        return sender is not None and now_ms < sender.until_ms

    def cut_off(self, now_ms: int) -> frozenset[str]:
        """The gates that are cut off."""
        return frozenset(name for name, sender in self._senders.items() if now_ms < sender.until_ms)

    def heard(self) -> frozenset[str]:
        """The gates that sent anything, as far as remembered."""
        return frozenset(self._senders)

    def _sender(self, gate_id: str, now_ms: int) -> _Sender:
        if gate_id not in self._senders:
            if len(self._senders) >= MOST_SENDERS:
                del self._senders[next(iter(self._senders))]
            self._senders[gate_id] = _Sender(now_ms)
        return self._senders[gate_id]


class FilterChange(msgspec.Struct, frozen=True):
    """What to subscribe and unsubscribe, in this order, so that no message is missed."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


def gate_in(topic: str) -> str:
    """The gate whose topic this is, of any venue; empty if it is not a gate's."""
    levels = topic.split("/", _GATE_LEVEL + 1)
    is_gates = len(levels) > _GATE_LEVEL + 1 and levels[_GATE_LEVEL - 1] == "gates"
    return levels[_GATE_LEVEL] if is_gates and GATE_ID.fullmatch(levels[_GATE_LEVEL]) else ""


def filters_by_name(wide: Sequence[str], gates: Iterable[str], cut_off: Collection[str]) -> tuple[str, ...]:
    """The filters to subscribe to: `wide` as they are, or one for each gate that is not cut off.

    :param gates: every gate that may send; one that is missing here is not heard meanwhile.
    """
    if not cut_off:
        return tuple(wide)
    remaining = sorted(set(gates) - set(cut_off))
    return tuple(name for one in wide for name in _named(one, remaining))


def _named(wide: str, gates: Sequence[str]) -> list[str]:
    levels = wide.split("/")
    if levels[_GATE_LEVEL - 1 : _GATE_LEVEL + 1] != ["gates", "+"]:
        return [wide]
    return ["/".join([*levels[:_GATE_LEVEL], gate_id, *levels[_GATE_LEVEL + 1 :]]) for gate_id in gates]


def filter_change(held: Collection[str], wanted: Collection[str]) -> FilterChange:
    """The difference between the current filters and those wanted."""
    return FilterChange(
        subscribe=tuple(one for one in wanted if one not in held),
        unsubscribe=tuple(one for one in held if one not in wanted),
    )

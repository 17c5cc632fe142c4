"""Which gates a link of the hub subscribes to: all, except those that flood (protocol 4.5).

Every message is counted by its gate's name before anything else happens to it, whatever its topic, QoS and
size: see `sync.wire.cutoff`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from sync.wire.cutoff import UNNUMBERED, Cutoff, FilterChange, filter_change, filters_by_name, gate_in


class VenueGates:
    """The venue's gates by the database; one for all links of a hub. From any thread."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()


class Subscriptions:
    """The topic filters of one link. From any thread.

    :param wide: its filters while no gate is cut off.
    :param venue_gates: while a gate is cut off, the others are subscribed to by these names.
    """

    def __init__(
        self,
        wide: Sequence[str],
        venue_gates: VenueGates | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wide = tuple(wide)
        self._venue_gates = venue_gates or VenueGates()
        self._now = now
        self._lock = threading.Lock()
        self._cutoff = Cutoff()
        self._held: tuple[str, ...] = ()
        self._may_have_older = False
        """Whether the session may still have filters of an earlier process of the hub."""

    def count(self, topic: str, size: int, qos: int) -> bool:
        """Count a message; returns whether its gate is cut off from now on."""
        gate_id = gate_in(topic)
        with self._lock:
            if not gate_id:
                return False
            return self._cutoff.arrived(gate_id, 1 if qos else UNNUMBERED, size, _ms(self._now()))

    def connected(self, *, has_session: bool) -> None:
        """Start again on a new connection; `has_session`: the broker has kept the subscriptions."""
        with self._lock:
            self._held, self._may_have_older = (), has_session

    def next_change(self) -> FilterChange:
        """What to subscribe to and unsubscribe from now; it counts as done."""
        with self._lock:
            names = self._venue_gates.names | self._cutoff.heard()
            wanted = filters_by_name(self._wide, names, self._cutoff.cut_off(_ms(self._now())))
            held: Collection[str] = self._held
            found = filter_change(held, wanted)
            if self._may_have_older and self._venue_gates.names:
                older = {*self._wide, *filters_by_name(self._wide, names, {""})}
                found = FilterChange(found.subscribe, tuple(sorted(older - set(wanted))))
                self._may_have_older = False
            self._held = wanted
            return found

    def is_cut_off(self, topic: str) -> bool:
        """Whether it is a topic of a gate that is cut off: a message of it may have been on its way."""
        with self._lock:
            return self._cutoff.is_cut_off(gate_in(topic), _ms(self._now()))

    def cut_off(self) -> frozenset[str]:
        """The gates that are cut off."""
        with self._lock:
            return self._cutoff.cut_off(_ms(self._now()))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

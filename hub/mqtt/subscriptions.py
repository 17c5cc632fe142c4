"""Which gates a link of the hub listens to: all, but those that send beyond all measure (protocol 4.5).

What comes is counted here by name before anything else is done with it, whatever its topic, QoS and size: see
`sync.wire.cutoff`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from sync.wire.cutoff import UNNUMBERED, Cutoff, FilterChange, filter_change, filters_by_name, gate_in


class VenueGates:
    """The gates that the venue has, by its database; one for all links of a hub. From any thread."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()


class Subscriptions:
    """Of one link. From any thread.

    :param wide: its filters while nobody is left out.
    :param company: a gate that floods for others to be heard by name needs those names.
    :param now: seconds, of a clock that never jumps.
    """

    def __init__(
        self,
        wide: Sequence[str],
        company: VenueGates | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wide = tuple(wide)
        self._company = company or VenueGates()
        self._now = now
        self._lock = threading.Lock()
        self._cutoff = Cutoff()
        self._held: tuple[str, ...] = ()
        self._earlier = False
        """Whether the session may still have filters of another process of the hub."""

    def arrived(self, topic: str, size: int, qos: int) -> bool:
        """A message came; whether somebody is to be left out from now on."""
        gate_id = gate_in(topic)
        with self._lock:
            if not gate_id:
                return False
            return self._cutoff.arrived(gate_id, 1 if qos else UNNUMBERED, size, _ms(self._now()))

    def connected(self, *, session: bool) -> None:
        """A new connection; `session`: the broker has kept what was subscribed to."""
        with self._lock:
            self._held, self._earlier = (), session

    def change(self) -> FilterChange:
        """What the broker is to be told now; it is taken as told."""
        with self._lock:
            names = self._company.names | self._cutoff.heard()
            wanted = filters_by_name(self._wide, names, self._cutoff.cut_off(_ms(self._now())))
            held: Collection[str] = self._held
            told = filter_change(held, wanted)
            if self._earlier and self._company.names:
                earlier = {*self._wide, *filters_by_name(self._wide, names, {""})}
                told = FilterChange(told.subscribe, tuple(sorted(earlier - set(wanted))))
                self._earlier = False
            self._held = wanted
            return told

    def is_left_out(self, topic: str) -> bool:
        """Whether it is of a gate that is not listened to: it was on its way."""
        with self._lock:
            return self._cutoff.is_cut_off(gate_in(topic), _ms(self._now()))

    def cut_off(self) -> frozenset[str]:
        """Who is left out."""
        with self._lock:
            return self._cutoff.cut_off(_ms(self._now()))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

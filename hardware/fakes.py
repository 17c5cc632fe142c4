"""Working stand-ins for the hardware: for tests, the simulator and a gate on the desk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from gate.errors import HardwareError
from gate.ports import Look
from gate.presence import Sighting


class ScriptedEye:
    """An `Eye` that sees what it is told, in this process. Safe to feed from another thread."""

    def __init__(self, looks: Iterable[Look] = ()) -> None:
        self._looks = deque(looks)
        self._trouble: HardwareError | None = None
        self._changed = threading.Condition()
        self.closed = False

    def show(self, *raws: bytes, source: str = "script") -> None:
        """Put one frame with these codes in line; none: an empty frame."""
        self.feed(Look(sightings=tuple(Sighting(raw=raw) for raw in raws), source=source))

    def feed(self, look: Look) -> None:
        """Put one look in line."""
        with self._changed:
            self._looks.append(look)
            self._changed.notify_all()

    def break_down(self, error: HardwareError | None) -> None:
        """Report this trouble from now on; None: all is well again."""
        self._trouble = error

    def look(self, timeout: float) -> Look | None:
        """The next look in line, or None if none was fed within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._looks or self.closed, timeout)
            return self._looks.popleft() if self._looks else None

    def exhausted(self) -> bool:
        """Whether every look was taken."""
        return not self._looks

    def trouble(self) -> HardwareError | None:
        """What `break_down` was told."""
        return self._trouble

    def close(self) -> None:
        """Wake whoever waits in `look`."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class RecordingTurnstile:
    """A `Turnstile` that writes down when it was released.

    :param clock: gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.releases: list[float] = []
        self.closed = False
        self._clock = clock
        self._broken: HardwareError | None = None
        self._changed = threading.Condition()

    def release(self) -> None:
        """Record one release. Raises what `break_down` was told."""
        if self._broken is not None:
            raise self._broken
        with self._changed:
            self.releases.append(self._clock())
            self._changed.notify_all()

    def break_down(self, error: HardwareError | None) -> None:
        """Fail with this error from now on; None: work again."""
        self._broken = error

    def trouble(self) -> HardwareError | None:
        """What `break_down` was told."""
        return self._broken

    def wait_for(self, count: int, timeout: float) -> bool:
        """Wait until there were `count` releases; whether there were within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.releases) >= count, timeout)

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

"""Working stand-ins for the hardware, which do what a test says. A test may control them from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from gate.common.errors import HardwareError
from gate.ports.devices import Look, Restarts, Typed
from gate.ports.signals import Signal
from gate.rules.passage import Sensed
from gate.rules.presence import Sighting
from hardware.keypad.key_entry import TypedLine
from hardware.scanner.scanned_codes import MOST_CODES


class _Device:
    """What all have in common: they can break, and be closed."""

    def __init__(self) -> None:
        self.closed = False
        self._trouble: HardwareError | None = None

    def break_down(self, error: HardwareError | None) -> None:
        """Report this trouble from now on; None: all is well again."""
        self._trouble = error

    def trouble(self) -> HardwareError | None:
        """What `break_down` was told."""
        return self._trouble

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True


class _Loop(_Device):
    """A device with a loop that turns whenever it is asked about, until it is told to be stuck."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._is_stuck = False

    def beats(self) -> int:
        """Grows with every call; not while stuck."""
        self._count += not self._is_stuck
        return self._count

    def stall(self, *, stuck: bool = True) -> None:
        """Stop growing from now on, as a loop that is stuck in its driver; False: turn again."""
        self._is_stuck = stuck


class ScriptedEye(_Loop):
    """An `Eye` that sees what it is told, in this process."""

    def __init__(self, looks: Iterable[Look] = ()) -> None:
        super().__init__()
        self._looks = deque(looks)
        self._changed = threading.Condition()

    def show(self, *raws: bytes, source: str = "script") -> None:
        """Queue one frame with these codes; none: an empty frame."""
        self.feed(Look(sightings=tuple(Sighting.of(raw) for raw in raws), source=source))

    def feed(self, look: Look) -> None:
        """Queue one look."""
        with self._changed:
            self._looks.append(look)
            self._changed.notify_all()

    def look(self, timeout: float) -> Look | None:
        """The next look, or None if none was fed within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._looks or self.closed, timeout)
            return self._looks.popleft() if self._looks else None

    def restarts(self) -> Restarts:
        """It has no child processes, so none was ever replaced."""
        return Restarts()

    def exhausted(self) -> bool:
        """Whether every look was taken."""
        return not self._looks

    def close(self) -> None:
        """Wake anybody who waits in `look`."""
        with self._changed:
            super().close()
            self._changed.notify_all()


class RecordingTurnstile(_Loop):
    """A `Turnstile` that records when it was released (`releases`), and whether it is held open.

    A broken one opens, as the relay does, once it works again.

    :param clock: gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.releases: list[float] = []
        self.is_open = False
        """Whether it is held open right now."""
        self._clock = clock
        self._is_wanted_open = False
        self._lost = 0
        self._changed = threading.Lock()

    def release(self) -> None:
        """Record one release. Raises what `break_down` was told."""
        with self._changed:
            self._check()
            self.releases.append(self._clock())

    def hold_open(self) -> None:
        """Record that it is open from now on. Raises what `break_down` was told, and opens after it."""
        self._want(is_open=True)

    def rest(self) -> None:
        """Record that it is locked again. Raises what `break_down` was told."""
        self._want(is_open=False)

    def _want(self, *, is_open: bool) -> None:
        with self._changed:
            self._is_wanted_open = is_open
            self._check()
            self.is_open = is_open

    def _check(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def break_down(self, error: HardwareError | None) -> None:
        """Fail with this error from now on; None: work again."""
        with self._changed:
            super().break_down(error)
            if error is None:
                self.is_open = self._is_wanted_open

    def lose(self, count: int = 1) -> None:
        """The newest `count` releases are not given after all."""
        with self._changed:
            self._lost += count

    def lost(self) -> int:
        """How many releases were lost since last asked."""
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost


class ScriptedInputs(_Device):
    """`Inputs` that sense what they are told.

    :param on_fire: called at each edge of the alarm, from the thread that says so.
    """

    def __init__(self, on_fire: Callable[[bool], None] | None = None) -> None:
        super().__init__()
        self._now = Sensed()
        self._was = Sensed()  # alarms since the last reading, over or not
        self._on_fire = on_fire
        self._lock = threading.Lock()

    def bodies(self, count: int = 1) -> None:
        """So many people walk through."""
        with self._lock:
            self._now = replace(self._now, bodies=self._now.bodies + count)

    def fire(self, *, on: bool = True) -> None:
        """The fire alarm begins or ends."""
        with self._lock:
            is_edge = self._now.fire != on
            self._now = replace(self._now, fire=on)
            self._was = replace(self._was, fire=on or self._was.fire)
        if is_edge and self._on_fire is not None:
            self._on_fire(on)

    def tamper(self, *, on: bool = True) -> None:
        """The housing is opened or closed."""
        with self._lock:
            self._now = replace(self._now, tamper=on)
            self._was = replace(self._was, tamper=on or self._was.tamper)

    def read(self) -> Sensed:
        """What happened since the last reading; while it is broken, the passage sensor is blind."""
        with self._lock:
            now, was = self._now, self._was
            self._now, self._was = replace(now, bodies=0), Sensed()
            sensed = replace(now, fire=now.fire or was.fire, tamper=now.tamper or was.tamper)
            return sensed if self._trouble is None else replace(sensed, covered=False, blocked=True)


class RecordingVoice(_Device):
    """A `Voice` that records what it was to say: `played`, in order, whether broken or not."""

    def __init__(self) -> None:
        super().__init__()
        self.played: list[Signal] = []

    def play(self, signal: Signal) -> None:
        """Record it."""
        self.played.append(signal)


class ScriptedScanner(_Device):
    """A `Scanner` that reads what a script holds before it."""

    def __init__(self) -> None:
        super().__init__()
        self._codes: deque[bytes] = deque(maxlen=MOST_CODES)

    def scan(self, text: str) -> None:
        """Hold a code before it, and pull the trigger."""
        self._codes.append(text.encode())

    def read(self) -> bytes | None:
        """The oldest code that was not taken."""
        return self._codes.popleft() if self._codes else None


class ScriptedKeypad(_Device):
    """A `Keypad` on which a script types.

    :param clock: gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._line = TypedLine()
        self._lock = threading.Lock()

    def type(self, text: str) -> None:
        """Press the keys of these characters, one after the other; ``\\n`` is Enter."""
        with self._lock:
            for character in text:
                if character == "\n":
                    self._line.enter(self._clock())
                else:
                    self._line.put(character, self._clock())

    def clear(self) -> None:
        """Press Esc."""
        with self._lock:
            self._line.clear(self._clock())

    def read(self) -> Typed | None:
        """What is new since the last reading."""
        with self._lock:
            return self._line.read(self._clock())

"""Reports the state of the door: to systemd's watchdog, and in the file that `status` and sync read."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable
from importlib import metadata

from gate.common.watchdog import Beats, Heart
from gate.door.desk import Answered
from gate.door.idle import IdleScreen
from gate.door.parts import Parts, RetriedPart, part_trouble
from gate.door.turnstile import DoorTurnstile
from gate.rules.model import Now
from gate.rules.passage import Outcome
from gate.store.live_file import OK, Counters, Live, LiveWriter, PartsReport, percentile

LAST_DECISIONS = 200
LOST = "The journal was damaged and part of it is lost; admissions are flagged. See: maguey-gate journal"
DOUBT = "The passage sensor is covered, silent or unreadable: nothing is annulled. Check its wiring."


class Tally:
    """What the door has done since it started. Used from the door's thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.decisions_ms: deque[float] = deque(maxlen=LAST_DECISIONS)

    def scan(self, answered: Answered) -> None:
        """Count a scan that was answered and recorded; two codes at once are not a scan."""
        if answered.record is None:
            return
        self.counts["scans"] += 1
        self.counts["admitted" if answered.verdict.admits else "refused"] += 1
        self.decisions_ms.append(answered.decision_ms)

    def outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """Count what became of admissions."""
        self.counts.update(outcome.record for outcome in outcomes)


class Report:
    """Used from the door's thread, once a turn."""

    def __init__(  # noqa: PLR0913, PLR0917 – what is reported, and to whom
        self,
        parts: Parts,
        turnstile: DoorTurnstile,
        idle: IdleScreen,
        tally: Tally,
        heart: Heart,
        live: LiveWriter,
    ) -> None:
        self._parts = parts
        self._turnstile = turnstile
        self._idle = idle
        self._tally = tally
        self._heart = heart
        self._live = live
        self._version = metadata.version("maguey-gate")
        self._turns = 0
        self._frame_ms: int | None = None

    def turn(self, now: Now, *, looked: bool) -> None:
        """Report one turn of the loop.

        :param looked: whether there was a frame. The first one, or a known reason why there is none, makes
            the door ready: it can decide, or its screen says what is missing.
        """
        self._turns += 1
        self._frame_ms = now.monotonic_ms if looked else self._frame_ms
        if looked or self._parts.eye.trouble() is not None:
            self._heart.ready()
        self._heart.beat(now.monotonic_ms, self._beats())
        self._live.put(self._now(now))

    def stopping(self) -> None:
        """Report that the door is stopping."""
        self._heart.stopping()
        self._live.close()

    def _beats(self) -> Beats:
        """A missing part that is tried again each turn beats with the loop.

        Decision and journal share the loop's thread: a disk that hangs stops both.
        """
        relay = self._parts.turnstile.part
        return Beats(
            camera=self._parts.eye.beats(),
            decision=self._turns,
            journal=self._turnstile.turns,
            relay=relay.beats() if relay else self._turns,
        )

    def _now(self, now: Now) -> Live:
        restarts, counts = self._parts.eye.restarts(), self._tally.counts
        decisions = list(self._tally.decisions_ms)
        return Live(
            at=now.wall,
            monotonic_ms=now.monotonic_ms,
            boot_id=now.boot_id,
            pid=os.getpid(),
            version=self._version,
            parts=self._troubles(),
            way=self._turnstile.state.way,
            counters=Counters(
                scans=counts["scans"],
                admitted=counts["admitted"],
                refused=counts["refused"],
                annulled=counts["annulled"],
                passed=counts["passed"],
                decoder_restarts=restarts.decoder,
                camera_restarts=restarts.camera,
            ),
            p50_ms=percentile(decisions, 0.5),
            p99_ms=percentile(decisions, 0.99),
            clock=now.clock,
            clock_offset_ms=now.offset_ms,
            clock_uncertainty_ms=now.uncertainty_ms,
            isolated=self._idle.is_isolated,
            frame_ms=self._frame_ms,
        )

    def _troubles(self) -> PartsReport:
        parts, eye = self._parts, self._parts.eye.trouble()
        return PartsReport(
            camera=str(eye) if eye and eye.part != "decoder" else OK,
            decoder=str(eye) if eye and eye.part == "decoder" else OK,
            turnstile=_said(parts.turnstile),
            screen=str(parts.display.trouble() or OK),
            inputs=DOUBT if self._turnstile.state.doubts_sensor else _said(parts.inputs),
            lights=_said(parts.voice),
            keypad=_said(parts.keypad),
            scanner=_said(parts.scanner),
            journal=str(parts.journal.trouble or (LOST if self._idle.history_is_lost else OK)),
            cache=str(self._idle.cache_fault or parts.cache.trouble or OK),
        )


def _said(device: RetriedPart) -> str:
    return str(part_trouble(device) or OK)

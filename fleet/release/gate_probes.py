"""How a release is looked at on a gate: its services, what the door says of itself, a code that is no
ticket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.release.judgement import (
    FRAME_MS,
    Complaint,
    DoorReading,
    GateBefore,
    GateReading,
    SelfTest,
    first_complaint,
    gate_complaints,
)
from fleet.release.programs import WRONG_CONFIGURATION, ProbeError, ask_program
from fleet.release.unit_probes import UnitProbes
from gate.clock import Clock
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value

DOCTOR_S = 120.0
STATUS_S = 30.0
SCAN_S = 60.0
REPLAY_S = 120.0
QUIET_MS = 5_000
"""So long nobody must have been answered, and nobody have walked through, for a moment to be between
guests."""
_USER = "maguey-gate"
_LONGEST_DOOR = 64 * 1024


class SeenDoor(Value, frozen=True):
    """What is read of `gate.store.live_file.Live`, of whatever release; it may lack the newer fields."""

    monotonic_ms: int
    boot_id: str
    version: str
    frame_ms: int | None = None
    counters: dict[str, int] = {}


class GateProbes:
    """`fleet.release.trial.Probes` of a gate.

    :param program: where a release has its `maguey-gate`.
    :param live: the door's state, `runtime_dir` / ``door.json``.
    :param picture: of the self-test's code.
    :param new_rules: whether the release may decide recorded scans otherwise than the one before.
    """

    def __init__(  # noqa: PLR0913 – where everything is
        self,
        program: Callable[[str], Path],
        units: UnitProbes,
        clock: Clock,
        *,
        live: Path,
        picture: Path,
        old: str,
        new_rules: bool = False,
        quiet_ms: int = QUIET_MS,
    ) -> None:
        self._program, self._units, self._clock = program, units, clock
        self._live, self._picture, self._old = live, picture, old
        self._new_rules, self._quiet_ms = new_rules, quiet_ms
        self._version = old
        self._before = GateBefore(had_frames=False, was_online=False)
        self._test: SelfTest | None = None
        self._answered: tuple[dict[str, int], int] | None = None

    def refusal(self, version: str) -> str:
        """See `Probes`: its `doctor` reads the live configuration, its `replay` decides the journal again."""
        try:
            answer = ask_program(self._program(version), ["doctor", "--json"], DOCTOR_S)
        except ProbeError as error:
            return f"Its doctor gives no answer: {error}."
        if answer.code == WRONG_CONFIGURATION:
            return f"It cannot use this gate's configuration: {answer.said}"
        if answer.code not in (0, 1):
            return f"Its doctor ended with {answer.code}: {answer.said}"
        return "" if self._new_rules else self._decided_otherwise(version)

    def _decided_otherwise(self, version: str) -> str:
        """Scans that would get another answer by it, and would not by the present release."""
        try:
            before = self._differences(self._old)
        except ProbeError:  # too many for this machine, or no journal yet: there is nothing to compare with
            return ""
        try:
            now = self._differences(version)
        except ProbeError as error:
            return f"It cannot decide the recorded scans again: {error}."
        fresh = [one for one in now if one not in before]
        if not fresh:
            return ""
        return (
            f"It would decide {len(fresh)} recorded scans otherwise, first number {fresh[0].get('seq')}: "
            f"{_spoken(fresh[0])}. If that is meant: --new-rules"
        )

    def _differences(self, version: str) -> list[dict[str, Any]]:
        found = ask_program(self._program(version), ["replay", "--json"], REPLAY_S, _USER).json()
        differences = found.get("differences") if isinstance(found, dict) else None
        if not isinstance(differences, list):
            raise ProbeError("replay prints no differences")
        return [one for one in differences if isinstance(one, dict)]

    def is_quiet(self) -> bool:
        """See `Probes`. A door that does not run answers nobody."""
        door, now = self._door(), self._clock.now().monotonic_ms
        if door is None:
            return True
        if self._answered is None or self._answered[0] != door.counters:
            self._answered = (door.counters, now)
        return now - self._answered[1] >= self._quiet_ms

    def note_before(self, version: str) -> None:
        """See `Probes`."""
        door, status = self._door(), self._status(self._old)
        seen = door is not None and _is_new(door)
        self._before = GateBefore(had_frames=seen, was_online=status.get("online") is True)
        self._version = version

    def look(self, share: float) -> Complaint:
        """See `Probes`."""
        broken = self._units.look(share)
        if broken.fatal:
            return broken
        reading = self._reading()
        mine = gate_complaints(reading, self._before, self._version)
        return first_complaint(iter([broken, *mine]))

    def _reading(self) -> GateReading:
        door = self._door()
        if door is None:
            return GateReading(test=self._test)
        now = self._clock.now().monotonic_ms
        said = DoorReading(
            version=door.version,
            age_ms=now - door.monotonic_ms,
            frame_age_ms=None if door.frame_ms is None else now - door.frame_ms,
        )
        if self._test is None:
            self._test = self._present()
        return GateReading(door=said, test=self._test, acked=self._acked())

    def _present(self) -> SelfTest:
        """Have the new release decide and record a code that is no ticket. No relay moves: it is not asked
        to."""
        try:
            arguments = ["scan", str(self._picture)]
            line = ask_program(self._program(self._version), arguments, SCAN_S, _USER).json()
        except ProbeError as error:
            return SelfTest(error=str(error))
        if not isinstance(line, dict) or "verdict" not in line:
            return SelfTest(error="its answer has no verdict")
        seq = line.get("seq")
        return SelfTest(
            verdict=str(line["verdict"]),
            reason=str(line.get("reason")),
            seq=seq if isinstance(seq, int) else None,
        )

    def _acked(self) -> int | None:
        if not self._before.was_online:
            return None
        journal = self._status(self._version).get("journal")
        numbers = journal if isinstance(journal, dict) else {}
        last, waiting = numbers.get("last_seq"), numbers.get("waiting")
        return last - waiting if isinstance(last, int) and isinstance(waiting, int) else None

    def _status(self, version: str) -> dict[str, Any]:
        try:
            found = ask_program(self._program(version), ["status", "--json"], STATUS_S, _USER).json()
        except ProbeError:
            return {}
        return found if isinstance(found, dict) else {}

    def _door(self) -> SeenDoor | None:
        """What the door of this boot wrote last."""
        try:
            with self._live.open("rb") as file:
                seen = read_json(file.read(_LONGEST_DOOR + 1), SeenDoor, limit=_LONGEST_DOOR)
        except (OSError, UnreadableError):
            return None
        return seen if seen.boot_id == self._clock.now().boot_id else None


def _is_new(door: SeenDoor) -> bool:
    """Whether its newest frame is as new as what it wrote."""
    return door.frame_ms is not None and door.monotonic_ms - door.frame_ms <= FRAME_MS


def _spoken(difference: dict[str, Any]) -> str:
    was, would = difference.get("was"), difference.get("would_be")
    return f"was {_verdict(was)}, would be {_verdict(would)}"


def _verdict(one: Any) -> str:
    return f"{one.get('ruling')} {one.get('reason')}" if isinstance(one, dict) else str(one)

"""The life of a release on a machine, as a table of steps. Pure.

Theory of operation. A machine has one release it relies on (`ReleaseState.good`) and at most one it looks
at (`ReleaseState.update`). `STEPS` says how the second may go on. The release the machine has to run
follows from the state alone (`wanted`): the one being tried, and otherwise the good one. So whoever finds
the machine after a power cut or a kill, however far the work had come, needs only this state: what is still
being tried and has nobody who watches it is rolled back, and then the link is made to say what is wanted.

`fleet.release.trial` performs the steps, and writes each state to disk before it does what follows from it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from fleet.errors import FleetError
from gate.common.value import Value
from gate.rules.model import Now

LONGEST_REASON = 400
"""Characters; it is sent to the hub in the gate's status, which has room for 500."""
KEPT_UPDATES = 10


class Phase(StrEnum):
    """How far an update has come."""

    STAGED = "staged"
    TRYING = "trying"
    GOOD = "good"
    ROLLED_BACK = "rolled_back"


STEPS: dict[Phase | None, frozenset[Phase]] = {
    None: frozenset({Phase.STAGED}),
    Phase.STAGED: frozenset({Phase.STAGED, Phase.TRYING, Phase.GOOD}),  # good at once: only the first release
    Phase.TRYING: frozenset({Phase.GOOD, Phase.ROLLED_BACK}),
    Phase.GOOD: frozenset({Phase.STAGED}),
    Phase.ROLLED_BACK: frozenset({Phase.STAGED}),
}


class LifecycleError(FleetError):
    """The step is not allowed now; nothing has changed."""


class Update(Value, frozen=True):
    """One release on its way. `at`: when it came into `phase`, by this machine's clock.

    `boot_id`, `deadline_ms`: of a release being tried: in which boot, and until when at most (ms since that
    boot). `reason`: why it was rolled back, or why a staged one was not tried.
    """

    version: str
    phase: Phase
    at: datetime
    boot_id: str = ""
    deadline_ms: int = 0
    reason: str = ""


class ReleaseState(Value, frozen=True):
    """What a machine knows of its releases. `good`: the one to fall back on, empty before the first.

    `past`: earlier updates, the newest first.
    """

    good: str = ""
    update: Update | None = None
    past: tuple[Update, ...] = ()
    format: Literal[1] = 1

    @property
    def phase(self) -> Phase | None:
        """The phase of the update, None before the first."""
        return self.update.phase if self.update else None


def wanted(state: ReleaseState) -> str:
    """The version the machine has to run; empty if there is none yet."""
    update = state.update
    return update.version if update is not None and update.phase is Phase.TRYING else state.good


def staged(state: ReleaseState, version: str, now: Now, reason: str = "") -> ReleaseState:
    """A release is on the machine, whole, and the next to be tried.

    :param reason: why it was not tried just now.
    """
    update = Update(version=version, phase=Phase.STAGED, at=now.wall, reason=reason[:LONGEST_REASON])
    if state.update is None or state.phase is Phase.STAGED:
        return _step(state, update)
    past = (state.update, *state.past)[:KEPT_UPDATES]
    return msgspec.structs.replace(_step(state, update), past=past)


def tried(state: ReleaseState, now: Now, within_s: float) -> ReleaseState:
    """The staged release is about to run, for at most `within_s` until it is judged."""
    if not state.good:
        raise LifecycleError("There is no good release to go back to, so nothing can be tried.")
    deadline = now.monotonic_ms + round(within_s * 1000)
    return _go_on(state, Phase.TRYING, now, boot_id=now.boot_id, deadline_ms=deadline)


def installed_first(state: ReleaseState, now: Now) -> ReleaseState:
    """The first release of a machine: nothing ran before, so there is nothing to compare it with."""
    if state.good:
        raise LifecycleError(f"This machine relies on {state.good} already: another release has to be tried.")
    return _kept(state, now)


def kept(state: ReleaseState, now: Now) -> ReleaseState:
    """The release that is being tried is the good one from now on."""
    if state.phase is not Phase.TRYING:
        raise LifecycleError("No release is being tried, so none can be kept.")
    return _kept(state, now)


def _kept(state: ReleaseState, now: Now) -> ReleaseState:
    after = _go_on(state, Phase.GOOD, now)
    return msgspec.structs.replace(after, good=after.update.version if after.update else "")


def rolled_back(state: ReleaseState, now: Now, reason: str) -> ReleaseState:
    """The release that was being tried is given up."""
    return _go_on(state, Phase.ROLLED_BACK, now, reason=reason[:LONGEST_REASON])


def abandoned(state: ReleaseState, now: Now) -> str:
    """Why a release that is being tried has nobody who watches it, for who starts with no memory of it.

    Empty if none is being tried.
    """
    if state.update is None or state.update.phase is not Phase.TRYING:
        return ""
    if state.update.boot_id != now.boot_id:
        return "The machine was restarted, or lost power, while it was being tried."
    if now.monotonic_ms >= state.update.deadline_ms:
        return "It was not judged within its time."
    return "The update was ended before it was judged."


def _go_on(state: ReleaseState, to: Phase, now: Now, **fields: object) -> ReleaseState:
    if state.update is None:
        raise LifecycleError("No release is staged on this machine. Run: maguey-release stage BUNDLE")
    fresh = Update(version=state.update.version, phase=to, at=now.wall)
    return _step(state, msgspec.structs.replace(fresh, **fields))


def _step(state: ReleaseState, update: Update) -> ReleaseState:
    if update.phase not in STEPS[state.phase]:
        have = f"{state.update.version} is {state.update.phase.value}" if state.update else "there is none"
        raise LifecycleError(f"{update.version} cannot become {update.phase.value}: {have}.")
    return msgspec.structs.replace(state, update=update)

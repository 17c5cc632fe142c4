"""Tries a release on the machine itself, keeps it or rolls it back; and puts right what was left half done.

Theory of operation. The state goes to disk before what follows from it (`fleet.release.lifecycle`): first
``trying``, then services stopped, link flipped, services started, probation; then ``good``. Or
``rolled_back``, and then services stopped, link flipped back, services started. So at every moment, whoever
starts afresh can tell from state and link alone what to do (`recover`), and doing it twice does no harm:

1. what is still ``trying`` is rolled back: its watcher died, or the machine;
2. if the link does not name what the state wants: stop, flip;
3. start.

Step 1 runs at boot before the services (`maguey-release boot`, which leaves step 3 to systemd), from the
release that is trusted and not the one that is tried, and whenever the process that tries a release has
ended, in whatever way (`maguey-release settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
import structlog

from fleet.errors import FleetError
from fleet.release.judgement import Complaint
from fleet.release.lifecycle import (
    ReleaseState,
    abandoned,
    installed_first,
    kept,
    rolled_back,
    staged,
    tried,
    wanted,
)
from fleet.release.services import START_S, STOP_S, ServiceError, Services
from gate.clock import Clock

PROBATION_S = 90.0
LOOK_S = 1.0
"""Between two looks at a release on probation."""
QUIET_S = 60.0
"""Longest wait for a moment between guests."""


class NotTried(FleetError):
    """The release was not tried; the machine runs what it ran."""


class ProbationFailed(FleetError):
    """The release does not work here; the message is the reason."""


class ReleaseFiles(Protocol):
    """What a trial needs of `fleet.release.disk.ReleaseDisk`."""

    def load(self) -> ReleaseState:
        """The state."""

    def save(self, state: ReleaseState) -> None:
        """Write it; it is on disk when this returns."""

    def current(self) -> str:
        """The version that runs, or is about to."""

    def point(self, version: str) -> None:
        """Make this the current one."""

    def trust(self, version: str) -> None:
        """Have this release put things right at boot."""

    def leave_sign(self, *, on: bool) -> None:
        """While on, a door that stops leaves UPDATING on its screen."""

    def prune(self, needed: Collection[str]) -> None:
        """Remove old releases but these."""


class Probes(Protocol):
    """How a release is looked at."""

    def refusal(self, version: str, /) -> str:
        """Why the release cannot even be tried here, such as a setting it does not know; empty if it can."""

    def is_quiet(self) -> bool:
        """Whether nobody is being answered right now."""

    def note_before(self, version: str) -> None:
        """Note what works now, under the old release; what did not is not asked of `version`."""

    def look(self, share: float, /) -> Complaint:
        """Look at what runs.

        :param share: how much of the probation is over, 0 to 1 and beyond.
        """


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One machine. `wait`: sleeps for so many seconds. `allowance_s`: what a release has, besides twice its
    probation, for stop, start and all that may be missing at first."""

    files: ReleaseFiles
    services: Services
    probes: Probes
    clock: Clock
    wait: Callable[[float], object]
    allowance_s: float = STOP_S + START_S

    def run(self, version: str, probation_s: float = PROBATION_S, *, insist: bool = False) -> ReleaseState:
        """Try the staged release, and keep it or roll it back. Returns the state after it.

        :param insist: do not wait for a moment between guests.
        :raises NotTried: it cannot be tried; nothing has changed but the reason in the state.
        """
        before = self.files.load()
        if before.update is None or before.update.version != version:
            raise NotTried(f"{version} is not staged on this machine. Run: maguey-release stage BUNDLE")
        if not before.good:
            return self._first(before)
        self._check(before, version, insist=insist)
        self.probes.note_before(version)
        self.files.trust(before.good)
        state = tried(before, self.clock.now(), self.allowance_s + 2 * probation_s)
        self.files.save(state)
        try:
            self._switch(version)
            self._watch(state, probation_s)
        except Exception as error:  # whatever it is, nobody vouches for this release
            return self._roll_back(state, str(error) or type(error).__name__)
        return self._keep(state, before.good)

    def _first(self, state: ReleaseState) -> ReleaseState:
        state = installed_first(state, self.clock.now())
        self.files.save(state)
        self.files.point(wanted(state))
        self.files.trust(wanted(state))
        return state

    def _check(self, state: ReleaseState, version: str, *, insist: bool) -> None:
        why = self.probes.refusal(version) or ("" if insist else self._busy())
        if why:
            self.files.save(staged(state, version, self.clock.now(), why))
            raise NotTried(f"{version} was not tried; {state.good} runs on. {why}")

    def _busy(self) -> str:
        until = self.clock.now().monotonic_ms + QUIET_S * 1000
        while not self.probes.is_quiet():
            if self.clock.now().monotonic_ms >= until:
                return f"Guests came in without a pause for {QUIET_S:.0f} s. Try later, or with --insist."
            self.wait(LOOK_S)
        return ""

    def _switch(self, version: str) -> None:
        self.files.leave_sign(on=True)
        try:
            self.services.stop()
            self.files.point(version)
        finally:
            self.files.leave_sign(on=False)
        self.services.start()

    def _watch(self, state: ReleaseState, probation_s: float) -> None:
        """Look again and again. Raises `ProbationFailed`."""
        began = self.clock.now().monotonic_ms
        deadline = state.update.deadline_ms if state.update else 0
        while True:
            now = self.clock.now().monotonic_ms
            share = (now - began) / max(1.0, probation_s * 1000)
            seen = self.probes.look(share)
            if seen.fatal or (seen.missing and now >= deadline):
                raise ProbationFailed(seen.fatal or seen.missing)
            if share >= 1 and not seen.missing:
                return
            self.wait(LOOK_S)

    def _keep(self, state: ReleaseState, before: str) -> ReleaseState:
        state = kept(state, self.clock.now())
        self.files.save(state)
        self.files.trust(state.good)
        self.files.prune({state.good, before})
        return state

    def _roll_back(self, state: ReleaseState, reason: str) -> ReleaseState:
        state = _given_up(self.files, state, self.clock, reason)
        run_wanted(self.files, self.services, state)
        return state


def recover(files: ReleaseFiles, clock: Clock) -> ReleaseState:
    """Give up what nobody watches any more. Only the state changes."""
    state = files.load()
    why = abandoned(state, clock.now())
    return _given_up(files, state, clock, why) if why else state


def _given_up(files: ReleaseFiles, state: ReleaseState, clock: Clock, reason: str) -> ReleaseState:
    """A disk that takes no state does not keep a bad release: the link goes back all the same."""
    state = rolled_back(state, clock.now(), reason)
    log = structlog.get_logger()
    log.warning(
        "release rolled back", version=state.update and state.update.version, why=reason, to=state.good
    )
    try:
        files.save(state)
    except OSError as error:
        log.error("state of the releases not written", why=str(error))
    return state


def run_wanted(files: ReleaseFiles, services: Services, state: ReleaseState) -> None:
    """Make the wanted release the one that runs. Raises `ServiceError` if it does not start."""
    version = wanted(state)
    if version and version != files.current():
        files.leave_sign(on=True)
        try:
            services.stop()
        except ServiceError as error:  # it hangs: what it has in memory goes when systemd kills it
            structlog.get_logger().error("services not stopped", why=str(error))
        files.point(version)
    files.leave_sign(on=False)
    services.start()


def set_right_at_boot(files: ReleaseFiles, clock: Clock) -> ReleaseState:
    """Before the services start: the release that was being tried is given up, the link is put right."""
    state = recover(files, clock)
    if wanted(state) and wanted(state) != files.current():
        files.point(wanted(state))
    return state

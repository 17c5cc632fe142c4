"""What `maguey-release status` says."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fleet.release.disk import ReleaseDisk
from fleet.release.lifecycle import Phase, ReleaseState, Update
from gate.common.value import Value

_SAID = {
    Phase.STAGED: "is here and was not tried",
    Phase.TRYING: "is being tried",
    Phase.GOOD: "is kept",
    Phase.ROLLED_BACK: "was ROLLED BACK",
}


class ReleaseReport(Value, frozen=True):
    """`current`: what runs; `good`: what is fallen back on; `releases`: what is here, the newest first.

    `update`: the last one, with its phase and reason; `past`: those before it. `kind`: gate, hub, or empty
    before the first release.
    """

    current: str
    good: str
    kind: str
    releases: tuple[str, ...]
    update: Update | None
    past: tuple[Update, ...]

    def as_json(self) -> str:
        """On one line."""
        return msgspec.json.encode(self).decode()


def report_of(disk: ReleaseDisk, state: ReleaseState) -> ReleaseReport:
    """Read the folders. Changes nothing."""
    installed = disk.installed()
    known = installed.get(state.good) or next(iter(installed.values()), None)
    return ReleaseReport(
        current=disk.current(),
        good=state.good,
        kind=known.kind if known else "",
        releases=tuple(installed),
        update=state.update,
        past=state.past,
    )


def report_lines(report: ReleaseReport) -> Iterator[str]:
    """The same for a person."""
    yield f"runs      {report.current or 'nothing yet'}"
    yield f"here      {', '.join(report.releases) or 'no release'}"
    if report.update is not None:
        yield f"update    {_line(report.update)}"
    yield from (f"before    {_line(one)}" for one in report.past)


def _line(update: Update) -> str:
    reason = f": {update.reason}" if update.reason else ""
    return f"{update.version} {_SAID[update.phase]}, {update.at:%Y-%m-%d %H:%M:%S} UTC{reason}"

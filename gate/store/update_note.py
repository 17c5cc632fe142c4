"""What became of the newest release of this software: read from the state that `fleet.release` keeps.

Door and sync read it to say on the screen and at the hub that a release was rolled back. They know only these
fields, so that either side may be older than the other.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gate.common.foreign import UnreadableError, read_json
from gate.common.owned_files import read_own
from gate.common.value import Value

RELEASE_STATE = Path("/var/lib/maguey-release/state.json")
ROLLED_BACK = "rolled_back"
_LONGEST = 256 * 1024


class UpdateNote(Value, frozen=True):
    """The last update. `phase`: as in `fleet.release.lifecycle`; `reason`: why it was rolled back."""

    version: str
    phase: str
    at: datetime
    reason: str = ""

    @property
    def rollback(self) -> str:
        """That it was rolled back and why, in words; empty if it was not."""
        return f"{self.version} was rolled back: {self.reason}" if self.phase == ROLLED_BACK else ""


class _State(Value, frozen=True):
    update: UpdateNote | None = None


def read_update_note(path: Path) -> UpdateNote | None:
    """The last update; None if there was none, or nobody can tell. Never raises."""
    try:
        return read_json(read_own(path, _LONGEST), _State, limit=_LONGEST).update
    except (OSError, UnreadableError):
        return None

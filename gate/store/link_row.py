"""What sync tells the door of the link, as one row of `cache.db`, written at least once a second. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from gate.common.value import Value
from gate.rules.home_gate import Division
from gate.rules.model import Heard, Measure


class Behind(Value, frozen=True):
    """What a night's list is known to lack, since `since_ms`.

    `generation`, `version`: the newest place known of, 0 if none is. `missing`: changes up to there,
    None where they cannot be counted: nothing is held, or it is of an earlier generation. `whole`: all
    of it is to be loaded anew.
    """

    since_ms: int
    generation: int = 0
    version: int = 0
    missing: int | None = None
    whole: bool = False


class LinkNote(Value, frozen=True):
    """What the door is to know of the link; times are monotonic milliseconds of this boot.

    `connected`: to the broker, since `since_ms` (or not, since then). `hub_heard`: the hub
    acknowledges what it is sent. `acked_seq`: up to where the hub has the journal's records, never above
    its last; `hub_seq`: what the hub itself says, which is more if the journal was restored from a
    backup. `answered_ms`: when the hub last answered what claims go through, None if not since this
    boot. `measure`: the best known of its clock, also of an earlier boot. `heard`: what was heard of the
    other gates. `lent_as_of`: by event, for which division of its tickets the hub has told what this gate
    may not admit alone; who goes by another, later one does not know all of that. `behind`: by event, the
    lists that are known to be behind the hub's (domain 2.3). `flooding`: gates that send more than a door
    can. `unlisted`: the broker lets this gate in and refuses all it asks for.
    """

    connected: bool
    hub_heard: bool
    since_ms: int
    beat_ms: int
    boot_id: str
    epoch: str | None
    acked_seq: int
    hub_seq: int = 0
    answered_ms: int | None = None
    measure: Measure | None = None
    heard: tuple[Heard, ...] = ()
    lent_as_of: dict[str, Division] = {}
    behind: dict[str, Behind] = {}
    flooding: tuple[str, ...] = ()
    unlisted: bool = False


def last_known(note: LinkNote) -> Measure | None:
    """The hub's time at the last beat of the boot it was measured in, for a later boot to begin from.

    How sure that is does not matter then: a clock of a later boot is untrusted, and this its floor.
    """
    measure = note.measure
    if measure is None or measure.boot_id != note.boot_id:
        return measure
    since = max(0, note.beat_ms - measure.monotonic_ms)
    return replace(measure, hub_ms=measure.hub_ms + since, monotonic_ms=measure.monotonic_ms + since)

"""What sync tells the door of the link, as one row of `cache.db`, written at least once a second. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from gate.common.value import Value
from gate.rules.home_gate import Division
from gate.rules.model import Heard, Measure


class Behind(Value, frozen=True):
    """What a night's list is known to lack, since `since_ms`.

    `generation`, `version`: the newest place that is known, 0 if none is. `missing`: how many changes there
    are up to that place, None if they cannot be counted, because the list is empty or of an earlier
    generation. `whole`: the whole list has to be loaded again.
    """

    since_ms: int
    generation: int = 0
    version: int = 0
    missing: int | None = None
    whole: bool = False


class LinkNote(Value, frozen=True):
    """What the door needs to know about the link. Times are monotonic milliseconds of this boot.

    `connected`: whether sync is connected to the broker, and since `since_ms`. `hub_heard`: the hub
    acknowledges what is sent. `acked_seq`: up to which number the hub has the journal's records, never above
    the last one; `hub_seq`: what the hub itself says, which is more if the journal was restored from a
    backup. `answered_ms`: when the hub last answered on the path that claims take, None if never in this
    boot. `measure`: the best measurement of the hub's clock, maybe from an earlier boot. `heard`: what was
    heard of the other gates. `lent_as_of`: by event, the division of its tickets for which the hub has said
    what this gate may not admit alone; under a later division this gate does not know all of that. `behind`:
    by event, the lists that are known to be behind the hub's (domain 2.3). `flooding`: gates that send more
    than any door can. `unlisted`: the broker accepts this gate and refuses everything it asks for.
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
    """The hub's time at the last beat of the boot it was measured in, from which a later boot begins.

    Its uncertainty does not matter: in a later boot the clock is untrusted, and this is only its lower bound.
    """
    measure = note.measure
    if measure is None or measure.boot_id != note.boot_id:
        return measure
    since = max(0, note.beat_ms - measure.monotonic_ms)
    return replace(measure, hub_ms=measure.hub_ms + since, monotonic_ms=measure.monotonic_ms + since)

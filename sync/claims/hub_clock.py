"""What time it is at the hub, measured as NTP does. Pure.

The gate notes, by its monotonic clock, when it asked and when the answer came; the hub says when it received
and when it sent. Only the sum of the two ways is known, so the hub's time is the middle, give or take half
the sum. The shorter the better, so the best measure of the last minute is kept. Its uncertainty grows,
because two clocks drift apart (`gate.clock.drift_ms`).
"""

from __future__ import annotations

import msgspec

from gate.clock import DRIFT_PPM, drift_ms
from gate.common.value import Value
from gate.rules.model import Measure
from gate.store.link_row import LinkNote, last_known
from sync.wire.messages import HubTime

RECENT_MS = 60_000
_MOST = 64
_EARLIEST_US = 1_577_836_800_000_000
"""The year 2020: a hub that says less has no clock of its own."""
_LATEST_US = 7_258_118_400_000_000
_MS = 1_000


class HubClock(Value, frozen=True):
    """The measures of the last minute and the best of them, which stays until there is a better one.

    `doubted`: the last measure, if it contradicts those before it and none has confirmed it.
    """

    best: Measure | None = None
    recent: tuple[Measure, ...] = ()
    doubted: Measure | None = None


def measure(boot_id: str, asked_ms: int, heard_ms: int, hub: HubTime) -> Measure | None:
    """What an answer says about the hub's clock; None if it is nonsense.

    :param asked_ms: monotonic time before the question was sent, in milliseconds, rounded down.
    :param heard_ms: the same after the answer arrived.
    """
    if not _EARLIEST_US <= hub.received_us <= hub.sent_us < _LATEST_US:
        return None
    longest = (heard_ms + 1 - asked_ms) * _MS
    way = longest + -(-longest * DRIFT_PPM // 1_000_000) - (hub.sent_us - hub.received_us)
    if heard_ms < asked_ms or way < 0:
        return None
    # exactly at `heard_ms` the hub's clock showed between sent - 1.0001 ms (rounding) and sent + way
    middle = hub.sent_us + (way - _MS - 1) // 2
    half = (way + _MS + 1) // 2 + 1
    return Measure(
        boot_id=boot_id,
        monotonic_ms=heard_ms,
        hub_ms=middle // _MS,
        uncertainty_ms=-(-(half + middle % _MS) // _MS),
    )


def with_measure(hub_clock: HubClock, new: Measure) -> HubClock:
    """Add a measure.

    One that contradicts those before it by more than drift means that the hub's clock was set. Two in a row
    are needed: a hub that is wrong for a moment must not change a gate's opening hours.
    """
    best = hub_clock.best
    if best and best.boot_id == new.boot_id and not _agree(best, new):
        if hub_clock.doubted is None or not _agree(hub_clock.doubted, new):
            return msgspec.structs.replace(hub_clock, doubted=new)
        hub_clock = HubClock(best=hub_clock.doubted)
    recent = (*(one for one in (hub_clock.best, *hub_clock.recent) if one and _still_counts(one, new)), new)
    recent = tuple(dict.fromkeys(recent))[-_MOST:]
    return HubClock(best=min(recent, key=lambda one: uncertainty_at(one, new.monotonic_ms)), recent=recent)


def uncertainty_at(one: Measure, now_ms: int) -> int:
    """How far off the measure may be by now, in ms."""
    return one.uncertainty_ms + drift_ms(now_ms - one.monotonic_ms)


def _still_counts(one: Measure, new: Measure) -> bool:
    since = new.monotonic_ms - one.monotonic_ms
    return one.boot_id == new.boot_id and 0 <= since <= RECENT_MS and _agree(one, new)


def _agree(one: Measure, new: Measure) -> bool:
    """Whether both can be right; they are of the same boot."""
    since = new.monotonic_ms - one.monotonic_ms
    apart = abs(one.hub_ms + since - new.hub_ms)
    return apart <= uncertainty_at(one, new.monotonic_ms) + new.uncertainty_ms


def restored(before: LinkNote | None, boot_id: str) -> HubClock:
    """What was known before a restart; from another boot, the hub's time when that boot last noted it."""
    if before is None:
        return HubClock()
    return HubClock(best=before.measure if before.boot_id == boot_id else last_known(before))

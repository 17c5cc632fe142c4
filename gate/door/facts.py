"""What the gate knows about a code when it is presented, read from the cache at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.clock import Clock
from gate.common.errors import CacheError
from gate.common.value import Value
from gate.rules.model import Event, Now
from gate.rules.night import names_night, night_of, nights_served
from gate.rules.payload import Code, Proof, prove
from gate.store.cache import CacheReader, Feed, Known, LinkState, is_stale

NO_LIST = "A guest list of tonight has not been fetched yet. Start maguey-sync and look at its log."


class Facts(Value, frozen=True):
    """Everything that is read before the transaction of a scan.

    `code`: None if what was presented is not one of ours. `event`: the night it is judged by. `ticket_event`:
    the night the ticket is for, where known. `is_stale`: the list of `event` is known to be behind the hub's.
    `companions`: guests of the same table whom the hub has not counted, and whether another gate let them in.
    """

    code: Code | None
    now: Now
    event: Event | None
    ticket_event: Event | None
    known: Known
    proof: Proof
    feed: Feed
    link: LinkState
    is_stale: bool
    companions: dict[str, bool]


def look_up(
    code: Code | None, cache: CacheReader, clock: Clock, keys: Mapping[str, Ed25519PublicKey]
) -> Facts:
    """Read what is known about a code; None: something that is not one of ours.

    :raises CacheError: the cache cannot be read, or has no guest list yet.
    """
    with cache.view():
        link = cache.link(clock.now())
        clock.learn(link.measure)
        now = clock.now()
        events = cache.events()
        known = cache.find(code.code_hash) if code else Known()
        ticket_event = _ticket_event(events, known, code)
        event = night_of(ticket_event, events, now.wall)
        feed = cache.feed(event.event_id, now.wall) if event else Feed()
        companions = cache.companions(known.table.reservation_id) if known.table else {}
        is_known = known.admission is not None
        can_deny = is_known or _has_lists(cache, event if event is ticket_event else None, events, now)
    issued = (known.admission.signature_hash or "") if known.admission else None
    proof = prove(code, issued, keys) if code else Proof.NONE
    if code is not None and proof is not Proof.VALID and not can_deny:
        raise CacheError(NO_LIST)
    return Facts(
        code=code,
        now=now,
        event=event,
        ticket_event=ticket_event,
        known=known,
        proof=proof,
        feed=feed,
        link=link,
        is_stale=event is not None and is_stale(link, event.event_id, now.monotonic_ms),
        companions=companions,
    )


def _ticket_event(events: Sequence[Event], known: Known, code: Code | None) -> Event | None:
    """The night a ticket is for, by the cache, or else by the event code and date in its own code."""
    if known.admission is not None:
        event_id = known.admission.event_id
        return next((event for event in events if event.event_id == event_id), None)
    if code is None or code.event_code is None:
        return None
    of_code = [event for event in events if event.code == code.event_code]
    named = [event for event in of_code if names_night(code.event_code, code.event_date, event)]
    return next(iter(named or of_code), None)


def _has_lists(cache: CacheReader, named: Event | None, events: Sequence[Event], now: Now) -> bool:
    """Whether the lists are here that a code would be on: without them no gate can call it unknown.

    :param named: the night the code names, if it is served; else it may be on the list of any served night.
    """
    nights = (named,) if named else nights_served(events, now.wall)
    return bool(events) and all(cache.feed(one.event_id, now.wall).version is not None for one in nights)

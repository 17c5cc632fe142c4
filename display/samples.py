"""One example of every screen (domain 2.3, 2.4), for previews, golden pictures and the manual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from display.text.catalogue import Lang
from gate.common.errors import Step
from gate.ports.screen import (
    DoubleEntry,
    EntryPlace,
    Focus,
    Idle,
    LinkView,
    Notice,
    OutOfOrder,
    Part,
    RolledBack,
    Screen,
    StaffText,
    Typing,
    VerdictScreen,
)
from gate.rules.model import Entry, Event, Flag, Kind, Reason, ReservationStatus, Ruling, Table, Verdict
from gate.rules.typo import Typo

ZONE = ZoneInfo("America/Mexico_City")
"""Where the sample night takes place."""

ONLINE = LinkView(online=True, cache_age_s=4)
OFFLINE = LinkView(online=False, waiting=37, cache_age_s=12 * 60 + 20)
ALONE = replace(OFFLINE, isolated=True)
STALE = LinkView(online=True, cache_age_s=83, stale=True)

FRIDAY = Event(
    event_id="0d3c1f6e-6d0e-4b7e-9f52-0c6ad0f6b001",
    code="PF",
    name="PERREO FRIDAYS",
    doors_open_at=datetime(2025, 2, 1, 4, 0, tzinfo=UTC),
    ends_at=datetime(2025, 2, 1, 10, 0, tzinfo=UTC),
    capacity=500,
)
SATURDAY = Event(
    event_id="0d3c1f6e-6d0e-4b7e-9f52-0c6ad0f6b002",
    code="PS",
    name="PERREO SATURDAYS",
    doors_open_at=datetime(2025, 2, 2, 4, 0, tzinfo=UTC),
    ends_at=datetime(2025, 2, 2, 10, 0, tzinfo=UTC),
    served=False,
)
TABLE = Table(
    reservation_id="5f2b8f3a-3a0c-4c39-8a07-6f3b6a1f0012",
    event_id=FRIDAY.event_id,
    number="12",
    name="Terraza Norte",
    tier="premium",
    status=ReservationStatus.CHECKED_IN,
    host="José María Hernández-Villaseñor",
    seats=8,
    arrived=3,
    guests=(
        "Ana Sofía Ibáñez",
        "Íñigo Muñoz",
        "Lucía Fernández de Córdova",
        "Renata Güemes",
        "Ximena Peña",
        "Diego Ávila",
        "Zoë O’Connor",
    ),
)
_LONG_NAME = "Licenciada Guadalupe Montserrat de la Santísima Trinidad"
FULL_TABLE = replace(
    TABLE,
    seats=12,
    arrived=12,
    guests=(
        "José Ángel Núñez",
        "María de los Ángeles Rodríguez",
        "Juan Sebastián Etxeberria",
        "Guadalupe Villaseñor-Hernández",
        "Ana Karen Domínguez Güereña",
        "Cuauhtémoc Xicoténcatl",
        "Sofía Ñandú",
        "Luis Fernando Echeverría",
        "Itzel Tlapanecatzin",
        "Renée d’Ávila y Múzquiz",
        "Maximiliano Bustamante",
        "Zoë Ibargüengoitia",
    ),
)
"""As many guests as a table has, with very long names."""

ENTRY = Entry(at=datetime(2025, 2, 1, 4, 4, tzinfo=UTC), gate="gate-2")
_NOW = datetime(2025, 2, 1, 5, 40, tzinfo=UTC)


def samples(lang: Lang = "en") -> dict[str, Screen]:
    """Every sample by its stable name, in the order of the domain document.

    :param lang: the language in which the venue named its gates and tickets.
    """
    return dict(_all(_DATA[lang]))


_DATA: Mapping[Lang, Mapping[str, str]] = {
    "en": {
        "gate": "GATE",
        "ticket_type": "General Admission",
        "text": "Bring the VIP wristbands to GATE 2, please",
    },
    "es": {
        "gate": "PUERTA",
        "ticket_type": "Entrada general",
        "text": "Lleve las pulseras VIP a la PUERTA 2, por favor",
    },
}


def _all(data: Mapping[str, str]) -> Iterator[tuple[str, Screen]]:
    yield from _idles(data["gate"])
    yield from _welcomes(data["ticket_type"], data["gate"])
    yield from _refusals(data["gate"])
    yield from _attention()
    yield from _for_staff(data["gate"], data["text"])
    yield from _at_work()
    yield from _two_nights(data["gate"])
    yield from _old_list(data["ticket_type"], data["gate"])
    yield from _rolled_back()


def _idle(
    gate: str, link: LinkView, event: str | None = FRIDAY.name, capacity: int = FRIDAY.capacity
) -> Idle:
    inside = 234 if event else 0
    doors = FRIDAY.doors_open_at if event else None
    return Idle(
        event=event,
        gate_name=f"{gate} 1",
        inside=inside,
        capacity=capacity,
        now=_NOW,
        doors=doors,
        link=link,
    )


def _idles(gate: str) -> Iterator[tuple[str, Screen]]:
    yield "idle", _idle(gate, ONLINE)
    yield "idle-offline", _idle(gate, OFFLINE)
    yield "idle-never-synced", _idle(gate, LinkView(), None, 0)
    yield "idle-alone", _idle(gate, ALONE)
    yield "idle-clock-not-set", replace(_idle(gate, ONLINE), knows_time=False)
    yield "idle-alone-clock-not-set", replace(_idle(gate, ALONE), knows_time=False)
    yield "idle-no-event-clock-not-set", replace(_idle(gate, ALONE, None, 0), knows_time=False)
    yield "idle-no-event", _idle(gate, ONLINE, None, 0)
    yield "idle-long-event", _idle(gate, ONLINE, "NOCHE DE MUERTOS: EDICIÓN ANIVERSARIO")


def _admit(
    kind: Kind, link: LinkView = ONLINE, ticket_type: str = "", table: Table | None = TABLE
) -> VerdictScreen:
    verdict = Verdict(
        ruling=Ruling.ADMIT,
        reason=Reason.FIRST_ENTRY,
        line=11,
        kind=kind,
        subject_id="9c1d",
        event=FRIDAY,
        table=table,
        ticket_type=ticket_type,
        holder=TABLE.host if kind is Kind.VIP_HOST else "",
    )
    return VerdictScreen(verdict=verdict, link=link)


def _back(gate: str, link: LinkView = ONLINE, entry: Entry | None = ENTRY) -> VerdictScreen:
    first = _admit(Kind.VIP_LINKED, link)
    verdict = replace(first.verdict, reason=Reason.REENTRY, line=12, entry=entry)
    return VerdictScreen(verdict=verdict, place=f"{gate} 2" if entry else "", link=link)


def _unsynced() -> VerdictScreen:
    verdict = Verdict(
        ruling=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, line=6, event=FRIDAY, flags=(Flag.UNSYNCED,)
    )
    return VerdictScreen(verdict=verdict, link=OFFLINE)


def _flagged(reason: Reason, flag: Flag) -> VerdictScreen:
    """An admission with a reason and a flag."""
    first = _admit(Kind.GA, table=None)
    return replace(first, verdict=replace(first.verdict, reason=reason, flags=(flag,)))


def _welcomes(ticket_type: str, gate: str) -> Iterator[tuple[str, Screen]]:
    yield "welcome", _admit(Kind.GA, ticket_type=ticket_type, table=None)
    yield "welcome-offline", _admit(Kind.GA, OFFLINE, ticket_type, None)
    yield "welcome-no-ticket-type", _admit(Kind.GA, table=None)
    yield "welcome-unsynced", _unsynced()
    for kind in (Kind.VIP_HOST, Kind.VIP_PASS, Kind.VIP_LINKED):
        name = kind.value.replace("_", "-")
        yield name, _admit(kind)
        yield f"{name}-offline", _admit(kind, OFFLINE)
    yield "vip-host-full-table", _admit(Kind.VIP_HOST, table=FULL_TABLE)
    yield "vip-pass-no-table-name", _admit(Kind.VIP_PASS, table=replace(TABLE, name=""))
    yield "vip-linked-long-name", _admit(Kind.VIP_LINKED, table=replace(TABLE, name=_LONG_NAME))
    yield "let-in-by-staff", _flagged(Reason.ALREADY_USED, Flag.FORCED)
    yield "welcome-history-lost", _flagged(Reason.FIRST_ENTRY, Flag.HISTORY_LOST)
    yield "reentry", _back(gate)
    yield "reentry-offline", _back(gate, OFFLINE)
    yield "reentry-time-unknown", _back(gate, entry=None)


_LINES = {
    Reason.MALFORMED: 1,
    Reason.BAD_CHECKSUM: 2,
    Reason.FORGED: 3,
    Reason.UNKNOWN: 5,
    Reason.WRONG_EVENT: 7,
    Reason.EVENT_CANCELLED: 8,
    Reason.CANCELLED: 8,
    Reason.REFUNDED: 8,
    Reason.TABLE_NOT_CONFIRMED: 9,
    Reason.TOO_EARLY: 10,
    Reason.EVENT_OVER: 10,
    Reason.ALREADY_USED: 13,
    Reason.ISOLATED: 11,
    Reason.OTHER_GATE: 11,
}


def _deny(reason: Reason, gate: str, link: LinkView = ONLINE, kind: Kind = Kind.GA) -> VerdictScreen:
    unread = reason in (Reason.MALFORMED, Reason.BAD_CHECKSUM, Reason.FORGED, Reason.UNKNOWN)
    if reason is Reason.TABLE_NOT_CONFIRMED:
        kind = Kind.VIP_PASS
    verdict = Verdict(
        ruling=Ruling.DENY,
        reason=reason,
        line=_LINES[reason],
        kind=Kind.UNKNOWN if unread else kind,
        subject_id=None if unread else "9c1d",
        event=SATURDAY if reason is Reason.WRONG_EVENT else FRIDAY,
        table=TABLE if kind is Kind.VIP_PASS else None,
        entry=ENTRY if reason is Reason.ALREADY_USED else None,
        other_gate="gate-2" if reason is Reason.OTHER_GATE else "",
    )
    named = verdict.entry is not None or bool(verdict.other_gate)
    return VerdictScreen(verdict=verdict, place=f"{gate} 2" if named else "", link=link)


def _refusals(gate: str) -> Iterator[tuple[str, Screen]]:
    for reason in _LINES:
        name = f"deny-{reason.value.replace('_', '-')}"
        yield name, _deny(reason, gate)
        yield f"{name}-offline", _deny(reason, gate, OFFLINE)
        if reason in (Reason.ISOLATED, Reason.OTHER_GATE):
            yield f"{name}-alone", _deny(reason, gate, ALONE)
    typo = replace(_deny(Reason.BAD_CHECKSUM, gate), typo=Typo(group=6, place=1, wrote="8"))
    yield "deny-typo", typo
    yield "deny-typo-offline", replace(typo, link=OFFLINE)
    locked = _deny(Reason.UNKNOWN, gate)
    yield "deny-locked", replace(locked, verdict=replace(locked.verdict, flags=(Flag.LOCKED,)))
    yield "deny-pass-cancelled", _deny(Reason.CANCELLED, gate, kind=Kind.VIP_PASS)
    yield "deny-pass-cancelled-offline", _deny(Reason.CANCELLED, gate, OFFLINE, Kind.VIP_PASS)


_STEPS = {
    Part.CAMERA: Step.CAMERA_CABLE,
    Part.DECODER: Step.RESTART,
    Part.TURNSTILE: Step.TURNSTILE_WIRING,
    Part.JOURNAL: Step.DISK_FULL,
    Part.CACHE: Step.RESTART_SYNC,
    Part.SENSOR: Step.SENSOR_WIRING,
    Part.HOUSING: Step.CLOSE_HOUSING,
    Part.IDENTITY: Step.TWO_GATES,
}
_Word = Literal[
    "starting",
    "updating",
    "closed",
    "held_open",
    "free_passage",
    "released",
    "see_staff",
    "annulled",
    "slower",
]


def _attention() -> Iterator[tuple[str, Screen]]:
    for link, suffix in ((ONLINE, ""), (OFFLINE, "-offline")):
        verdict = Verdict(ruling=Ruling.NONE, reason=Reason.AMBIGUOUS, line=4)
        yield f"ambiguous{suffix}", VerdictScreen(verdict=verdict, link=link)
        for part in Part:
            yield f"out-of-order-{part.value}{suffix}", OutOfOrder(part=part, step=_STEPS[part], link=link)
        for word in get_args(_Word):
            yield word.replace("_", "-") + suffix, Notice(word=word, link=link)


def _for_staff(gate: str, text: str) -> Iterator[tuple[str, Screen]]:
    counts = EntryPlace(gate=f"{gate} 1", at=ENTRY.at)
    other = EntryPlace(gate=f"{gate} 2", at=ENTRY.at + timedelta(minutes=1))
    for link, suffix in ((ONLINE, ""), (OFFLINE, "-offline")):
        yield f"double-entry{suffix}", DoubleEntry(counts=counts, other=other, link=link)
        yield f"staff-text{suffix}", StaffText(text=text, link=link)
    yield "staff-text-short", StaffText(text="OK", link=ONLINE)
    yield "staff-text-longest", StaffText(text=(text + ". ") * 4, link=ONLINE)


_TYPED = "MGY-PF-20250115-7K3M9QX2VD5RTA0HQ"


def _at_work() -> Iterator[tuple[str, Screen]]:
    yield "typing-begins", Typing(text="", link=ONLINE)
    yield "typing-half", Typing(text=_TYPED[:21], link=ONLINE)
    yield "typing", Typing(text=_TYPED, link=ONLINE)
    yield "typing-offline", Typing(text=_TYPED, link=OFFLINE)
    yield "typing-pass", Typing(text="VIP-PASS-4F7QK2ZD9MXA", link=ONLINE)
    yield "focus", Focus(sharpness=287, best=412, read=False)
    yield "focus-sharp", Focus(sharpness=412, best=412, read=True)


def _two_nights(gate: str) -> Iterator[tuple[str, Screen]]:
    idle = _idle(gate, ONLINE)
    yield "idle-two-nights", replace(idle, counted="MAT", inside=88, capacity=120)
    yield "idle-two-nights-no-capacity", replace(idle, counted="FIESTA", inside=1088, capacity=0)


def _old_list(ticket_type: str, gate: str) -> Iterator[tuple[str, Screen]]:
    yield "idle-old-list", _idle(gate, STALE)
    yield "welcome-old-list", _admit(Kind.GA, STALE, ticket_type, None)
    yield "reentry-old-list", _back(gate, STALE)


def _rolled_back() -> Iterator[tuple[str, Screen]]:
    for link, suffix in ((ONLINE, ""), (OFFLINE, "-offline")):
        yield (
            f"rolled-back{suffix}",
            RolledBack(version="1.3.0", reason="No new frame", link=link),
        )
    longest = "maguey-gate.service ended and was …"
    yield "rolled-back-longest", RolledBack(version="12.10.3", reason=longest, link=ONLINE)

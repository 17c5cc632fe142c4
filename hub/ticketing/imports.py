"""Makes tickets that were not sold here: single ones, and lists. All of a list, or nothing of it.

A list may be imported again, and then only what is new in it becomes a ticket. A line is known by its
reference; without one by its code; without that by all it says, and by how many such lines are before it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hub.db.audit import Author, write_audit
from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import UsageError
from hub.ticketing.codes import ticket_code
from hub.ticketing.night_plan import cents_of
from hub.ticketing.ticket_csv import OWN_REFERENCE, Misread, TicketLine

NOT_IMPORTED = "Nothing was imported"
MOST_SHOWN = 50
_VALID = ("issued", "checked_in")


class NightOnSale(msgspec.Struct, frozen=True, kw_only=True):
    """A night with the types of ticket it has."""

    event_id: str
    code: str
    name: str
    event_date: Any
    ticket_types: tuple[dict[str, Any], ...]

    def type_of(self, said: str) -> str | None:
        """The type that is meant; None if there is no such type, or nobody said which of several."""
        names = [str(one.get("name")) for one in self.ticket_types]
        if not said:
            return names[0] if len(names) == 1 else None
        if not names:
            return said
        return next((name for name in names if name.lower() == said.lower()), None)

    def price_of(self, type_name: str) -> int:
        """Cents."""
        prices = (str(one.get("price", "")) for one in self.ticket_types if one.get("name") == type_name)
        return cents_of(next(prices, "")) or 0


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A line whose night and type are known."""

    line: TicketLine
    night: NightOnSale
    type: str
    reference: str | None


class MadeTickets(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a list, by night. `out_of_use`: how many of the known are cancelled or refunded."""

    added: Mapping[str, int]
    known: Mapping[str, int]
    out_of_use: int = 0
    codes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"MadeTickets(added={self.added}, known={self.known})"


def import_tickets(  # noqa: PLR0913 – what to import, and how
    conn: Connection,
    lines: Sequence[TicketLine],
    by: Author,
    source: random.Random,
    *,
    again: bool = True,
    dry: bool = False,
) -> MadeTickets:
    """Make a ticket of every line that is none yet.

    :param source: of the codes; `secrets.SystemRandom()` unless in a test.
    :param again: whether lines may be known from before; if not, each is a new ticket.
    :param dry: change nothing, answer the same.
    :raises UsageError: a line cannot become a ticket; nothing was imported.
    """

    def transact() -> MadeTickets:
        with conn.transaction(force_rollback=dry):
            nights = _lock_nights(conn, {line.event for line in lines})
            drafts = _drafts(lines, nights, again)
            known = _known(conn, drafts)
            new = [draft for draft in drafts if _key(draft) not in known]
            _refuse_unsellable(conn, new)
            codes = _write(conn, new, by, source)
        return _made(drafts, new, known, codes)

    return retry_conflicts(transact)


def night_on_sale(conn: Connection, event_id: str) -> NightOnSale:
    """The night of this id."""
    return _lock_nights(conn, [event_id])[event_id]


def _lock_nights(conn: Connection, names: Iterable[str]) -> dict[str, NightOnSale]:
    rows = conn.execute(query("lock_nights"), {"names": list(names)}).fetchall()
    nights = [msgspec.convert(row, NightOnSale, strict=False) for row in rows]
    return {name: night for night in nights for name in (night.code, night.event_id)}


def _drafts(lines: Sequence[TicketLine], nights: Mapping[str, NightOnSale], again: bool) -> list[_Draft]:
    wrong: list[Misread] = []
    drafts = []
    alike: Counter[tuple[Any, ...]] = Counter()
    for line in lines:
        night = nights.get(line.event)
        if night is None:
            wrong.append(Misread(line.line, "event", repr(line.event[:40]), "there is no such night"))
            continue
        if problems := list(_misfits(line, night)):
            wrong += problems
            continue
        type_name = night.type_of(line.type) or ""
        drafts.append(_draft(line, night, type_name, alike if again else None))
    refuse_list(wrong)
    return drafts


def _misfits(line: TicketLine, night: NightOnSale) -> Iterator[Misread]:
    if night.type_of(line.type) is None:
        names = ", ".join(str(one.get("name")) for one in night.ticket_types)
        yield Misread(line.line, "type", repr(line.type[:40]), f"{night.code} has {names[:300]}")
    if line.code is not None and line.code.split("-")[1] != night.code:
        yield Misread(line.line, "code", "", f"is of night {line.code.split('-')[1]}, not {night.code}")


def _draft(
    line: TicketLine, night: NightOnSale, type_name: str, alike: Counter[tuple[Any, ...]] | None
) -> _Draft:
    reference = line.reference
    if alike is not None and reference is None and line.code is None:
        said = (
            night.event_id,
            type_name,
            line.name,
            (line.email or "").lower(),
            line.phone,
            line.price_cents,
        )
        alike[said] += 1
        digest = hashlib.sha256(msgspec.json.encode((*said, alike[said])))
        reference = OWN_REFERENCE + digest.hexdigest()
    return _Draft(line=line, night=night, type=type_name, reference=reference)


def _key(draft: _Draft) -> tuple[str, str] | None:
    """By which it may be known: night and reference, or code."""
    if draft.reference is not None:
        return draft.night.event_id, draft.reference
    return None if draft.line.code is None else (draft.night.event_id, draft.line.code)


def _known(conn: Connection, drafts: Sequence[_Draft]) -> dict[tuple[str, str] | None, str]:
    """The states of those that are tickets already. Raises `UsageError`: a code belongs to another ticket."""
    wanted = {
        "events": sorted({draft.night.event_id for draft in drafts}),
        "references": [draft.reference for draft in drafts if draft.reference is not None],
        "codes": [draft.line.code for draft in drafts if draft.line.code is not None],
    }
    rows = conn.execute(query("known_tickets"), wanted).fetchall()
    by_code = {row["code"]: row for row in rows}
    by_reference = {(row["event_id"], row["reference"]): row for row in rows}
    states: dict[tuple[str, str] | None, str] = {}
    wrong = []
    for draft in drafts:
        code, named = draft.line.code, (draft.night.event_id, draft.reference)
        said = by_reference.get(named) if draft.reference is not None else None
        holder = by_code.get(code)
        if code is not None and draft.reference is not None and said is not holder:
            wrong.append(Misread(draft.line.line, "code", "", "belongs to a ticket of another reference"))
        elif holder is not None and holder["event_id"] != draft.night.event_id:
            wrong.append(Misread(draft.line.line, "code", "", "is a ticket of another night"))
        elif (row := said or holder) is not None:
            states[_key(draft)] = row["status"]
    refuse_list(wrong)
    return states


def _refuse_unsellable(conn: Connection, new: Sequence[_Draft]) -> None:
    """The rules of every sale: the night is not over, and there is room."""
    types: defaultdict[str, list[str]] = defaultdict(list)
    for draft in new:
        types[draft.night.event_id].append(draft.type)
    answers = [
        conn.execute(query("sale_refusal"), {"event_id": event_id, "types": wanted}).fetchone()
        for event_id, wanted in sorted(types.items())
    ]
    refuse_list([Misread(0, "", "", row["message"]) for row in answers if row and row["message"]])


def _write(conn: Connection, new: Sequence[_Draft], by: Author, source: random.Random) -> tuple[str, ...]:
    rows = [_row(draft, source) for draft in new]
    if rows:
        conn.execute(query("add_tickets"), {"rows": msgspec.json.encode(rows).decode()})
    for night, count in _by_night(new).items():
        write_audit(conn, by, "add tickets", night, {"count": count})
    return tuple(row["code"] for row in rows)


def _row(draft: _Draft, source: random.Random) -> dict[str, Any]:
    line, night = draft.line, draft.night
    cents = night.price_of(draft.type) if line.price_cents is None else line.price_cents
    return {
        "event_id": night.event_id,
        "type": draft.type,
        "code": line.code or ticket_code(night.code, night.event_date, source),
        "price_cents": cents,
        "name": line.name,
        "email": line.email,
        "phone": line.phone,
        "reference": draft.reference,
    }


def _by_night(drafts: Iterable[_Draft]) -> dict[str, int]:
    return dict(sorted(Counter(draft.night.code for draft in drafts).items()))


def _made(
    drafts: Sequence[_Draft],
    new: Sequence[_Draft],
    known: Mapping[tuple[str, str] | None, str],
    codes: tuple[str, ...],
) -> MadeTickets:
    old = [draft for draft in drafts if _key(draft) in known]
    out = sum(known[_key(draft)] not in _VALID for draft in old)
    return MadeTickets(added=_by_night(new), known=_by_night(old), out_of_use=out, codes=codes)


def refuse_list(complaints: Sequence[Misread]) -> None:
    """Raise a `UsageError` that names the first `MOST_SHOWN`, if there are any."""
    if not complaints:
        return
    shown = [str(one) for one in complaints[:MOST_SHOWN]]
    more = len(complaints) - len(shown)
    raise UsageError(NOT_IMPORTED, [*shown, *([f"and {more} more"] if more else [])])

"""The state of the gates and of orders in plain words: `gate_health`, `command_outcomes`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

OK = "ok"
UNSURE_MS = 1000
"""A clock less certain than this is shown: scans of two gates can hardly be put in order by it."""

HealthRow = Mapping[str, Any]


class GateHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One gate. `troubles`: of its parts, one each. `worry`: whether somebody should look."""

    gate: str
    link: str
    scans: str
    nights: str
    clock: str
    door: str
    version: str
    troubles: tuple[str, ...]
    worry: bool


def health_of(row: HealthRow, now: datetime) -> GateHealth:
    """A row of `gate_health` in words.

    :param row: with `unused_grants` if they are too many, and `flooding_at`: when it was last found to exceed
        its budgets, if that was lately.
    """
    parts = (_link(row, now), _scans(row), _nights(row), _clock(row), _door(row))
    link, scans, nights, clock, door = (words for words, _ in parts)
    return GateHealth(
        gate=_gate(row),
        link=link,
        scans=scans,
        nights=nights,
        clock=clock,
        door=door,
        version=printable(row["version"] or "-"),
        troubles=(*_troubles(row), *_unused_grants(row), *_flood(row, now), *_witness(row)),
        # nobody waits for a revoked gate
        worry=not row["revoked"] and (any(worry for _, worry in parts) or _is_suspect(row)),
    )


def order_line(row: HealthRow) -> str:
    """A row of `command_outcomes` in words."""
    given = row["issued_at"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
    who = printable(f"{row['gate_id']} {row['action']}, {row['actor']}: {row['reason']}")
    return f"{given}  {who}\n    {printable(_outcome(row))}"


def _outcome(row: HealthRow) -> str:
    match row["state"]:
        case "recorded" if row["outcome"] == "refused":
            return f"recorded by the gate, which replied: refused, {row['why']}"
        case "recorded":
            return "done; the gate's record of it is here"
        case "done":
            return "done; the gate's record of it is not here yet"
        case "refused":
            return f"refused: {row['why']}"
        case "waiting":
            return "not answered yet"
        case _:
            return "never answered, and expired. If it was followed, the gate's scans will tell"


def ago(since: datetime, now: datetime) -> str:
    """The time since then, as ``3 min``."""
    return span(max((now - since).total_seconds(), 0))


def span(seconds: float) -> str:
    """A duration in its largest fitting unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _gate(row: HealthRow) -> str:
    """The id, which orders need, and the name if it says more."""
    gate_id, name = str(row["gate_id"]), str(row["name"])
    return gate_id if name.lower().replace(" ", "-") == gate_id.lower() else f"{gate_id} ({name})"


def _link(row: HealthRow, now: datetime) -> tuple[str, bool]:
    if row["revoked"]:
        since = f" {ago(row['revoked_at'], now)} ago" if row["revoked_at"] is not None else ""
        return f"revoked{since}", False
    match row["link"]:
        case "online":
            return ("online, on its own", True) if row["isolated"] else ("online", False)
        case "never":
            return "never heard", True
        case said if row["heard_at"] is None:
            return f"{said}, never heard", True
        case said:
            return f"{said} for {ago(row['heard_at'], now)}", True


def _scans(row: HealthRow) -> tuple[str, bool]:
    if row["revoked"]:
        return f"{row['evidence']} since, as evidence" if row["evidence"] else "none since", False
    if row["epoch"] is None:
        return "-", False
    if not row["last_seq"] and not row["lag"]:
        return "none yet", False
    if not row["lag"]:
        return f"all {row['last_seq']} here", False
    age = f" since {span(row['oldest_unacked_s'])}" if row["oldest_unacked_s"] is not None else ""
    gap = f", {row['gap']} behind a gap" if row["gap"] else ""
    return f"{row['lag']} missing{age}{gap}", True


def _nights(row: HealthRow) -> tuple[str, bool]:
    nights = row["nights"]
    if not nights:
        return "none", False
    states = {night["code"]: _night(night) for night in nights}
    worry = any(night["state"] in ("behind", "differs") or night["version"] is None for night in nights)
    if len(set(states.values())) == 1:
        return next(iter(states.values())), worry
    return ", ".join(f"{code} {words}" for code, words in states.items()), worry


def _night(night: HealthRow) -> str:
    if night["version"] is None:
        return "not loaded"
    match night["state"]:
        case "behind":
            return f"{night['behind']} behind" if night["behind"] else "from before the restore"
        case "differs":
            return "DIFFERS"
        case "unknown":
            return "not compared yet"
        case _:
            return "in sync"


def _clock(row: HealthRow) -> tuple[str, bool]:
    if row["said_at"] is None:
        return "-", False
    sure = row["clock_uncertainty_ms"]
    if row["clock"] != "synced" or sure is None:
        return "UNTRUSTED", True
    off = row["clock_offset_ms"] or 0
    own = f", own {span(abs(off) / 1000)} {'slow' if off > 0 else 'fast'}" if abs(off) >= UNSURE_MS else ""
    return f"±{sure} ms{own}", sure >= UNSURE_MS


def _door(row: HealthRow) -> tuple[str, bool]:
    if row["door"] is None:
        return "-", False
    if not row["door"]:
        return "NOT RUNNING", True
    count = len(list(_troubles(row)))
    words = [] if row["way"] in ("", "normal") else [printable(row["way"].replace("_", " "))]
    words += [f"{count} trouble{'s' if count > 1 else ''}"] if count else []
    return ", ".join(words) or OK, count > 0


def printable(text: str) -> str:
    """Foreign text without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _troubles(row: HealthRow) -> Iterator[str]:
    for name, said in (row["parts"] or {}).items():
        if said != OK:
            yield printable(f"{name}: {said}")


def _unused_grants(row: HealthRow) -> Iterator[str]:
    if row["unused_grants"]:
        yield (
            f"it was granted {row['unused_grants']} tickets and sent no scan with them: broken, or stolen? "
            "Other gates refuse their guests until it is revoked"
        )


def _is_suspect(row: HealthRow) -> bool:
    return bool(row["unused_grants"] or row["flooding_at"] or row["sees_flooding"])


def _witness(row: HealthRow) -> Iterator[str]:
    if row["sees_flooding"]:
        named = ", ".join(sorted(row["sees_flooding"]))
        yield f"it reports gates that send more than any door can: {named}"


def _flood(row: HealthRow, now: datetime) -> Iterator[str]:
    if row["flooding_at"] is not None:
        yield (
            f"it sent more than any door can, seen {ago(row['flooding_at'], now)} ago: broken, or stolen? "
            "What exceeds its budgets is not stored, and the other gates go on"
        )

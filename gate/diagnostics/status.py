"""What `maguey-gate status` reports, from the gate's files, with or without the door. Writes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import msgspec

from gate.clock import Clock
from gate.common.errors import StoreError
from gate.common.named_queries import load_queries
from gate.common.value import Value
from gate.config import GateFile
from gate.rules.model import Event, Now
from gate.rules.night import nights_now
from gate.store.cache import CacheReader, LinkState, is_isolated, is_stale
from gate.store.live_file import OK, LiveReading, read_live

SQL = load_queries("gate", "status.sql")
UNSURE_CLOCK = (
    "The hub has not confirmed the clock since the machine started. Until it does, doors open "
    "10 minutes later at this gate and close 10 minutes earlier. Is maguey-sync connected?"
)
CATCH_UP = (
    "Guests are admitted by it, flagged 'stale', and the hub is asked first while it answers. Can this gate "
    "reach the hub over HTTP? Run maguey-sync doctor."
)
FLOODING = (
    "More arrives from {} than a door can send: this gate ignores the admissions reported there. If a gate "
    "is in the wrong hands, revoke it at the hub."
)


class JournalStatus(Value, frozen=True):
    """The journal's numbers. `waiting`: records that the hub has not acknowledged."""

    epoch: str | None = None
    last_seq: int = 0
    waiting: int = 0
    last_scan: str | None = None
    problem: str | None = None


class EventStatus(Value, frozen=True):
    """A night in the cache. `cache_age_s`: seconds since its list was last known to be current. `behind_s`:
    how long the list has been known to be behind, by `missing` changes if they can be counted; None if it is
    not, or has been only for a moment."""

    name: str
    inside: int
    capacity: int
    cache_version: int | None
    cache_age_s: int | None
    behind_s: int | None = None
    missing: int | None = None

    @property
    def state(self) -> str:
        """The state of its list, in words."""
        if self.behind_s is not None:
            by = "" if self.missing is None else f" by {self.missing} change{'s' * (self.missing != 1)}"
            return f"BEHIND the hub's{by}, for {self.behind_s} s"
        return (
            "never known to be current" if self.cache_age_s is None else f"current {self.cache_age_s} s ago"
        )


class StatusReport(Value, frozen=True):
    """The whole answer; `problems` is empty when all is well. `door`: what the door reports, fresh or not.

    `event`: tonight's. `also`: other nights that are on. `isolated`: the gate has reached no broker for a
    while. `clock`: as in `gate.rules.model.Now`.
    """

    gate_id: str
    online: bool
    journal: JournalStatus
    event: EventStatus | None
    door: LiveReading
    problems: tuple[str, ...]
    isolated: bool = False
    clock: Literal["synced", "untrusted"] = "untrusted"
    clock_offset_ms: int | None = None
    clock_uncertainty_ms: int | None = None
    also: tuple[EventStatus, ...] = ()

    @property
    def nights(self) -> tuple[EventStatus, ...]:
        """All of them, tonight's first."""
        return (self.event, *self.also) if self.event is not None else ()


def gather(config: GateFile, clock: Clock) -> StatusReport:
    """Read the gate's files."""
    cache = CacheReader(config.cache)
    try:
        link = cache.link(clock.now())
        clock.learn(link.measure)
        now = clock.now()
        journal = _journal(config.journal, link.epoch, link.acked_seq)
        nights = tuple(_night(cache, night, link, now) for night in nights_now(cache.events(), now.wall))
        problems = [journal.problem, str(cache.trouble) if cache.trouble else None]
    finally:
        cache.close()
    if not nights:
        problems.append(f"{config.cache}: no night is loaded. Start maguey-sync and look at its log.")
    problems += [
        f"The list of {one.name} is {one.state}. {CATCH_UP}" for one in nights if one.behind_s is not None
    ]
    if not link.online:
        problems.append("The hub is not heard: scans wait on this gate. Run maguey-sync doctor to see why.")
    if link.flooding:
        problems.append(FLOODING.format(", ".join(link.flooding)))
    if now.clock != "synced":
        problems.append(UNSURE_CLOCK)
    door = read_live(config.live, now)
    problems += door_problems(door)
    return StatusReport(
        gate_id=config.gate_id,
        online=link.online,
        journal=journal,
        event=nights[0] if nights else None,
        also=nights[1:],
        door=door,
        problems=tuple(problem for problem in problems if problem),
        isolated=is_isolated(link, config.door.isolated_after * 1000),
        clock=now.clock,
        clock_offset_ms=now.offset_ms,
        clock_uncertainty_ms=now.uncertainty_ms,
    )


def door_problems(door: LiveReading) -> list[str]:
    """What is wrong with the door: that it does not run, or the trouble of each part."""
    if door.live is None or not door.is_fresh:
        return [f"{door.why} Start it: systemctl start maguey-gate; its log: journalctl -u maguey-gate."]
    parts = msgspec.structs.asdict(door.live.parts)
    return [f"{name}: {trouble}" for name, trouble in parts.items() if trouble != OK]


def _night(cache: CacheReader, event: Event, link: LinkState, now: Now) -> EventStatus:
    feed = cache.feed(event.event_id, now.wall)
    behind = link.behind[event.event_id] if is_stale(link, event.event_id, now.monotonic_ms) else None
    return EventStatus(
        name=event.name,
        inside=cache.entered(event.event_id),
        capacity=event.capacity,
        cache_version=feed.version,
        cache_age_s=feed.age_s,
        behind_s=(now.monotonic_ms - behind.since_ms) // 1000 if behind else None,
        missing=behind.missing if behind else None,
    )


def _journal(path: Path, acked_epoch: str | None, acked_seq: int) -> JournalStatus:
    if not path.exists():
        return JournalStatus(problem=f"{path}: there is no journal yet. Run: systemctl start maguey-gate")
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)
        try:
            meta = dict(db.execute(SQL["meta"]).fetchall())
            last = db.execute(SQL["last_scan"]).fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        return JournalStatus(problem=str(StoreError(f"{path}: {error}. Check the disk (df -h, dmesg).")))
    last_seq = int(meta.get("last_seq", 0))
    acked = acked_seq if meta.get("epoch") == acked_epoch else 0
    return JournalStatus(
        epoch=meta.get("epoch"),
        last_seq=last_seq,
        waiting=max(0, last_seq - acked),
        last_scan=" ".join(last) if last else None,
    )

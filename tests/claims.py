"""A hub in memory that answers claims, and lines to it that fail in every way a line can.

A working `gate.hotline.client.HubLine`. What the hub itself does is tested elsewhere, with its own SQL; this
one is as small as the rules it keeps, to show what several desks make of its answers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from gate.rules.first_entry import Claim, Grant
from gate.rules.home_gate import home_of
from gate.rules.model import Entry, Event, Ruling, ScanRecord
from gate.store.cache import LinkState
from gate.store.rows import COLUMNS, from_row

Mood = Literal["answers", "is silent", "is late", "is stopped"]
"""``is silent``: the claim never arrives. ``is late``: it arrives, but the answer comes too late."""


@dataclass
class Granted:
    """Who was granted a code, and with which claim."""

    gate: str
    epoch: str
    scan_id: str


@dataclass
class HubInMemory:
    """Grants each one-time ticket once, and each of `perks` to whoever asks.

    :param lend: asks the home gate of a ticket for it, None where it cannot be asked.
    """

    event: Event
    entries: dict[str, Entry] = field(default_factory=dict)
    revoked: dict[str, Grant] = field(default_factory=dict)
    live: dict[str, Granted] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    lends: set[str] = field(default_factory=set)
    perks: set[str] = field(default_factory=set)
    lend: Callable[[str, Claim, str], bool | None] = lambda _home, _claim, _to: None

    def claim(self, gate: str, claim: Claim) -> Grant:
        code, live = claim.code_hash, self.live.get(claim.code_hash)
        if code in self.revoked:
            return msgspec.structs.replace(self.revoked[code], scan_id=claim.scan_id)
        if code in self.perks:
            return Grant(scan_id=claim.scan_id, answer="granted", reentry=True)
        if code in self.entries:
            return Grant(scan_id=claim.scan_id, answer="taken", entry=self.entries[code])
        if live is not None and (live.gate, live.epoch) != (gate, claim.epoch):
            return Grant(scan_id=claim.scan_id, answer="taken")
        refusal = self._not_home(gate, claim)
        if refusal is not None:
            return refusal
        self.live[code] = Granted(gate, claim.epoch, claim.scan_id)
        return Grant(scan_id=claim.scan_id, answer="granted", reentry=False)

    def _not_home(self, gate: str, claim: Claim) -> Grant | None:
        """Under the policy ``home_gate``, the home is asked first, once a night."""
        if self.event.isolation != "home_gate" or claim.code_hash in self.lends:
            return None
        home = home_of(claim.code_hash, self.event.homes, self.event.retired) or ""
        if home == gate:
            return None
        lent = self.lend(home, claim, gate)
        if lent is None:
            return Grant(scan_id=claim.scan_id, answer="elsewhere", home=home)
        if not lent:
            return Grant(scan_id=claim.scan_id, answer="taken")
        self.lends.add(claim.code_hash)
        return None

    def give_back(self, scan_id: str) -> None:
        self.live = {code: live for code, live in self.live.items() if live.scan_id != scan_id}

    def ingest(self, records: list[ScanRecord]) -> None:
        """Take in a gate's journal, from where it left off."""
        for record in records:
            if record.scan_id in self.known:
                continue
            self.known.add(record.scan_id)
            if record.record == "annulled" and record.code_hash:
                self.give_back(record.refers_to or "")
                if self.entries.get(record.code_hash, Entry(at=record.occurred_at, gate="")).scan == (
                    record.refers_to
                ):
                    del self.entries[record.code_hash]
            elif record.record == "scan" and record.verdict is Ruling.ADMIT and record.code_hash:
                entry = Entry(at=record.occurred_at, gate=record.gate_id, scan=record.scan_id)
                self.entries.setdefault(record.code_hash, entry)

    def sweep(self, gate: str) -> None:
        """The gate's whole journal is here, so its old grants that are still open were not used."""
        self.live = {
            code: live for code, live in self.live.items() if live.gate != gate or live.scan_id in self.known
        }


@dataclass
class Line:
    """One gate's line. `asked`, `returned`: every claim in order, by its id; `mood`: how the next ones fare.

    `heard`: the last answer that came in time.

    :param while_waiting: called before the answer is there.
    """

    hub: HubInMemory
    gate: str
    mood: Mood = "answers"
    is_connected: bool = True
    asked: list[str] = field(default_factory=list)
    heard: Grant | None = None
    returned: list[str] = field(default_factory=list)
    while_waiting: Callable[[], None] = lambda: None

    def is_up(self, _link: LinkState) -> bool:
        return self.is_connected

    def ask(self, claim: Claim) -> Grant | None:
        self.asked.append(claim.scan_id)
        answer = self.hub.claim(self.gate, claim) if self.mood != "is silent" else None
        self.while_waiting()
        self.heard = None if self.mood in ("is silent", "is late") else answer
        return self.heard

    def unused(self, scan_id: str) -> None:
        self.returned.append(scan_id)
        self.hub.give_back(scan_id)


def records_in(journal: Path) -> list[ScanRecord]:
    """The whole journal."""
    with closing(sqlite3.connect(journal)) as db:
        return [
            from_row(row)
            for row in db.execute(f"select {', '.join(COLUMNS)} from scans order by seq").fetchall()
        ]


def standing(records: list[ScanRecord]) -> list[ScanRecord]:
    """Admissions that were not annulled."""
    annulled = {one.refers_to for one in records if one.record == "annulled"}
    return [
        one
        for one in records
        if one.record == "scan" and one.verdict is Ruling.ADMIT and one.scan_id not in annulled
    ]

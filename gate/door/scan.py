"""One scan as a value: the question it puts to the decision table, and the record of the verdict. Pure."""

from __future__ import annotations

import hashlib
from typing import Literal

from gate.common.value import Value
from gate.door.facts import Facts
from gate.rules.decide import Policy, Question
from gate.rules.first_entry import Grant, Standing, is_first_of_one_time
from gate.rules.guesses import is_guess, strict_policy
from gate.rules.history import combine, is_same, without_annulled
from gate.rules.home_gate import home_of
from gate.rules.model import ScanRecord, Verdict
from gate.rules.night import clock_margin
from gate.rules.presence import Presented
from gate.store.journal import Past

Method = Literal["camera", "scanner", "manual", "staff"]


class Scan(Value, frozen=True):
    """One presentation and what the gate knows about it.

    `release`: an admission will move a turnstile. `locked`: the gate is locked against guessing.
    `spares`: a refusal of a code nobody knows gets no record of its own (`gate.rules.spared_refusals`).
    """

    scan_id: str
    presented: Presented
    method: Method
    release: bool
    locked: bool
    spares: bool
    facts: Facts

    def is_spared(self, verdict: Verdict) -> bool:
        """Whether this verdict is only counted."""
        return self.spares and is_guess(verdict) and self.facts.known.admission is None

    def is_home(self, gate_id: str) -> bool:
        """Whether this gate is the ticket's home, which may admit it without the hub (policy `home_gate`)."""
        event, code = self.facts.event, self.facts.code
        if event is None or event.isolation != "home_gate" or code is None:
            return False
        return home_of(code.code_hash, event.homes, event.retired) == gate_id

    def question(self, policy: Policy, past: Past, standing: Standing) -> Question:
        """What the decision table is asked.

        :param past: this gate's own admissions of the code.
        :param standing: what the hub and the other gates leave this gate to decide.
        """
        facts, answer = self.facts, standing.answer
        admission = without_annulled(facts.known.admission, past.annulled)
        by_hub = [answer.entry] if answer and answer.entry else []
        return Question(
            presented=self.presented.what,
            now=facts.now.wall,
            margin=clock_margin(facts.now.clock, facts.now.uncertainty_ms),
            event=facts.event,
            admission=admission,
            table=facts.known.table,
            ticket_event=facts.ticket_event,
            history=combine(admission, [*past.entries, *facts.known.peers, *by_hub]),
            proof=facts.proof,
            standing=standing,
            policy=strict_policy(policy, locked=self.locked),
        )

    def record(self, verdict: Verdict, gate_id: str) -> ScanRecord:
        """The record of this scan; the journal gives it its place."""
        facts, now = self.facts, self.facts.now
        return ScanRecord(
            scan_id=self.scan_id,
            gate_id=gate_id,
            epoch="",
            seq=0,
            boot_id=now.boot_id,
            occurred_at=now.wall,
            monotonic_ms=now.monotonic_ms,
            clock=now.clock,
            clock_offset_ms=now.offset_ms,
            clock_uncertainty_ms=now.uncertainty_ms,
            event_id=facts.event.event_id if facts.event else None,
            kind=verdict.kind,
            subject_id=verdict.subject_id,
            code_hash=facts.code.code_hash if facts.code else None,
            raw_hash=hashlib.sha256(self.presented.raw).hexdigest(),
            verdict=verdict.ruling,
            reason=verdict.reason,
            line=verdict.line,
            flags=verdict.flags,
            scan_method=self.method,
            cache_version=facts.feed.version,
            cache_age_s=facts.feed.age_s,
            released=self.release and verdict.admits,
            heard=facts.link.heard if is_first_of_one_time(verdict) else (),
        )


def believed(answer: Grant | None, past: Past) -> Grant | None:
    """The hub's answer, unless it rests on an admission that this gate has annulled: no answer then."""
    if answer is None or answer.answer != "taken" or answer.entry is None:
        return answer
    return None if any(is_same(answer.entry, gone) for gone in past.annulled) else answer

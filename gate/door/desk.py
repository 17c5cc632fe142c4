"""One scan from presentation to durable record: look up, decide, commit. No hardware.

The order is the promise: when `Desk.answer` returns, the record is on disk, so the caller may move the
turnstile. Wherever the hub's word could change the verdict, it is asked before the commit (domain 2.3,
situation 1): the journal's turn is left without writing anything, the hub is asked, and a second turn decides
with its answer. So a committed verdict is final. See docs/adr/0020-claims-at-the-door.md.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from gate.clock import Clock
from gate.common.uuids import new_uuid7
from gate.common.value import Value
from gate.door.facts import look_up
from gate.door.scan import Method, Scan, believed
from gate.hotline.client import HubLine
from gate.ports.screen import LinkView, VerdictScreen
from gate.rules.decide import Policy, decide
from gate.rules.first_entry import Claim, Grant, Standing, needs_hub
from gate.rules.guesses import hide_from_guesser
from gate.rules.home_gate import division_of
from gate.rules.model import Reason, ScanRecord, Verdict
from gate.rules.payload import Several
from gate.rules.presence import Presented
from gate.store.cache import CacheReader, is_isolated
from gate.store.journal import Journal, Past, Turn
from gate.store.locks import LOCK_FILE, LendingBusy, lending_lock

RELIABLE_MS = 1_000
"""A grant older than this is not used: this process may have been stopped in between, and the hub takes back
a grant that no record followed, 30 s later at the earliest."""
LENDING_S = 0.05
"""The longest a guest waits while sync lends a ticket, which takes one commit."""


class Answered(Value, frozen=True):
    """A decided scan. `record` is None if nothing was decided (two codes at once) or the refusal is spared.

    `decision_ms`: from the presented code to the durable commit.
    """

    verdict: Verdict
    screen: VerdictScreen
    record: ScanRecord | None
    decision_ms: float


class _Leave(Value, frozen=True):
    """What was found out before the turn that decides. `asked_ms`: when the hub was asked, else 0.

    `is_sure`: if the ticket is one of this gate's own, it is not being lent to another gate meanwhile.
    """

    answer: Grant | None = None
    asked_ms: int = 0
    is_sure: bool = False


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Decides for one gate.

    `claims`: the line to the hub. `random`: gives that many random bytes, for scan ids. `isolated_after`:
    seconds without a broker after which admissions are flagged (domain 2.3).
    """

    gate_id: str
    journal: Journal
    cache: CacheReader
    clock: Clock
    claims: HubLine
    random: Callable[[int], bytes]
    policy: Policy
    keys: Mapping[str, Ed25519PublicKey]
    isolated_after: float

    def answer(
        self,
        presented: Presented,
        method: Method = "camera",
        *,
        release: bool = True,
        locked: bool = False,
        spares: bool = False,
    ) -> Answered:
        """Decide and record one presentation; the parameters are those of `gate.door.scan.Scan`.

        :raises CacheError: the cache cannot be read; nothing was decided or recorded.
        :raises StoreError: the journal cannot be written; nothing was recorded, nobody is admitted.
        """
        started = time.perf_counter()
        facts = look_up(presented.code, self.cache, self.clock, self.keys)
        scan = Scan(
            scan_id=new_uuid7(facts.now.wall, self.random),
            presented=presented,
            method=method,
            release=release,
            locked=locked,
            spares=spares,
            facts=facts,
        )
        if isinstance(presented.what, Several):
            nothing_known = scan.question(self.policy, Past(), Standing())
            return self._answered(scan, decide(nothing_known), None, started)
        verdict, record = self._turn(scan, None)
        if record is None and not scan.is_spared(verdict):
            scan, verdict, record = self._turn_with_leave(scan)
        return self._answered(scan, verdict, record, started)

    def _answered(self, scan: Scan, verdict: Verdict, record: ScanRecord | None, started: float) -> Answered:
        facts, link = scan.facts, scan.facts.link
        acked = link.acked_seq if link.epoch == self.journal.epoch else 0
        waiting = (record.seq if record else self.journal.last_seq()) - acked
        gate = verdict.other_gate or (verdict.entry.gate if verdict.entry else "")
        screen = VerdictScreen(
            verdict=verdict,
            place=self.cache.gate_names().get(gate, gate) if gate else "",
            link=LinkView(
                online=link.online,
                waiting=waiting,
                cache_age_s=facts.feed.age_s,
                isolated=is_isolated(link, self.isolated_after * 1000),
                stale=facts.is_stale,
            ),
        )
        decision_ms = (time.perf_counter() - started) * 1000
        return Answered(verdict=verdict, screen=screen, record=record, decision_ms=decision_ms)

    def _turn(self, scan: Scan, leave: _Leave | None) -> tuple[Verdict, ScanRecord | None]:
        """Decide and record. No record: it is spared, or leave has to be found first; nothing was written."""
        link = scan.facts.link
        with self.journal.turn() as turn:
            verdict = self._verdict(scan, turn, leave or _Leave())
            if scan.is_spared(verdict) or (leave is None and self._lacks_leave(scan, verdict)):
                return verdict, None
            record = turn.append(scan.record(verdict, self.gate_id))
            if link.hub_seq >= record.seq:
                self.journal.check_numbering(link.epoch, link.hub_seq, record.seq - 1)
        return verdict, record

    def _verdict(self, scan: Scan, turn: Turn, leave: _Leave) -> Verdict:
        code = scan.facts.code
        past = turn.past(code.code_hash) if code else Past()
        verdict = decide(scan.question(self.policy, past, self._standing(scan, past, leave)))
        return hide_from_guesser(_with_arrivals(verdict, scan, turn), locked=scan.locked)

    def _standing(self, scan: Scan, past: Past, leave: _Leave) -> Standing:
        answer = believed(leave.answer, past)
        is_granted = answer is not None and answer.answer == "granted"
        return Standing(
            gate=self.gate_id,
            answer=answer,
            is_late=is_granted and not (leave.is_sure and self._is_fresh(leave)),
            isolated=answer is None and is_isolated(scan.facts.link, self.isolated_after * 1000),
            history_lost=past.lost,
            keeps=leave.is_sure and answer is None and self._keeps(scan),
            stale=scan.facts.is_stale,
        )

    def _is_fresh(self, leave: _Leave) -> bool:
        return self.clock.now().monotonic_ms - leave.asked_ms <= RELIABLE_MS

    def _keeps(self, scan: Scan) -> bool:
        """Whether this is the ticket's home and has not lent it.

        Read again, under the lending lock: since the look-up it may have been lent.

        :raises CacheError: it cannot be read; nothing is recorded.
        """
        if not scan.is_home(self.gate_id):
            return False
        event, code = scan.facts.event, scan.facts.code
        assert event is not None and code is not None
        with self.cache.view():
            lent_as_of = self.cache.link(scan.facts.now).lent_as_of.get(event.event_id)
            is_lent = self.cache.is_lent(code.code_hash)
        # the feed brings another division at once, the list of lent tickets only with the next configuration
        return lent_as_of == division_of(event) and not is_lent

    def _lacks_leave(self, scan: Scan, verdict: Verdict) -> bool:
        """Whether the verdict may change once the hub is asked, or the ticket is known not to be lent."""
        return needs_hub(verdict) and (self.claims.is_up(scan.facts.link) or scan.is_home(self.gate_id))

    def _turn_with_leave(self, scan: Scan) -> tuple[Scan, Verdict, ScanRecord | None]:
        """Ask the hub and decide again. A claim that lets nobody in is given back, whatever went wrong."""
        event, code = scan.facts.event, scan.facts.code
        assert event is not None and code is not None  # no other verdict lacks leave
        claim = Claim(
            scan_id=scan.scan_id,
            code_hash=code.code_hash,
            event_id=event.event_id,
            epoch=self.journal.epoch,
        )
        is_asked, asked_ms = self.claims.is_up(scan.facts.link), self.clock.now().monotonic_ms
        answer = self.claims.ask(claim) if is_asked else None
        admitted = False
        try:
            if is_asked and answer is None:
                # others may have reported this very ticket while we waited
                scan = replace(scan, facts=look_up(code, self.cache, self.clock, self.keys))
            with self._lending(scan) as is_sure:
                leave = _Leave(answer=answer, asked_ms=asked_ms, is_sure=is_sure)
                verdict, record = self._turn(scan, leave)
            admitted = verdict.admits
        finally:
            if is_asked and not admitted and (answer is None or answer.answer == "granted"):
                self.claims.unused(scan.scan_id)
        return scan, verdict, record

    @contextlib.contextmanager
    def _lending(self, scan: Scan) -> Iterator[bool]:
        """Keep sync from lending a ticket of this gate's own during a turn; yields whether that is sure.

        Also where the hub has granted it: once the hub takes that back, it may ask sync for the ticket.
        """
        with contextlib.ExitStack() as stack:
            is_sure = True
            if scan.is_home(self.gate_id):
                try:
                    stack.enter_context(lending_lock(self.journal.path.with_name(LOCK_FILE), LENDING_S))
                except LendingBusy as error:
                    structlog.get_logger().warning("lending lock busy", why=str(error))
                    is_sure = False
            yield is_sure


def _with_arrivals(verdict: Verdict, scan: Scan, turn: Turn) -> Verdict:
    """Count at the table those whom the hub has not counted: let in by a peer, by this gate, or just now."""
    if verdict.table is None:
        return verdict
    companions = scan.facts.companions
    unseen = [code_hash for code_hash, is_with_peer in companions.items() if not is_with_peer]
    entered = len(companions) - len(unseen) + (turn.admitted(unseen) if unseen else 0)
    is_new = verdict.admits and verdict.reason is Reason.FIRST_ENTRY
    arrived = verdict.table.arrived + entered + int(is_new)
    return replace(verdict, table=replace(verdict.table, arrived=arrived))

"""A scan id belongs to the gate that made it: no other gate takes it by sending it first (protocol 4.5)."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
import pytest

from gate.rules.model import EventKind, Reason, Ruling, ScanRecord
from hub.db.call import call
from hub.db.connection import Connection
from hub.ingest.batch import BatchResult, merge, read_batch, write_batch
from hub.mqtt.inbox import Delivery
from sync.wire.messages import Ack
from sync.wire.scans import encode_scans
from tests.integration.hub.test_annulment import feed_of, outcome
from tests.integration.hub.test_conflicts import SURE
from tests.integration.hub.test_ingest import TOPICS, ticket_state
from tests.integration.hub.world import World, later, record

THIEVES = ("a-thief", "z-thief")
"""One sorts before the honest gate, the other after it."""


def send(conn: Connection, *batches: list[ScanRecord]) -> BatchResult:
    """In one transaction."""
    messages = [Delivery(TOPICS.scans(one[0].gate_id), encode_scans(one), 1, 1) for one in batches]
    return write_batch(conn, merge(read_batch(message, TOPICS) for message in messages))


def honest(world: World, event: str, count: int = 3) -> list[ScanRecord]:
    return [
        record(seq, **SURE, gate_id="gate-3", event_id=event, subject_id=world.ticket(event))
        for seq in range(1, count + 1)
    ]


def stolen(scans: list[ScanRecord], thief: str, shift: int = 0) -> list[ScanRecord]:
    """Refusals with the same ids under another gate's name."""
    return [
        msgspec.structs.replace(
            one, gate_id=thief, epoch="e1", seq=one.seq + shift, verdict=Ruling.DENY, reason=Reason.UNKNOWN,
            subject_id=None, code_hash="0" * 64,
        )
        for one in scans
    ]  # fmt: skip


def assert_all_count(world: World, written: BatchResult, scans: list[ScanRecord]) -> None:
    assert ("gate-3", Ack(epoch="e1", seq=len(scans))) in written.acks
    kept = world.all(
        "SELECT coalesce(said_id, scan_id)::text FROM scan_logs WHERE gate_id = 'gate-3' ORDER BY seq"
    )
    assert kept == [(one.scan_id,) for one in scans]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0
    for one in scans:
        assert ticket_state(world, str(one.subject_id))[:4] == ("checked_in", True, later(one.seq), "gate-3")


@pytest.mark.parametrize("thief", THIEVES)
@pytest.mark.parametrize("shift", [0, 40], ids=["the same places", "other places"])
@pytest.mark.parametrize("when", ["same batch", "earlier batch", "later batch"])
def test_a_gate_that_sends_anothers_ids_keeps_none_of_its_scans_out(
    world: World, conn: Connection, when: str, shift: int, thief: str
) -> None:
    scans = honest(world, world.event())
    copies = stolen(scans, thief, shift)
    if when == "same batch":
        written = send(conn, copies, scans)
    elif when == "earlier batch":
        send(conn, copies)
        written = send(conn, scans)
    else:
        written = send(conn, scans)
        send(conn, copies)
    assert_all_count(world, written, scans)
    assert world.one("SELECT count(*) FROM scan_logs WHERE gate_id = %s", thief) == len(copies)
    # again, by both: nothing new, and known as such
    again = send(conn, copies, scans)
    assert_all_count(world, again, scans)
    assert again.known["gate-3"] == {one.scan_id for one in scans}
    assert world.one("SELECT count(*) FROM scan_logs") == 6


def test_a_stolen_id_does_not_make_a_batch_be_taken_one_by_one(world: World, conn: Connection) -> None:
    first, *others = honest(world, world.event())
    send(conn, [first])
    written = send(conn, stolen([first], "a-thief"), others)
    assert not written.refused
    assert world.one("SELECT count(*) FROM scan_logs") == 4


@pytest.mark.parametrize("seed", range(20))
def test_every_gates_scans_are_kept_however_the_batches_are_mixed(
    world: World, conn: Connection, seed: int
) -> None:
    luck = random.Random(seed)
    event = world.event()
    scans = honest(world, event, 6)
    sent = [[one] for one in scans] + [[one] for thief in THIEVES for one in stolen(scans, thief)]
    sent += [[one] for one in luck.sample(scans, 3)]
    luck.shuffle(sent)
    while sent:
        size = luck.randint(1, 5)
        send(conn, *sent[:size])
        sent = sent[size:]
    assert_all_count(world, send(conn, scans), scans)
    assert world.all("SELECT gate_id, count(*) FROM scan_logs GROUP BY 1 ORDER BY 1") == [
        ("a-thief", 6),
        ("gate-3", 6),
        ("z-thief", 6),
    ]
    assert world.one("SELECT count(*) - count(DISTINCT scan_id) FROM scan_logs") == 0


@pytest.mark.parametrize("first", ["the scan", "the annulment"])
def test_a_scan_whose_id_was_stolen_is_annulled_only_by_its_own_gate(
    world: World, conn: Connection, first: str
) -> None:
    (one,) = scans = honest(world, world.event(), 1)
    send(conn, stolen(scans, "a-thief"))
    annulled = outcome(one, 2, reason=EventKind.NOT_OPENED)
    forged = outcome(msgspec.structs.replace(one, gate_id="a-thief"), 2, reason=EventKind.NOT_OPENED)
    send(conn, [forged])
    for batch in ([one], [annulled]) if first == "the scan" else ([annulled], [one]):
        send(conn, batch)
    assert ticket_state(world, str(one.subject_id))[:3] == ("issued", False, None)
    assert world.all("SELECT gate_id FROM scan_logs WHERE annulled_at IS NOT NULL") == [("gate-3",)]


def test_a_forged_annulment_under_a_stolen_id_annuls_nothing(world: World, conn: Connection) -> None:
    (one,) = scans = honest(world, world.event(), 1)
    send(conn, stolen(scans, "a-thief"))
    send(
        conn,
        scans,
        [outcome(msgspec.structs.replace(one, gate_id="a-thief"), 2, reason=EventKind.NOT_OPENED)],
    )
    assert ticket_state(world, str(one.subject_id))[:2] == ("checked_in", True)


def test_a_gate_hears_of_its_scan_under_its_own_id(world: World, conn: Connection) -> None:
    event = world.event()
    (one,) = scans = honest(world, event, 1)
    send(conn, stolen(scans, "a-thief"))
    send(conn, scans)
    entry = feed_of(world, event, str(one.subject_id)).first_entry
    assert entry is not None
    assert (entry.gate, entry.scan) == ("gate-3", one.scan_id)


def test_a_double_admission_under_one_id_is_a_conflict(world: World, conn: Connection) -> None:
    """Two gates, one ticket, one id: two scans, the earlier of which counts."""
    (one,) = scans = honest(world, world.event(), 1)
    copy = msgspec.structs.replace(one, gate_id="a-thief", occurred_at=one.occurred_at + timedelta(minutes=5))
    send(conn, [copy])
    send(conn, scans)
    assert ticket_state(world, str(one.subject_id))[2:4] == (one.occurred_at, "gate-3")
    assert world.one("SELECT count(*) FROM scan_conflicts WHERE withdrawn_at IS NULL") == 1


def test_a_salvaged_journal_with_stolen_ids_is_recognised(world: World, conn: Connection) -> None:
    scans = honest(world, world.event())
    send(conn, stolen(scans, "a-thief"))
    send(conn, scans)
    send(conn, [msgspec.structs.replace(one, epoch="e2") for one in scans])
    assert world.one("SELECT count(*) FROM scan_repeats") == 3
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_claim_under_anothers_scan_id_is_answered_separately(world: World, conn: Connection) -> None:
    event = world.event()
    for gate in ("a-thief", "gate-3"):
        world.gate(gate, "", event)
    codes = [
        str(world.one("SELECT code_hash FROM tickets WHERE id = %s", world.ticket(event))) for _ in range(2)
    ]
    scan_id, told = record().scan_id, {}
    for gate, code in zip(("a-thief", "gate-3"), codes, strict=True):
        row = conn.execute(
            b"SELECT claim_entry((SELECT venue FROM gates WHERE gate_id = %s), %s, %s, %s, %s, 'e1', '{}',"
            b" now()) AS told",
            (gate, gate, scan_id, code, event),
        ).fetchone()
        assert row is not None
        told[gate] = row["told"]["grant"]["answer"]
    assert told == {"a-thief": "granted", "gate-3": "granted"}
    # what one of them gives back is its own
    venue = world.one("SELECT venue FROM gates LIMIT 1")
    call(conn, "give_back", venue=venue, gate="a-thief", scan=scan_id, now=later(0))
    assert world.all("SELECT gate_id FROM claims WHERE released_at IS NULL") == [("gate-3",)]


@pytest.mark.parametrize("thief", ["a-thief", "gate-3"])
def test_no_event_takes_the_place_of_another_alert(world: World, conn: Connection, thief: str) -> None:
    """Not even one of the gate itself: of two machines under one name, one is the thief."""
    foretold = str(world.one("SELECT md5('cloned gate-3 e1')::uuid"))
    event = {"verdict": Ruling.DENY, "record": "event", "reason": EventKind.GUESSING}
    send(conn, [record(1, gate_id=thief, scan_id=foretold, epoch="e0", **event)])
    send(conn, [record(1, gate_id="gate-3")])
    send(conn, [record(1, gate_id="gate-3")])
    assert world.all("SELECT gate_id, reason FROM alerts ORDER BY number") == [
        (thief, "guessing"),
        ("gate-3", "cloned"),
    ]

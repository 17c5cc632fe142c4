"""One gate sends more than a door can: others are not affected, and it is reported (protocol 4.5)."""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlite_utils import Database
from structlog.testing import capture_logs

from gate.config import read_gate_config
from gate.diagnostics.status import gather
from gate.rules.model import EventKind, Ruling, ScanRecord
from gate.rules.payload import code_hash
from sync.broker import inbox
from sync.broker.mqtt import Message
from sync.cache import peer_tables
from sync.cache.cache_file import MIGRATIONS
from sync.cache.writer import Cache
from sync.peers import listener
from sync.peers.heard_numbers import MOST_EPOCHS, HeardNumbers
from sync.wire.cutoff import MESSAGES, PAUSE_MS
from sync.wire.messages import Change, Delta, GateConfig, GateStatus
from sync.wire.scans import encode_scans
from tests.factories import NOW, a_record, an_admission, an_event, code_id
from tests.stories.sync.test_behind import CONFIG
from tests.stories.sync.test_trouble import LockedCache
from tests.sync_bench import TOPICS, Bench

SOURCE = random.Random(5)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.connect()
    return bench


def admission(seq: int, gate: str, **changes: object) -> ScanRecord:
    """An admission of an unknown code, unless the test gives one."""
    some = {
        "scan_id": str(uuid.UUID(int=SOURCE.getrandbits(128))),
        "code_hash": f"{SOURCE.getrandbits(256):064x}",
    }
    return a_record(seq, gate_id=gate, **(some | changes))


def batch(gate: str, records: Iterable[ScanRecord]) -> Message:
    return Message(TOPICS.scans(gate), encode_scans(list(records)))


def a_flood(batches: int, gate: str = "gate-2") -> Iterator[Message]:
    """Batches of 50 random admissions."""
    for number in range(batches):
        yield batch(gate, [admission(50 * number + n + 1, gate) for n in range(50)])


def rows(bench: Bench, gate: str, table: str = "peer_entries") -> int:
    counted = bench.cache._db.execute(f"select count(*) from {table} where gate_id = ?", (gate,))
    return int(counted.fetchone()[0])


def knows(bench: Bench, record: ScanRecord) -> list[str]:
    return sorted(entry.gate for entry in bench.reader.find(record.code_hash or "").peers)


def test_a_flood_delays_neither_the_beat_nor_own_scans_nor_another_gates(
    bench: Bench,
) -> None:
    honest = admission(1, "gate-3")
    for message in a_flood(300):
        bench.put(message)
    bench.put(batch("gate-3", [honest]))
    bench.scan()
    bench.clock.forward(1.5)
    bench.sync.turn()
    assert knows(bench, honest) == ["gate-3"]
    assert len(bench.sent()) == 1
    assert bench.note().beat_ms == bench.clock.monotonic_ms
    assert sum(len(lane.waiting) for lane in bench.inbox._lanes.values()) > 0  # the flood still waits


def test_admissions_of_a_flooding_gate_count_for_nobody(bench: Bench) -> None:
    """The scans are forged but the tickets real, and other gates go on admitting them."""
    tickets = [admission(n, "gate-2", code_hash=code_hash(code_id(n))) for n in range(1, 2001)]
    for first in range(0, 2000, 50):
        bench.step(batch("gate-2", tickets[first : first + 50]))
    assert [record for record in tickets if knows(bench, record)] == []
    assert rows(bench, "gate-2") == 0


def test_a_flood_is_reported_once_to_log_hub_and_operator_and_so_is_its_end(
    bench: Bench,
) -> None:
    with capture_logs() as lines:
        for message in a_flood(30):
            bench.step(message)
        assert bench.status().flooding == ("gate-2",)
        bench.step(seconds=1)
        assert bench.reader.link(bench.clock.now()).flooding == ("gate-2",)
        (bench.folder / "gate.toml").write_text(CONFIG.format(folder=bench.folder))
        told = gather(read_gate_config(bench.folder / "gate.toml"), bench.clock).problems
        assert [one for one in told if one.startswith("More arrives from gate-2 than a door can send")]
        for _ in range(70):
            bench.step(seconds=1)
    assert (bench.status().flooding, bench.note().flooding) == ((), ())
    assert [line["event"] for line in lines if line.get("at_gate") == "gate-2"] == [
        "flood began",
        "flood ended",
    ]


def test_unreadable_messages_of_one_gate_do_not_fill_the_log(bench: Bench) -> None:
    with capture_logs() as lines:
        for _ in range(200):
            bench.step(Message(TOPICS.scans("gate-2"), b"junk"), Message(TOPICS.status("gate-2"), b"junk"))
    assert [line["event"] for line in lines] == ["message rejected"]


def test_a_gate_that_keeps_to_its_pace_for_a_minute_counts_again(bench: Bench) -> None:
    for message in a_flood(20):
        bench.step(message)
    at = bench.clock.wall + timedelta(seconds=61)
    bench.step(seconds=61)
    late = admission(5000, "gate-2", occurred_at=at)
    bench.step(batch("gate-2", [late]))
    assert knows(bench, late) == ["gate-2"]


@pytest.mark.parametrize("what", ["refusals", "statuses", "junk"])
def test_a_flood_of_any_kind_is_reported_and_takes_bounded_memory(bench: Bench, what: str) -> None:
    denied = batch("gate-2", [admission(n, "gate-2", verdict=Ruling.DENY) for n in range(1, 51)])
    said = {
        "refusals": denied,
        "statuses": Message(TOPICS.status("gate-2"), b'{"gate_id": "gate-2", "online": true}'),
        "junk": Message(TOPICS.scans("gate-2"), b"{" * 300_000),
    }[what]
    for _ in range(5_000):
        bench.put(said)
    bench.step()
    assert bench.status().flooding == ("gate-2",)
    assert bench.inbox._bytes <= inbox.BYTES


def test_backlogs_of_many_gates_after_an_outage_are_taken_and_are_no_flood(
    bench: Bench,
) -> None:
    """All at once, each two a second for minutes, and then again because the hub was slow to acknowledge."""
    gates = [f"gate-{number}" for number in range(2, 8)]
    backlogs = {
        gate: [
            admission(n + 1, gate, occurred_at=NOW - timedelta(seconds=(1500 - n) / 2)) for n in range(1_500)
        ]
        for gate in gates
    }
    for _ in range(2):
        for first in range(0, 1_500, 50):
            for gate in gates:
                bench.put(batch(gate, backlogs[gate][first : first + 50]))
        bench.step()
    assert [rows(bench, gate) for gate in gates] == [1_500] * len(gates)
    assert bench.sync._listener.flooding() == ()
    assert [one.last for one in bench.note().heard or bench.sync._listener.peers.heard()] == [1_500] * len(
        gates
    )


def test_each_gate_has_its_own_queue_behind_a_locked_cache(bench: Bench) -> None:
    """A flood in the meantime displaces nothing from an honest gate or from the hub."""
    bench.serve(an_admission())
    honest, sold = admission(1, "gate-3"), an_admission(code_id(2))
    junk = Message(TOPICS.scans("gate-2"), b"{}")
    with LockedCache(bench):
        bench.step(batch("gate-3", [honest]))
        bench.hear(
            TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(Change(version=6, row=sold),))
        )
        for _ in range(12_000):
            bench.put(junk)
        bench.turn()
        assert len(bench.inbox._lanes["gate-2"].waiting) <= inbox.MESSAGES
    bench.step(seconds=2)
    assert knows(bench, honest) == ["gate-3"]
    assert bench.reader.find(sold.code_hash).admission == sold


def test_a_gate_fills_only_its_own_share_of_the_disk_and_its_junk_is_dropped_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_tables, "MOST_ROWS", 100)
    monkeypatch.setattr(peer_tables, "MAKE_ROOM", 10)
    ticket = an_admission()
    bench.serve(ticket)
    honest = admission(1, "gate-3")
    real = admission(1, "gate-2", code_hash=ticket.code_hash)
    bench.cache.peers.put([honest, real])
    for first in range(0, 300, 50):
        bench.cache.peers.put([admission(first + n, "gate-2") for n in range(50)])
    for n in range(300):
        gone = {"record": "annulled", "verdict": Ruling.NONE, "refers_to": f"scan {n}"}
        bench.cache.peers.put([admission(n, "gate-2", **gone)])
    assert rows(bench, "gate-2") <= 100
    assert rows(bench, "gate-2", "peer_annulments") <= 100
    assert (knows(bench, honest), knows(bench, real)) == (["gate-3"], ["gate-2"])


def test_a_forged_record_with_another_gates_scan_id_does_not_displace_the_real_one(bench: Bench) -> None:
    real = admission(1, "gate-3")
    forged = msgspec.structs.replace(real, gate_id="gate-2", code_hash="f" * 64)
    bench.step(batch("gate-2", [forged]), batch("gate-3", [real]))
    assert knows(bench, real) == ["gate-3"]
    gone = a_record(
        2,
        gate_id="gate-2",
        record="annulled",
        verdict=Ruling.NONE,
        reason=EventKind.EXPIRED,
        refers_to=real.scan_id,
    )
    bench.step(batch("gate-2", [gone]))
    assert (knows(bench, real), knows(bench, forged)) == (["gate-3"], [])


@pytest.mark.parametrize("field", ["scan_id", "code_hash", "refers_to"])
def test_an_admission_with_a_malformed_id_is_not_kept(bench: Bench, field: str) -> None:
    """Otherwise a row could be as long as a message."""
    kind = {"record": "annulled", "verdict": Ruling.NONE} if field == "refers_to" else {}
    bench.step(batch("gate-2", [admission(1, "gate-2", **(kind | {field: "a" * 5_000}))]))
    assert rows(bench, "gate-2") + rows(bench, "gate-2", "peer_annulments") == 0


def test_a_retained_scan_is_ignored(bench: Bench) -> None:
    forged = admission(1, "gate-2")
    bench.step(msgspec.structs.replace(batch("gate-2", [forged]), retained=True))
    assert knows(bench, forged) == []


def test_many_epochs_of_one_gate_displace_nothing_heard_from_others() -> None:
    peers = HeardNumbers()
    peers.hear([a_record(1, gate_id="gate-3")])
    for number in range(500):
        peers.hear([a_record(1, gate_id="gate-2", epoch=f"epoch-{number}")])
    heard = [one.gate for one in peers.heard()]
    assert heard.count("gate-3") == 1
    assert heard.count("gate-2") <= MOST_EPOCHS


def test_a_gate_that_comes_and_goes_does_not_make_others_resend_each_time(bench: Bench) -> None:
    """The hub is silent, so a peer that appears is sent what waits here."""
    bench.scan(3)
    for _ in range(12):
        bench.step(seconds=1)
    bench.links[-1].published.clear()
    for _ in range(100):
        for online in (True, False):
            said = GateStatus(gate_id="gate-2", online=online)
            bench.hear(TOPICS.status("gate-2"), said)
    assert 1 <= len(bench.sent()) / 3 <= 10


# --- revocation ---


def config(*revoked: str) -> GateConfig:
    return GateConfig(
        gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),), revoked=revoked
    )


def test_scans_of_a_revoked_gate_do_not_count(bench: Bench) -> None:
    """Neither its later scans nor its earlier ones: the hub's feed has those that count."""
    before, honest, late = admission(1, "gate-2"), admission(1, "gate-3"), admission(2, "gate-2")
    bench.step(batch("gate-2", [before]), batch("gate-3", [honest]))
    bench.step(config("gate-2"))
    bench.step(batch("gate-2", [late]))
    assert (knows(bench, before), knows(bench, late), knows(bench, honest)) == ([], [], ["gate-3"])
    assert [one.gate for one in bench.sync._listener.peers.heard()] == ["gate-3"]


def test_a_revoked_gate_is_remembered_across_a_restart_without_the_hub(bench: Bench) -> None:
    bench.step(config("gate-2"))
    bench.sync = bench.start()
    bench.connect()
    late = admission(2, "gate-2")
    bench.step(batch("gate-2", [late]))
    assert knows(bench, late) == []


def test_a_gate_that_is_no_longer_revoked_counts_again(bench: Bench) -> None:
    bench.step(config("gate-2"))
    bench.step(config())
    late = admission(2, "gate-2")
    bench.step(batch("gate-2", [late]))
    assert knows(bench, late) == ["gate-2"]


# --- entries the hub has or has not accepted ---


def test_a_peers_entry_a_reachable_hub_does_not_accept_counts_for_ten_minutes(bench: Bench) -> None:
    """So a forged backlog at a credible pace refuses guests for no longer than that."""
    bench.hub_is_there = True
    bench.serve(an_admission())
    told = admission(1, "gate-2")
    bench.step(batch("gate-2", [told]))
    minutes = listener.SETTLE_MS // 60_000
    for minute in range(minutes + 2):
        if minute < minutes:
            assert knows(bench, told) == ["gate-2"]
        for _ in range(6):
            bench.step(config(), seconds=10)
    assert knows(bench, told) == []


def test_while_the_hub_is_silent_no_peers_entry_is_forgotten(bench: Bench) -> None:
    bench.serve(an_admission())
    told = admission(1, "gate-2")
    bench.step(batch("gate-2", [told]))
    for _ in range(200):
        bench.step(seconds=10)
    assert knows(bench, told) == ["gate-2"]


def test_a_cache_of_the_previous_version_keeps_peers_entries(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with sqlite3.connect(path, isolation_level=None) as db:
        MIGRATIONS.apply(Database(db), stop_before="fourth_layout")
        db.execute(
            "insert into peer_entries values ('s1', ?, 'gate-2', ?, null)", ("a" * 64, NOW.isoformat())
        )
        db.execute("insert into peer_annulments values ('s2', 'gate-3', null)")
    cache = Cache(path)
    assert cache.peers.known([("gate-2", "s1"), ("gate-3", "s2")]) == (
        {("gate-2", "s1")},
        {("gate-3", "s2")},
    )


def test_an_extreme_flood_is_unsubscribed_for_a_while_and_other_gates_are_kept(
    bench: Bench,
) -> None:
    """Kept are the gates in the configuration and those heard from."""
    bench.step(
        GateConfig(
            gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),),
            gate_names={"gate-1": "GATE 1", "gate-2": "GATE 2", "gate-3": "GATE 3"},
        )
    )  # fmt: skip
    everybody = bench.links[-1].topics
    bench.step(batch("gate-4", [admission(1, "gate-4")]))
    for message in [Message(TOPICS.scans("gate-2"), b"x")] * int(MESSAGES.at_once + 1):
        bench.put(message)
    bench.step()
    others = {topic for gate in ("gate-3", "gate-4") for topic in (TOPICS.scans(gate), TOPICS.status(gate))}
    own = set(TOPICS.subscriptions("gate-1")) - {TOPICS.scans(), TOPICS.status()}
    assert set(bench.links[-1].topics) == own | others
    bench.step(seconds=PAUSE_MS[0] / 1000 + 1)
    bench.step()
    assert list(bench.links[-1].topics) == list(everybody) == TOPICS.subscriptions("gate-1")
    assert bench.sync._listener.flooding() == ("gate-2",)

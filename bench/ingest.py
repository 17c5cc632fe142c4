"""The hub ingests scans: from the broker to committed in Postgres, including check-ins (quality 7.3)."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.context import Context
from bench.figures import Aim, Row, percentile
from bench.hub_bed import PATIENCE_S, TOPICS, Client, Gate, HubBed, Packet, open_hub, packets, until
from hub.mqtt.link import client_id
from sync.wire.messages import Ack, decode
from sync.wire.scans import BATCH_LIMIT

GATES = (1, 3, 20)
SINGLE = 2_500
"""Fewer than what cuts a gate off that sends them all by itself (`sync.wire.cutoff.MESSAGES`)."""
BATCHED = 30_000
BACKLOG = 100_000
PACE_PER_S = 500
PACED_S = 10
TICKETS = 3 * SINGLE + 3 * BATCHED + BACKLOG + PACE_PER_S * PACED_S + 1_000


def rows(context: Context) -> Iterator[Row]:
    """See `bench.__main__.SUBJECTS`."""
    share = min(1.0, context.share)
    with open_hub(context.folder / "hub", TICKETS) as bed:
        for gates in GATES:
            yield _singles(bed, gates, int(SINGLE * share))
        for gates in GATES:
            yield _batches(bed, gates, int(BATCHED * share))
        yield _batches(bed, GATES[-1], int(BACKLOG * share))
        yield _paced(bed, int(PACED_S * share) or 1)


def _singles(bed: HubBed, gates: int, scans: int) -> Row:
    wanted = packets(bed, _gates(bed, gates), scans, 1)
    ours = scans / _drained_by_hub(bed, wanted, scans)
    floor = scans / _drained_by_paho(bed, wanted)
    return Row(
        what=f"hub, one record per message, {gates} gates",
        figure=ours,
        unit="/s",
        floor="paho alone draining the same, manual ack, no database",
        floor_figure=floor,
        aim=Aim(limit=0.6, at_least=True),
    )


def _batches(bed: HubBed, gates: int, scans: int) -> Row:
    wanted = packets(bed, _gates(bed, gates), scans, BATCH_LIMIT)
    taken = _drained_by_hub(bed, wanted, scans)
    floor = scans / _copied(bed, scans)
    return Row(
        what=f"hub, batches of {BATCH_LIMIT}, {gates} gates, {scans:,} scans",
        figure=scans / taken,
        unit="/s",
        floor="COPY of the same rows into the same table",
        floor_figure=floor,
        aim=Aim(limit=0.25, at_least=True),
        note=f"all of it in {taken:.1f} s",
    )


_numbers = itertools.count(1)


def _gates(bed: HubBed, count: int) -> list[Gate]:
    """Gates with a new epoch, as after re-imaging: numbering begins at one."""
    return [Gate(f"gate-{number + 1}", bed.event_id) for number in range(count)]


def _drained_by_hub(bed: HubBed, wanted: Sequence[Packet], scans: int) -> float:
    """Seconds the hub takes for the messages in its session, from its start to the last acknowledgement.

    That includes some 0.3 s to start.
    """
    program = bed.program("ingest")
    _with_session(bed)
    publisher = Client(bed.broker.port, f"publisher-{next(_numbers)}")
    publisher.say_all(wanted)
    # one connection for all queries: opening one takes as long as some fifty records
    with bed.connect() as conn:
        before = _kept(conn)
        started_log = time.perf_counter()
        program.start()
        until(lambda: _kept(conn) > before, "the hub ingests the first")
        began, first = time.perf_counter(), _kept(conn) - before
        until(lambda: _kept(conn) - before >= scans, "the hub ingests everything")
        ended = time.perf_counter()
    program.stop()
    publisher.close()
    if scans - first < scans / 2:  # too fast to be seen midway: include the start
        return ended - started_log
    return (ended - began) * scans / (scans - first)


def _kept(conn: psycopg.Connection[Any]) -> int:
    ((kept,),) = conn.execute("select coalesce(sum(seq), 0)::int from gate_watermarks").fetchall()
    return int(kept)


def _with_session(bed: HubBed) -> None:
    """Connect the hub once, so that the broker queues messages for it."""
    program = bed.program("ingest")
    program.start()
    log = bed.broker.log
    place = log.stat().st_size
    until(lambda: f"as {client_id(TOPICS.venue)} " in log.read_text()[place:], "the hub's session")
    time.sleep(0.5)  # its subscription follows the connection immediately
    program.stop()


def _drained_by_paho(bed: HubBed, wanted: Sequence[Packet]) -> float:
    """Seconds that a bare client takes for the same messages from a session of its own."""
    name = f"floor-{next(_numbers)}"
    _bare(bed, name, 0)
    publisher = Client(bed.broker.port, f"publisher-{next(_numbers)}")
    publisher.say_all([(topic.replace("/scans", "/floor"), payload) for topic, payload in wanted])
    publisher.close()
    return _bare(bed, name, len(wanted))


def _bare(bed: HubBed, name: str, count: int) -> float:
    """Drain `count` messages; returns the seconds from the first to the last."""
    done, up = threading.Event(), threading.Event()
    times: list[float] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5, manual_ack=True)

    def on_message(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        client.ack(message.mid, 1)
        times.append(time.perf_counter())
        if len(times) == count:
            done.set()

    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe(f"maguey/v1/{TOPICS.venue}/gates/+/floor", 1)
    client.on_subscribe = lambda *_: up.set()
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client.connect("127.0.0.1", bed.broker.port, clean_start=False, properties=properties)
    client.loop_start()
    if not up.wait(PATIENCE_S) or (count and not done.wait(PATIENCE_S)):
        raise TimeoutError("the bare client")
    client.disconnect()
    client.loop_stop()
    return (times[-1] - times[0]) if count else 0.0


def _copied(bed: HubBed, scans: int) -> float:
    """Seconds that COPY takes for as many of the stored rows, into a table of the same form."""
    with bed.connect() as conn:
        conn.execute("drop table if exists floor_logs")
        conn.execute("create table floor_logs (like scan_logs including all)")
        with conn.cursor().copy(f"copy (select * from scan_logs limit {scans}) to stdout") as out:
            rows_of_it = [bytes(row) for row in out]
        begun = time.perf_counter()
        with conn.cursor().copy("copy floor_logs from stdin") as into:
            for row in rows_of_it:
                into.write(row)
        taken = time.perf_counter() - begun
        conn.execute("drop table floor_logs")
    return taken


def _paced(bed: HubBed, seconds: int) -> Row:
    """From publishing to the hub's acknowledgement of the commit, at 500 scans a second."""
    gates = _gates(bed, GATES[-1])
    wanted = packets(bed, gates, PACE_PER_S * seconds, 1)
    places = {gate.gate_id: gate for gate in gates}
    program = bed.program("ingest")
    listener = Client(bed.broker.port, "listener", TOPICS.ack("+"))
    publisher = Client(bed.broker.port, "paced")
    program.start()
    until(lambda: f"as {client_id(TOPICS.venue)} " in bed.broker.log.read_text(), "the hub")
    time.sleep(1.0)  # its start-up work is over
    sent = _publish_paced(publisher, wanted)
    until(lambda: all(_acked(bed, gate) == gate.seq for gate in gates), "everything acknowledged")
    taken = _waits(listener, places, sent)
    program.stop()
    listener.close()
    publisher.close()
    floors = _commits(bed, 300)
    return Row(
        what="scan record, gate → committed in Postgres, p99 at 500/s, 20 gates",
        figure=percentile(taken, 99) * 1e3,
        floor="one commit, p99",
        floor_figure=percentile(floors, 99) * 1e3,
        aim=Aim(limit=30),
        note=f"p50 {percentile(taken, 50) * 1e3:.1f} ms",
    )


def _publish_paced(publisher: Client, wanted: Sequence[Packet]) -> dict[tuple[str, int], float]:
    """Publish at the pace; returns when each record was sent, by gate and number."""
    sent: dict[tuple[str, int], float] = {}
    numbers: dict[str, int] = {}
    begun = time.perf_counter()
    for place, (topic, payload) in enumerate(wanted):
        wait = begun + place / PACE_PER_S - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        gate_id = TOPICS.gate_of(topic) or ""
        numbers[gate_id] = numbers.get(gate_id, 0) + 1
        sent[gate_id, numbers[gate_id]] = time.perf_counter()
        publisher.say(topic, payload)
    return sent


def _acked(bed: HubBed, gate: Gate) -> int:
    with bed.connect() as conn:
        found = conn.execute(
            "select seq from gate_watermarks where (gate_id, epoch) = (%s, %s)", (gate.gate_id, gate.epoch)
        ).fetchone()
    return int(found[0]) if found else 0


def _waits(listener: Client, gates: dict[str, Gate], sent: dict[tuple[str, int], float]) -> list[float]:
    """Seconds from publishing each record to the first acknowledgement that covers it."""
    taken: list[float] = []
    upto = dict.fromkeys(gates, 0)
    while len(taken) < len(sent):
        at, topic, payload = listener.heard.get(timeout=PATIENCE_S)
        ack, gate_id = decode(payload, Ack), TOPICS.gate_of(topic) or ""
        if ack.epoch != gates[gate_id].epoch:
            continue
        taken += [at - sent[gate_id, seq] for seq in range(upto[gate_id] + 1, ack.seq + 1)]
        upto[gate_id] = max(upto[gate_id], ack.seq)
    return taken


def _commits(bed: HubBed, count: int) -> list[float]:
    taken: list[float] = []
    with bed.connect() as conn:
        conn.execute("create table if not exists floor_commits (n int)")
        for number in range(count):
            begun = time.perf_counter()
            conn.execute("insert into floor_commits values (%s)", (number,))
            taken.append(time.perf_counter() - begun)
    return taken

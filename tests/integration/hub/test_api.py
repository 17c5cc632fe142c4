"""Snapshots and configuration over HTTP (protocol 4.4): content, consistency, refusals."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from demo.servers import free_port
from gate.rules.model import Admission, FeedRow, Removed
from hub.config import HubConfig
from hub.config import Postgres as PostgresConfig
from hub.feed import snapshot
from hub.feed.snapshot import SnapshotCache
from hub.web.api import POOL_SIZE, make_app
from sync.wire.messages import Change, GateConfig, SnapshotEnd, SnapshotHeader, decode
from tests.integration.hub.test_admission_feed import state
from tests.integration.hub.world import PATIENCE, World

TOKEN = "a-token"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def client(config: HubConfig) -> Iterator[TestClient[Any]]:
    with TestClient(make_app(config), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def event(world: World) -> str:
    event_id = world.event()
    world.gate("gate-1", hashed(TOKEN), event_id)
    return event_id


def path(event: str, since: int = 0, gate: str = "gate-1") -> str:
    return f"/api/gates/{gate}/events/{event}/admissions?since={since}"


def read(response: httpx.Response) -> tuple[SnapshotHeader, list[bytes]]:
    """Header and lines of an answer whose digest and count are right."""
    assert response.status_code == 200, response.text
    *lines, last = response.content.splitlines(keepends=True)
    assert decode(last, SnapshotEnd).sha256 == hashlib.sha256(b"".join(lines)).hexdigest()
    header = decode(lines[0], SnapshotHeader)
    assert header.count == len(lines) - 1
    return header, lines[1:]


def rows(lines: list[bytes]) -> list[FeedRow]:
    return [msgspec.json.decode(line, type=FeedRow) for line in lines]


def changes(lines: list[bytes]) -> list[Change]:
    return [msgspec.json.decode(line, type=Change) for line in lines]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_whole_snapshot_is_served_compressed_or_not(
    client: TestClient[Any], world: World, event: str, encoding: str
) -> None:
    for _ in range(300):
        world.ticket(event)
    response = client.get(path(event), headers=AUTH | {"Accept-Encoding": encoding})
    assert response.headers.get("content-encoding", "identity") == encoding
    header, lines = read(response)
    assert header == SnapshotHeader(event_id=event, version=301, since=0, count=301)
    assert rows(lines) == world.feed(event)


def test_a_gate_that_is_behind_gets_only_the_changes(
    client: TestClient[Any], world: World, event: str
) -> None:
    for _ in range(5):
        world.ticket(event)
    header, lines = read(client.get(path(event, 2), headers=AUTH))
    assert (header.version, header.since) == (6, 2)
    assert [change.version for change in changes(lines)] == [3, 4, 5, 6]
    header, lines = read(client.get(path(event, 6), headers=AUTH))
    assert (header.version, header.since, lines) == (6, 6, [])


def test_catching_up_is_paged(
    client: TestClient[Any], world: World, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PAGE_CHANGES", 3)
    for _ in range(5):
        world.ticket(event)
    first = client.get(path(event, 1), headers=AUTH)
    header, lines = read(first)
    assert (header.since, header.version, header.newest) == (1, 4, 6)
    assert [change.version for change in changes(lines)] == [2, 3, 4]
    world.ticket(event)
    again = client.get(path(event, 1), headers=AUTH)
    assert read(again)[0].newest == 7
    assert again.headers["etag"] != first.headers["etag"]
    header, lines = read(client.get(path(event, 4), headers=AUTH))
    assert (header.since, header.version, header.newest, len(lines)) == (4, 7, 7, 3)


@pytest.mark.parametrize("since", [2, 99])
def test_without_the_needed_changes_the_whole_snapshot_is_served(
    client: TestClient[Any], world: World, event: str, since: int
) -> None:
    for _ in range(5):
        world.ticket(event)
    world.run("DELETE FROM admission_changes WHERE version = 4")
    header, lines = read(client.get(path(event, since), headers=AUTH))
    assert header.since == 0
    assert rows(lines) == world.feed(event)


def test_snapshot_plus_changes_is_the_next_snapshot(
    client: TestClient[Any], world: World, event: str
) -> None:
    chance = random.Random(7)
    reservation = world.reservation(event)
    held, version = state([]), 0
    for _ in range(25):
        for _ in range(chance.randint(1, 4)):
            something_happens(world, event, reservation, chance)
        header, lines = read(client.get(path(event, version), headers=AUTH))
        assert header.since == version
        if version == 0:
            held = state(rows(lines))
        for change in changes(lines) if version else []:
            if isinstance(change.row, Removed):
                held.pop(change.row.code_hash, None)
            else:
                held |= state([change.row])
        version = header.version
        _, lines = read(client.get(path(event), headers=AUTH))
        assert held == state(rows(lines))


def something_happens(world: World, event: str, reservation: str, chance: random.Random) -> None:
    tickets = [row[0] for row in world.all("SELECT id::text FROM tickets ORDER BY ticket_id")]
    linked = [row[0] for row in world.all("SELECT ticket_id::text FROM vip_linked_tickets")]
    free = [ticket for ticket in tickets if ticket not in linked]
    choice = chance.choice(["sell", "sell", "refund", "link", "unlink", "pass", "delete"])
    if choice == "refund" and tickets:
        world.run("UPDATE tickets SET status = 'refunded' WHERE id = %s", chance.choice(tickets))
    elif choice == "link" and free:
        world.link(reservation, chance.choice(free))
    elif choice == "unlink":
        world.run("DELETE FROM vip_linked_tickets")
    elif choice == "pass":
        world.guest_pass(reservation, world.one("SELECT count(*) FROM vip_guest_passes") + 1)
    elif choice == "delete" and free:
        world.run("DELETE FROM tickets WHERE id = %s", chance.choice(free))
    else:
        world.ticket(event)


def test_nothing_new_is_304(client: TestClient[Any], event: str, world: World) -> None:
    first = client.get(path(event), headers=AUTH)
    again = client.get(path(event), headers=AUTH | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    world.ticket(event)
    assert client.get(path(event), headers=AUTH | {"If-None-Match": first.headers["etag"]}).status_code == 200


def test_the_same_version_gives_the_same_bytes(
    client: TestClient[Any], config: HubConfig, world: World, event: str
) -> None:
    reservation = world.reservation(event, seats=60)
    for number in range(1, 60):
        world.ticket(event)
        world.guest_pass(reservation, number)
    mine = client.get(path(event), headers=AUTH)
    world.run("UPDATE tickets SET metadata = '{\"a\": 1}'")  # moves the rows about without changing them
    with TestClient(make_app(config)) as another_hub:
        theirs = another_hub.get(path(event), headers=AUTH)
    assert (mine.content, mine.headers["etag"]) == (theirs.content, theirs.headers["etag"])
    hashes = [row.code_hash for row in rows(read(mine)[1]) if isinstance(row, Admission)]
    assert hashes == sorted(hashes)
    assert len(hashes) == 118


def raw(client: TestClient[Any], url: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer and its bytes as they came, still compressed."""
    with client.stream("GET", url, headers=AUTH | {"Accept-Encoding": "gzip"} | headers) as answer:
        return answer, b"".join(answer.iter_raw())


def test_an_interrupted_download_resumes_where_it_stopped(
    client: TestClient[Any], world: World, event: str
) -> None:
    for _ in range(50):
        world.ticket(event)
    first, whole = raw(client, path(event))
    tag = first.headers["etag"]
    for start in (1, 500, len(whole) - 1):
        answer, rest = raw(client, path(event), Range=f"bytes={start}-", **{"If-Range": tag})
        assert (answer.status_code, rest) == (206, whole[start:])
        assert answer.headers["content-range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        assert int(answer.headers["content-length"]) == len(rest)
    answer, _ = raw(client, path(event), Range=f"bytes={len(whole)}-", **{"If-Range": tag})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(whole)}")


def test_a_download_resumes_although_the_night_has_changed_since(
    client: TestClient[Any], config: HubConfig, world: World, event: str
) -> None:
    """Otherwise a gate on a bad line would never get a list while tickets are being sold."""
    first, whole = raw(client, path(event))
    world.ticket(event)
    going_on = {"Range": "bytes=100-", "If-Range": first.headers["etag"]}
    answer, rest = raw(client, path(event), **going_on)
    assert (answer.status_code, rest) == (206, whole[100:])
    with TestClient(make_app(config)) as another_hub:  # which no longer has that version
        answer, _ = raw(another_hub, path(event), **going_on)
        assert answer.status_code == 200
        assert answer.headers["etag"] == raw(client, path(event))[0].headers["etag"]


@pytest.mark.parametrize("asked", ["=-5", "=0-", "=1-2", "=1-,3-", "s=1-", "=\u00b2-"])
def test_an_unsupported_range_is_answered_with_the_whole_body(
    client: TestClient[Any], event: str, asked: str
) -> None:
    _, whole = raw(client, path(event))
    wanted = {b"Authorization": AUTH["Authorization"].encode(), b"Range": f"bytes{asked}".encode("latin-1")}
    with client.stream("GET", path(event), headers=wanted) as answer:
        assert (answer.status_code, b"".join(answer.iter_raw())) == (200, whole)


def test_a_download_is_not_resumed_with_another_nights_etag(
    client: TestClient[Any], world: World, event: str
) -> None:
    other = world.event("PS")
    world.gate("gate-2", hashed("other"), other)
    theirs = client.get(path(other, gate="gate-2"), headers={"Authorization": "Bearer other"})
    answer, _ = raw(client, path(event), Range="bytes=1-", **{"If-Range": theirs.headers["etag"]})
    assert answer.status_code == 200
    assert event in answer.headers["etag"]


def test_gates_that_ask_together_share_one_body(client: TestClient[Any], world: World, event: str) -> None:
    for _ in range(300):
        world.ticket(event)
    snapshots: SnapshotCache = client.app.state.snapshots
    with futures.ThreadPoolExecutor(6) as gates:
        with snapshots.alone(event, True):
            waiting = [gates.submit(client.get, path(event), headers=AUTH) for _ in range(6)]
            world.ticket(event)
        answers = [answer.result(PATIENCE) for answer in waiting]
    assert {read(answer)[0].version for answer in answers} == {302}
    assert len({answer.content for answer in answers}) == len(snapshots) == 1
    world.ticket(event)  # a gate that asks later gets the newer state
    assert read(client.get(path(event), headers=AUTH))[0].version == 303


def test_a_cached_snapshot_is_not_served_after_a_restore(
    client: TestClient[Any], world: World, event: str
) -> None:
    ticket = world.ticket(event)
    assert read(client.get(path(event), headers=AUTH))[0].version == 2
    world.run("DELETE FROM tickets WHERE id = %s", ticket)
    world.run("DELETE FROM admission_changes WHERE version > 1")
    world.run("UPDATE events SET admission_version = 1")
    header, lines = read(client.get(path(event), headers=AUTH))
    assert (header.version, len(lines)) == (1, 1)
    world.run("UPDATE events SET feed_generation = 7")
    header, _ = read(client.get(path(event), headers=AUTH))
    assert (header.generation, header.version) == (7, 1)


def test_changes_are_served_only_within_a_generation(
    client: TestClient[Any], world: World, event: str
) -> None:
    world.ticket(event)
    world.run("UPDATE events SET feed_generation = 7")
    assert read(client.get(path(event, 1), headers=AUTH))[0].since == 0
    header, lines = read(client.get(f"{path(event, 1)}&generation=7", headers=AUTH))
    assert (header.generation, header.since, len(lines)) == (7, 1, 1)


def test_config_names_every_night_and_the_served_ones(
    client: TestClient[Any], world: World, event: str
) -> None:
    other = world.event("PS")
    world.gate("gate-2", hashed("other"))
    answer = decode(client.get("/api/gates/gate-1/config", headers=AUTH).content, GateConfig)
    assert {found.event_id: found.served for found in answer.events} == {event: True, other: False}
    assert (answer.gate_name, answer.venue) == ("GATE-1", "maguey")
    assert answer.gate_names == {"gate-1": "GATE-1", "gate-2": "GATE-2"}


def test_a_night_that_is_over_is_served_for_a_week_and_named_for_a_month(
    client: TestClient[Any], world: World, event: str
) -> None:
    for days, served in ((6, {event: True}), (8, {event: False}), (29, {event: False}), (31, {})):
        world.run(
            "UPDATE events SET doors_open_at = now() - make_interval(days => %s, hours => 8),"
            " ends_at = now() - make_interval(days => %s)",
            days,
            days,
        )
        answer = decode(client.get("/api/gates/gate-1/config", headers=AUTH).content, GateConfig)
        assert {found.event_id: found.served for found in answer.events} == served


@pytest.mark.parametrize(
    "shown", [None, "Basic x", "Bearer ", "Bearer wrong", f"Bearer {hashed(TOKEN)}", "Bearer \xf1"]
)
def test_a_wrong_token_is_refused(client: TestClient[Any], event: str, shown: str | None) -> None:
    headers = {} if shown is None else {b"Authorization": shown.encode("latin-1")}
    for url in (path(event), "/api/gates/gate-1/config", "/api/gates/nobody/config"):
        assert_problem(client.get(url, headers=headers), 401)


def assert_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/problem+json")
    body = response.json()
    assert body["status"] == status
    assert body["detail"].endswith(".")
    assert TOKEN not in response.text


def test_a_gate_reads_only_its_own_data(client: TestClient[Any], world: World, event: str) -> None:
    other = world.event("PS")
    world.gate("gate-2", hashed("other"), other)
    assert_problem(client.get(path(other, gate="gate-2"), headers=AUTH), 401)
    assert_problem(client.get(path(other), headers=AUTH), 403)
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-1'")
    assert_problem(client.get(path(event), headers=AUTH), 410)
    assert_problem(client.get("/api/gates/gate-1/config", headers=AUTH), 410)


@pytest.mark.parametrize("how", ["status = 'revoked'", "revoked_at = now()"])
def test_the_configuration_names_the_gates_that_were_revoked(
    client: TestClient[Any], world: World, event: str, how: str
) -> None:
    for gate_id, venue in (
        ("gate-3", "maguey"),
        ("gate-2", "maguey"),
        ("gate-4", "maguey"),
        ("bar-1", "cantina"),
    ):
        world.gate(gate_id, "", venue=venue)
    world.run(f"UPDATE gates SET {how} WHERE gate_id IN ('gate-2', 'gate-3', 'bar-1')")
    answer = decode(client.get("/api/gates/gate-1/config", headers=AUTH).content, GateConfig)
    assert answer.revoked == ("gate-2", "gate-3")


def test_a_gate_without_a_token_hash_lets_nobody_in(client: TestClient[Any], world: World) -> None:
    world.run("INSERT INTO gates (gate_id, venue, name) VALUES ('bare', 'maguey', 'BARE')")
    for shown in (AUTH["Authorization"], "Bearer \xa0", "Bearer \x85", "Bearer  "):
        headers = {b"Authorization": shown.encode("latin-1")}
        assert_problem(client.get("/api/gates/bare/config", headers=headers), 401)


@pytest.mark.parametrize("gate", ["g1%00", "%ff", "a b", "a" * 65])
def test_an_impossible_gate_id_is_not_found(client: TestClient[Any], gate: str) -> None:
    assert_problem(client.get(f"/api/gates/{gate}/config", headers=AUTH), 404)


def test_stalled_downloads_keep_no_connection_to_postgres(
    config_file: Path, world: World, event: str
) -> None:
    """More gates than the pool has connections stop reading in the middle of a long snapshot."""
    world.run(
        "INSERT INTO tickets (ticket_id, event_id, qr_code_data, guest_name)"
        " SELECT n, %s, n, repeat('x', 40) FROM generate_series(1, 40000) n",
        event,
    )
    port = free_port()
    config_file.write_text(f"{config_file.read_text()}[web]\nport = {port}\n")
    command = [sys.executable, "-m", "hub.cli.main", "web", "--config", str(config_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as web, contextlib.ExitStack() as stack:
        stack.callback(web.terminate)
        assert web.stdout is not None
        assert web.stdout.readline() == f"listening on http://127.0.0.1:{port}\n"
        stalled = [stack.enter_context(stalled_download(port, path(event))) for _ in range(POOL_SIZE + 2)]
        for connection in stalled:
            assert connection.recv(12) == b"HTTP/1.1 200"
        answer = httpx.get(f"http://127.0.0.1:{port}/api/gates/gate-1/config", headers=AUTH, timeout=PATIENCE)
        assert answer.status_code == 200
        assert (
            world.one("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'") == 0
        )


def stalled_download(port: int, url: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return connection


def test_probes_and_openapi(client: TestClient[Any]) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert "/api/gates/{gate_id}/config" in client.get("/schema/openapi.json").json()["paths"]


def test_without_a_database_the_hub_is_alive_but_not_ready(config: HubConfig) -> None:
    away = PostgresConfig(dsn="host=127.0.0.1 port=1 dbname=none user=x")
    with TestClient(
        make_app(msgspec.structs.replace(config, postgres=away)), raise_server_exceptions=False
    ) as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert_problem(answer, 503)
        assert answer.headers["retry-after"]

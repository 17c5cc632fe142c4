"""Canaries: after a night no ticket's secret is in anything a gate keeps, logs or sends (invariant 17)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from demo.club import Club, GateBox, await_true, open_club
from demo.night import Ticket, phone
from tests.patience import PATIENCE_S

KINDS = ("ga", "vip_host", "vip_pass", "vip_linked")


@pytest.fixture
def club(tmp_path: Path) -> Iterator[Club]:
    with open_club(tmp_path / "club", print) as club:
        yield club


def eavesdropper(port: int, heard: list[bytes]) -> mqtt.Client:
    """Keeps everything the broker carries from now on, retained messages included."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="eavesdropper", protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: heard.append(message.topic.encode() + message.payload)
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    return client


def secrets(ticket: Ticket) -> list[bytes]:
    """The parts of a ticket that must never be found: its id, the id's random part, and its signature."""
    found = [ticket.code, ticket.code.rpartition("-")[2]]
    if ticket.printed.startswith("{"):
        found.append(json.loads(ticket.printed)["signature"])
    return [text.encode() for text in found]


def forgery(ticket: Ticket) -> str:
    """Another signature for the same id."""
    return json.dumps({"token": ticket.code, "signature": "A" * 43 + "="})


def of_kind(club: Club, kind: str) -> list[Ticket]:
    return club.night.of(lambda ticket: ticket.kind == kind)


def scans(club: Club) -> int:
    return sum(len(gate.records()) for gate in club.gates)


def all_looked_at(club: Club) -> bool:
    return not [picture for gate in club.gates for picture in (gate.folder / "camera").glob("*.*")]


def kept_by(gate: GateBox) -> list[Path]:
    """Every file of a gate except the pictures held up to its camera, which are the tickets themselves."""
    files = [file for folder in (gate.folder, gate.run) for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if gate.folder / "camera" not in file.parents]


def test_no_secret_of_a_ticket_is_in_a_gates_files_its_logs_or_any_message(club: Club) -> None:
    heard: list[bytes] = []
    client = eavesdropper(club.broker.port, heard)
    rng = Random(3)
    shown = [ticket for kind in KINDS for ticket in of_kind(club, kind)[:4]]
    forged = [forgery(ticket) for ticket in shown]
    for number, text in enumerate([*(t.printed for t in shown), *forged]):
        club.gates[number % 2].present(phone(text, rng))
    await_true(lambda: scans(club) >= len(shown), PATIENCE_S, "the night's scans", club)
    await_true(lambda: all_looked_at(club), PATIENCE_S, "all looked at", club)
    await_true(
        lambda: all(gate.status().journal.waiting == 0 for gate in club.gates),
        PATIENCE_S,
        "acknowledged",
        club,
    )
    client.loop_stop()
    assert any(b"/scans" in message for message in heard), "the eavesdropper heard no scan"
    carriers = {bytes([text.printed.encode()[0]]) for text in shown}
    assert carriers == {b"M", b"V", b"{"}, "not every carrier was shown"
    for gate in club.gates:
        files = {file: file.read_bytes() for file in kept_by(gate)}
        assert {"journal.db", "cache.db", "door.log", "sync.log", "door.json"} <= {
            file.name for file in files
        }
        for ticket in shown:
            for secret in secrets(ticket):
                assert [str(file) for file, data in files.items() if secret in data] == []
                assert [message[:60] for message in heard if secret in message] == []

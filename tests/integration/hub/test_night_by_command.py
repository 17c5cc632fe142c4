"""A night that is made by commands alone, from its name to the picture a guest holds up, works at a gate."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.door.desk import Desk
from gate.rules.decide import Policy
from gate.rules.model import Event
from gate.rules.presence import Presented
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from hardware.decoder.decode import read_codes
from hardware.decoder.picture_file import load_picture
from hub.db.statements import query
from hub.gates.signing_key import read_key
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.doors import SilentHub
from tests.factories import StoppedClock
from tests.integration.hub.commands import Hub
from tests.integration.hub.world import World

BY = ("--actor", "Eva")
MIDNIGHT = datetime(2030, 12, 6, 23, tzinfo=UTC)


class GateOfTheNight:
    """A gate with a real cache and journal that has what the hub tells gate-1."""

    def __init__(self, folder: Path, world: World, keys: Mapping[str, Ed25519PublicKey], knows: bool) -> None:
        self._cache, self._files = folder / "cache.db", folder
        self._keys = keys
        events = world.conn.execute(query("gate_config_events"), {"gate_id": "gate-1"}).fetchall()
        nights = tuple(msgspec.json.decode(row["event"], type=Event) for row in events)
        with closing(Cache(self._cache)) as cache:
            cache.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=nights))
            for night in nights if knows else ():
                rows = world.feed(night.event_id)
                cache.put_snapshot(night.event_id, 1, cache.spool.fill(rows), MIDNIGHT)

    def show(self, picture: Path) -> tuple[str, str]:
        """Kind and reason of what happens to whoever holds it up."""
        with (
            closing(Journal(self._files / "journal.db", "gate-1", "epoch-1")) as journal,
            closing(CacheReader(self._cache)) as cache,
        ):
            desk = Desk(
                gate_id="gate-1",
                journal=journal,
                cache=cache,
                clock=StoppedClock(MIDNIGHT, synced=True),
                claims=SilentHub(),
                random=os.urandom,
                policy=Policy(),
                keys=self._keys,
                isolated_after=10.0,
            )
            (found,) = read_codes(load_picture(picture)).found
            record = desk.answer(Presented.of(found.raw), locked=False).record
        assert record is not None
        return record.kind, record.reason


def pictures(folder: Path) -> dict[str, Path]:
    """By the name of the guest, or the table of the pass."""
    with (folder / "index.csv").open(newline="") as opened:
        return {
            row["name"] or f"guest {row['table']}": folder / row["file"] for row in csv.DictReader(opened)
        }


def test_a_night_made_by_commands_admits_the_picture_of_its_ticket(
    config_file: Path, world: World, tmp_path: Path
) -> None:
    hub = Hub(config_file)
    key = tmp_path / "ticket.key"
    said = hub.bare("tickets", "key", "--out", key)
    assert f'[tickets]\nkey_file = "{key}"\nkey_id = "K1"' in said
    config_file.write_text(
        f'timezone = "Europe/Berlin"\n{config_file.read_text()}[tickets]\nkey_file = "{key}"\nkey_id = "K1"\n'
    )
    hub("gate", "add", "gate-1", *BY)
    times = ("--date", "2030-12-06", "--doors", "22:00", "--end", "06:00")
    hub("event", "add", "PF", "--name", "Perreo Fridays", *times, "--capacity", 500, *BY)
    hub("tickets", "add", "PF", "--name", "../Ana", *BY)
    for table in (1, 2):
        hub("table", "add", "PF", table, "--seats", 4, *BY)
        hub("reservation", "add", "PF", table, "--name", f"host {table}", "--guests", 1, *BY)
    hub("reservation", "confirm", "PF", 1, *BY)
    said = hub("tickets", "export", "PF", "--qr", tmp_path / "qr", *BY)
    assert "Perreo Fridays: 5 pictures and index.csv" in said
    assert world.all("SELECT action, target FROM audit_log ORDER BY created_at DESC LIMIT 1") == [
        ("export codes", "PF")
    ]
    held_up = pictures(tmp_path / "qr")
    keys = {"K1": read_key(key).public_key()}
    (tmp_path / "gate").mkdir()
    gate = GateOfTheNight(tmp_path / "gate", world, keys, knows=True)
    assert gate.show(held_up["../Ana"]) == ("ga", "first_entry")
    assert gate.show(held_up["../Ana"]) == ("ga", "already_used")
    for _ in range(2):
        assert gate.show(held_up["host 1"])[0] == "vip_host"
        assert gate.show(held_up["guest 1"])[0] == "vip_pass"
    assert gate.show(held_up["host 1"]) == ("vip_host", "reentry")
    assert gate.show(held_up["guest 2"]) == ("vip_pass", "table_not_confirmed")
    assert gate.show(held_up["host 2"])[1] == "first_entry"  # not paid: as general admission
    assert gate.show(held_up["host 2"])[1] == "already_used"
    (tmp_path / "dark").mkdir()
    dark = GateOfTheNight(tmp_path / "dark", world, keys, knows=False)
    assert dark.show(held_up["../Ana"]) == ("unknown", "first_entry")

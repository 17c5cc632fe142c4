"""What the door of a stolen gate does once sync has erased what it knew: nothing."""

from __future__ import annotations

from pathlib import Path

from gate.ports.screen import Notice, OutOfOrder, Part
from sync.identity.erasure import Erasure
from sync.identity.files import IdentityFiles
from tests.codes import KEYS, signed
from tests.doors import Bench
from tests.factories import code_id


def test_it_is_out_of_order_and_its_relay_never_moves_whatever_it_is_shown(tmp_path: Path) -> None:
    door = Bench(tmp_path, keys=KEYS)
    door.cache.close()
    door.hub.close()
    files = IdentityFiles(
        authority=tmp_path / "id" / "ca.pem",
        certificate=tmp_path / "id" / "gate.pem",
        key=tmp_path / "id" / "gate.key",
        token=tmp_path / "id" / "token",
    )
    files.make_folder()
    Erasure(files, tmp_path / "cache.db", {}, "gate-1").finish()
    # a ticket it knew, and one that needs no list because it is signed
    for code in (code_id(1), signed(code_id(9))):
        assert isinstance(door.show(code), Notice)
    shown = door.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE
    assert door.relay.releases == []
    assert not door.relay.is_open
    door.close()

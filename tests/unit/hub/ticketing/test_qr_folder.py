"""Pictures of codes: for their owner alone, in a folder of their own, under harmless names."""

from __future__ import annotations

import csv
import stat
import uuid
from pathlib import Path

import msgspec
import pytest

from gate.rules.payload import Code, Proof, code_hash, parse, prove
from hardware.decoder.decode import read_codes
from hardware.decoder.picture_file import load_picture
from hub.gates.signing_key import Signer
from hub.ticketing.qr_folder import (
    PrintableCode,
    QrFolderError,
    harmless_cell,
    open_qr_folder,
    printed_form,
    write_codes,
)
from tests.codes import KEY, KEYS
from tests.factories import code_id, pass_id

SIGNER = Signer(key_id="K1", key=KEY)
FORMULA = "=cmd|'/c calc'!A1"
ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
ANA = PrintableCode(id=ONE, kind="ticket", code=code_id(1), type="GA", name=FORMULA, status="issued")
GUEST = PrintableCode(
    id=TWO, kind="pass", code=pass_id(2), type="guest pass 1", status="issued", table_number=12
)


def decoded(file: Path) -> str:
    return read_codes(load_picture(file)).found[0].raw.decode()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.mark.parametrize("key", [None, SIGNER], ids=["plain", "signed"])
def test_a_picture_holds_the_code_of_its_ticket(tmp_path: Path, key: Signer | None) -> None:
    folder = open_qr_folder(tmp_path / "qr", "event")
    assert write_codes(folder, [ANA, GUEST], key) == 0
    assert decoded(folder.path / ANA.file) == printed_form(ANA, key)
    assert decoded(folder.path / GUEST.file) == GUEST.code
    code = parse(printed_form(ANA, key).encode())
    assert isinstance(code, Code)
    assert code.code_hash == code_hash(ANA.code)
    assert prove(code, None, KEYS) is (Proof.VALID if key else Proof.NONE)


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    (tmp_path / "qr").mkdir(mode=0o755)
    write_codes(open_qr_folder(tmp_path / "qr", "event"), [ANA], None)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "qr").iterdir()}
    assert (modes, stat.S_IMODE((tmp_path / "qr").stat().st_mode)) == ({0o600}, 0o700)
    assert ANA.code not in repr(ANA)


def test_an_export_again_keeps_the_names_and_removes_what_is_no_longer_valid(tmp_path: Path) -> None:
    write_codes(open_qr_folder(tmp_path / "qr", "event"), [ANA, GUEST], None)
    assert write_codes(open_qr_folder(tmp_path / "qr", "event"), [GUEST], None) == 1
    assert sorted(file.name for file in (tmp_path / "qr").glob("*.png")) == [GUEST.file]
    assert [(row["file"], row["table"]) for row in rows(tmp_path / "qr")] == [(GUEST.file, "12")]


@pytest.mark.parametrize("what", ["holiday.png", ".maguey-codes.json"])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, what: str) -> None:
    (tmp_path / what).write_text('{"event_id": "another night"}')
    with pytest.raises(QrFolderError, match="other things than this night's codes"):
        open_qr_folder(tmp_path, "event")
    assert [file.name for file in tmp_path.iterdir()] == [what]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "qr").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(QrFolderError, match="is a link"):
        open_qr_folder(tmp_path / "qr", "event")
    folder = open_qr_folder(tmp_path / "mine", "event")
    (folder.path / ANA.file).symlink_to(tmp_path / "victim")
    write_codes(folder, [ANA], None)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("path", ["none/qr", "file"])
def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(QrFolderError, match="Name a new folder"):
        open_qr_folder(tmp_path / path, "event")


def test_no_cell_of_the_index_is_a_formula(tmp_path: Path) -> None:
    ana = msgspec.structs.replace(ANA, phone="+52 55 12")
    write_codes(open_qr_folder(tmp_path / "qr", "event"), [ana], None)
    (row,) = rows(tmp_path / "qr")
    assert (row["name"], row["phone"]) == (f"'{FORMULA}", "+52 55 12")
    assert list(map(harmless_cell, ("+1+cmd", "@x", "-2", None, 12))) == ["'+1+cmd", "'@x", "-2", "", "12"]

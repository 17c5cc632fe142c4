"""The key that opens every gate: only its owner may read it, and its printed line fits gate.toml."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from gate.common.errors import ConfigError
from gate.config import command_keys, read_gate_config
from gate.rules.command import LONGEST_LIFE_S, Command, RefusedOrder, seal, unseal
from gate.rules.model import Now
from hub.config import Commands
from hub.errors import UsageError
from hub.gates.orders import ACTIONS, GateOrder, make_command
from hub.gates.signing_key import KeyFileError, make_key, public_line, read_key, signer
from tests.paths import ROOT

NOW = datetime(2026, 1, 30, 23, tzinfo=UTC)
EXAMPLE = ROOT / "config" / "gate.toml"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "command.key"
    make_key(file)
    return file


def test_a_gate_with_the_printed_line_accepts_orders_the_key_signs(key_file: Path, tmp_path: Path) -> None:
    key = read_key(key_file)
    file = tmp_path / "gate.toml"
    file.write_text(
        EXAMPLE.read_text().replace("[command_keys]", f"[command_keys]\n{public_line('C1', key)}")
    )
    gate = read_gate_config(file)
    command = make_command(
        GateOrder(gate_id=gate.gate_id, action="release", reason="a pram", actor="Ana"), NOW
    )
    now = Now(wall=NOW, monotonic_ms=1, boot_id="b", clock="synced")
    assert unseal(seal(command, "C1", key), command_keys(gate), gate.gate_id, now) == command


def test_a_key_file_is_private_and_never_overwritten(key_file: Path) -> None:
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    before = key_file.read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        make_key(key_file)
    assert key_file.read_bytes() == before


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="Choose a folder"):
        make_key(tmp_path / "none" / "command.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o660])
def test_a_key_file_accessible_to_others_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600"):
        read_key(key_file)


def test_a_file_that_is_not_an_ed25519_key_is_refused_in_words(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for number, content in enumerate((b"", b"\xff" * 5000, other)):
        file = tmp_path / str(number)
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(ConfigError, match="not an Ed25519 key"):
            read_key(file)
    with pytest.raises(ConfigError, match="maguey-hub command-key"):
        read_key(tmp_path / "none")


def test_without_a_key_the_error_says_how_to_make_one() -> None:
    with pytest.raises(ConfigError, match="maguey-hub command-key --out FILE"):
        signer(Commands())


def test_a_signer_does_not_show_its_key(key_file: Path) -> None:
    assert "key=…" in repr(signer(Commands(key_file=str(key_file), key_id="C1")))


@given(
    st.builds(
        GateOrder,
        gate_id=st.just("gate-1"),
        action=st.sampled_from([*ACTIONS, "open", ""]),
        reason=st.text(max_size=220),
        actor=st.text(max_size=220),
        text=st.text(max_size=220),
        valid_s=st.integers(-5, LONGEST_LIFE_S + 5),
    )
)
def test_an_order_is_refused_when_made_or_accepted_by_the_gate(
    key_file_of_all: Path, order: GateOrder
) -> None:
    key = read_key(key_file_of_all)
    try:
        command = make_command(order, NOW)
    except UsageError:
        return
    now = Now(wall=NOW, monotonic_ms=1, boot_id="b", clock="synced")
    followed = unseal(seal(command, "C1", key), {"C1": key.public_key()}, "gate-1", now)
    assert followed == command
    assert isinstance(followed, Command)
    assert followed.reason
    assert followed.actor


@pytest.fixture(scope="module")
def key_file_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "command.key"
    make_key(file)
    return file


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"action": "open"}, "expected one of release"),
        ({"reason": "  "}, "--reason: say why"),
        ({"actor": ""}, "--actor: say who you are"),
        ({"action": "show_text"}, "needs a text"),
        ({"text": "hello"}, "needs a text"),
        ({"valid_s": 601}, "1 to 600 s"),
        ({"valid_s": 0}, "1 to 600 s"),
        ({"reason": "x" * 201}, "at most 200 characters, not 201"),
        ({"actor": "A\x1bB"}, "cannot be printed"),
        ({"gate_id": "+"}, "is no gate's id"),
    ],
)
def test_an_invalid_order_is_not_signed(changes: dict[str, object], why: str) -> None:
    order = GateOrder(gate_id="gate-1", action="release", reason="a pram", actor="Ana")
    with pytest.raises(UsageError, match=why):
        make_command(msgspec.structs.replace(order, **changes), NOW)


def test_all_mistakes_in_an_order_are_reported_at_once() -> None:
    order = GateOrder(gate_id="gate/1", action="open", reason=" ", actor="", text="hello", valid_s=0)
    with pytest.raises(UsageError) as told:
        make_command(order, NOW)
    words = str(told.value)
    assert "6 mistakes" in words
    assert all(name in words for name in ("GATE:", "ACTION:", "--text:", "--reason:", "--actor:", "--valid:"))


def test_an_order_signed_with_another_key_is_refused_at_the_door(
    key_file: Path, key_file_of_all: Path
) -> None:
    command = make_command(GateOrder(gate_id="gate-1", action="release", reason="r", actor="a"), NOW)
    sealed = seal(command, "C1", read_key(key_file))
    now = Now(wall=NOW, monotonic_ms=1, boot_id="b", clock="synced")
    refused = unseal(sealed, {"C1": read_key(key_file_of_all).public_key()}, "gate-1", now)
    assert isinstance(refused, RefusedOrder)

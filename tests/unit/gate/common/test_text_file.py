"""Text files that people write, with the byte order mark of some editors, or in other encodings."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from gate.common.errors import ConfigError
from gate.common.text_file import NotTextError, decode_text
from gate.config import read_gate_config
from hub.config import Mqtt, read_hub_config
from hub.gates.signing_key import make_key, read_key
from sync.broker.tls import context
from sync.cli import _token
from tests.certificates import Authority
from tests.factories import NOW
from tests.paths import ROOT

MARK = "\ufeff"
EXAMPLES = ROOT / "config"


def saved(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes((MARK + text).encode(encoding))
    return file


def test_a_gates_configuration_may_begin_with_a_mark(tmp_path: Path) -> None:
    example = EXAMPLES / "gate.toml"
    assert read_gate_config(saved(tmp_path, "gate.toml", example.read_text())) == read_gate_config(example)


def test_a_hubs_configuration_may_begin_with_a_mark(tmp_path: Path) -> None:
    text = 'venue = "maguey"\n[postgres]\ndsn = "dbname=maguey"\n'
    assert read_hub_config(saved(tmp_path, "hub.toml", text)).venue == "maguey"


def test_a_token_and_a_password_may_begin_with_a_mark_and_end_with_white_space(tmp_path: Path) -> None:
    file = saved(tmp_path, "token", "s3cret\u200b\r\n")
    assert _token(file) == "s3cret"
    assert Mqtt(username="hub", password_file=str(file)).password() == "s3cret"


def test_keys_and_certificates_may_begin_with_a_mark(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    gate = authority.issue("gate-1")
    signing = tmp_path / "command.key"
    make_key(signing)
    for file in (authority.file, gate.certificate, gate.key, signing):
        file.write_bytes(MARK.encode() + file.read_bytes())
    assert x509.load_pem_x509_certificate(gate.certificate.read_bytes())
    assert load_pem_private_key(gate.key.read_bytes(), None)
    assert context(str(authority.file), NOW, str(gate.certificate), str(gate.key))
    assert read_key(signing)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_another_encoding_is_named_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    for file in (saved(tmp_path, "gate.toml", "gate_id = 1", encoding), saved(tmp_path, "t", "x", encoding)):
        for use in (
            read_gate_config,
            read_hub_config,
            _token,
            lambda it: Mqtt(password_file=str(it)).password(),
        ):
            with pytest.raises(ConfigError, match=r"UTF-(16|32)\. Save it as UTF-8") as told:
                use(file)
            assert str(file) in str(told.value)


def test_utf_16_without_a_mark_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_bytes("gate_id = 1".encode("utf-16-le"))
    with pytest.raises(ConfigError, match="saved as UTF-16"):
        read_gate_config(tmp_path / "gate.toml")


def test_an_old_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_bytes('# one\ngate_name = "JALÓN"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="not a text file in UTF-8: see line 2"):
        read_gate_config(tmp_path / "gate.toml")


@pytest.mark.parametrize("text", ["Ñandú", "x\x7f", "\x01", MARK])
def test_a_token_no_hub_can_have_issued_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(ConfigError, match="Enrol the gate") as told:
        _token(file)
    assert text not in str(told.value)


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        assert decode_text(data).encode() in (data, data[3:])
    except NotTextError as told:
        assert str(told).isascii()

"""A wrong configuration is reported with all its mistakes at once, each with what was expected."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gate.common.errors import ConfigError
from gate.config import LONGEST_SOCKET, read_gate_config

EXAMPLE = Path("config/gate.toml")
GOOD = """
gate_id = "gate-1"
venue = "maguey"
state_dir = "/tmp/x"
[hub]
url = "http://127.0.0.1:8000"
token_file = "/tmp/token"
"""


def mistakes(tmp_path: Path, text: str) -> str:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_gate_config(path)
    return str(caught.value)


def test_the_example_is_valid_and_shows_every_key() -> None:
    config = read_gate_config(EXAMPLE)
    text = EXAMPLE.read_text()
    for section in ("", "camera", "screen", "turnstile", "keypad", "scanner", "door", "hub"):
        value = getattr(config, section) if section else config
        for key in value.__struct_fields__:
            assert key in text, f"{section}.{key} is not in {EXAMPLE}"


def test_all_mistakes_are_reported_at_once_with_the_key_and_the_nearest_known_one(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        GOOD.replace('"gate-1"', '"Gate One"')
        + 'broker_prot = 1883\n[turnstile]\npin = "seventeen"\n[screen]\ndriver = "file"\n[camra]\nfps = 3\n',
    )
    assert "5 mistakes" in told
    assert "hub.broker_prot: unknown key. Did you mean 'broker_port'?" in told
    assert "turnstile.pin: Expected a whole number, got text." in told
    assert "camra: unknown key. Did you mean 'camera'?" in told
    assert "gate_id: 'Gate One' is not an id" in told
    assert "screen.path: missing" in told


def test_a_wrong_choice_is_reported_with_all_choices(tmp_path: Path) -> None:
    told = mistakes(tmp_path, 'lang = "fr"\n' + GOOD)
    assert "lang: 'fr' is wrong; expected one of 'es', 'en'." in told


def test_a_folder_or_a_picture_is_refused_as_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder"):
        read_gate_config(tmp_path)
    (tmp_path / "x.toml").write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="not a text file"):
        read_gate_config(tmp_path / "x.toml")


def test_mistakes_between_keys_are_reported_once_every_key_is_well_formed(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        GOOD.replace('"gate-1"', '"Gate One"').replace("http:", "ftp:")
        + 'cert_file = "x"\n[screen]\ndriver = "file"\n[camera]\ndriver = "folder"\n[keys]\nk = "?"\n',
    )
    for key in ("gate_id:", "hub.url:", "hub.cert_file", "screen.path:", "camera.path:", "keys.k:"):
        assert key in told


def test_a_missing_key_is_reported_with_what_was_expected(tmp_path: Path) -> None:
    told = mistakes(tmp_path, 'gate_id = "gate-1"\n')
    assert "venue: missing; expected text." in told
    assert "hub: missing; expected a section [hub]." in told


def test_a_file_that_is_not_toml_or_missing_is_reported_in_words(tmp_path: Path) -> None:
    assert "not valid TOML" in mistakes(tmp_path, "gate_id = ")
    with pytest.raises(ConfigError, match="no such file"):
        read_gate_config(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("sections", "mistake"),
    [
        ('[scanner]\ndriver = "evdev"', "scanner.device: missing"),
        ('[scanner]\ndriver = "serial"', "scanner.device: missing"),
        ('[scanner]\ndriver = "evdev"\ndevice = "x"\n[keypad]\ndriver = "evdev"', "keypad.device: missing"),
        (
            '[scanner]\ndriver = "evdev"\ndevice = "x"\n[keypad]\ndriver = "evdev"\ndevice = "x"',
            "cannot be both",
        ),
        ('[scanner]\nlayout = "dvorak"', "expected one of 'us', 'gb'"),
        (f'[scanner]\nprefix = "{"x" * 33}"', "scanner.prefix"),
    ],
)
def test_a_scanner_and_a_keypad_have_to_be_told_apart(tmp_path: Path, sections: str, mistake: str) -> None:
    assert mistake in mistakes(tmp_path, GOOD + sections)


@pytest.mark.parametrize("key", ["rescan_after", "isolated_after", "passage_timeout", "passback_window"])
@pytest.mark.parametrize("value", ["inf", "1e300"])
def test_a_time_longer_than_a_day_is_a_mistake(tmp_path: Path, key: str, value: str) -> None:
    assert f"door.{key}:" in mistakes(tmp_path, f"{GOOD}[door]\n{key} = {value}\n")


def test_values_too_large_unknown_or_too_deeply_nested_are_mistakes(tmp_path: Path) -> None:
    assert "door.retain_days:" in mistakes(tmp_path, f"{GOOD}[door]\nretain_days = 1000000\n")
    assert "timezone:" in mistakes(tmp_path, f'timezone = "America"\n{GOOD}')
    assert "nested too deeply" in mistakes(tmp_path, "a = " + "[" * 5000 + "]" * 5000)


def test_a_folder_too_deep_for_a_socket_is_a_mistake(tmp_path: Path) -> None:
    longest = "/ñ".ljust(LONGEST_SOCKET - len("/sync.sock") - 1, "x")  # ñ has two bytes
    told = mistakes(tmp_path, f'runtime_dir = "{longest}x"\n{GOOD}')
    assert "runtime_dir: too long" in told
    assert "108 bytes" in told
    path = tmp_path / "good.toml"
    path.write_text(f'runtime_dir = "{longest}"\n{GOOD}')
    with socket.socket(socket.AF_UNIX) as line, pytest.raises(FileNotFoundError):
        line.connect(str(read_gate_config(path).socket))  # Python accepts the path

"""A wrong configuration is reported with all its mistakes at once, each with what was expected."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gate.common.errors import ConfigError
from gate.config import LONGEST_SOCKET, read_gate_config, wired_pins

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


def wired(driver: str = "gpiozero", screen: str = "", **pins: int) -> str:
    """A configuration with these pins, by key and section: `lights__green_pin`."""
    text = GOOD
    for section in ("turnstile", "inputs", "lights"):
        own = [f"{key.split('__')[1]} = {pin}" for key, pin in pins.items() if key.startswith(section)]
        text += "\n".join([f"[{section}]", f'driver = "{driver}"', *own, ""])
    return f"{text}[screen]\n{screen}\n"


def test_every_wired_pin_is_known_and_no_simulated_one(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    pins = {"inputs__passage_pin": 22, "inputs__tamper_pin": 23, "lights__green_pin": 5}
    path.write_text(wired("gpiozero", 'driver = "ssd1322"', turnstile__pin=17, **pins))
    assert wired_pins(read_gate_config(path)) == {
        "turnstile.pin": 17,
        "inputs.passage_pin": 22,
        "inputs.tamper_pin": 23,
        "lights.green_pin": 5,
        "screen.dc_pin": 24,
        "screen.reset_pin": 25,
    }
    path.write_text(wired("mock", "", turnstile__pin=17, **pins))
    assert wired_pins(read_gate_config(path)) == {}


@pytest.mark.parametrize("driver", ["gpiozero", "mock"])
def test_the_same_pin_twice_is_refused_with_both_keys(tmp_path: Path, driver: str) -> None:
    told = mistakes(tmp_path, wired(driver, turnstile__pin=17, inputs__fire_pin=22, lights__red_pin=22))
    assert "1 mistake" in told
    assert "lights.red_pin, inputs.fire_pin: both are GPIO 22." in told
    told = mistakes(tmp_path, wired(driver, 'driver = "ssd1322"', turnstile__pin=24))
    assert "screen.dc_pin, turnstile.pin: both are GPIO 24." in told


@pytest.mark.parametrize(
    ("screen", "key", "pins"),
    [
        ('driver = "ssd1306"', "screen.i2c_port", (2, 3)),
        ('driver = "sh1106"\ni2c_port = 0', "screen.i2c_port", (0, 1)),
        ('driver = "ssd1322"', "screen.spi_port", (7, 8, 9, 10, 11)),
        ('driver = "ssd1322"\nspi_port = 1', "screen.spi_port", (16, 17, 18, 19, 20, 21)),
    ],
)
def test_a_pin_of_the_screens_bus_is_refused_with_both_keys(
    tmp_path: Path, screen: str, key: str, pins: tuple[int, ...]
) -> None:
    for pin in pins:
        told = mistakes(tmp_path, wired("gpiozero", screen, turnstile__pin=4, lights__green_pin=pin))
        assert "1 mistake" in told
        assert f"lights.green_pin, {key}: GPIO {pin} belongs to the bus of this screen." in told


def test_a_screen_that_needs_no_bus_takes_no_pin(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(wired("gpiozero", 'driver = "none"', turnstile__pin=2, lights__green_pin=8))
    assert read_gate_config(path).turnstile.pin == 2


@pytest.mark.parametrize(
    "url",
    ["https://", "ftp://hub", "http://hub:99999", "http://a b", "http://[", "https://hub?x=1", "hub:8443"],
)
def test_an_address_that_no_request_can_be_made_to_is_a_mistake(tmp_path: Path, url: str) -> None:
    assert "hub.url:" in mistakes(tmp_path, GOOD.replace("http://127.0.0.1:8000", url))


@pytest.mark.parametrize("host", ["", " ", "a..b", "-", "x" * 64, "hub/8883", "[::1]", "ñ"])
def test_a_broker_that_is_no_machine_is_a_mistake(tmp_path: Path, host: str) -> None:
    assert "hub.broker:" in mistakes(tmp_path, f'{GOOD}broker = "{host}"\n')


@pytest.mark.parametrize("host", ["hub", "hub.local", "my_hub.example.", "192.168.7.5", "fe80::1%eth0"])
def test_names_and_addresses_of_machines_are_taken(tmp_path: Path, host: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(f'{GOOD}broker = "{host}"\n')
    assert read_gate_config(path).hub.broker == host


def test_what_no_configuration_can_mean_is_named_and_not_repeated(tmp_path: Path) -> None:
    assert "thousands of digits" in mistakes(tmp_path, f"x = {'9' * 5000}")
    assert "camera.fps: a number that large" in mistakes(tmp_path, f"{GOOD}[camera]\nfps = 0x{'f' * 5000}")
    assert "hub.broker: 5000 characters" in mistakes(tmp_path, f'{GOOD}broker = "{"x" * 5000}"')
    assert "holds a zero byte" in mistakes(tmp_path, GOOD.replace("/tmp/x", "/tmp/\\u0000"))
    assert "keys: 200 entries" in mistakes(
        tmp_path, GOOD + "[keys]\n" + "".join(f'K{n} = ""\n' for n in range(200))
    )
    told = mistakes(tmp_path, "".join(f"{'x' * 500}{n} = 1\n" for n in range(1000)))
    assert "more than 40 mistakes" in told
    assert len(told) < 40 * 300

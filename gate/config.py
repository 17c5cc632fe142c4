"""The gate's configuration file, which both of its services read. See `config/gate.toml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from gate.common.config_file import read_config_text
from gate.common.hosts import is_host, is_web_address
from gate.common.public_key import read_public_key
from gate.common.toml_settings import load_settings, settings_problems
from gate.common.value import Value

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.001, le=86_400)]
"""At least a millisecond, which is what they are counted in."""
Pin = Annotated[int, Meta(ge=0, le=27)]
"""The Broadcom number of a GPIO."""
LONGEST_SOCKET = 107
"""Bytes of a local socket's path: `sun_path` has 108, and the last is a NUL (unix(7))."""
MADE_BY = "`maguey-fleet inventory --show GATE` prints it; or copy config/gate.toml there and fill it in."
_I2C_PINS = {0: (0, 1), 1: (2, 3)}
_SPI_PINS = {0: (7, 8, 9, 10, 11), 1: (16, 17, 18, 19, 20, 21)}
"""By bus: clock, data, and the select lines, which the kernel takes with it (Raspberry Pi documentation,
"GPIO and the 40-pin header"). Other buses are wherever an overlay puts them."""
LONGEST_GATE_NAME = 64
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class CameraSection(Value, frozen=True):
    """Where pictures come from. `path`: the folder for the driver ``folder``.

    `exposure`, `dim_exposure`: in half periods of the mains, because lamps flicker in those; `focus`: in
    dioptres (1/m). `alternate`: frames in turn for bright screens, with `exposure` and `bright_gain`, and
    for paper and dim screens, with `dim_exposure` and `dim_gain` (docs/adr/0029); otherwise, or on a camera
    that cannot take turns, all have `exposure` and `gain`, and a webcam decides by itself.

    Defaults: one flicker, which blurs least. At the lowest gain and f/2 it takes white up to about 600
    cd/m², a phone at full brightness, as ISO 100 does (ISO 12232: L = 120 N² / (S t)); three flickers at 8,
    with 24 times as much light, for white of 25 cd/m² and less: a dimmed phone, or paper at 10 lux (2.5
    cd/m²). Three flickers are 25 ms at 60 Hz and 30 ms at 50 Hz, nearer to 25 ms in stops than two, 20 ms.
    """

    driver: Literal["picamera2", "v4l2", "folder"] = "picamera2"
    path: str = ""
    device: str = "/dev/video0"
    width: Annotated[int, Meta(ge=160, le=4096)] = 640
    height: Annotated[int, Meta(ge=120, le=4096)] = 480
    fps: Annotated[int, Meta(ge=1, le=120)] = 15
    hold_ms: Annotated[int, Meta(ge=50, le=10_000)] = 300
    mains_hz: Literal[50, 60] = 60
    alternate: bool = True
    exposure: Annotated[int, Meta(ge=1, le=12)] = 1
    gain: Annotated[float, Meta(ge=1, le=64)] = 4.0
    bright_gain: Annotated[float, Meta(ge=1, le=64)] = 1.0
    dim_exposure: Annotated[int, Meta(ge=1, le=12)] = 3
    dim_gain: Annotated[float, Meta(ge=1, le=64)] = 8.0
    focus: Annotated[float, Meta(ge=0, le=32)] = 5.0
    idle_fps: Annotated[int, Meta(ge=1, le=120)] = 8


class ScreenSection(Value, frozen=True):
    """The OLED. `path`: the driver ``file``'s picture. `spi_…`, `dc_pin`, `reset_pin`: ssd1322 only."""

    driver: Literal["ssd1306", "sh1106", "ssd1322", "terminal", "file", "dummy", "none"] = "ssd1306"
    spi_port: Annotated[int, Meta(ge=0, le=9)] = 0
    spi_device: Annotated[int, Meta(ge=0, le=9)] = 0
    dc_pin: Pin = 24
    reset_pin: Pin = 25
    i2c_port: Annotated[int, Meta(ge=0, le=99)] = 1
    i2c_address: Annotated[int, Meta(ge=0x03, le=0x77)] = 0x3C
    rotate: Literal[0, 2] = 0
    path: str = ""


class TurnstileSection(Value, frozen=True):
    """The relay. `pulse_ms`: how long the way is open for one person.

    `on_power_loss`: the type of the lock. ``fail_secure``: the relay is energised to open; ``fail_safe``: it
    is energised to stay locked, and opens when power or the gate fails.
    """

    driver: Literal["gpiozero", "mock", "none"] = "gpiozero"
    pin: Pin = 17
    active_high: bool = True
    on_power_loss: Literal["fail_secure", "fail_safe"] = "fail_secure"
    pulse_ms: Annotated[int, Meta(ge=20, le=10_000)] = 500
    trace: str = ""


class InputsSection(Value, frozen=True):
    """Contacts that the gate watches; a pin left out is not wired. All are pulled up and close to ground.

    `fire_normally_closed`: the alarm *opens* its contact, so that a cut wire is an alarm too. The tamper
    contact is closed while the housing is shut.
    """

    driver: Literal["gpiozero", "mock"] = "gpiozero"
    passage_pin: Pin | None = None
    exit_pin: Pin | None = None
    fire_pin: Pin | None = None
    tamper_pin: Pin | None = None
    fire_normally_closed: bool = True


class LightsSection(Value, frozen=True):
    """Green and red light, and a passive buzzer; a pin left out is not wired."""

    driver: Literal["gpiozero", "mock"] = "gpiozero"
    green_pin: Pin | None = None
    red_pin: Pin | None = None
    buzzer_pin: Pin | None = None


class KeypadSection(Value, frozen=True):
    """A USB keypad or keyboard for codes that cannot be scanned. `device`: its node below /dev/input."""

    driver: Literal["none", "evdev", "terminal"] = "none"
    device: str = ""


class ScannerSection(Value, frozen=True):
    """A USB hand scanner (domain 2.3, "Sources of codes"). `device`: its node in /dev.

    `layout`: the keyboard layout it is set to, ``evdev`` only. `prefix`, `suffix`: what it is set to send
    before and after each code, besides Enter, Tab and AIM identifiers, which are recognised.
    """

    driver: Literal["none", "evdev", "serial"] = "none"
    device: str = ""
    layout: Literal["us", "gb", "es", "latam", "de", "fr"] = "us"
    prefix: Annotated[str, Meta(max_length=32)] = ""
    suffix: Annotated[str, Meta(max_length=32)] = ""


class DoorSection(Value, frozen=True):
    """The door's policies; times in seconds (domain 2.2, 2.3)."""

    unknown: Literal["deny", "admit"] = "deny"
    passback_window: Seconds = 60.0
    rescan_after: Seconds = 1.5
    isolated_after: Seconds = 10.0
    claim_timeout: Annotated[float, Meta(ge=0.001, le=5)] = 0.2
    passage_timeout: Seconds = 7.0
    retain_days: Annotated[int, Meta(ge=1, le=3650)] = 30


class HubSection(Value, frozen=True):
    """How sync reaches the hub and the broker. Secrets are in files of their own, never in this one."""

    url: str
    token_file: str
    broker: str = "127.0.0.1"
    broker_port: Port = 8883
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class GateFile(Value, frozen=True):
    """One gate. `state_dir`: for `journal.db` and `cache.db`; `runtime_dir`, in memory: the present state."""

    gate_id: str
    venue: str
    state_dir: str
    hub: HubSection
    runtime_dir: str = "/run/maguey"
    gate_name: str = ""
    lang: Literal["es", "en"] = "es"
    timezone: str = "America/Mexico_City"
    log: Literal["text", "json"] = "text"
    camera: CameraSection = CameraSection()
    screen: ScreenSection = ScreenSection()
    turnstile: TurnstileSection = TurnstileSection()
    inputs: InputsSection = InputsSection()
    lights: LightsSection = LightsSection()
    keypad: KeypadSection = KeypadSection()
    scanner: ScannerSection = ScannerSection()
    door: DoorSection = DoorSection()
    keys: dict[str, str] = {}
    command_keys: dict[str, str] = {}

    @property
    def journal(self) -> Path:
        """The door's file."""
        return Path(self.state_dir) / "journal.db"

    @property
    def cache(self) -> Path:
        """Sync's file."""
        return Path(self.state_dir) / "cache.db"

    @property
    def live(self) -> Path:
        """The present state of the door: see `gate.store.live_file`."""
        return Path(self.runtime_dir) / "door.json"

    @property
    def updating_sign(self) -> Path:
        """While it exists, the gate is being updated: see `fleet.release.disk`."""
        return Path(self.runtime_dir) / "updating"

    @property
    def socket(self) -> Path:
        """The socket between door and sync: see `gate.hotline.messages`."""
        return Path(self.runtime_dir) / "sync.sock"

    @property
    def name(self) -> str:
        """What people call the gate: ``gate-2`` is ``GATE 2`` unless it has a name."""
        return self.gate_name or self.gate_id.replace("-", " ").upper()


def read_gate_config(path: Path) -> GateFile:
    """Read and check a gate's configuration.

    :raises ConfigError: the file is missing, unreadable or wrong; it lists all mistakes at once.
    """
    return load_settings(read_config_text(path, MADE_BY), GateFile, str(path), _mistakes)


def gate_problems(settings: dict[str, Any]) -> list[str]:
    """Every mistake of what is to be written into a gate.toml, each as ``key: what is wrong with it``."""
    return settings_problems(settings, GateFile, _mistakes)


def public_keys(config: GateFile) -> dict[str, Ed25519PublicKey]:
    """The keys for checking ticket signatures, by key id. The configuration was checked before."""
    return {name: read_public_key(text) for name, text in config.keys.items()}


def command_keys(config: GateFile) -> dict[str, Ed25519PublicKey]:
    """The keys for checking orders of staff, by key id. The configuration was checked before."""
    return {name: read_public_key(text) for name, text in config.command_keys.items()}


def wired_pins(config: GateFile, *, simulated: bool = False) -> dict[str, int]:
    """Each pin in use by its key in the file.

    :param simulated: count those of the driver ``mock`` as well.
    """
    drivers = {"gpiozero", "ssd1322", "mock"} if simulated else {"gpiozero", "ssd1322"}
    found = {
        f"{name}.{key}": getattr(section, key)
        for name, section, keys in (
            ("turnstile", config.turnstile, ("pin",)),
            ("inputs", config.inputs, ("passage_pin", "exit_pin", "fire_pin", "tamper_pin")),
            ("lights", config.lights, ("green_pin", "red_pin", "buzzer_pin")),
            ("screen", config.screen, ("dc_pin", "reset_pin")),
        )
        if section.driver in drivers
        for key in keys
    }
    return {key: pin for key, pin in found.items() if pin is not None}


def _pin_mistakes(config: GateFile) -> Iterator[str]:
    """Two things on one pin work by turns at best; a relay on the screen's bus moves with every picture."""
    bus, taken = _bus_pins(config.screen), dict[int, str]()
    for key, pin in wired_pins(config, simulated=True).items():
        if pin in bus[1]:
            yield f"{key}, {bus[0]}: GPIO {pin} belongs to the bus of this screen. Wire {key} to another pin."
        elif pin in taken:
            yield f"{key}, {taken[pin]}: both are GPIO {pin}. Each needs a pin of its own."
        taken.setdefault(pin, key)


def _bus_pins(screen: ScreenSection) -> tuple[str, tuple[int, ...]]:
    """The key that says which bus it is, and the bus's pins."""
    match screen.driver:
        case "ssd1306" | "sh1106":
            return "screen.i2c_port", _I2C_PINS.get(screen.i2c_port, ())
        case "ssd1322":
            return "screen.spi_port", _SPI_PINS.get(screen.spi_port, ())
        case _:
            return "", ()


def _mistakes(config: GateFile) -> Iterator[str]:
    for key, value in (("gate_id", config.gate_id), ("venue", config.venue)):
        if not _ID.fullmatch(value):
            yield f"{key}: {value!r} is not an id; expected up to 32 of a-z, 0-9 and hyphens."
    try:
        ZoneInfo(config.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"timezone: {config.timezone!r} is unknown; expected a name such as 'America/Mexico_City'."
    if config.camera.driver == "folder" and not config.camera.path:
        yield "camera.path: missing; the driver 'folder' needs the folder to read."
    if config.screen.driver == "file" and not config.screen.path:
        yield "screen.path: missing; the driver 'file' needs the picture file to write."
    yield from _address_mistakes(config.hub)
    yield from _folder_mistakes(config)
    yield from _pin_mistakes(config)
    if len(config.gate_name) > LONGEST_GATE_NAME or not config.gate_name.isprintable():
        yield f"gate_name: expected up to {LONGEST_GATE_NAME} characters that can be read on a screen."
    yield from _scanner_mistakes(config.scanner, config.keypad)
    yield from _tls_mistakes(config.hub)
    yield from _key_mistakes(config)


def _address_mistakes(hub: HubSection) -> Iterator[str]:
    if not is_web_address(hub.url):
        yield f"hub.url: {hub.url!r} is not an address; expected for example 'https://hub.example:8443'."
    if not is_host(hub.broker):
        yield f"hub.broker: {hub.broker!r} is no name or address of a machine; expected as 'hub.example'."


def _folder_mistakes(config: GateFile) -> Iterator[str]:
    for key, path in (("state_dir", config.state_dir), ("runtime_dir", config.runtime_dir)):
        if not path:
            yield f"{key}: is empty; expected a folder, for example '/var/lib/maguey'."
    if not config.hub.token_file:
        yield "hub.token_file: is empty; expected for example '/var/lib/maguey-sync/token'."
    if (length := len(os.fsencode(config.socket))) > LONGEST_SOCKET:
        yield (
            f"runtime_dir: too long; {config.socket} has {length} bytes, and the path of a socket may have "
            f"{LONGEST_SOCKET}. Choose a shorter one, such as /run/maguey."
        )


def _scanner_mistakes(scanner: ScannerSection, keypad: KeypadSection) -> Iterator[str]:
    """To the kernel both may be keyboards, so the configuration has to say which is which."""
    if scanner.driver == "none":
        return
    if not scanner.device:
        yield "scanner.device: missing; `ls /dev/input/by-id /dev/serial/by-id` shows what it may be."
    if keypad.driver == "evdev" and not keypad.device:
        yield "keypad.device: missing; beside a hand scanner the keypad has to be named too."
    elif keypad.driver == "evdev" and keypad.device == scanner.device:
        yield "keypad.device: the same as scanner.device; one device cannot be both."


def _tls_mistakes(hub: HubSection) -> Iterator[str]:
    if bool(hub.cert_file) != bool(hub.key_file):
        yield "hub.cert_file, hub.key_file: only one is given; a client certificate needs both."


def _key_mistakes(config: GateFile) -> Iterator[str]:
    for section, keys in (("keys", config.keys), ("command_keys", config.command_keys)):
        for name, text in keys.items():
            if not re.fullmatch(r"[A-Z0-9]{1,8}", name):
                yield f"{section}.{name}: not a key id; expected 1 to 8 upper-case letters and digits."
            try:
                read_public_key(text)
            except ValueError as error:
                yield f"{section}.{name}: {error}."

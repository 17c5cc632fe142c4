"""All wiring of the door: which adapter stands behind which protocol. Only this file knows every room.

The eye's two processes take longest to start, so a door's eye is made first. What takes long to import is
imported meanwhile, inside the functions below, as is what only a command needs.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import msgspec

from gate.clock import Clock, SystemClock
from gate.common.errors import ConfigError, HardwareError, MagueyError, Step
from gate.common.findings import Check, check_made
from gate.common.retried import Retried
from gate.common.systemd import Notifier, watchdog_ms
from gate.common.watchdog import Heart
from gate.config import CameraSection, GateFile, command_keys, public_keys, wired_pins
from gate.hotline.client import Hotline, HubLine
from gate.ports.devices import Dark, Display, Eye, Inputs, Keypad, Look, Scanner, Turnstile, Voice
from gate.ports.screen import Screen
from gate.rules.decide import Policy
from gate.rules.passage import Rules
from gate.store.cache import CacheReader, LinkState
from gate.store.live_file import LiveWriter
from gate.store.update_note import RELEASE_STATE
from hardware import health
from hardware.camera.exposure import Controls, controls_for, fixed_exposure
from hardware.camera.spec import CameraSpec, Exposure
from hardware.eye.eye import NOT_A_PICTURE, ChildEye
from hardware.keypad.keypad import make_keypad
from hardware.pins.gpio import choose_factory
from hardware.pins.inputs import make_inputs
from hardware.pins.lights import make_voice
from hardware.pins.turnstile import make_turnstile
from hardware.scanner.scanner import make_scanner

if TYPE_CHECKING:
    from display.panel.devices import Device
    from display.text.words import Page
    from gate.door.desk import Desk
    from gate.door.loop import Door
    from gate.door.parts import Parts
    from gate.recovery.open_journal import JournalOpener
    from gate.store.journal import Journal
    from hardware.decoder.decode import Decoded


def make_door(config: GateFile) -> Door:
    """The door of a gate, with the hardware that answers; the rest is tried again until it does."""
    eye = ChildEye(camera_spec(config.camera))
    from gate.door.loop import Door
    from gate.door.parts import DoorSettings
    from gate.door.turnstile import DoorTurnstile

    parts = _parts(config, eye)
    return Door(
        DoorSettings(
            gate_id=config.gate_id,
            gate_name=config.name,
            keys=public_keys(config),
            command_keys=command_keys(config),
            rescan_after_ms=int(config.door.rescan_after * 1000),
            retain_days=config.door.retain_days,
            isolated_after_ms=int(config.door.isolated_after * 1000),
            updating_sign=config.updating_sign,
            release_state=RELEASE_STATE,
        ),
        parts,
        DoorTurnstile(gate_id=config.gate_id, parts=parts, rules=_rules(config), random=os.urandom),
        lambda opened: _desk(config, opened, parts.cache, parts.clock, parts.hotline),
        Heart(Notifier(os.environ.get("NOTIFY_SOCKET", "")), watchdog_ms(os.environ, os.getpid())),
        LiveWriter(config.live),
        ZoneInfo(config.timezone),
    )


def _parts(config: GateFile, eye: Eye) -> Parts:
    from gate.door.parts import Parts
    from gate.recovery.open_journal import PatientOpener

    relay = Retried("turnstile", lambda: turnstile(config), lambda part: part.close())

    def on_fire(is_on: bool) -> None:
        """Open from the pin's own thread, because the loop of the door may hang."""
        if not is_on:
            return  # the loop locks again, after it has recorded the end of the alarm
        if relay.part is None:  # after an error this is called again, until there is a relay
            raise HardwareError("turnstile", "No relay to open.", "See the log above.", Step.TURNSTILE_WIRING)
        relay.part.hold_open()

    clock = SystemClock()
    opening = _opening(config, clock, salvages=True)
    patient = PatientOpener(opening.open)
    patient.begin()
    return Parts(
        eye=eye,
        display=display(config),
        turnstile=relay,
        journal=Retried("journal", patient.open, opening.close_journal),
        inputs=Retried("inputs", lambda: inputs(config, on_fire), lambda part: part.close()),
        voice=Retried("lights", lambda: voice(config), lambda part: part.close()),
        keypad=Retried("keypad", lambda: keypad(config), lambda part: part.close()),
        scanner=Retried("scanner", lambda: scanner(config), lambda part: part.close()),
        cache=CacheReader(config.cache),
        clock=clock,
        hotline=_hotline(config, clock),
    )


def _hotline(config: GateFile, clock: Clock) -> Hotline:
    return Hotline(config.socket, config.door.claim_timeout, clock)


def _rules(config: GateFile) -> Rules:
    return Rules(
        sensor=config.inputs.passage_pin is not None,
        timeout_ms=int(config.door.passage_timeout * 1000),
        pulse_ms=config.turnstile.pulse_ms,
    )


def make_desk(config: GateFile, opened: Journal) -> Desk:
    """The desk alone, for `maguey-gate scan`."""
    clock = SystemClock()
    return _desk(config, opened, CacheReader(config.cache), clock, _hotline(config, clock))


def journal(config: GateFile) -> Journal:
    """The gate's journal, for a command. A new one begins a new epoch. Raises `StoreError`."""
    return _opening(config, SystemClock(), salvages=False).open()


def clock(config: GateFile) -> Clock:
    """The clock, for a command, with the hub's time as sync has measured it."""
    made = SystemClock()
    made.learn(_hub_state(config.cache, made).measure)
    return made


def _opening(config: GateFile, clock: Clock, *, salvages: bool) -> JournalOpener:
    from gate.recovery.open_journal import JournalOpener

    return JournalOpener(
        path=config.journal,
        gate_id=config.gate_id,
        new_epoch=lambda: uuid.uuid4().hex,
        hub=lambda: _hub_state(config.cache, clock),
        clock=clock,
        salvages=salvages,
    )


def _hub_state(cache: Path, clock: Clock) -> LinkState:
    """What sync has noted about the hub. Other threads ask too, so it uses a reader of its own."""
    reader = CacheReader(cache)
    try:
        return reader.link(clock.now())
    finally:
        reader.close()


def turnstile(config: GateFile) -> Turnstile:
    """The gate's relay. Raises `HardwareError`."""
    section = config.turnstile
    return make_turnstile(
        section.driver,
        pin=section.pin,
        active_high=section.active_high,
        on_power_loss=section.on_power_loss,
        pulse_s=section.pulse_ms / 1000,
        trace=Path(section.trace) if section.trace else None,
    )


def inputs(config: GateFile, on_fire: Callable[[bool], None]) -> Inputs:
    """Passage sensor, exit button, fire alarm, tamper contact. Raises `HardwareError`.

    :param on_fire: called from the pin's own thread when the alarm begins and ends.
    """
    section = config.inputs
    return make_inputs(
        section.driver,
        passage_pin=section.passage_pin,
        exit_pin=section.exit_pin,
        fire_pin=section.fire_pin,
        tamper_pin=section.tamper_pin,
        fire_normally_closed=section.fire_normally_closed,
        on_fire=on_fire,
    )


def keypad(config: GateFile) -> Keypad:
    """The keypad. If it is not plugged in, it keeps trying."""
    return make_keypad(config.keypad.driver, device=config.keypad.device)


def scanner(config: GateFile) -> Scanner:
    """The hand scanner. If it is not plugged in, it keeps trying."""
    section = config.scanner
    return make_scanner(
        section.driver,
        device=section.device,
        layout=section.layout,
        prefix=section.prefix,
        suffix=section.suffix,
    )


def pictures_eye(files: Sequence[Path]) -> ChildEye:
    """An eye that sees each of these pictures once."""
    return ChildEye(CameraSpec(driver="files", files=tuple(str(file) for file in files)))


def decode_picture(file: Path) -> Decoded:
    """The codes in one picture, decoded in a process of its own. Raises `PictureError`."""
    from hardware.decoder.separate_process import decode_apart

    return decode_apart(file)


def draw_screens(out: Path, lang: Literal["es", "en"]) -> list[Path]:
    """Draw every screen as PNG. Raises `MagueyError` if it cannot write."""
    from display.preview import write_all

    try:
        return write_all(out, lang)
    except OSError as error:
        raise MagueyError(f"{out}: {error.strerror}. Name a folder that can be written to.") from None


def is_refused(look: Look) -> bool:
    """Whether the file could not be read as a picture."""
    return any(sighting.raw.startswith(NOT_A_PICTURE) for sighting in look.sightings)


def words(config: GateFile, screen: Screen) -> Page:
    """The text of a screen, in the gate's language and time zone."""
    from display.text.words import compose

    return compose(screen, config.lang, ZoneInfo(config.timezone))


def device_checks(config: GateFile, *, is_running: bool) -> list[tuple[str, Check]]:
    """The device checks of `doctor`, without the devices that a running door has open."""
    pins = wired_pins(config)
    always: list[tuple[str, Check]] = [
        ("decoder", health.check_decoder),
        ("power", health.check_power),
        ("heat", health.check_heat),
    ]
    if pins:
        always.append(("pins", lambda: health.check_pins(pins, is_running=is_running)))
    if is_running:
        return always
    camera = camera_spec(config.camera)
    return [
        ("camera", lambda: health.check_camera(lambda: ChildEye(camera, measures_sharpness=True))),
        *_optional_checks(config),
        *always,
    ]


def _optional_checks(config: GateFile) -> list[tuple[str, Check]]:
    """Those of screen, keypad and scanner, if the gate has them."""
    found: list[tuple[str, Check]] = []
    if (driver := config.screen.driver) != "none":
        made, works = lambda: _device(config), f"{driver} answers."
        found.append(("screen", lambda: check_made("screen", made, lambda it: it.cleanup(), works)))
    if config.keypad.driver == "evdev":
        found.append(("keypad", lambda: health.check_keypad(lambda: keypad(config))))
    if config.scanner.driver != "none":
        found.append(("scanner", lambda: health.check_scanner(lambda: scanner(config))))
    return found


def _desk(config: GateFile, opened: Journal, cache: CacheReader, clock: Clock, claims: HubLine) -> Desk:
    from gate.door.desk import Desk

    return Desk(
        gate_id=config.gate_id,
        journal=opened,
        cache=cache,
        clock=clock,
        claims=claims,
        random=os.urandom,
        policy=Policy(unknown=config.door.unknown, passback_window=config.door.passback_window),
        keys=public_keys(config),
        isolated_after=config.door.isolated_after,
    )


def make_focus(config: GateFile) -> tuple[Eye, Display]:
    """An eye that measures sharpness, and the screen. Raises `ConfigError`."""
    # the number would jump from one exposure to the other, and the person at the lens turns it back and forth
    fixed = msgspec.structs.replace(config.camera, alternate=False)
    return ChildEye(camera_spec(fixed), measures_sharpness=True), display(config)


def camera_spec(camera: CameraSection) -> CameraSpec:
    """The camera as configured. Raises `ConfigError` if its numbers contradict each other."""
    takes_turns = camera.alternate and camera.driver in ("picamera2", "v4l2")
    try:
        controls = _controls(camera) if camera.driver == "picamera2" else {}
        exposures = _exposures(camera) if takes_turns else ()
    except ValueError as error:
        raise ConfigError(f"camera: {error}") from None
    return CameraSpec(
        driver=camera.driver,
        path=camera.path,
        device=camera.device,
        size=(camera.width, camera.height),
        fps=camera.fps,
        idle_fps=camera.idle_fps,
        hold_ms=camera.hold_ms,
        controls=controls,
        exposures=exposures,
    )


def _controls(camera: CameraSection) -> Controls:
    return controls_for(
        mains_hz=camera.mains_hz,
        half_periods=camera.exposure,
        gain=camera.gain,
        focus=camera.focus,
        fps=camera.fps,
    )


def _exposures(camera: CameraSection) -> tuple[Exposure, ...]:
    wanted = ((camera.exposure, camera.bright_gain), (camera.dim_exposure, camera.dim_gain))
    return tuple(
        fixed_exposure(mains_hz=camera.mains_hz, half_periods=half_periods, gain=gain, fps=camera.fps)
        for half_periods, gain in wanted
    )


def voice(config: GateFile) -> Voice:
    """Lights and buzzer. `trouble` reports what fails."""
    section = config.lights
    return make_voice(
        section.driver,
        green_pin=section.green_pin,
        red_pin=section.red_pin,
        buzzer_pin=section.buzzer_pin,
    )


def try_screen(config: GateFile, seconds: float, tell: Callable[[str], object]) -> int:
    """Show every pixel and one page of each kind; returns how many pictures. Raises `HardwareError`."""
    from display.panel.self_test import show_test

    panel = _device(config)
    try:
        zone = ZoneInfo(config.timezone)
        return show_test(panel, config.lang, zone, seconds=seconds, tell=tell)
    finally:
        with contextlib.suppress(Exception):  # the test has reported why it does not answer
            panel.cleanup()


def display(config: GateFile) -> Display:
    """The screen. If the panel does not answer, it keeps trying."""
    section = config.screen
    if section.driver == "none":
        return Dark()
    if section.driver == "ssd1322":
        choose_factory()  # the panel opens its pins in a thread of its own
    from display.panel.oled import OledDisplay

    return OledDisplay(lambda: _device(config), config.lang, ZoneInfo(config.timezone))


def _device(config: GateFile) -> Device:
    """The panel. Raises `HardwareError`."""
    from display.panel.devices import make_device

    section = config.screen
    assert section.driver != "none"
    return make_device(
        section.driver,
        i2c_port=section.i2c_port,
        i2c_address=section.i2c_address,
        spi_port=section.spi_port,
        spi_device=section.spi_device,
        dc_pin=section.dc_pin,
        reset_pin=section.reset_pin,
        rotate=section.rotate,
        path=Path(section.path) if section.path else None,
    )

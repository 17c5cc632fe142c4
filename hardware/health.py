"""Checks of the machine for `doctor`: power, heat, pins without touching them, a frame, a code read.

Each check gives findings in words. Sources: for the throttling bits, Raspberry Pi documentation, vcgencmd
get_throttled; for the limits of heat, the same, "Frequency management and thermal control".
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gate.common.findings import Finding, fault, finding_of_error, fine, warning
from gate.ports.devices import Eye, Keypad, Scanner
from hardware.camera.spec import CameraSpec
from hardware.eye.eye import ChildEye
from hardware.pins import gpiochip

FRAME_S = 15.0
"""A working camera has given a frame by then."""
READ_S = 10.0
TRIAL = "MAGUEY-TRIAL-0123456789"
"""Content of the test code; it is not a code of ours, so it could admit nobody."""
HOT_C, TOO_HOT_C = 75.0, 85.0
"""A Pi slows down from 80 °C on, and hard at 85 °C."""
POWER_NOW, SLOW_NOW = 0x1, 0x2 | 0x4 | 0x8
POWER_SINCE, SLOW_SINCE = 0x1_0000, 0x2_0000 | 0x4_0000 | 0x8_0000
SYSFS = Path("/sys")


def check_camera(open_eye: Callable[[], Eye]) -> Iterator[Finding]:
    """A frame, through the same two child processes that the door uses."""
    eye = open_eye()
    try:
        begun = time.monotonic()
        seen = eye.look(FRAME_S)
        trouble = eye.trouble()
    finally:
        eye.close()
    if trouble is not None:
        yield finding_of_error(trouble)
    elif seen is None:
        yield fault("camera", f"No frame within {FRAME_S:g} s.", "Check its cable, then switch off and on.")
    else:
        took = time.monotonic() - begun
        yield fine("camera", f"A frame came after {took:.1f} s and was decoded in {seen.decode_ms:.1f} ms.")
        yield _focus(seen.sharpness)


def _focus(sharpness: int | None) -> Finding:
    """No number is a fault: how sharp a picture can be depends on what is in view."""
    if not sharpness:
        return fine("focus", "Nothing in view that could be sharp; maguey-gate focus helps with the lens.")
    return fine("focus", f"Sharpness {sharpness} of 999; maguey-gate focus helps to improve it.")


def check_keypad(open_keypad: Callable[[], Keypad]) -> Iterator[Finding]:
    """Whether the keypad is there and nobody else has it."""
    keypad = open_keypad()
    try:
        trouble = keypad.trouble()
    finally:
        keypad.close()
    yield finding_of_error(trouble) if trouble else fine("keypad", "It is there.")


def check_scanner(open_scanner: Callable[[], Scanner]) -> Iterator[Finding]:
    """Whether the hand scanner is there and nobody else has it; `test-scanner` shows what it reads."""
    scanner = open_scanner()
    try:
        trouble = scanner.trouble()
    finally:
        scanner.close()
    yield (
        finding_of_error(trouble)
        if trouble
        else fine("scanner", "It is there; maguey-gate test-scanner tries it.")
    )


def check_decoder() -> Iterator[Finding]:
    """A test code is drawn, stored, loaded and read."""
    with tempfile.TemporaryDirectory(prefix="maguey-doctor-") as folder:
        picture = Path(folder) / "code.png"
        _draw(picture)
        eye = ChildEye(CameraSpec(driver="files", files=(str(picture),)))
        try:
            seen = eye.look(READ_S)
        finally:
            eye.close()
    read = [sighting.raw for sighting in seen.sightings] if seen else []
    if seen is None or read != [TRIAL.encode()]:
        advice = "Reinstall the software: pip install --force-reinstall zxing-cpp."
        yield fault("decoder", "The test code was not read.", advice)
    else:
        yield fine("decoder", f"The test code was read in {seen.decode_ms:.1f} ms.")


def _draw(file: Path) -> None:
    import zxingcpp
    from PIL import Image

    code = zxingcpp.create_barcode(TRIAL, zxingcpp.BarcodeFormat.QRCode)
    Image.fromarray(zxingcpp.write_barcode_to_image(code, scale=6)).save(file)


def check_pins(
    pins: Mapping[str, int], *, is_running: bool, folder: Path = Path("/dev")
) -> Iterator[Finding]:
    """Whether each pin exists and nobody else has it. Nothing is opened, so nothing moves.

    :param pins: Broadcom numbers by their names in the configuration.
    :param is_running: whether the door runs, and so has the pins itself.
    """
    twice = [pin for pin, count in Counter(pins.values()).items() if count > 1]
    try:
        chip = gpiochip.header(folder)
        if chip is None:
            advice = 'On a Pi this cannot be. Elsewhere: set driver = "mock".'
            yield fault("pins", "This machine has no GPIO.", advice)
            return
        for name, pin in pins.items():
            yield _pin(name, pin, gpiochip.user(chip, pin), is_running=is_running, is_twice=pin in twice)
    except PermissionError as error:
        yield fault(
            "pins", f"This account may not read {error.filename}.", "Run doctor as root or in the group gpio."
        )


def _pin(name: str, pin: int, user: str | None, *, is_running: bool, is_twice: bool) -> Finding:
    check = f"pin {name}"
    if user is None:
        return fault(check, f"There is no GPIO {pin} on this board.", f"Correct {name}.")
    if is_twice:
        return fault(check, f"GPIO {pin} is used twice.", f"Give {name} a pin of its own.")
    if user and not is_running:
        advice = "Two programs cannot share a pin: stop the other one, or look for an overlay in config.txt."
        return fault(check, f"GPIO {pin} is taken by {user!r}.", advice)
    return fine(check, f"GPIO {pin} is there, {'in use by the door' if user else 'and free'}.")


def check_power(sysfs: Path = SYSFS) -> Iterator[Finding]:
    """What the Pi says of its power, and whether it was slowed down."""
    bits = throttled(sysfs)
    if bits is None:
        yield fine("power", "This is not a Raspberry Pi; its power cannot be checked.")
        return
    cable = "Use the official power supply and a short cable; low power corrupts cards and costs scans."
    if bits & POWER_NOW:
        yield fault("power", f"Too little power right now ({bits:#x}).", cable)
    elif bits & POWER_SINCE:
        yield warning("power", f"Too little power since the start ({bits:#x}).", cable)
    else:
        yield fine("power", "Enough power since the start.")
    air = "Give the housing air or a heat sink."
    if bits & SLOW_NOW:
        yield fault("speed", f"Slowed down right now, by heat or power ({bits:#x}).", air)
    elif bits & SLOW_SINCE:
        yield warning("speed", f"Slowed down since the start, by heat or power ({bits:#x}).", air)


def throttled(sysfs: Path = SYSFS) -> int | None:
    """The bits of `vcgencmd get_throttled`, None if this is not a Pi."""
    try:
        return int((sysfs / "devices/platform/soc/soc:firmware/get_throttled").read_text("ascii"), 16)
    except (OSError, ValueError):
        return _asked()


def _asked() -> int | None:
    try:
        done = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=False
        )
        return int(done.stdout.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def check_heat(sysfs: Path = SYSFS) -> Iterator[Finding]:
    """The warmest sensor of the machine. Memory cards have none."""
    warmest = max((_celsius(file) for file in _sensors(sysfs)), default=None)
    advice = "Give the housing air or a heat sink; a Pi slows down from 80 °C."
    if warmest is None:
        yield fine("temperature", "This machine has no sensor.")
    elif warmest >= TOO_HOT_C:
        yield fault("temperature", f"{warmest:.0f} °C.", advice)
    elif warmest >= HOT_C:
        yield warning("temperature", f"{warmest:.0f} °C.", advice)
    else:
        yield fine("temperature", f"{warmest:.0f} °C.")


def _sensors(sysfs: Path) -> list[Path]:
    zones = sysfs.glob("class/thermal/thermal_zone*/temp")
    return [file for file in zones if _celsius(file) > -100]


def _celsius(file: Path) -> float:
    """Below -100: the sensor says nothing."""
    try:
        return int(file.read_text("ascii")) / 1000
    except (OSError, ValueError):
        return -1000.0

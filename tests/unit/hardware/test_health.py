"""The machine's health, from made-up sysfs trees; camera, decoder and keypad as the door uses them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.common.errors import HardwareError
from gate.common.findings import Finding, Severity
from hardware import health
from hardware.camera.spec import CameraSpec
from hardware.eye.eye import ChildEye
from hardware.pins.gpiochip import user_of
from tests.fakes import ScriptedKeypad


def levels(found: Iterator[Finding]) -> dict[str, Severity]:
    return {one.check: one.level for one in found}


def pi(folder: Path, throttled: str, celsius: float | None = None) -> Path:
    file = folder / "devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(throttled + "\n")
    if celsius is not None:
        zone = folder / "class/thermal/thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "temp").write_text(f"{celsius * 1000:.0f}\n")
    return folder


@pytest.mark.parametrize(
    ("bits", "power", "speed"),
    [
        ("0", Severity.OK, None),
        ("1", Severity.FAULT, None),
        ("50000", Severity.WARNING, Severity.WARNING),
        ("50005", Severity.FAULT, Severity.FAULT),
        ("80008", Severity.OK, Severity.FAULT),
        ("20000", Severity.OK, Severity.WARNING),
    ],
)
def test_each_throttling_bit_is_reported(
    tmp_path: Path, bits: str, power: Severity, speed: Severity | None
) -> None:
    found = levels(health.check_power(pi(tmp_path, bits)))
    assert (found["power"], found.get("speed")) == (power, speed)


def test_a_machine_that_is_not_a_pi_is_no_fault(tmp_path: Path) -> None:
    (one,) = health.check_power(tmp_path)
    assert (one.level, "not a Raspberry Pi" in one.result) == (Severity.OK, True)
    assert levels(health.check_heat(tmp_path)) == {"temperature": Severity.OK}


@pytest.mark.parametrize(
    ("celsius", "level"),
    [(45, Severity.OK), (75, Severity.WARNING), (84.9, Severity.WARNING), (85, Severity.FAULT)],
)
def test_heat_is_reported_before_the_machine_slows_down(
    tmp_path: Path, celsius: float, level: Severity
) -> None:
    assert levels(health.check_heat(pi(tmp_path, "0", celsius))) == {"temperature": level}


def test_a_temperature_sensor_without_a_value_is_ignored(tmp_path: Path) -> None:
    root = pi(tmp_path, "0", 50)
    (root / "class/thermal/thermal_zone1").mkdir()
    (root / "class/thermal/thermal_zone1/temp").write_text("")
    (one,) = health.check_heat(root)
    assert one.result == "50 °C."


def test_a_generated_code_is_read_through_both_child_processes() -> None:
    assert levels(health.check_decoder()) == {"decoder": Severity.OK}


def test_a_camera_that_gives_frames_is_fine_and_its_sharpness_is_reported(tmp_path: Path) -> None:
    spec = CameraSpec(driver="folder", path=str(tmp_path))
    found = levels(health.check_camera(lambda: ChildEye(spec, measures_sharpness=True)))
    assert found == {"camera": Severity.OK, "focus": Severity.OK}


def test_a_missing_camera_is_a_fault_with_advice(tmp_path: Path) -> None:
    spec = CameraSpec(driver="v4l2", device=str(tmp_path / "no-webcam"))
    (one,) = health.check_camera(lambda: ChildEye(spec))
    assert (one.check, one.level) == ("camera", Severity.FAULT)
    assert "no-webcam" in one.result
    assert one.advice


def test_a_keypad_that_is_gone_is_a_fault() -> None:
    keypad = ScriptedKeypad()
    assert levels(health.check_keypad(lambda: keypad)) == {"keypad": Severity.OK}
    keypad = ScriptedKeypad()
    keypad.break_down(HardwareError("keypad", "It was unplugged.", "Plug it in."))
    (one,) = health.check_keypad(lambda: keypad)
    assert (one.level, one.advice) == (Severity.FAULT, "Plug it in.")


def test_a_wired_pin_on_a_machine_without_gpio_is_a_fault(tmp_path: Path) -> None:
    (one,) = health.check_pins({"turnstile.pin": 17}, is_running=False, folder=tmp_path)
    assert one.level is Severity.FAULT
    assert "mock" in one.advice


@pytest.mark.parametrize(
    ("user", "is_running", "is_twice", "level", "words"),
    [
        ("", False, False, Severity.OK, "and free"),
        ("lg", True, False, Severity.OK, "in use by the door"),
        ("lg", False, False, Severity.FAULT, "taken by 'lg'"),
        ("", False, True, Severity.FAULT, "used twice"),
        (None, False, False, Severity.FAULT, "no GPIO 17"),
    ],
)
def test_a_pin_is_free_or_the_reason_is_reported(
    user: str | None, is_running: bool, is_twice: bool, level: Severity, words: str
) -> None:
    found = health._pin("turnstile.pin", 17, user, is_running=is_running, is_twice=is_twice)
    assert found.level is level
    assert words in found.result


def test_the_kernels_answer_for_a_line_is_read_by_its_header() -> None:
    """struct gpio_v2_line_info: name, consumer, offset, num_attrs, flags, attrs[10], padding[4]."""

    def answer(consumer: bytes, flags: int) -> bytes:
        return struct.pack("=32s32sIIQ160s16s", b"GPIO17", consumer, 17, 0, flags, b"", b"")

    assert user_of(answer(b"lg", 1 | 8)) == "lg"
    assert user_of(answer(b"", 4)) == ""
    assert user_of(answer(b"", 1)) == "the kernel"

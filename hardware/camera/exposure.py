"""Exposures without flicker, and which one a frame was taken with; the fixed controls of a Pi camera. Pure.

Lamps on the mains flicker at twice the mains frequency. An exposure of a whole number of flickers gets
the same light in every row and frame; any other shows dark bands, and a code under a band is not read.
Automatic exposure picks such times too, but follows every light of the club, so exposure and gain are
fixed, or two of each take turns (docs/adr/0029).
"""

from __future__ import annotations

from math import log
from typing import Literal

from hardware.camera.spec import Exposure

Mains = Literal[50, 60]

Controls = dict[str, bool | int | float]
"""As `hardware.camera.spec.CameraSpec.controls` takes them."""

BLANKING_US = 1000
"""By how much a frame must last longer than its exposure. Sensors need up to 48 rows between two exposures
(`frameIntegrationDiff` of libcamera's camera helpers, IMX708), of at most 20 µs each; libcamera would shorten
the exposure by that much, and it would flicker again."""

AF_MANUAL, AF_CONTINUOUS = 0, 2
"""Values of libcamera's `AfMode`."""


def exposure_us(mains_hz: Mains, half_periods: int, fps: int) -> int:
    """Exposure in µs: `half_periods` flickers of the light, or as many as fit into a frame.

    Rounded to a whole µs, libcamera's unit: at 60 Hz a flicker lasts 8333⅓ µs.

    :raises ValueError: not one flicker fits into a frame, or a number is below one.
    """
    if half_periods < 1 or fps < 1:
        raise ValueError("half_periods and fps must be at least 1.")
    flickers = 2 * mains_hz  # a second
    fit = (1_000_000 // fps - BLANKING_US) * flickers // 1_000_000
    if fit < 1:
        most = int(1_000_000 / (1_000_000 / flickers + BLANKING_US))
        raise ValueError(
            f"At {fps} frames a second no exposure is free of the flicker of {mains_hz} Hz light; "
            f"set fps to {most} or less."
        )
    return round(min(half_periods, fit) * 1_000_000 / flickers)


def controls_for(
    *, mains_hz: Mains, half_periods: int, gain: float, focus: float | None, fps: int
) -> Controls:
    """The libcamera controls that fix exposure, gain, white balance and focus.

    :param mains_hz: mains frequency at the door: 60 in Mexico, 50 in Europe.
    :param half_periods: exposure in flickers of that light (1/100 s at 50 Hz, 1/120 s at 60 Hz);
        fewer if they do not fit into a frame. 1 blurs least.
    :param gain: analogue gain, from 1.0; the Camera Module 2 ends at 10.7, the 3 at 16.
    :param focus: lens position in dioptres, 1 / distance in metres (6.0 for 17 cm); None leaves it
        to an autofocus lens.
    :param fps: frames a second of the same `CameraSpec`.
    :raises ValueError: see `exposure_us`; or a gain below 1, or a negative focus.

    Modules with a fixed lens have neither `AfMode` nor `LensPosition`, monochrome ones no `AwbEnable`
    (libcamera's `ipaAfControls` and `ipaColourControls`); `hardware.camera.pi_camera` leaves out what its
    camera does not have. Automatic white balance would change how bright a colour is in the grey picture.
    """
    if gain < 1 or (focus is not None and focus < 0):
        raise ValueError("gain must be at least 1.0, and focus must not be negative.")
    controls: Controls = {
        "AeEnable": False,
        "AwbEnable": False,
        "ExposureTime": exposure_us(mains_hz, half_periods, fps),
        "AnalogueGain": float(gain),
    }
    if focus is None:
        return controls | {"AfMode": AF_CONTINUOUS}
    return controls | {"AfMode": AF_MANUAL, "LensPosition": float(focus)}


def fixed_exposure(*, mains_hz: Mains, half_periods: int, gain: float, fps: int) -> Exposure:
    """The exposure of so many flickers. Arguments and errors: as of `controls_for`."""
    if gain < 1:
        raise ValueError("gain must be at least 1.0.")
    return Exposure(exposure_us(mains_hz, half_periods, fps), float(gain))


def nearest(exposures: tuple[Exposure, ...], time_us: float, gain: float | None) -> int:
    """Which of `exposures` a frame was taken with that had this exposure time and analogue gain.

    A sensor rounds both, and has limits of its own, so that nearest in stops is meant; both count, because
    twice the time at half the gain is another exposure of the same brightness. Without a `gain`, the time
    alone says it.
    """

    def stops(exposure: Exposure) -> float:
        off = abs(log(max(time_us, 1.0) / exposure.time_us))
        return off if gain is None else off + abs(log(max(gain, 0.01) / exposure.gain))

    return min(range(len(exposures)), key=lambda number: stops(exposures[number]))

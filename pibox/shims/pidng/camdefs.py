"""See the package."""


class Picamera2Camera:
    """The name that `picamera2.request` imports."""

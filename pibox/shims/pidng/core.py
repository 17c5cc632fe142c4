"""See the package."""


class PICAM2DNG:
    """The name that `picamera2.request` imports."""

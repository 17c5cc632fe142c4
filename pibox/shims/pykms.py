"""Stands in for pykms, the Pi's direct display output: picamera2 imports it and names these at once.

No package of it exists in Debian. Used by `make pibox-camera` only; the gate shows no preview.
"""


class PixelFormat:
    """The names that `picamera2.previews.drm_preview` puts into its table while it is imported."""

    RGB888 = BGR888 = XRGB8888 = XBGR8888 = YUV420 = YVU420 = NV12 = None

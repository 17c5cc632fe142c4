"""Opens the camera that a `CameraSpec` describes. Drivers are imported only when they are needed."""

from __future__ import annotations

from hardware.camera.frame_source import FrameSource
from hardware.camera.spec import CameraSpec


def open_camera(spec: CameraSpec) -> FrameSource:
    """The camera, running.

    :raises HardwareError: it is missing or does not start; the error says what to do next.
    """
    match spec.driver:
        case "folder":
            from hardware.camera.folder import FolderCamera

            return FolderCamera(spec)
        case "files":
            from hardware.camera.folder import FilesCamera

            return FilesCamera(spec)
        case "v4l2":
            from hardware.camera.webcam import Webcam

            return Webcam(spec)
        case "picamera2":
            from hardware.camera.pi_camera import PiCamera

            return PiCamera(spec)

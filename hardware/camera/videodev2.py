"""The part of Linux' ``linux/videodev2.h`` that a webcam needs: structures and requests.

Request numbers are computed from the sizes of the structures, as the header's ``_IOR`` macros do; a test
compares them with those of a 64-bit kernel.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_int32, c_long, c_uint8, c_uint32, c_ulong

CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
MMAP = 1  # V4L2_MEMORY_MMAP
CAP_VIDEO_CAPTURE = 0x0000_0001
CAP_STREAMING = 0x0400_0000
CAP_DEVICE_CAPS = 0x8000_0000
BUF_FLAG_ERROR = 0x0040
BUF_FLAG_TIMESTAMP_MASK = 0xE000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x2000
CID_GAIN = 0x0098_0913
CID_EXPOSURE_AUTO = 0x009A_0901
CID_EXPOSURE_ABSOLUTE = 0x009A_0902  # in 100 µs
EXPOSURE_MANUAL = 1
CTRL_FLAG_DISABLED = 0x0001
CTRL_FLAG_READ_ONLY = 0x0004


class Capability(ctypes.Structure):
    """``struct v4l2_capability``."""

    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class PixFormat(ctypes.Structure):
    """``struct v4l2_pix_format``."""

    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]


class _FormatUnion(ctypes.Union):
    # the kernel's union holds pointers too, hence its alignment
    _fields_ = [("pix", PixFormat), ("raw", c_uint8 * 200), ("_align", c_ulong)]


class Format(ctypes.Structure):
    """``struct v4l2_format``."""

    _fields_ = [("type", c_uint32), ("fmt", _FormatUnion)]


class RequestBuffers(ctypes.Structure):
    """``struct v4l2_requestbuffers``."""

    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class _Time(ctypes.Structure):
    _fields_ = [("sec", c_long), ("usec", c_long)]


class _Timecode(ctypes.Structure):
    _fields_ = [("type", c_uint32), ("flags", c_uint32), ("rest", c_uint8 * 8)]


class _Place(ctypes.Union):
    _fields_ = [("offset", c_uint32), ("userptr", c_ulong)]


class Buffer(ctypes.Structure):
    """``struct v4l2_buffer``."""

    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", _Time),
        ("timecode", _Timecode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_uint32),
    ]


class _Fraction(ctypes.Structure):
    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]


class StreamParm(ctypes.Structure):
    """``struct v4l2_streamparm`` with ``v4l2_captureparm`` of its union."""

    _fields_ = [
        ("type", c_uint32),
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", _Fraction),
        ("rest", c_uint8 * 184),
    ]


class Control(ctypes.Structure):
    """``struct v4l2_control``."""

    _fields_ = [("id", c_uint32), ("value", c_int32)]


class ControlRange(ctypes.Structure):
    """``struct v4l2_queryctrl``."""

    _fields_ = [
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_uint8 * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    ]


def fourcc(name: str) -> int:
    """The number of a pixel format, from its four letters."""
    return int.from_bytes(name.encode("ascii"), "little")


def fourcc_name(number: int) -> str:
    """The four letters of a pixel format."""
    return number.to_bytes(4, "little").decode("ascii", "replace")


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_READ, _WRITE = 2, 1
QUERYCAP = _request(_READ, 0, ctypes.sizeof(Capability))
S_FMT = _request(_READ | _WRITE, 5, ctypes.sizeof(Format))
REQBUFS = _request(_READ | _WRITE, 8, ctypes.sizeof(RequestBuffers))
QUERYBUF = _request(_READ | _WRITE, 9, ctypes.sizeof(Buffer))
QBUF = _request(_READ | _WRITE, 15, ctypes.sizeof(Buffer))
DQBUF = _request(_READ | _WRITE, 17, ctypes.sizeof(Buffer))
STREAMON = _request(_WRITE, 18, ctypes.sizeof(ctypes.c_int))
STREAMOFF = _request(_WRITE, 19, ctypes.sizeof(ctypes.c_int))
S_PARM = _request(_READ | _WRITE, 22, ctypes.sizeof(StreamParm))
S_CTRL = _request(_READ | _WRITE, 28, ctypes.sizeof(Control))
QUERYCTRL = _request(_READ | _WRITE, 36, ctypes.sizeof(ControlRange))

"""What a child process of the eye is started with."""

from __future__ import annotations

import msgspec


class Assignment(msgspec.Struct, frozen=True):
    """What a child process reads as JSON from its standard input when it starts.

    `headroom_mb`: memory that the child may use beyond what its loaded libraries take, 0 for no limit.
    `camera`: a `CameraSpec`, for the camera child.
    """

    role: str
    parent: int
    socket_fd: int
    memory_fd: int
    slots: int
    slot_size: int
    headroom_mb: int = 0
    camera: msgspec.Raw = msgspec.Raw(b"null")

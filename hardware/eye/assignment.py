"""What a child process of the eye is started with."""

from __future__ import annotations

import msgspec


class Assignment(msgspec.Struct, frozen=True):
    """What the parent starts a child with, as JSON in its standard input.

    `headroom_mb`: memory the child may use beyond what it has once its libraries are
    loaded, 0 for no limit. `camera`: a `CameraSpec`, for the camera child.
    """

    role: str
    parent: int
    socket_fd: int
    memory_fd: int
    slots: int
    slot_size: int
    headroom_mb: int = 0
    camera: msgspec.Raw = msgspec.Raw(b"null")

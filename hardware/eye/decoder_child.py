"""The decoder's child process: reads the codes in a slot of shared memory when asked."""

from __future__ import annotations

import socket

from hardware.decoder.decode import read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.memory_limit import keep_freed_memory, limit_memory
from hardware.decoder.sharpness import sharpness
from hardware.decoder.zbar import has_zbar
from hardware.eye import messages as m
from hardware.eye.assignment import Assignment
from hardware.eye.slots import Slots

_NO_PYZBAR = (
    "the second decoder is missing, codes of cracked screens may not be read; run: apt install libzbar0"
)


def serve_decoder(assignment: Assignment, talk: socket.socket) -> None:
    """Answer `Decode` until the socket closes."""
    slots = Slots(assignment.memory_fd, assignment.slots, assignment.slot_size)
    note = "" if has_zbar() else _NO_PYZBAR  # loads it before memory is limited
    keep_freed_memory()
    limit_memory(assignment.headroom_mb)
    talk.send(m.pack(m.Ready(note)))
    while packet := talk.recv(m.LARGEST):
        request = m.request(packet)
        if isinstance(request, m.Decode):
            talk.send(m.pack(_decode(slots, request)))


def _decode(slots: Slots, request: m.Decode) -> m.Read:
    # copied first: the eye may reuse the slot when it replaces this process
    grey = slots.view(request.slot, request.width, request.height).copy()
    result = read_codes(grey, Effort(request.effort))
    codes = tuple((found.raw, found.offset) for found in result.found)
    sharp = sharpness(grey) if request.measure else None
    return m.Read(request.slot, codes, result.ms, sharp)

"""Messages between the eye and its children: packing, refusal of nonsense, and bounds of the slots."""

from __future__ import annotations

import numpy as np
import pytest

from gate.common.errors import Step
from gate.common.foreign import UnreadableError
from hardware.eye import messages as m
from hardware.eye.slots import Slots

REPLIES: list[m.ChildReply] = [
    m.Ready("a note"),
    m.Captured(1, 640, 480, "file:a.png", "is no picture", exhausted=True),
    m.Captured(2, 640, 480, taken_at=12.5, picture=7, exposure=1),
    m.Read(2, ((b"\x00\xff", 0.25), (b"MGY", 0.5)), 1.5),
    m.Broken("camera", "No camera.", "Plug it in.", Step.CAMERA_CABLE),
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_survives_packing(reply: m.ChildReply) -> None:
    assert m.reply(m.pack(reply)) == reply


@pytest.mark.parametrize("request_", [m.Capture(2, 0.5), m.Decode(0, 640, 480, 1)])
def test_a_request_survives_packing(request_: m.Request) -> None:
    assert m.request(m.pack(request_)) == request_


@pytest.mark.parametrize("packet", [b"\xc1", b"{}", m.pack(m.Capture(0, 1.0)), m.pack(m.Ready())[:-2]])
def test_a_packet_no_child_would_send_is_refused(packet: bytes) -> None:
    with pytest.raises(UnreadableError):
        m.reply(packet)


def test_sixteen_of_the_largest_codes_fit_a_packet() -> None:
    read = m.Read(0, ((b"7" * 7089, 0.123456),) * 16, 1.0)
    assert len(m.pack(read)) < m.LARGEST


def test_slots_do_not_overlap_and_refuse_access_out_of_bounds() -> None:
    slots = Slots.make(3, 4096)
    for slot in range(3):
        slots.write(slot, np.full((64, 64), slot, dtype=np.uint8))
    assert [int(slots.view(slot, 64, 64).mean()) for slot in range(3)] == [0, 1, 2]
    for slot, width, height in ((3, 64, 64), (-1, 64, 64), (0, 64, 65), (0, 0, 5)):
        with pytest.raises(ValueError, match="slot"):
            slots.view(slot, width, height)
    assert not slots.holds(np.zeros((64, 65), dtype=np.uint8))
    slots.close()

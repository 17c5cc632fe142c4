"""The packet of a visit, as paho's own code would write it."""

from __future__ import annotations

import pytest

from hub.authority.broker_visit import connect_packet


@pytest.mark.parametrize("name", ["g", "gate-1", "x" * 64])
def test_it_forgets_the_session_and_says_nothing_else(name: str) -> None:
    made = connect_packet(name)
    # MQTT 5, 3.1: type, length, protocol, version, clean start, keep-alive, no properties, client id
    assert made[0] == 0x10
    assert made[1] == len(made) - 2
    assert made[2:8] == b"\x00\x04MQTT"
    assert (made[8], made[9], made[10:12], made[12]) == (5, 0b10, b"\x00\x0a", 0)
    assert made[13:] == len(name).to_bytes(2, "big") + name.encode()

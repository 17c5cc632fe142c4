"""Ids that sort by time (RFC 9562, section 5.7)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from gate.common.uuids import new_uuid7, uuid7


def test_the_example_of_the_rfc_is_reproduced() -> None:
    """Appendix A.6: 2022-02-22 19:22:22 UTC, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    random = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize("random", [bytes(10), b"\xff" * 10])
def test_version_and_variant_are_right_whatever_the_random_bytes(random: bytes) -> None:
    made = uuid.UUID(uuid7(1_700_000_000_000, random))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert str(made) == uuid7(1_700_000_000_000, random)


def test_the_id_of_a_moment_has_its_milliseconds() -> None:
    at = datetime(2022, 2, 22, 19, 22, 22, 123_000, tzinfo=UTC)
    assert new_uuid7(at, bytes) == uuid7(1_645_557_742_123, bytes(10))


def test_a_later_id_sorts_after_an_earlier_one() -> None:
    assert uuid7(0, b"\xff" * 10) < uuid7(1, bytes(10)) < uuid7(1_700_000_000_000, bytes(10))


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="not 9"):
        uuid7(0, bytes(9))

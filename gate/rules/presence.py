"""Turns frames into presentations: holding up a phone is one scan, however many frames show it (domain 2.3).

Pure. The door passes in what each frame shows and gets at most one thing to answer. A code is answered once
and then *held*: ignored until it has been out of sight for `rescan_after`. Out of sight means that frames
did not show it; while nobody looks (a slow disk, a decoder being replaced) a phone that is held still has
not left. Foreign codes (a poster, a drinks menu) are answered only if no code of ours is in the frame, so
they cannot keep a guest out.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from gate.rules.payload import Code, Malformed, Secret, Several, parse

RESCAN_AFTER_MS = 1500
"""How long a code must be out of sight to count as presented again (domain 2.3)."""
LONGEST_FRAME_MS = 250
"""One frame vouches for at most this much time before it; during a longer gap nobody looked."""
STUCK_MS = 10_000
"""A code answered this long ago that never left is not a guest's: nobody holds up a phone that long."""


class Sighting(Secret, frozen=True):
    """One code in one frame. `offset`: distance of its centre from the frame's centre, 0 to 1."""

    what: Code | Malformed
    raw: bytes
    offset: float = 0.0

    @classmethod
    def of(cls, raw: bytes, offset: float = 0.0) -> Sighting:
        """Read the code, once for everybody who looks at the frame."""
        return cls(parse(raw), raw, offset)

    def shown(self) -> str:
        """How many bytes, and where."""
        return f"{len(self.raw)} bytes, offset {self.offset:.2f}"


class Presented(Secret, frozen=True):
    """One presentation: what to decide on, and the bytes it was read from."""

    what: Code | Malformed | Several
    raw: bytes

    @classmethod
    def of(cls, raw: bytes) -> Presented:
        """A code that was typed or scanned, not seen by the camera."""
        return cls(parse(raw), raw)

    @property
    def code(self) -> Code | None:
        """The code, if it is one of ours."""
        return self.what if isinstance(self.what, Code) else None

    def shown(self) -> str:
        """What it was read as."""
        return repr(self.what)


class Presence(msgspec.Struct, frozen=True):
    """`held`: for each code's key, for how many ms frames have not shown it.

    `since_ms`: for the same keys, since when it has been held. `looked_ms`: time of the last frame.
    Monotonic.
    """

    held: dict[str, int] = {}
    since_ms: dict[str, int] = {}
    looked_ms: int | None = None
    rescan_after_ms: int = RESCAN_AFTER_MS


_SEVERAL = "several"


def observe(presence: Presence, seen: Sequence[Sighting], now_ms: int) -> tuple[Presence, Presented | None]:
    """Look at one frame.

    :param seen: every code found in the frame.
    :param now_ms: monotonic milliseconds.
    :returns: the state for the next frame, and what to answer now, if anything.
    """
    passed = 0 if presence.looked_ms is None else min(now_ms - presence.looked_ms, LONGEST_FRAME_MS)
    aged = {key: unseen + max(passed, 0) for key, unseen in presence.held.items()}
    held = {key: unseen for key, unseen in aged.items() if unseen < presence.rescan_after_ms}
    stuck = {key for key in held if now_ms - presence.since_ms.get(key, now_ms) >= STUCK_MS}
    key, presented = _choose(seen, stuck)
    answer = presented if key is not None and key not in held else None
    # a foreign code beside another code has had its answer too; a code of ours among several has not
    held |= {_key(one): 0 for one in seen if _key(one) in held or isinstance(one.what, Malformed)}
    if key is not None:
        held[key] = 0
    since = {one: presence.since_ms.get(one, now_ms) for one in held}
    return Presence(held, since, now_ms, presence.rescan_after_ms), answer


def _choose(seen: Sequence[Sighting], stuck: set[str]) -> tuple[str | None, Presented | None]:
    # if one code is there in two carriers, take the signed one, which says more
    signed_last = sorted(seen, key=lambda one: isinstance(one.what, Code) and one.what.carrier != "plain")
    ours = {one.what.code_hash: one for one in signed_last if isinstance(one.what, Code)}
    if len(ours) > 1:
        # a used ticket taped beside the camera had its answer long ago and must not hold up anybody
        ours = {code_hash: one for code_hash, one in ours.items() if code_hash not in stuck} or ours
    if len(ours) > 1:
        return _SEVERAL, Presented(Several(len(ours)), b"")
    pool = [*ours.values()] or [*seen]
    if not pool:
        return None, None
    nearest = min(pool, key=lambda one: one.offset)
    return _key(nearest), Presented(nearest.what, nearest.raw)


def _key(one: Sighting) -> str:
    return one.what.code_hash if isinstance(one.what, Code) else "foreign:" + sha256(one.raw).hexdigest()

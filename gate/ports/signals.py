"""What lights and buzzer signal, as values; `hardware/` turns them into light and sound. Pure.

Domain 2.4: green and red light, a high beep for admit, a low buzz for refuse, two beeps for VIP.
"""

from __future__ import annotations

from enum import StrEnum

from gate.rules.model import Flag, Kind, Reason, Ruling, Verdict


class Signal(StrEnum):
    """One signal. `REST`: dark and silent; the last three stay until another is given."""

    ADMIT = "admit"
    VIP = "vip"
    REFUSE = "refuse"
    ATTENTION = "attention"
    REST = "rest"
    FREE_PASSAGE = "free_passage"
    CLOSED = "closed"


def signal_of(verdict: Verdict) -> Signal:
    """The signal of a verdict. A gate locked against guessing gives nothing away."""
    if verdict.ruling is Ruling.NONE or Flag.LOCKED in verdict.flags:
        return Signal.ATTENTION
    if not verdict.admits:
        return Signal.REFUSE
    perk = verdict.kind not in (Kind.GA, Kind.UNKNOWN) or verdict.reason is Reason.REENTRY
    return Signal.VIP if perk else Signal.ADMIT

"""The patterns of lights and sounds: domain 2.4."""

from __future__ import annotations

from itertools import groupby

from gate.ports.screen import Notice, VerdictScreen, seconds_shown
from gate.ports.signals import Signal, signal_of
from gate.rules.model import Flag, Kind, Reason, Ruling, Verdict
from hardware.pins.light_patterns import HIGH_HZ, LOW_HZ, PATTERNS


def _tones(signal: Signal) -> list[int]:
    return [tone for tone, _ in groupby(moment.tone_hz for moment in PATTERNS[signal]) if tone]


def _lights(signal: Signal) -> set[tuple[bool, bool]]:
    return {(moment.green, moment.red) for moment in PATTERNS[signal]}


def _length_ms(signal: Signal) -> int | None:
    """The pattern's length; None if it lasts until another signal."""
    lengths = [moment.ms for moment in PATTERNS[signal]]
    return None if None in lengths else sum(length for length in lengths if length is not None)


def test_every_signal_has_a_pattern() -> None:
    assert set(PATTERNS) == set(Signal)


def test_admit_is_one_high_beep_and_vip_two_and_refuse_a_low_buzz() -> None:
    assert _tones(Signal.ADMIT) == [HIGH_HZ]
    assert _tones(Signal.VIP) == [HIGH_HZ, HIGH_HZ]
    assert _tones(Signal.REFUSE) == [LOW_HZ]
    assert LOW_HZ * 4 < HIGH_HZ


def test_green_admits_and_red_does_not() -> None:
    for signal in (Signal.ADMIT, Signal.VIP, Signal.FREE_PASSAGE):
        assert _lights(signal) == {(True, False)}
    for signal in (Signal.REFUSE, Signal.CLOSED):
        assert _lights(signal) == {(False, True)}
    assert _lights(Signal.ATTENTION) == {(False, True), (False, False)}, "blinking: neither"


def test_rest_is_dark_and_silent_and_only_free_passage_and_closed_have_no_end() -> None:
    assert PATTERNS[Signal.REST] == ()
    lasting = {signal for signal in PATTERNS if _length_ms(signal) is None}
    assert lasting == {Signal.FREE_PASSAGE, Signal.CLOSED}


def test_the_light_lasts_as_long_as_the_screen() -> None:
    verdicts = [
        Verdict(ruling=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, line=11, kind=Kind.GA),
        Verdict(ruling=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, line=11, kind=Kind.VIP_HOST),
        Verdict(ruling=Ruling.DENY, reason=Reason.ALREADY_USED, line=13, kind=Kind.GA),
        Verdict(ruling=Ruling.NONE, reason=Reason.AMBIGUOUS, line=4),
        Verdict(ruling=Ruling.DENY, reason=Reason.UNKNOWN, line=5, flags=(Flag.LOCKED,)),
    ]
    for verdict in verdicts:
        seconds = seconds_shown(VerdictScreen(verdict=verdict))
        assert seconds is not None
        assert _length_ms(signal_of(verdict)) == seconds * 1000, verdict
    assert seconds_shown(Notice(word="annulled")) == 2.0

"""Tests of single devices: the commit comes before the pulse, and none runs beside a running door."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.common.errors import HardwareError, MagueyError, StoreError
from gate.diagnostics import device_tests as trials
from gate.ports.signals import Signal
from gate.rules.model import EventKind, Ruling, ScanRecord
from gate.store.journal import Journal
from gate.store.live_file import LiveReading
from tests.factories import StoppedClock
from tests.fakes import RecordingTurnstile, RecordingVoice


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db", "gate-1", "epoch-1")
    yield journal
    journal.close()


class WatchingTurnstile(RecordingTurnstile):
    """A turnstile that reads the journal at the moment of its release."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.recorded: list[int] = []

    def release(self) -> None:
        self.recorded.append(self.journal.last_seq())
        super().release()


def pulse(journal: Journal, turnstile: RecordingTurnstile) -> ScanRecord:
    return trials.test_pulse(journal, turnstile, StoppedClock(), "gate-1", os.urandom)


def test_exactly_one_pulse_follows_its_commit(journal: Journal) -> None:
    turnstile = WatchingTurnstile(journal)
    record = pulse(journal, turnstile)
    assert turnstile.recorded == [1]
    assert len(turnstile.releases) == 1
    assert (record.seq, record.record, record.reason) == (1, "event", EventKind.TEST_PULSE)
    assert (record.verdict, record.released, record.code_hash) == (Ruling.NONE, False, None)


def test_a_pulse_that_cannot_be_recorded_is_not_given(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "journal.db").rename(tmp_path / "gone.db")
    turnstile = RecordingTurnstile()
    with pytest.raises(StoreError):
        pulse(journal, turnstile)
    assert turnstile.releases == []


def test_no_device_is_tested_beside_a_running_door() -> None:
    trials.refuse_beside(LiveReading(why="The door is not running."))
    with pytest.raises(MagueyError, match="systemctl stop maguey-gate"):
        trials.refuse_beside(LiveReading(is_fresh=True))


def test_every_signal_is_played_for_its_time_and_then_rest() -> None:
    voice, told, waited = RecordingVoice(), list[str](), list[float]()
    trials.play_signals(voice, 3.0, told.append, waited.append)
    assert told == [signal.value for signal in Signal]
    assert waited == [3.0] * len(Signal)
    assert voice.played == [*Signal, Signal.REST]


def test_a_lamp_that_fails_is_reported() -> None:
    voice = RecordingVoice()
    voice.break_down(HardwareError("lights", "The red light cannot be switched.", "Check its wire."))
    with pytest.raises(HardwareError, match="red light"):
        trials.play_signals(voice, 0.0, lambda _: None, lambda _: None)

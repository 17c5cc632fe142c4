"""The stand-ins behave as the real ones do."""

from __future__ import annotations

import threading

import pytest

from gate.errors import HardwareError
from gate.ports import Eye, Look, Turnstile
from hardware.fakes import RecordingTurnstile, ScriptedEye


def test_a_scripted_eye_gives_its_looks_in_order() -> None:
    script = ScriptedEye([Look(source="first")])
    script.show(b"A", b"B")
    eye: Eye = script
    assert eye.look(0) == Look(source="first")
    second = eye.look(0)
    assert second is not None
    assert [sighting.raw for sighting in second.sightings] == [b"A", b"B"]
    assert eye.look(0) is None
    assert script.exhausted()


def test_a_scripted_eye_wakes_whoever_waits() -> None:
    eye = ScriptedEye()
    threading.Timer(0, eye.show, args=(b"A",)).start()
    assert eye.look(30) is not None
    threading.Timer(0, eye.close).start()
    assert eye.look(30) is None


def test_breaking_down_is_seen_and_heals() -> None:
    error = HardwareError("camera", "Gone.", "Plug it in.")
    eye, relay = ScriptedEye(), RecordingTurnstile()
    eye.break_down(error)
    relay.break_down(error)
    assert eye.trouble() is error
    assert relay.trouble() is error
    with pytest.raises(HardwareError):
        relay.release()
    eye.break_down(None)
    relay.break_down(None)
    assert eye.trouble() is None
    assert relay.trouble() is None
    relay.release()


def test_a_recording_turnstile_writes_down_when() -> None:
    times = iter([1.0, 2.5])
    recording = RecordingTurnstile(lambda: next(times))
    turnstile: Turnstile = recording
    turnstile.release()
    threading.Timer(0, turnstile.release).start()
    assert recording.wait_for(2, 30)
    assert recording.releases == [1.0, 2.5]
    turnstile.close()
    assert recording.closed

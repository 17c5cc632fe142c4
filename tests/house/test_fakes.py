"""The stand-ins behave as the real ones do."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from gate.common.errors import HardwareError
from gate.ports.devices import Eye, Inputs, Keypad, Look, Turnstile, Typed, Voice
from gate.ports.signals import Signal
from gate.rules.passage import Sensed
from tests.fakes import RecordingTurnstile, RecordingVoice, ScriptedEye, ScriptedInputs, ScriptedKeypad


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


def test_a_scripted_eye_wakes_a_waiting_caller() -> None:
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


def test_a_recording_turnstile_records_when_it_was_released() -> None:
    times = iter([1.0, 2.5])
    recording = RecordingTurnstile(lambda: next(times))
    turnstile: Turnstile = recording
    turnstile.release()
    turnstile.release()
    assert recording.releases == [1.0, 2.5]
    turnstile.close()
    assert recording.closed


def test_a_recording_turnstile_in_trouble_opens_once_it_works_again() -> None:
    relay = RecordingTurnstile()
    relay.break_down(HardwareError("turnstile", "Stuck.", "Free it."))
    with pytest.raises(HardwareError):
        relay.hold_open()
    assert not relay.is_open
    relay.break_down(None)
    assert relay.is_open


def test_loops_beat_until_they_are_stuck() -> None:
    for part in (ScriptedEye(), RecordingTurnstile()):
        assert part.beats() < part.beats()
        part.stall()
        assert part.beats() == part.beats()
        part.stall(stuck=False)
        assert part.beats() < part.beats()


def test_scripted_inputs_count_between_readings_and_keep_levels() -> None:
    heard: list[bool] = []
    script = ScriptedInputs(heard.append)
    inputs: Inputs = script
    script.bodies(2)
    script.tamper()
    script.fire()
    script.fire()
    stands = Sensed(fire=True, tamper=True)
    assert inputs.read() == replace(stands, bodies=2)
    assert inputs.read() == stands
    script.fire(on=False)
    script.tamper(on=False)
    assert inputs.read() == Sensed()
    assert heard == [True, False]


def test_an_alarm_that_is_over_before_scripted_inputs_are_read_is_read_once() -> None:
    inputs = ScriptedInputs()
    for said in (inputs.fire, inputs.tamper):
        said()
        said(on=False)
    assert inputs.read() == Sensed(fire=True, tamper=True)
    assert inputs.read() == Sensed()
    inputs.fire()
    assert inputs.read().fire
    inputs.fire(on=False)
    inputs.fire()
    inputs.fire(on=False)
    assert inputs.read().fire, "it began again"
    assert not inputs.read().fire


def test_broken_scripted_inputs_are_blind_and_hear_the_alarm_as_the_real_ones() -> None:
    inputs = ScriptedInputs()
    inputs.break_down(HardwareError("sensor", "Its pin is taken.", "Look."))
    inputs.fire()
    assert inputs.read() == Sensed(fire=True, blocked=True)
    inputs.break_down(None)
    assert inputs.read() == Sensed(fire=True)


def test_a_recording_turnstile_loses_once_what_it_is_told_to() -> None:
    recording = RecordingTurnstile()
    turnstile: Turnstile = recording
    recording.lose()
    recording.lose(2)
    turnstile.close()
    assert turnstile.lost() == 3
    assert turnstile.lost() == 0


def test_a_scripted_keypad_types_as_a_keypad_does() -> None:
    now = 0.0
    script = ScriptedKeypad(lambda: now)
    keypad: Keypad = script
    assert keypad.read() is None
    script.type("mgy")
    assert keypad.read() == Typed("MGY", done=False)
    script.type("-1\nx")
    assert keypad.read() == Typed("MGY-1", done=True)
    assert keypad.read() == Typed("X", done=False)
    script.clear()
    assert keypad.read() == Typed("", done=False)
    script.type("left")
    now = 60.0
    assert keypad.read() == Typed("", done=False)


def test_the_other_fakes_break_down_heal_and_close() -> None:
    recording = RecordingVoice()
    voice: Voice = recording
    voice.play(Signal.ADMIT)
    voice.play(Signal.REST)
    assert recording.played == [Signal.ADMIT, Signal.REST]
    error = HardwareError("lights", "Dark.", "Plug it in.")
    for part in (recording, ScriptedInputs(), ScriptedKeypad()):
        part.break_down(error)
        assert part.trouble() is error
        part.break_down(None)
        assert part.trouble() is None
        part.close()
        assert part.closed

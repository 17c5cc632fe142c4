"""The hub's alerts, on the screens they concern: domain 2.3, "First scan wins"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gate.door.signs import PATIENCE_MS
from gate.ports.screen import DoubleEntry, EntryPlace, Idle, Notice, OutOfOrder, Part, Screen, VerdictScreen
from gate.ports.signals import Signal
from gate.rules.alert import Alert
from sync.wire.messages import GateConfig
from tests.doors import Bench, guests
from tests.factories import NOW, an_event, code_id


def an_alert(number: int = 1, **changes: Any) -> Alert:
    return msgspec.structs.replace(
        Alert(
            id=f"alert-{number}",
            gate="gate-1",
            reason="conflict",
            at=NOW,
            other_gate="gate-2",
            other_at=NOW + timedelta(minutes=1),
            subject_id="ticket-1",
        ),
        **changes,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, feed=guests(9))
    names = {"gate-1": "GATE 1", "gate-2": "GATE 2"}
    bench.hub.put_config(
        GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="m", events=(an_event(),), gate_names=names)
    )
    bench.hub.put_alert(an_alert(0))  # older than this door's start
    bench.wait(1.2)
    yield bench
    bench.close()


def now_shown(bench: Bench) -> Screen:
    return bench.display.screens[-1]


def test_a_double_entry_is_shown_at_both_gates_for_ten_seconds(bench: Bench) -> None:
    for number, alert in enumerate((an_alert(), an_alert(gate="gate-2", other_gate="gate-1")), start=1):
        bench.hub.put_alert(msgspec.structs.replace(alert, id=f"here-{number}"))
        bench.wait(2.1)
        assert isinstance(now_shown(bench), DoubleEntry)
        assert bench.voice.played[-1] is Signal.ATTENTION
        bench.wait(7.8)
        assert isinstance(now_shown(bench), DoubleEntry)
        bench.wait(1.2)
        assert isinstance(now_shown(bench), Idle)


def test_a_double_entry_names_both_gates_and_times(bench: Bench) -> None:
    bench.hub.put_alert(an_alert())
    bench.wait(2.1)
    screen = now_shown(bench)
    assert isinstance(screen, DoubleEntry)
    assert screen.counts == EntryPlace(gate="GATE 1", at=NOW)
    assert screen.other == EntryPlace(gate="GATE 2", at=NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    "alert",
    [
        an_alert(gate="gate-3"),
        an_alert(reason="guessing", other_gate=""),
        an_alert(reason="tamper", other_gate=""),
        an_alert(reason="cloned", gate="gate-2", other_gate=""),
    ],
)
def test_an_alert_that_concerns_others_is_not_shown_here(bench: Bench, alert: Alert) -> None:
    bench.hub.put_alert(alert)
    bench.wait(3)
    assert isinstance(now_shown(bench), Idle)


def test_a_double_entry_waits_for_the_answer_to_a_guest_and_then_gets_its_full_time(bench: Bench) -> None:
    bench.hub.put_alert(an_alert())
    assert isinstance(bench.show(code_id(1), seconds=1.4), VerdictScreen)
    assert isinstance(now_shown(bench), VerdictScreen)
    bench.wait(1)
    assert isinstance(now_shown(bench), DoubleEntry)
    assert isinstance(bench.show(code_id(2), seconds=1.4), VerdictScreen)
    assert isinstance(now_shown(bench), VerdictScreen)
    bench.wait(9)
    assert isinstance(now_shown(bench), DoubleEntry)  # its full ten seconds again
    bench.wait(3)
    assert isinstance(now_shown(bench), Idle)


def test_an_alert_that_had_to_wait_two_minutes_is_no_longer_shown(bench: Bench) -> None:
    bench.inputs.fire(on=True)
    bench.hub.put_alert(an_alert())
    bench.wait(3)
    screen = now_shown(bench)
    assert isinstance(screen, Notice)
    assert screen.word == "free_passage"
    bench.clock.forward(PATIENCE_MS / 1000)
    bench.inputs.fire(on=False)
    bench.wait(7)
    assert isinstance(now_shown(bench), Idle)


def test_the_same_alert_sent_again_is_shown_once(bench: Bench) -> None:
    bench.hub.put_alert(an_alert())
    bench.wait(13)
    bench.hub.put_alert(an_alert())
    bench.wait(3)
    assert isinstance(now_shown(bench), Idle)


def test_a_cloned_gate_says_that_it_is_out_of_order(bench: Bench) -> None:
    bench.hub.put_alert(an_alert(reason="cloned", other_gate=""))
    bench.wait(2.1)
    screen = now_shown(bench)
    assert isinstance(screen, OutOfOrder)
    assert screen.part is Part.IDENTITY


def test_a_rebuilt_cache_hides_no_alert(bench: Bench) -> None:
    bench.hub.put_alert(an_alert(1))
    bench.wait(13)
    bench.hub._db.execute("delete from alerts")
    bench.hub._db.execute("delete from sqlite_sequence")
    bench.wait(2)
    bench.hub.put_alert(an_alert(2))
    bench.wait(2.1)
    assert isinstance(now_shown(bench), DoubleEntry)

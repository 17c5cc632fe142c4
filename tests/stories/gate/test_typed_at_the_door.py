"""Codes typed at the door: domain 2.3 ("Guessing"), at most 5 typed codes a minute, and the lock-out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stdnum.iso7064 import mod_37_36
from structlog.testing import capture_logs

from gate.ports.screen import Idle, Notice, Screen, Typing, VerdictScreen
from gate.ports.signals import Signal
from gate.rules.guesses import LOCK_MS
from gate.rules.model import Flag, Reason
from gate.rules.typo import Typo
from tests.doors import Bench, guests
from tests.factories import an_admission, code_id

BODY = "7K3M9QX2VD5RTA0H"
PRINTED = f"MGY-PF-20261120-{BODY}{mod_37_36.calc_check_digit(f'MGYPF20261120{BODY}')}"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, feed=(*guests(20), an_admission(PRINTED)))
    bench.wait(0.1)
    yield bench
    bench.close()


def answer(screen: Screen) -> VerdictScreen:
    assert isinstance(screen, VerdictScreen), screen
    return screen


def unknown(number: int) -> str:
    return code_id(1000 + number)


def test_a_typed_code_is_answered_like_a_scanned_one_and_recorded_as_typed(bench: Bench) -> None:
    assert answer(bench.type(code_id() + "\n")).verdict.reason is Reason.FIRST_ENTRY
    assert [record.scan_method for record in bench.records()] == ["manual"]
    assert len(bench.relay.releases) == 1
    bench.wait(3)
    assert answer(bench.show(code_id())).verdict.reason is Reason.ALREADY_USED


def test_the_beginning_of_tonights_codes_need_not_be_typed(bench: Bench) -> None:
    random_part = code_id().rpartition("-")[2]
    assert answer(bench.type(random_part.lower() + "\n")).verdict.reason is Reason.FIRST_ENTRY


def test_typed_text_is_shown_until_a_scan_replaces_it(bench: Bench) -> None:
    shown = bench.type("MGY-PF")
    assert isinstance(shown, Typing)
    assert shown.text == "MGY-PF"
    assert answer(bench.show(code_id(2))).verdict.reason is Reason.FIRST_ENTRY


def test_clearing_the_typed_text_brings_the_idle_screen_back(bench: Bench) -> None:
    bench.type("MGY-PF")
    bench.keypad.clear()
    bench.look()
    assert isinstance(bench.display.screens[-1], Idle)


def test_enter_alone_is_not_a_scan(bench: Bench) -> None:
    bench.type("\n")
    assert bench.records() == []


def test_the_check_character_shows_which_character_is_likely_wrong(bench: Bench) -> None:
    screen = answer(bench.type(PRINTED.replace("QX", "QK") + "\n"))
    assert screen.verdict.reason is Reason.BAD_CHECKSUM
    assert screen.typo == Typo(group=5, place=3, wrote="K")
    assert not bench.relay.releases


def test_at_most_five_typed_codes_a_minute(bench: Bench) -> None:
    for n in range(1, 6):
        bench.type(code_id(n) + "\n")
    refused = bench.type(code_id(6) + "\n")
    assert isinstance(refused, Notice)
    assert refused.word == "slower"
    assert len(bench.records()) == 5
    assert (
        answer(bench.show(code_id(6))).verdict.reason is Reason.FIRST_ENTRY
    )  # the limit is the keypad's, not the camera's
    bench.wait(60)
    assert answer(bench.type(code_id(7) + "\n")).verdict.reason is Reason.FIRST_ENTRY


def test_five_guesses_lock_the_gate_for_unknown_codes_and_are_recorded(bench: Bench) -> None:
    for n in range(5):
        bench.show(unknown(n), seconds=2)
    locked = answer(bench.show(unknown(5), seconds=0))
    assert Flag.LOCKED in locked.verdict.flags
    assert bench.voice.played[-1] is Signal.ATTENTION
    assert bench.told()[5:] == [("event", "guessing"), ("scan", "unknown")]


def test_while_locked_tickets_in_the_cache_are_answered(bench: Bench) -> None:
    for n in range(5):
        bench.show(unknown(n), seconds=2)
    assert answer(bench.show(code_id())).verdict.reason is Reason.FIRST_ENTRY
    assert answer(bench.show(code_id())).verdict.reason is Reason.ALREADY_USED


def test_the_lock_ends_after_its_time(bench: Bench) -> None:
    for n in range(5):
        bench.show(unknown(n), seconds=2)
    bench.wait(LOCK_MS / 1000)
    assert answer(bench.show(unknown(9))).verdict.flags == ()


def test_while_locked_a_typing_error_is_not_located(bench: Bench) -> None:
    for n in range(5):
        bench.show(unknown(n), seconds=2)
    screen = answer(bench.type(PRINTED.replace("QX", "QK") + "\n"))
    assert (screen.verdict.reason, screen.typo) == (Reason.BAD_CHECKSUM, None)


def test_no_typed_text_appears_in_the_log(bench: Bench) -> None:
    with capture_logs() as logs:
        bench.type(code_id() + "\n")
        bench.type("MGY-PF-SECRET")
        bench.wait(1)
    said = repr(logs)
    assert code_id() not in said
    assert code_id().rpartition("-")[2] not in said
    assert "SECRET" not in said

"""A hand scanner at the door is a source of its own, under the rules of presence (domain 2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.errors import HardwareError, Step
from gate.diagnostics.device_tests import try_scanner
from gate.ports.devices import Scanner
from gate.ports.screen import Idle, Screen, Typing, VerdictScreen
from gate.rules.model import Kind, Reason
from gate.rules.passage import OrderAction
from gate.rules.presence import RESCAN_AFTER_MS
from gate.store.live_file import read_live
from tests.codes import KEYS, printed, signed
from tests.doors import Bench, guests
from tests.factories import a_table, an_admission, code_id
from tests.fakes import ScriptedScanner

RESCAN_S = RESCAN_AFTER_MS / 1000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    vip = an_admission(code_id(9), subject_id="vip", kind=Kind.VIP_LINKED, reservation_id="reservation-1")
    bench = Bench(tmp_path, feed=(*guests(8), vip, a_table()), keys=KEYS)
    bench.wait(0.1)
    yield bench
    bench.close()


def scan(bench: Bench, text: str) -> Screen:
    bench.scanner.scan(text)
    bench.look()
    return bench.display.screens[-1]


def reason(screen: Screen) -> Reason:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason


@pytest.mark.parametrize("make", [code_id, signed, lambda: "\ufeff" + code_id()])
def test_a_scanned_code_is_answered_like_the_cameras_and_recorded_as_scanned(
    bench: Bench, make: object
) -> None:
    assert reason(scan(bench, make())) is Reason.FIRST_ENTRY  # type: ignore[operator]
    assert [record.scan_method for record in bench.records()] == ["scanner"]
    assert len(bench.relay.releases) == 1


def test_a_maguey_json_code_with_a_wrong_signature_is_forged_and_not_malformed(bench: Bench) -> None:
    """Quotes, braces and the signature all arrive."""
    assert reason(scan(bench, printed())) is Reason.FORGED


def test_a_scanner_that_keeps_reading_one_code_is_answered_once(bench: Bench) -> None:
    for _ in range(20):
        scan(bench, code_id(9))
        bench.wait(RESCAN_S / 3)
    assert len(bench.records()) == 1
    bench.wait(RESCAN_S)
    assert reason(scan(bench, code_id(9))) is Reason.REENTRY
    assert [flag.value for flag in bench.records()[-1].flags if flag.value.startswith("pass")] == [
        "passback_suspect"
    ]


def test_the_same_ticket_again_after_it_was_out_of_sight_is_another_scan(bench: Bench) -> None:
    scan(bench, code_id())
    bench.wait(RESCAN_S + 0.5)
    assert reason(scan(bench, code_id())) is Reason.ALREADY_USED


def test_two_codes_scanned_in_quick_succession_are_two_scans_not_ambiguous(bench: Bench) -> None:
    bench.scanner.scan(code_id(1))
    bench.scanner.scan(code_id(2))
    bench.wait(1)
    assert [record.reason for record in bench.records()] == [Reason.FIRST_ENTRY] * 2


def test_camera_keypad_and_scanner_each_keep_their_own_presence(bench: Bench) -> None:
    bench.show(code_id(9), seconds=RESCAN_S - 0.5)
    assert reason(scan(bench, code_id(9))) is Reason.REENTRY
    bench.wait(RESCAN_S - 0.5)
    assert reason(bench.type(code_id(9) + "\n")) is Reason.REENTRY
    assert [record.scan_method for record in bench.records()] == ["camera", "scanner", "manual"]


def test_a_scanned_code_is_not_mixed_with_a_code_being_typed(bench: Bench) -> None:
    assert isinstance(bench.type("MGY-PF-"), Typing)
    assert reason(scan(bench, code_id(2))) is Reason.FIRST_ENTRY
    shown = bench.type("2")
    assert isinstance(shown, Typing)
    assert shown.text == "MGY-PF-2"


def test_scans_are_not_limited_to_five_a_minute_as_typed_codes_are(bench: Bench) -> None:
    assert [reason(scan(bench, code_id(number))) for number in range(1, 9)] == [Reason.FIRST_ENTRY] * 8


def test_five_foreign_codes_lock_the_gate_as_they_do_at_the_camera(bench: Bench) -> None:
    for number in range(5):
        scan(bench, f"https://example.org/{number}")
    bench.look()
    assert ("event", "guessing") in bench.told()


def test_codes_scanned_while_the_turnstile_is_closed_are_discarded(bench: Bench) -> None:
    bench.order(OrderAction.CLOSE)
    for number in range(1, 4):
        scan(bench, code_id(number))
    bench.wait(1)
    bench.order(OrderAction.RESUME)
    bench.wait(1)
    assert [record for record in bench.records() if record.record == "scan"] == []


def test_a_scanner_that_fails_is_reported_and_the_camera_goes_on(bench: Bench) -> None:
    bench.scanner.break_down(HardwareError("scanner", "Gone.", "Plug it in.", Step.SCANNER_CABLE))
    assert reason(bench.show(code_id(1))) is Reason.FIRST_ENTRY
    live = read_live(bench.folder / "run" / "door.json", bench.clock.now()).live
    assert live is not None
    assert live.parts.scanner == "Gone. Plug it in."
    bench.scanner.break_down(None)
    bench.wait(4)
    assert isinstance(bench.display.screens[-1], Idle)
    live = read_live(bench.folder / "run" / "door.json", bench.clock.now()).live
    assert live is not None
    assert live.parts.scanner == "ok"


def test_no_scanned_code_appears_in_the_log(bench: Bench) -> None:
    with capture_logs() as logs:
        scan(bench, signed())
        scan(bench, printed() + "?")
    assert code_id()[-17:] not in repr(logs)


def test_the_scanner_test_prints_carrier_length_and_signs_but_no_secret() -> None:
    scanner, told = ScriptedScanner(), list[str]()
    adapter: Scanner = scanner
    scanner.scan(code_id())
    scanner.scan("MGZ/PF/20261120")
    assert try_scanner(adapter, 1.0, told.append, lambda _: None) == 2
    assert told == [
        "a ticket's code, plain, 33 bytes: •••-••-••••••••-•••••••••••••••••",
        "no code of ours (not the shape of a Maguey code), 15 bytes: •••/••/••••••••",
    ]
    scanner.break_down(HardwareError("scanner", "Gone.", "Plug it in."))
    with pytest.raises(HardwareError):
        try_scanner(adapter, 1.0, told.append, lambda _: None)

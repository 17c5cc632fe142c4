"""The door's loop with a real journal and cache, and working fakes of eye, relay and screen."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.common.errors import HardwareError, Step
from gate.common.retried import RETRY_MS
from gate.ports.screen import Idle, Notice, OutOfOrder, Part, Screen, VerdictScreen
from gate.rules.model import Flag, Reason, Ruling, Status
from gate.rules.presence import STUCK_MS
from gate.store.link_row import LinkNote
from gate.store.live_file import Live, read_live
from tests.doors import Bench, TreacherousTurnstile
from tests.factories import an_admission, code_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def reason(screen: Screen) -> Reason:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason


def test_an_admission_releases_once_and_a_refusal_never(bench: Bench) -> None:
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED
    assert reason(bench.show("https://example.org")) is Reason.MALFORMED
    assert len(bench.relay.releases) == 1


def test_the_relay_moves_only_for_what_is_committed(bench: Bench) -> None:
    bench.show(code_id())
    committed = [row for row in _rows(bench) if row[1] == "admit"]
    assert len(committed) == len(bench.relay.releases) == 1


def _rows(bench: Bench) -> list[tuple[int, str]]:
    journal = bench.journal.get(bench.clock.monotonic_ms)
    assert journal is not None
    return list(journal._db.execute("select seq, verdict from scans"))


def test_two_codes_at_once_ask_for_one_ticket_at_a_time_and_release_nothing(bench: Bench) -> None:
    screen = bench.show(code_id(), code_id(2))
    assert isinstance(screen, VerdictScreen)
    assert (screen.verdict.ruling, screen.verdict.reason) == (Ruling.NONE, Reason.AMBIGUOUS)
    assert bench.relay.releases == []


def test_the_idle_screen_returns_after_the_answer_and_counts_the_guest(bench: Bench) -> None:
    bench.show(code_id(), seconds=1.4)
    assert isinstance(bench.display.screens[-1], VerdictScreen)
    bench.wait(0.3)
    idle = bench.display.screens[-1]
    assert isinstance(idle, Idle)
    assert (idle.event, idle.inside, idle.capacity) == ("Perreo Fridays", 1, 500)
    assert (idle.link.online, idle.link.waiting) == (False, 1)


def test_a_new_scan_replaces_the_screen_at_once(bench: Bench) -> None:
    bench.show("https://example.org", seconds=0)
    assert reason(bench.show(code_id(), seconds=0)) is Reason.FIRST_ENTRY


def test_without_a_turnstile_nothing_is_decided_and_the_ticket_stays_good(bench: Bench) -> None:
    bench.relay_is_there = False
    screen = bench.show(code_id())
    assert isinstance(screen, Notice)
    assert screen.word == "see_staff"
    idle = bench.display.screens[-1]
    assert isinstance(idle, OutOfOrder)
    assert (idle.part, idle.step) == (Part.TURNSTILE, Step.TURNSTILE_WIRING)
    bench.relay_is_there = True
    bench.wait(RETRY_MS / 1000 + 0.1)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_a_made_up_code_stuck_beside_the_camera_does_not_block_a_ticket(bench: Bench) -> None:
    assert reason(bench.show(code_id(), code_id(404))) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1


def test_a_relay_that_fails_to_release_sends_the_guest_to_staff(bench: Bench) -> None:
    bench.relay = TreacherousTurnstile()
    bench.relay.break_down(
        HardwareError("turnstile", "The pin is gone.", "Check the wiring", Step.TURNSTILE_WIRING)
    )
    screen = bench.show(code_id())
    assert isinstance(screen, Notice)
    assert screen.word == "see_staff"


def test_nothing_is_decided_while_the_relay_is_broken(bench: Bench) -> None:
    bench.relay.break_down(
        HardwareError("turnstile", "The pin is gone.", "Check the wiring", Step.TURNSTILE_WIRING)
    )
    assert isinstance(bench.show(code_id(), seconds=4), Notice)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.TURNSTILE, Step.TURNSTILE_WIRING)
    bench.relay.break_down(None)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1


def test_a_lost_camera_is_shown_with_the_next_step(bench: Bench) -> None:
    bench.eye.break_down(HardwareError("camera", "No camera.", "Check the ribbon cable", Step.CAMERA_CABLE))
    bench.wait(1.1)
    screen = bench.display.screens[-1]
    assert isinstance(screen, OutOfOrder)
    assert (screen.part, screen.step) == (Part.CAMERA, Step.CAMERA_CABLE)
    bench.eye.break_down(None)
    bench.wait(1.1)
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_part_comes_back_though_another_is_still_broken(bench: Bench) -> None:
    bench.relay_is_there = False
    bench.eye.break_down(HardwareError("camera", "No camera.", "Check the ribbon cable", Step.CAMERA_CABLE))
    bench.wait(1.1)
    bench.relay_is_there = True
    bench.wait(RETRY_MS / 1000 + 1)
    bench.eye.break_down(None)
    bench.wait(1.1)
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_journal_damaged_beyond_reading_is_set_aside_and_admissions_are_flagged(bench: Bench) -> None:
    """docs/adr/0012: one-time tickets are admitted as at a gate without history, and flagged."""
    (bench.folder / "journal.db").write_bytes(b"no database" * 1000)
    screen = bench.show(code_id())
    assert isinstance(screen, VerdictScreen)
    assert Flag.HISTORY_LOST in screen.verdict.flags
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.JOURNAL, Step.HISTORY_LOST)
    told = read_live(bench.folder / "run" / "door.json", bench.clock.now()).live
    assert told is not None
    assert "lost" in told.parts.journal
    (kept,) = bench.folder.glob("journal.damaged-*.db")
    assert kept.read_bytes() == b"no database" * 1000


def test_the_live_file_tells_when_the_newest_frame_was_looked_at(bench: Bench) -> None:
    def told() -> Live:
        live = read_live(bench.folder / "run" / "door.json", bench.clock.now()).live
        assert live is not None
        return live

    bench.wait(1.1)
    seen = told()
    assert seen.frame_ms == seen.monotonic_ms
    bench.clock.monotonic_ms += 3_000
    bench.door.step()  # without a frame
    assert told().frame_ms is not None
    assert told().monotonic_ms - (told().frame_ms or 0) >= 3_000


def test_a_damaged_cache_admits_nobody_and_says_so(bench: Bench) -> None:
    bench.hub.close()
    for file in bench.folder.glob("cache.db*"):
        file.unlink()
    (bench.folder / "cache.db").write_bytes(b"no database" * 1000)
    bench.wait(1.1)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE
    assert isinstance(bench.show(code_id()), Notice)
    assert bench.relay.releases == []


def test_a_cache_damaged_in_part_admits_nobody(bench: Bench) -> None:
    """What other gates admitted cannot be read, so an admission might be a second one."""
    bench.hub._db.execute("drop table peer_entries")
    assert isinstance(bench.show(code_id()), Notice)
    assert bench.relay.releases == []
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE


@pytest.mark.parametrize(
    "damage",
    [
        "update events set row = '{'",
        "update events set row = replace(row, 'scheduled', 'perhaps')",
        "update events set row = replace(row, 'Z\"', '\"')",
        "update feed set current_at = 'yesterday'",
        "update feed set current_at = '2026-11-20T22:00:00'",
        "update link set row = json_set(row, '$.since_ms', 'x', '$.beat_ms', 'y')",
    ],
)
def test_invalid_values_in_the_cache_do_not_stop_the_door(bench: Bench, damage: str) -> None:
    bench.hub.put_link(
        LinkNote(
            connected=True, hub_heard=True, since_ms=0, beat_ms=0, boot_id="boot-1", epoch=None, acked_seq=0
        ),
        None,
    )
    bench.hub._db.execute(damage)
    bench.wait(2)
    assert bench.display.screens
    assert not bench.relay.releases


def test_starting_and_closing_the_door_release_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wait(5)
    bench.close()
    assert bench.relay.releases == []


def test_a_validly_signed_ticket_beside_a_known_one_is_ambiguous(tmp_path: Path) -> None:
    """Domain 2.3, line 4: both are valid, whether the cache knows them or not."""
    key = Ed25519PrivateKey.generate()
    bench = Bench(tmp_path, keys={"K1": key.public_key()})
    unsynced = code_id(50)
    signature = base64.b32encode(key.sign(unsynced.encode())).decode().rstrip("=")
    assert reason(bench.show(code_id(), f"{unsynced}.K1{signature}")) is Reason.AMBIGUOUS
    forged = f"{unsynced}.K1{'A' * 103}"
    assert reason(bench.show(code_id(), forged)) is Reason.FIRST_ENTRY
    bench.close()


@pytest.mark.parametrize("status", [Status.REFUNDED, Status.CANCELLED])
def test_a_ticket_that_is_no_longer_good_stuck_beside_the_camera_blocks_nobody(
    tmp_path: Path, status: Status
) -> None:
    bench = Bench(tmp_path, feed=(an_admission(), an_admission(code_id(2), status=status)))
    assert reason(bench.show(code_id(), code_id(2))) is Reason.FIRST_ENTRY
    bench.close()


def test_a_used_ticket_stuck_beside_the_camera_blocks_nobody_once_it_is_answered(bench: Bench) -> None:
    bench.show(code_id(2))
    assert reason(bench.show(code_id(2), seconds=0)) is Reason.ALREADY_USED
    for _ in range(STUCK_MS // 50):
        bench.clock.forward(0.05)
        bench.eye.show(code_id(2).encode())
        bench.door.step()
    assert reason(bench.show(code_id(), code_id(2), seconds=0)) is Reason.FIRST_ENTRY


def _without_tonights_list(bench: Bench) -> None:
    bench.hub._db.execute("delete from feed")
    bench.hub._db.execute("delete from admissions")


def test_without_tonights_list_guests_go_to_staff_and_do_not_count_as_guessers(bench: Bench) -> None:
    _without_tonights_list(bench)
    for n in range(6):
        screen = bench.show(code_id(n))
        assert isinstance(screen, Notice)
        assert screen.word == "see_staff"
    assert bench.told() == []
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.CACHE, Step.RESTART_SYNC)
    assert reason(bench.show("https://example.org")) is Reason.MALFORMED


def test_a_cache_that_vanishes_under_the_door_sends_guests_to_staff(bench: Bench) -> None:
    bench.wait(0.1)
    bench.hub.close()
    for file in bench.folder.glob("cache.db*"):
        file.unlink()
    assert isinstance(bench.show(code_id()), Notice)
    assert bench.told() == []

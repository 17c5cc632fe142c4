"""The rows of domain 2.4 at a whole door: how long screens stay, the link mark, light and sound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from structlog.testing import capture_logs

from display.text.words import compose
from gate.common.errors import HardwareError, Step
from gate.ports.screen import (
    Idle,
    LinkView,
    Notice,
    OutOfOrder,
    Part,
    Screen,
    Typing,
    VerdictScreen,
    seconds_shown,
)
from gate.ports.signals import Signal
from gate.rules.model import Admission, Kind, Reason, ReservationStatus, Status
from gate.rules.passage import OrderAction
from gate.store.link_row import LinkNote
from gate.store.live_file import read_live
from tests.doors import SENSOR, Bench
from tests.factories import a_table, an_admission, code_id, pass_id

GA, HOST, LINKED, REFUNDED, GUEST, UNPAID = *(code_id(n) for n in range(1, 5)), pass_id(1), pass_id(2)
STRANGER = code_id(99)
FRAME_S = 0.05


def row(code: str, kind: Kind = Kind.GA, reservation: str | None = None, **changes: object) -> Admission:
    ids = {"subject_id": f"id-{code}", "kind": kind, "reservation_id": reservation}
    return an_admission(code, **ids | changes)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    feed = (
        a_table(guests=("Eva", "Íñigo")),
        a_table(reservation_id="reservation-2", number="9", status=ReservationStatus.PENDING),
        row(GA),
        row(HOST, Kind.VIP_HOST, "reservation-1"),
        row(LINKED, Kind.VIP_LINKED, "reservation-1"),
        row(REFUNDED, status=Status.REFUNDED),
        row(GUEST, Kind.VIP_PASS, "reservation-1", guest_number=2),
        row(UNPAID, Kind.VIP_PASS, "reservation-2"),
    )
    bench = Bench(tmp_path, SENSOR, feed)
    bench.wait(0.1)
    yield bench
    bench.close()


def online(bench: Bench, *, is_online: bool = True) -> None:
    """Write sync's note about the link; it stays fresh only while the clock is near."""
    now_ms = bench.clock.monotonic_ms
    note = LinkNote(
        connected=is_online,
        hub_heard=is_online,
        since_ms=now_ms,
        beat_ms=now_ms,
        boot_id="boot-1",
        epoch="epoch-1",
        acked_seq=0,
    )
    bench.hub.put_link(note, bench.clock.wall if is_online else None)


def enter(bench: Bench, code: str) -> None:
    """Show a code and walk in."""
    bench.show(code, seconds=1)
    bench.inputs.bodies()
    bench.wait(9)


def ambiguous(bench: Bench) -> Screen:
    return bench.show(GA, HOST, seconds=0)


def scan(code: str, *, again: bool = False) -> Callable[[Bench], Screen]:
    def done(bench: Bench) -> Screen:
        if again:
            enter(bench, code)
        return bench.show(code, seconds=0)

    return done


def nobody_walks(bench: Bench) -> Screen:
    bench.show(GA, seconds=7.0 - FRAME_S)
    bench.wait(FRAME_S)
    return bench.display.screens[-1]


def turnstile_gone(bench: Bench) -> Screen:
    bench.relay.break_down(HardwareError("turnstile", "Gone.", "Look.", Step.TURNSTILE_WIRING))
    return bench.show(GA, seconds=0)


def too_many_typed(bench: Bench) -> Screen:
    for _ in range(6):
        bench.type(GA + "\n")
    return bench.display.screens[-1]


SECONDS: dict[str, tuple[Callable[[Bench], Screen], float]] = {
    "general admission": (scan(GA), 1.5),
    "host": (scan(HOST), 4.0),
    "guest pass": (scan(GUEST), 2.0),
    "linked guest": (scan(LINKED), 2.0),
    "re-entry of a host": (scan(HOST, again=True), 2.0),
    "re-entry of a linked guest": (scan(LINKED, again=True), 2.0),
    "refusal: foreign": (scan("https://example.org"), 3.0),
    "refusal: unknown": (scan(STRANGER), 3.0),
    "refusal: refunded": (scan(REFUNDED), 3.0),
    "refusal: table not confirmed": (scan(UNPAID), 3.0),
    "refusal: already used": (scan(GA, again=True), 3.0),
    "attention: one at a time": (ambiguous, 2.0),
    "attention: see staff": (turnstile_gone, 2.0),
    "attention: passage annulled": (nobody_walks, 2.0),
}


@pytest.mark.parametrize("name", SECONDS)
def test_each_screen_stays_for_its_time_and_then_gives_way(bench: Bench, name: str) -> None:
    come_about, seconds = SECONDS[name]
    screen = come_about(bench)
    assert seconds_shown(screen) == seconds
    bench.wait(seconds - FRAME_S)
    assert bench.display.screens[-1] == screen
    bench.wait(2 * FRAME_S)
    assert isinstance(bench.display.screens[-1], Idle | OutOfOrder)


def test_states_that_last_until_they_change_have_no_time() -> None:
    lasting = {"starting", "updating", "closed", "held_open", "free_passage"}
    for word in get_args(get_type_hints(Notice)["word"]):
        assert (seconds_shown(Notice(word=word)) is None) is (word in lasting), word
    for part in Part:
        assert seconds_shown(OutOfOrder(part=part, step=Step.RESTART)) is None


@pytest.mark.parametrize("name", SECONDS)
def test_a_new_scan_replaces_the_current_screen_at_once(bench: Bench, name: str) -> None:
    SECONDS[name][0](bench)
    bench.relay.break_down(None)
    bench.wait(FRAME_S)
    answer = bench.show("https://example.org/menu-2", seconds=0)
    assert isinstance(answer, VerdictScreen)
    assert answer.verdict.reason is Reason.MALFORMED
    bench.wait(3.0 - FRAME_S)
    assert bench.display.screens[-1] == answer, "it has its own time, not the rest of the other's"


# --- the link mark


def fire(bench: Bench) -> Screen:
    bench.inputs.fire()
    bench.look()
    return bench.display.screens[-1]


def ordered(*orders: OrderAction) -> Callable[[Bench], Screen]:
    def done(bench: Bench) -> Screen:
        for one in orders:
            bench.order(one)
        bench.look()
        return bench.display.screens[-1]

    return done


def camera_gone(bench: Bench) -> Screen:
    bench.eye.break_down(HardwareError("camera", "Gone.", "Look.", Step.CAMERA_CABLE))
    bench.wait(1.1)
    return bench.display.screens[-1]


def idle(bench: Bench) -> Screen:
    bench.wait(1.1)
    return bench.display.screens[-1]


def typing(bench: Bench) -> Screen:
    return bench.type("MGY-PF")


MARKED = {
    **{name: come_about for name, (come_about, _) in SECONDS.items()},
    "idle": idle,
    "typing": typing,
    "too many typed": too_many_typed,
    "free passage": fire,
    "closed": ordered(OrderAction.CLOSE),
    "held open": ordered(OrderAction.HOLD_OPEN),
    "out of order": camera_gone,
}


def mark_of(screen: Screen) -> LinkView:
    assert isinstance(screen, Idle | VerdictScreen | OutOfOrder | Notice | Typing)
    return screen.link


@pytest.mark.parametrize("name", MARKED)
def test_every_screen_at_an_online_door_says_that_it_is_online(bench: Bench, name: str) -> None:
    keep_telling(bench, is_online=True)
    screen = MARKED[name](bench)
    assert mark_of(screen).online
    page = compose(screen, "en", UTC)
    assert (page.online, page.banner) == (True, ())


@pytest.mark.parametrize("name", MARKED)
def test_every_screen_at_an_offline_door_says_so_with_the_age_of_the_cache(bench: Bench, name: str) -> None:
    online(bench)
    bench.clock.forward(12 * 60)
    keep_telling(bench, is_online=False)
    screen = MARKED[name](bench)
    assert not mark_of(screen).online
    page = compose(screen, "en", UTC)
    assert not page.online
    assert page.banner[0] == "OFFLINE · 12 min"


def keep_telling(bench: Bench, *, is_online: bool) -> None:
    """Let sync's heartbeat come with every frame."""
    look = bench.look

    def beating() -> None:
        online(bench, is_online=is_online)
        look()

    bench.look = beating  # type: ignore[method-assign]
    beating()


def test_offline_the_idle_screen_says_how_many_scans_wait(bench: Bench) -> None:
    for code in (STRANGER, REFUNDED):
        bench.show(code, seconds=4)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert screen.link.waiting == 2
    assert "2 scans waiting" in compose(screen, "en", UTC).banner


def test_the_idle_screen_shows_event_gate_count_clock_and_link(bench: Bench) -> None:
    bench.clock.synced = True
    enter(bench, GA)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert (screen.event, screen.gate_name, screen.inside, screen.capacity) == (
        "Perreo Fridays",
        "GATE 1",
        1,
        500,
    )
    assert (bench.clock.wall - screen.now).total_seconds() < 1
    page = compose(screen, "en", UTC)
    assert (page.headline, *page.lines[:2]) == ("Perreo Fridays", "GATE 1", "In 1/500")


def test_a_gate_that_does_not_know_the_time_says_so_and_names_its_night(
    bench: Bench,
) -> None:
    bench.wait(1.5)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert compose(screen, "en", UTC).lines == ("GATE 1", "No time · Fri 20?", "--:--")
    bench.clock.synced = True
    bench.wait(1.5)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert screen.knows_time


def test_an_isolated_gate_says_alone_and_a_merely_offline_one_does_not(bench: Bench) -> None:
    online(bench, is_online=False)
    bench.wait(4)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert compose(screen, "en", UTC).banner[0].startswith("OFFLINE")
    bench.wait(8)
    screen = bench.display.screens[-1]
    assert isinstance(screen, Idle)
    assert compose(screen, "en", UTC).banner[0].startswith("ALONE")
    told = read_live(bench.folder / "run" / "door.json", bench.clock.now()).live
    assert told is not None
    assert (told.isolated, told.clock) == (True, "untrusted")


def test_the_log_says_once_that_the_gate_is_isolated_and_once_that_it_no_longer_is(bench: Bench) -> None:
    online(bench, is_online=True)
    bench.wait(2)
    online(bench, is_online=False)
    with capture_logs() as lines:
        bench.wait(20)
        online(bench, is_online=True)
        bench.wait(3)
    told = [line for line in lines if "isolated" in line["event"]]
    assert [line["event"] for line in told] == ["gate isolated", "gate no longer isolated"]
    assert "isolation_policy 'admit'" in told[0]["reason"]
    assert told[0]["reason"].startswith(
        "No broker for 1"
    )  # seconds since the broker was last heard: 10 or a few more


def test_a_gate_that_has_not_found_a_broker_yet_gives_no_time_since(bench: Bench, tmp_path: Path) -> None:
    """It has just started and cannot know: it once said "No broker for 10 s" after 0.05 s."""
    with capture_logs() as lines:
        fresh = Bench(tmp_path / "fresh", SENSOR, ())
        fresh.wait(0.05)
        fresh.close()
    (reason,) = [line["reason"] for line in lines if line["event"] == "gate isolated"]
    assert reason.startswith("No broker has been found yet: ")
    assert " s:" not in reason.split(". ", maxsplit=1)[0]


# --- beside the screen

SOUNDS = {
    "general admission": Signal.ADMIT,
    "host": Signal.VIP,
    "guest pass": Signal.VIP,
    "linked guest": Signal.VIP,
    "re-entry of a host": Signal.VIP,
    "re-entry of a linked guest": Signal.VIP,
    **{name: Signal.REFUSE for name in SECONDS if name.startswith("refusal")},
    **{name: Signal.ATTENTION for name in SECONDS if name.startswith("attention")},
}


@pytest.mark.parametrize("name", SECONDS)
def test_each_answer_has_its_signal_and_the_lights_rest_afterwards(bench: Bench, name: str) -> None:
    SECONDS[name][0](bench)
    assert bench.voice.played[-1] is SOUNDS[name]
    bench.wait(SECONDS[name][1] + FRAME_S)
    assert bench.voice.played[-1] is Signal.REST


@pytest.mark.parametrize(
    ("come_about", "signal"),
    [
        (fire, Signal.FREE_PASSAGE),
        (ordered(OrderAction.HOLD_OPEN), Signal.FREE_PASSAGE),
        (ordered(OrderAction.CLOSE), Signal.CLOSED),
        (ordered(OrderAction.CLOSE, OrderAction.RESUME), Signal.REST),
    ],
)
def test_free_passage_and_closed_stay_lit_while_they_last(
    bench: Bench, come_about: Callable[[Bench], Screen], signal: Signal
) -> None:
    come_about(bench)
    bench.wait(60)
    assert bench.voice.played[-1] is signal


def test_only_the_hosts_first_entry_shows_the_guest_list(bench: Bench) -> None:
    seen = []
    for code in (HOST, GUEST, LINKED):
        screen = bench.show(code, seconds=0)
        seen.append(compose(screen, "en", UTC).roll)
        bench.inputs.bodies()
        bench.wait(9)
    seen.append(compose(bench.show(HOST, seconds=0), "en", UTC).roll)
    assert seen == [("Eva", "Íñigo"), (), (), ()]


def test_held_open_closed_and_resumed_are_recorded(bench: Bench) -> None:
    ordered(OrderAction.HOLD_OPEN, OrderAction.CLOSE, OrderAction.RESUME)(bench)
    assert bench.told() == [("event", "held_open"), ("event", "closed"), ("event", "resumed")]


def test_a_starting_door_says_so_first(bench: Bench) -> None:
    stop = threading.Event()
    stop.set()
    before = len(bench.display.screens)
    bench.door.run(stop)
    first = bench.display.screens[before]
    assert isinstance(first, Notice)
    assert first.word == "starting"

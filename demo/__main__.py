"""`make demo`: plays an evening with real parts, then lets you present codes yourself.

With DEMO_SECONDS=60 it needs no terminal, stops by itself, and exits with 0 only if every scan reached
Postgres exactly once. The counts are in var/demo/summary.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import math
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from demo.club import Club, ClubError, await_true, open_club
from demo.evening import guests
from demo.night import phone
from demo.servers import ServerError
from demo.summary import count, write
from demo.watch import Watch

HOME = Path("var").absolute()
SCRIPT_S = 45.0
"""How long the script plays by default."""
CUT_AT, RESTORE_AT = 0.45, 0.60
"""When the broker is killed and started again, as fractions of the evening."""
DRAIN_S = 30.0
HELP = """
  1 300            present ticket 300 at gate 1 (1–534; 1–6 hosts, 7–18 linked, 25–500 GA, 501–524 passes)
  2 picture.jpg    present a picture file at gate 2
  cut / restore    kill the broker / start it again
  screens          show both screens
  quit             finish and count"""


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def main() -> int:
    """Play the evening; exit code 0 if no scan was lost or duplicated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seconds = _seconds()
    interactive = seconds is None and sys.stdin.isatty()
    began = time.monotonic()
    try:
        with _own_folder() as folder, open_club(folder, say) as club:
            say(f"doors are open; tonight's files are in {folder}")
            with Watch(club, say) as watch:
                left = max(15.0, (seconds or SCRIPT_S) - (time.monotonic() - began) - 5)
                play(club, left)
                if interactive:
                    talk(club)
                drain(club)
            return finish(club, watch)
    except (ClubError, ServerError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """``var/demo``, or ``var/demo-2`` and so on while other demos are running."""
    for number in itertools.count(1):
        folder = HOME / ("demo" if number == 1 else f"demo-{number}")
        HOME.mkdir(exist_ok=True)
        with (HOME / f".{folder.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another demo is running in {folder}")
                continue
            yield folder
            return


def _seconds() -> float | None:
    text = os.environ.get("DEMO_SECONDS", "").strip()
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = math.nan
    if seconds is not None and not 1 <= seconds <= 86_400:
        sys.exit(f"demo: DEMO_SECONDS={text}: expected seconds, 1 to 86400; try DEMO_SECONDS=60 make demo.")
    return seconds


def play(club: Club, seconds: float) -> None:
    """Play the script; in the middle the broker is killed and started again."""
    rng = random.Random(7)
    began = time.monotonic()
    for guest in guests(club.night, club.folder, rng):
        passed = (time.monotonic() - began) / seconds
        if passed >= 1:
            return
        _cut_or_restore(club, passed)
        club.check()
        say(f"→ gate {guest.gate + 1}: {guest.what}")
        if guest.picture is not None:
            club.gates[guest.gate].present(guest.picture)
        elif guest.file is not None:
            club.gates[guest.gate].present_file(guest.file)
        time.sleep(rng.uniform(0.15, 0.4))


def _cut_or_restore(club: Club, passed: float) -> None:
    running = club.broker.process is not None
    if running and CUT_AT <= passed < RESTORE_AT:
        say("✂ broker killed; the doors keep working")
        club.broker.kill()
    elif not running and passed >= RESTORE_AT:
        say("✚ broker started again")
        club.broker.start()


def talk(club: Club) -> None:
    """Follow the user's commands until quit or the end of input."""
    print(f"\nYour turn at the doors:{HELP}\n", flush=True)
    while True:
        try:
            words = input().split(maxsplit=1)
        except EOFError:
            return
        if words == ["quit"]:
            return
        if words and not _do(club, words):
            print(HELP, flush=True)


def _do(club: Club, words: list[str]) -> bool:
    match words:
        case ["cut"] if club.broker.process is None:
            say("the broker is already down")
        case ["cut"]:
            club.broker.kill()
            say("✂ broker killed")
        case ["restore"] if club.broker.process is not None:
            say("the broker is already running")
        case ["restore"]:
            club.broker.start()
            say("✚ broker started again")
        case ["screens"]:
            _show_screens(club)
        case ["1" | "2" as gate, what]:
            _present(club, int(gate) - 1, what.strip())
        case _:
            return False
    return True


def _show_screens(club: Club) -> None:
    from display.preview import text_art

    for gate in club.gates:
        picture = gate.screen()
        if picture is not None:
            say(f"{gate.gate.name}\n{text_art(picture, style='braille')}")


def _present(club: Club, gate: int, what: str) -> None:
    if not (what.isascii() and what.isdecimal()):
        path = Path(what.strip("\"'")).expanduser()
        if not path.is_file():
            say(f"there is no file {path}")
            return
        club.gates[gate].present_file(path)
        return
    ticket = club.night.ticket(int(what))
    if ticket is None:
        say(f"there is no ticket {what}; they go from 1 to {len(club.night.tickets)}")
        return
    picture: Image.Image = phone(ticket.printed, random.Random())
    club.gates[gate].present(picture)


def drain(club: Club) -> None:
    """Wait until the gates have read every picture and the hub has acknowledged every scan."""
    if club.broker.process is None:
        say("✚ broker started again")
        club.broker.start()
    say("last guests; waiting for the hub to acknowledge every scan")
    await_true(lambda: _is_drained(club), DRAIN_S, "every scan acknowledged by the hub", club)


def _is_drained(club: Club) -> bool:
    looked = all(not any((gate.folder / "camera").glob("*.*")) for gate in club.gates)
    return looked and all(gate.status().journal.waiting == 0 for gate in club.gates)


def finish(club: Club, watch: Watch) -> int:
    """Count the scans, write the summary and print it."""
    summary = count(club, watch.decisions_ms)
    path = club.folder / "summary.json"
    write(summary, path)
    print(path.read_text(), flush=True)
    if summary.is_good:
        say("every scan is in Postgres exactly once")
        return 0
    say(f"scans were lost or duplicated; see logs and journals in {club.folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""A release for tests: as much of `maguey-gate` as a trial sees, in one file, with one thing wrong at will.

Started as ``a_release.py FOLDER VERSION WRONG COMMAND…``; `FOLDER` has ``run/`` and the journal's lines.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

FOLDER, VERSION, WRONG, COMMAND = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
LIVE, JOURNAL, MEMORY = FOLDER / "run" / "door.json", FOLDER / "journal", FOLDER / "run" / "memory"
MIB = 1024 * 1024


def run() -> None:
    if WRONG == "hangs at start":
        time.sleep(10_000)
    for turn in range(1_000_000):
        write(MEMORY, 50 * MIB + (turn * 40 * MIB if WRONG == "leaks" else 0))
        write(LIVE, state())
        if turn == 0 and WRONG != "never ready":
            ready()
        if turn == 3 and WRONG == "crash loop":
            sys.exit(1)
        time.sleep(0.01)


def state() -> object:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if WRONG == "bad schema":
        return {"door": {"now": now}}
    frame = None if WRONG == "no frames" else now
    return {"monotonic_ms": now, "boot_id": boot, "version": VERSION, "frame_ms": frame, "counters": counts()}


def counts() -> object:
    """Of a busy door another guest each time."""
    return {"scans": time.monotonic_ns() if WRONG == "busy" else 7}


def write(path: Path, what: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(what))
    fresh.replace(path)


def ready() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def scan() -> object:
    if WRONG == "cannot scan":
        sys.exit("it broke")
    verdict = "admit" if WRONG == "decides wrongly" else "deny"
    with JOURNAL.open("a") as lines:
        lines.write("" if WRONG == "records nothing" else f"{VERSION}\n")
    seq = None if WRONG == "records nothing" else len(JOURNAL.read_text().splitlines())
    return {"verdict": verdict, "reason": "malformed", "seq": seq}


def status() -> object:
    last = len(JOURNAL.read_text().splitlines())
    is_heard = WRONG != "stops acknowledging"
    return {"online": is_heard, "journal": {"last_seq": last, "waiting": 0 if is_heard else 1}}


def doctor() -> object:
    if WRONG == "cannot use the configuration":
        sys.stderr.write("gate.toml: camera: unknown key.\n")
        sys.exit(2)
    if WRONG == "crashes at once":
        sys.exit(-11)
    return []


def replay() -> object:
    verdict = {"ruling": "deny", "reason": "unknown"}
    other = {"seq": 3, "was": {"ruling": "admit", "reason": "first_entry"}, "would_be": verdict}
    return {
        "scans": 9,
        "skipped": 0,
        "differences": [other] if WRONG == "decides the night otherwise" else [],
    }


if COMMAND == "run":
    run()
else:
    answer = {"scan": scan, "status": status, "doctor": doctor, "replay": replay}[COMMAND]()
    sys.stdout.write(json.dumps(answer) + "\n")

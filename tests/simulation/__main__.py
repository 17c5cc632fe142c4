"""`python -m tests.simulation`: one night with its trace, or many."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time

from tests.simulation.run import simulator


def say(line: str) -> None:
    """Print a line for whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def play(seeds: range, *, verbose: bool, minutes: float | None) -> int:
    """Play these nights; 1 if one of them broke a rule."""
    failed = played = 0
    began = time.perf_counter()
    with simulator() as play_one:
        for seed in seeds:
            told = play_one(seed, say if verbose else None)
            for line in told.broken:
                say(f"seed {seed}: {line}")
            failed, played = failed + bool(told.broken), played + 1
            if minutes is not None and time.perf_counter() - began > minutes * 60:
                break
    took = time.perf_counter() - began
    say(f"{played} nights, {failed} broke a rule; {took:.1f} s, {took / max(1, played):.2f} s a night")
    return 1 if failed else 0


def share(seeds: range, jobs: int, rest: list[str]) -> int:
    """Let several processes play them."""
    command = [sys.executable, "-m", "tests.simulation", "--step", str(jobs), *rest]
    parts = [seeds[job::jobs] for job in range(jobs)]
    running = [
        subprocess.Popen([*command, "--seed", str(part.start), "--seeds", str(len(part))])
        for part in parts
        if len(part)
    ]
    return max([process.wait() for process in running], default=0)


def main() -> int:
    """Play the nights that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first night")
    parser.add_argument("--seeds", type=int, default=1, help="how many nights")
    parser.add_argument("--step", type=int, default=1, help="from one night to the next")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes play")
    parser.add_argument("--minutes", type=float, help="begin no night after so long")
    parser.add_argument("--verbose", action="store_true", help="print what happens")
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.seeds * asked.step, asked.step)
    if asked.jobs > 1:
        return share(seeds, asked.jobs, ["--minutes", str(asked.minutes)] if asked.minutes else [])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the database is put away
    return play(seeds, verbose=asked.verbose, minutes=asked.minutes)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.simulation`: one night with its trace, or many."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.run import simulator


def say(line: str) -> None:
    """To whoever watches."""
    sys.stdout.write(line + "\n")


def main() -> int:
    """Play the nights that were asked for; 1 if one of them broke a rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first night")
    parser.add_argument("--seeds", type=int, default=1, help="how many nights from there on")
    parser.add_argument("--verbose", action="store_true", help="print what happens")
    parser.add_argument("--minutes", type=float, help="begin no night after so long")
    asked = parser.parse_args()
    failed = played = 0
    began = time.perf_counter()
    with simulator() as play:
        for seed in range(asked.seed, asked.seed + asked.seeds):
            told = play(seed, say if asked.verbose else None)
            for line in told.broken:
                say(f"seed {seed}: {line}")
            sys.stdout.flush()
            failed, played = failed + bool(told.broken), played + 1
            if asked.minutes and time.perf_counter() - began > asked.minutes * 60:
                break
    took = time.perf_counter() - began
    say(f"{played} nights, {failed} broke a rule; {took:.1f} s, {took / played:.2f} s a night")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The console command ``maguey-fleet``: knows no library of it, so it can say that one is missing."""

from __future__ import annotations

from gate.common.command_line import run_command


def main() -> None:
    """Entry point."""
    run_command("maguey-fleet", "fleet", _call)


def _call() -> None:
    from fleet.cli.main import main as run_fleet

    run_fleet()


if __name__ == "__main__":
    main()

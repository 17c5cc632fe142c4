"""The console command ``maguey-hub``: knows no library of the hub, so it can say that one is missing."""

from __future__ import annotations

from gate.common.command_line import run_command


def main() -> None:
    """Entry point."""
    run_command("maguey-hub", "hub", _call)


def _call() -> None:
    from hub.cli.main import main as run_hub

    run_hub()


if __name__ == "__main__":
    main()

"""`maguey-release`: the releases of this machine. Run it as root; `maguey-fleet` does, over SSH.

Exit codes: see `gate.common.command_line`; 1 also says that a release was rolled back or not tried.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import FleetError
from fleet.release.disk import ReleaseDisk, ReleasePaths
from fleet.release.lifecycle import Phase, ReleaseState
from fleet.release.on_machine import make_trial, running_services, try_apart
from fleet.release.report import report_lines, report_of
from fleet.release.stage import note_staged, stage_bundle, this_host
from fleet.release.trial import PROBATION_S, recover, run_wanted, set_right_at_boot
from gate.clock import SystemClock
from gate.common.command_line import run_command
from gate.common.log import configure
from gate.common.options import common_options

PATHS = ReleasePaths()
app = typer.Typer(
    name="maguey-release",
    help="The releases of this machine: installed beside each other, tried, kept or rolled back.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(common_options)
Probation = Annotated[
    float, typer.Option(min=1, max=3600, help="Seconds that the release has to work before it is kept.")
]
Insist = Annotated[bool, typer.Option("--insist", help="Do not wait for a moment between guests.")]
NewRules = Annotated[
    bool, typer.Option("--new-rules", help="It may decide recorded scans otherwise than the present release.")
]
Version = Annotated[str, typer.Argument(help="The release; see: maguey-release status")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def main() -> None:
    """Entry point. Errors end in words."""
    run_command("maguey-release", "pi", _call)


def _call() -> None:
    os.umask(0o022)  # what is installed is read by the services' users
    configure("text", service="maguey-release")
    try:
        app()
    except BrokenPipeError:
        raise
    except OSError as error:
        advice = "Run it as root." if isinstance(error, PermissionError) else "Look at the disk: df -h, dmesg"
        raise FleetError(f"{error.filename or 'disk'}: {error.strerror or error}. {advice}") from None


@app.command()
def stage(
    bundle: Annotated[Path, typer.Argument(help="The file that maguey-fleet build made.", metavar="BUNDLE")],
) -> None:
    """Install a release beside the one that runs, which is not touched. Again: nothing happens."""
    disk = ReleaseDisk(PATHS)
    with disk.alone():
        state = stage_bundle(disk, bundle, SystemClock(), this_host())
    _print(disk, state)


@app.command()
def apply(
    version: Version,
    probation: Probation = PROBATION_S,
    insist: Insist = False,
    new_rules: NewRules = False,
) -> None:
    """Try a staged release, and keep it if it works. Otherwise the present one runs again, and why is said.

    It goes on if the connection is cut: `maguey-release status` says how it ended.
    """
    disk = ReleaseDisk(PATHS)
    with disk.alone():
        state = note_staged(disk, version, SystemClock())
    if state.good != version and not state.good:
        with disk.alone():
            state = make_trial(disk, state, version).run(version)
    elif state.good != version:
        try_apart(disk, state.good, version, probation, insist=insist, new_rules=new_rules)
        state = disk.load()
    if state.good != version:
        raise FleetError(_why_not(state))
    _print(disk, state)


def _why_not(state: ReleaseState) -> str:
    if state.update is None or state.update.phase is Phase.TRYING:
        return "The update ended before its time and is being put right. See: maguey-release status"
    what = "was rolled back" if state.update.phase is Phase.ROLLED_BACK else "was not tried"
    return f"{state.update.version} {what}; {state.good} runs. {state.update.reason}"


@app.command("try", hidden=True)
def try_release(
    version: Version,
    probation: Probation = PROBATION_S,
    insist: Insist = False,
    new_rules: NewRules = False,
) -> None:
    """What `apply` starts as a service of its own, from the present release."""
    disk = ReleaseDisk(PATHS)
    with disk.alone():
        trial = make_trial(disk, disk.load(), version, new_rules=new_rules)
        state = trial.run(version, probation, insist=insist)
    _print(disk, state)


@app.command()
def settle() -> None:
    """Put right what an update that ended in any way has left, and start the services."""
    disk = ReleaseDisk(PATHS)
    with disk.alone():
        run_wanted(disk, running_services(disk), recover(disk, SystemClock()))


@app.command()
def boot() -> None:
    """Before the services start: a release that was being tried when the power went is given up."""
    disk = ReleaseDisk(PATHS)
    with disk.alone():
        set_right_at_boot(disk, SystemClock())


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say which releases are here, which one runs, and how the last update ended."""
    disk = ReleaseDisk(PATHS)
    _print(disk, disk.load(), as_json=as_json)


def _print(disk: ReleaseDisk, state: ReleaseState, *, as_json: bool = False) -> None:
    report = report_of(disk, state)
    if as_json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        typer.echo("\n".join(report_lines(report)))


if __name__ == "__main__":
    main()

"""``maguey-fleet key`` and ``build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.bundle.lock import Processor, PythonTag, Target
from fleet.bundle.release_key import make_release_key, read_signing_key, release_key_line
from fleet.release.services import MachineKind
from gate.common.errors import CallError

app = typer.Typer()

KeyOption = Annotated[
    Path, typer.Option("--key", metavar="FILE", help="The operator's key for releases; see: maguey-fleet key")
]
RELEASE_KEY = Path("release.key")


@app.command()
def key(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the key goes.")] = RELEASE_KEY,
    show: Annotated[bool, typer.Option("--show", help="Print the line of a key that is there.")] = False,
) -> None:
    """Make the key that vouches for releases. Keep it with care, and keep a copy.

    Whoever has it can run anything on every machine; without it no machine takes a new release.
    """
    if not show:
        make_release_key(out)
    typer.echo(release_key_line(read_signing_key(out)), nl=False)


@app.command()
def build(  # noqa: PLR0913, PLR0917 – a command line's options
    key: KeyOption = RELEASE_KEY,
    kind: Annotated[MachineKind | None, typer.Option(help="For gates or hubs. Default: both.")] = None,
    python: Annotated[
        PythonTag | None, typer.Option(help="cp311: Debian 12; cp313: Debian 13. Default: both.")
    ] = None,
    machine: Annotated[
        Processor | None,
        typer.Option(help="Default: aarch64 for gates, x86_64 for hubs."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the bundles go.")] = Path("bundles"),
    source: Annotated[Path, typer.Option(metavar="FOLDER", help="A checkout of maguey-gate.")] = Path(),
    version: Annotated[str, typer.Option(help="Instead of the version in pyproject.toml.")] = "",
    wheels: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Take the libraries from here; uses no network.")
    ] = None,
    debs: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Debian packages for machines without internet; of one system."),
    ] = None,
) -> None:
    """Build release bundles: everything a machine needs, in one signed file."""
    from fleet.bundle.build import Sources, build_bundle

    if debs is not None and python is None:
        raise CallError(
            "--debs needs one --python: packages are for one version of Debian. Nothing was built."
        )
    signing = read_signing_key(key)
    sources = Sources(checkout=source.absolute(), version=version or None, wheels=wheels, debs=debs)
    kinds: tuple[MachineKind, ...] = (kind,) if kind else ("gate", "hub")
    pythons: tuple[PythonTag, ...] = (python,) if python else ("cp311", "cp313")
    for one in kinds:
        for tag in pythons:
            target = Target(kind=one, python=tag, machine=machine or _usual(one))
            made = build_bundle(sources, target, signing, out)
            typer.echo(f"{made}  {made.stat().st_size / 2**20:.0f} MiB")


def _usual(kind: MachineKind) -> Processor:
    return "aarch64" if kind == "gate" else "x86_64"

"""Options that every program has."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Annotated, Any

import typer

from gate.common.config_file import CONFIG_FOLDER, CONFIG_VARIABLE, config_place


def config_option(name: str) -> Any:
    """``--config``, which may be left out.

    :param name: the file's, ``gate.toml`` or ``hub.toml``; of both there is a commented example in config/.
    """
    return typer.Option(
        "--config",
        default_factory=lambda: config_place(name, os.environ),
        show_default=f"${CONFIG_VARIABLE}, else {CONFIG_FOLDER / name}",
        help=f"The configuration file; config/{name} is a commented example.",
    )


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("maguey-gate"))
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and stop."),
]


def common_options(version: VersionOption = False) -> None:
    """The callback of a program without options of its own."""

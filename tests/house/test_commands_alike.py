"""The same mistake has the same exit code in every command of every program (gate.common.command_line)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import pytest
import typer.main

from fleet.cli.main import app as fleet_app
from fleet.release.main import app as release_app
from gate.cli.commands import app as gate_app
from gate.common.command_line import run_command
from gate.common.config_file import CONFIG_VARIABLE, LONGEST_CONFIG
from hub.cli.main import app as hub_app
from sync.cli import app as sync_app

PROGRAMS = {
    "maguey-gate": gate_app,
    "maguey-sync": sync_app,
    "maguey-hub": hub_app,
    "maguey-release": release_app,
    "maguey-fleet": fleet_app,
}


def commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command, also those of groups of commands, by the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


ALL = {
    words: command
    for program, app in PROGRAMS.items()
    for words, command in commands(typer.main.get_command(app), (program,))
}
EVERY = pytest.mark.parametrize("words", ALL, ids=" ".join)
CONFIGURED = pytest.mark.parametrize(
    "words",
    [words for words, one in ALL.items() if any(p.name == "config" for p in one.params)],
    ids=" ".join,
)


def needed(command: Any, file: Path) -> Iterator[str]:
    """Something well-formed for whatever the command insists on."""
    for one in command.params:
        if one.required:
            option, value = one.opts[0], well_formed(one.type_descriptor.annotation, file)
            yield from ([option, value] if option.startswith("-") else [value])


def well_formed(kind: Any, file: Path) -> str:
    if get_origin(kind) is list:
        return well_formed(get_args(kind)[0], file)
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    return {Path: str(file), int: "2", float: "2", datetime: "2026-11-30", UUID: str(UUID(int=1))}.get(
        kind, "x"
    )


def told(words: tuple[str, ...], *arguments: str | Path) -> int:
    """The exit code, as the program's own entry ends."""
    program, *command = words
    with pytest.raises(SystemExit) as ended:
        run_command(program, "…", lambda: PROGRAMS[program]([*command, *map(str, arguments)]))
    assert isinstance(ended.value.code, int)
    return ended.value.code


@EVERY
def test_an_unknown_option_is_a_wrong_call(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(words, "--no-such-option") == 2
    assert "No such option" in capsys.readouterr().err


@CONFIGURED
@pytest.mark.parametrize("text", [None, "", "= ?", "venue = 7\n"], ids=["none", "empty", "no TOML", "wrong"])
def test_a_wrong_configuration_is_a_wrong_call(
    words: tuple[str, ...], text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, there = tmp_path / "gate.toml", tmp_path / "there"
    there.touch()
    if text is not None:
        file.write_text(text)
    assert told(words, *needed(ALL[words], there), "--config", file) == 2
    assert capsys.readouterr().err.startswith(f"{words[0]}: ")


@pytest.mark.parametrize(
    "words", [("maguey-gate", "run"), ("maguey-sync", "run"), ("maguey-hub", "gate", "list")]
)
def test_without_an_option_each_looks_in_one_place_and_says_how_to_make_what_is_missing(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "/nowhere/x.toml")
    assert told(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{words[0]}: /nowhere/x.toml: no such file. ")
    assert "copy config/" in said


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_has_its_version_and_help(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told((program,), "--version") == 0
    assert capsys.readouterr().out.count(".") == 2
    assert told((program,), "--help") == 0


def test_a_file_that_never_ends_is_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(("maguey-hub", "gate", "list"), "--config", "/dev/zero") == 2
    assert f"larger than {LONGEST_CONFIG // 2**20} MB" in capsys.readouterr().err

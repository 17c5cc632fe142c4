"""The same mistake has the same exit code in every command: 1 if something is broken, 2 for a wrong call."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli.main import app
from hub.config import HubConfig
from tests.integration.hub.world import World

BY = ["--reason", "a test", "--actor", "Eva"]
NAMES_A_GATE = {
    "command": ["command", "gate-9", "release", *BY],
    "retire": ["retire", "gate-9", "--event", "PF", *BY],
    "revoke": ["gate", "revoke", "gate-9", *BY],
    "rename": ["gate", "rename", "gate-9", "--name", "x"],
}
NAMES_A_NIGHT = {
    "retire": ["retire", "gate-1", "--event", "NOPE", *BY],
    "free": ["free", "MGY-X", "--event", "NOPE", *BY],
    "event cancel": ["event", "cancel", "NOPE", "--yes", *BY],
    "erase": ["erase", "NOPE", "--yes", "--actor", "Eva"],
    "event edit": ["event", "edit", "NOPE", *BY],
    "event policy": ["event", "policy", "NOPE"],
    "tickets add": ["tickets", "add", "NOPE"],
    "tickets list": ["tickets", "list", "NOPE"],
    "tickets export": ["tickets", "export", "NOPE", "--qr", "/nowhere"],
    "table add": ["table", "add", "NOPE", "1", "--seats", "4"],
    "table list": ["table", "list", "NOPE"],
    "reservation add": ["reservation", "add", "NOPE", "1", "--name", "Ana"],
    "reservation confirm": ["reservation", "confirm", "NOPE", "1"],
    "reservation cancel": ["reservation", "cancel", "NOPE", "1", *BY],
    "scans": ["scans", "--event", "NOPE"],
}
NAMES_A_TICKET = {"free": ["free", "MGY-X", "--event", "PF", *BY]}
GIVES_A_REASON = {
    "command": ["command", "gate-1", "release", "--actor", "Eva", "--reason", " "],
    "retire": ["retire", "gate-1", "--event", "PF", "--actor", "Eva", "--reason", " "],
    "revoke": ["gate", "revoke", "gate-1", "--actor", "Eva", "--reason", " "],
    "free": ["free", "MGY-X", "--event", "PF", "--actor", "Eva", "--reason", " "],
    "event cancel": ["event", "cancel", "PF", "--yes", "--actor", "Eva", "--reason", " "],
    "restored": ["restored", "--actor", "Eva", "--reason", " "],
}
READS_THE_DATABASE = {
    **NAMES_A_GATE,
    **NAMES_A_NIGHT,
    "list": ["gate", "list"],
    **{name: [name] for name in ("orders", "conflicts", "housekeeping", "migrate", "archive")},
    "restored": ["restored", *BY],
}
del READS_THE_DATABASE["command"]  # it asks the broker first


def all_of(commands: dict[str, list[str]], config: Path) -> dict[str, tuple[int, str]]:
    """Run in this process: starting each of them would take all of the test's time."""
    runner = CliRunner()
    answers = [runner.invoke(app, [*words, "--config", str(config)]) for words in commands.values()]
    told = [(answer.exit_code, answer.output) for answer in answers]
    return dict(zip(commands, told, strict=True))


def codes(answers: dict[str, tuple[int, str]]) -> dict[str, int]:
    assert not [name for name, (_, said) in answers.items() if "Traceback" in said or not said.strip()]
    return {name: code for name, (code, _) in answers.items()}


@pytest.fixture
def night(world: World, config: HubConfig) -> World:
    world.gate("gate-1", "0" * 64, world.event(), venue=config.venue)
    return world


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        (NAMES_A_NIGHT, "there is no night 'NOPE'"),
        (NAMES_A_TICKET, "no such ticket"),
        (GIVES_A_REASON, "--reason"),
    ],
)
def test_an_unknown_name_or_a_missing_reason_is_a_wrong_call(
    night: World, config_file: Path, commands: dict[str, list[str]], says: str
) -> None:
    answers = all_of(commands, config_file)
    assert codes(answers) == dict.fromkeys(commands, 2)
    assert not [name for name, (_, said) in answers.items() if says not in said]


def test_an_unknown_gate_is_a_wrong_call(night: World, config_file: Path) -> None:
    commands = {name: words for name, words in NAMES_A_GATE.items() if name != "command"}
    answers = all_of(commands, config_file)
    assert codes(answers) == dict.fromkeys(commands, 2)
    assert not [name for name, (_, said) in answers.items() if "has no gate 'gate-9'" not in said]


def test_a_database_that_does_not_answer_is_something_broken(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('venue = "v"\n[postgres]\ndsn = "host=127.0.0.1 port=1 dbname=d user=x"\n')
    assert codes(all_of(READS_THE_DATABASE, file)) == dict.fromkeys(READS_THE_DATABASE, 1)


def test_a_missing_configuration_is_a_wrong_call(tmp_path: Path) -> None:
    assert codes(all_of(READS_THE_DATABASE, tmp_path / "none.toml")) == dict.fromkeys(READS_THE_DATABASE, 2)

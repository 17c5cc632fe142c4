"""How a program ends: the same kind of mistake, the same code, and words instead of a traceback."""

from __future__ import annotations

import pytest

from gate.common.command_line import run_command
from gate.common.errors import CallError, ConfigError, MagueyError, StoreError
from hub.errors import HubError, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MagueyError("it broke"), 1),
        (StoreError("the disk is full"), 1),
        (HubError("no answer"), 1),
        (ConfigError("a mistake"), 2),
        (CallError("nobody can mean that"), 2),
        (UsageError("Nothing was changed", ["--reason: say why."]), 2),
        (ModuleNotFoundError("No module named 'psycopg'", name="psycopg"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def call() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command("maguey-hub", "hub", call)
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert said == "" if code == 130 else said.startswith("maguey-hub: ")


def test_a_missing_library_is_named_with_the_extra_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    def call() -> None:
        raise ModuleNotFoundError("No module named 'luma.core'", name="luma.core")

    with pytest.raises(SystemExit):
        run_command("maguey-gate", "pi", call)
    assert "'luma' is not installed" in (said := capsys.readouterr().err)
    assert "pip install 'maguey-gate[pi]'" in said


def test_a_module_of_our_own_that_is_missing_is_a_bug_and_stays_one() -> None:
    def call() -> None:
        raise ModuleNotFoundError("No module named 'gate.nowhere'", name="gate.nowhere")

    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        run_command("maguey-gate", "pi", call)

"""What each extra of pyproject.toml is enough for: nothing can be imported that it does not bring."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from gate.common.config_file import CONFIG_VARIABLE
from tests.paths import ROOT
from tests.patience import PATIENCE_S

CHILD = """
import contextlib, importlib, io, json, os, sys
from importlib.abc import MetaPathFinder

allowed, programs = json.loads(sys.argv[1]), json.loads(sys.argv[2])

class OnlyThese(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        root = name.partition(".")[0]
        pythons_own = root in sys.stdlib_module_names or root.startswith("_sysconfigdata")
        if root not in allowed and not pythons_own:
            raise ModuleNotFoundError(f"No module named {root!r}", name=root)

# whatever an editable installation put before it may hide what is missing; it finds our own packages only
sys.meta_path.insert(0, OnlyThese())
told = []
for module, words in programs:
    sys.argv = [module, *words]
    out, err = io.StringIO(), io.StringIO()
    code = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            importlib.import_module(module).main()
        except SystemExit as ended:
            code = ended.code
        except BaseException as error:
            err.write(f"Traceback: {error!r}")
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""
GATE, SYNC, HUB = "gate.cli.main", "sync.cli", "hub.cli.entry"
OURS = ["gate", "display", "hardware", "sync", "hub", "fleet"]


def names_of(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def closure(wanted: Requirement, seen: set[tuple[str, str]]) -> None:
    """All that `pip install` of it brings here."""
    for extra in ("", *wanted.extras):
        if (here := (names_of(wanted.name), extra)) in seen:
            continue
        seen.add(here)
        for text in metadata.requires(wanted.name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                closure(needed, seen)


def libraries(extra: str) -> list[str]:
    """What can be imported after ``pip install 'maguey-gate[extra]'``, besides Python's own."""
    seen: set[tuple[str, str]] = set()
    closure(Requirement(f"maguey-gate[{extra}]" if extra else "maguey-gate"), seen)
    installed = {name for name, _ in seen}
    return [
        top
        for top, owners in metadata.packages_distributions().items()
        if any(names_of(owner) in installed for owner in owners)
    ]


def with_only(extra: str, *programs: tuple[str, list[str]], folder: Path) -> list[tuple[int, str, str]]:
    """Code, output and errors of each call, in one process: starting one for each would take long."""
    command = [sys.executable, "-c", CHILD, json.dumps([*libraries(extra), *OURS]), json.dumps(programs)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", CONFIG_VARIABLE: str(folder / "gate.toml")},
    )
    told: list[Any] = json.loads(done.stdout)
    return [(code, out, err) for code, out, err in told]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A folder with a gate and its token; a desk is its door, so that no test waits for devices."""
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "camera").mkdir()  # of its own: the camera takes what it finds there
    (tmp_path / "gate.toml").write_text(
        f'gate_id = "gate-1"\nvenue = "maguey"\nstate_dir = "{tmp_path}"\nruntime_dir = "{tmp_path}/run"\n'
        f'[camera]\ndriver = "folder"\npath = "{tmp_path}/camera"\n[screen]\ndriver = "dummy"\n'
        '[turnstile]\ndriver = "mock"\n[inputs]\ndriver = "mock"\n[lights]\ndriver = "mock"\n'
        f'[hub]\nurl = "http://127.0.0.1:9"\nbroker_port = 9\ntoken_file = "{tmp_path}/token"\n'
    )
    return tmp_path


def test_without_an_extra_each_program_says_which_it_needs(gate: Path) -> None:
    needs = [
        (GATE, ["run"]),
        (GATE, ["decode", "x.png"]),
        (GATE, ["screens", "--out", str(gate / "screens")]),
        (SYNC, ["run"]),
        (SYNC, ["doctor"]),
        (HUB, ["ingest"]),
        (HUB, ["--help"]),
    ]
    for (module, _), (code, _, said) in zip(needs, with_only("", *needs, folder=gate), strict=True):
        extra = "hub" if module == HUB else "pi"
        assert code == 2, said
        assert "Traceback" not in said
        assert f"pip install 'maguey-gate[{extra}]'" in said.splitlines()[-1]


def test_without_an_extra_there_is_help_and_a_version_on_a_gate(gate: Path) -> None:
    asked = [(module, [option]) for module in (GATE, SYNC) for option in ("--version", "--help")]
    assert [code for code, _, _ in with_only("", *asked, folder=gate)] == [0, 0, 0, 0]


def test_a_gate_needs_nothing_of_the_hub(gate: Path) -> None:
    """The commands go as far as they can without network; no library is missing."""
    asked = [
        (GATE, ["status"]),
        (GATE, ["screens", "--out", str(gate / "screens")]),
        (GATE, ["decode", str(ROOT / "docs" / "screens" / "001-idle@4x.png")]),
        (GATE, ["doctor"]),
        (SYNC, ["doctor"]),
        (GATE, ["journal"]),
    ]
    for code, out, said in with_only("pi", *asked, folder=gate):
        assert code in {0, 1}, said
        assert "is not installed" not in out + said
        assert "No module named" not in out + said


def test_a_hub_needs_nothing_of_a_gate(gate: Path) -> None:
    (gate / "gate.toml").write_text('venue = "maguey"\n[postgres]\ndsn = "host=127.0.0.1 port=1 dbname=x"\n')
    asked = [
        (HUB, ["--help"]),
        (HUB, ["gate", "list"]),
        (HUB, ["migrate"]),
        (HUB, ["housekeeping"]),
        (HUB, ["command", "g", "release", "--reason", "x", "--actor", "y"]),
    ]
    for code, out, said in with_only("hub", *asked, folder=gate):
        assert code in {0, 1, 2}, said
        assert "is not installed" not in out + said
        assert "No module named" not in out + said


def test_the_operators_laptop_needs_nothing_of_gate_or_hub(gate: Path) -> None:
    asked = [("fleet.cli.entry", ["--help"]), ("fleet.cli.entry", ["inventory"])]
    for code, out, said in with_only("fleet", *asked, folder=gate):
        assert code in {0, 2}, said
        assert "is not installed" not in out + said


@pytest.mark.parametrize("extra", ["pi", "hub"])
def test_releases_are_made_with_what_the_machine_has_anyway(gate: Path, extra: str) -> None:
    (code, out, said), _ = with_only(
        extra, ("fleet.release.main", ["--help"]), ("fleet.release.main", ["status"]), folder=gate
    )
    assert (code, "is not installed" in out + said) == (0, False), said

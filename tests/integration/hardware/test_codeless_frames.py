"""Nothing is read in frames that show no code, whatever is tried."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.long import cases
from tests.paths import ROOT

MANY = cases(400, long=20_000)
PART = MANY // 4


@pytest.mark.parametrize("first", range(0, MANY, PART))
def test_nothing_is_read_where_there_is_no_code(first: int) -> None:
    command = [sys.executable, "-m", "tests.unit.hardware.codeless", str(first), str(PART)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {}

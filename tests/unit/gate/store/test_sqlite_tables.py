"""The tables' library does not load numpy, and does not keep others from loading it."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import ROOT

SAYS = """
import sys
from gate.store.sqlite_tables import Database
print("numpy" in sys.modules, Database(memory=True)["t"].insert({"a": 1}).count)
import numpy
print(numpy.arange(3).sum())
"""


def test_numpy_is_not_loaded_with_the_tables_and_can_be_loaded_later() -> None:
    done = subprocess.run([sys.executable, "-c", SAYS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["False 1", "3"], done.stderr

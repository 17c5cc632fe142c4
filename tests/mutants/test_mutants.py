"""The suite catches what would break the promise: each mutant of the protocol makes its tests fail.

A mutant is one change of the product, made in a copy of the tree. A change that no longer fits the text
fails here, too: a mutant that cannot be made proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

LEFT_OUT = shutil.ignore_patterns(".*", "var", "build", "__pycache__", "*.egg-info", "docs")


@dataclass(frozen=True)
class Mutant:
    """`old` occurs once in `file` and becomes `new`; then one of the tests of `suite` has to fail."""

    name: str
    file: str
    old: str
    new: str
    suite: tuple[str, ...]


HUB = "tests/integration/hub"
MUTANTS = (
    Mutant(
        "acknowledging before the commit",
        "hub/ingest/consumer.py",
        "            result = self._write(conn, batch)\n",
        "            acks = [(one.gate_id, Ack(epoch=one.epoch, seq=one.seq)) for one in batch.records]\n"
        "            self._broker.acknowledge(*self._writing.messages)\n"
        "            for gate_id, ack in acks:\n"
        "                self._broker.publish(self._topics.ack(gate_id), encode(ack), retain=True)\n"
        "            result = self._write(conn, batch)\n",
        (f"{HUB}/test_consumer.py::test_neither_broker_nor_gate_gets_an_ack_before_the_commit",),
    ),
    Mutant(
        "dropping the unique key of places",
        "hub/sql/migrations/20260101000600_scans.sql",
        "    constraint scan_places_pkey primary key (gate_id, epoch, seq)\n",
        "    constraint scan_places_pkey primary key (gate_id, epoch, seq, received_at)\n",
        (f"{HUB}/test_archive.py",),
    ),
    Mutant(
        "dropping the unique key of scans",
        "hub/sql/migrations/20260101000600_scans.sql",
        "scan_id uuid not null constraint scan_places_scan_key unique,",
        "scan_id uuid not null,",
        (f"{HUB}/test_archive.py",),
    ),
    Mutant(
        "taking the broker's word for the hub's",
        "sync/upload/window.py",
        "    return msgspec.structs.replace(window, sent=max(window.sent, seq), since_ms=since)\n",
        "    sent = max(window.sent, seq)\n"
        "    return msgspec.structs.replace(window, sent=sent, acked=sent, since_ms=since)\n",
        ("tests/unit/sync/test_service.py",),
    ),
    Mutant(
        "granting without the row's lock",
        "hub/sql/objects/80_claims.sql",
        "from tickets t where t.code_hash = p_code_hash for no key update;",
        "from tickets t where t.code_hash = p_code_hash;",
        (f"{HUB}/test_claims.py",),
    ),
    Mutant(
        "ignoring what is lent",
        "gate/door/desk.py",
        "        return lent_as_of == division_of(event) and not is_lent\n",
        "        return lent_as_of == division_of(event)\n",
        ("tests/property/test_home_gate.py",),
    ),
    Mutant(
        "pulsing before the commit",
        "gate/store/journal.py",
        '            yield Turn(self.path, self._db, self.epoch)\n            self._db.execute("commit")\n',
        "            yield Turn(self.path, self._db, self.epoch)\n"
        "            import threading\n\n"
        '            threading.Timer(2.0, lambda: self._db.execute("commit")).start()\n',
        ("tests/unit/gate/door/test_loop.py",),
    ),
    Mutant(
        "pulsing before the mark",
        "gate/door/turnstile.py",
        "    journal.mark_opening(admission.scan_id)\n    relay.release()\n",
        "    relay.release()\n    journal.mark_opening(admission.scan_id)\n",
        ("tests/integration/test_killed_door.py",),
    ),
    Mutant(
        "ignoring a version gap",
        "sync/cache/versions.py",
        "    while held + len(apply) + 1 in fresh:\n        apply.append(fresh[held + len(apply) + 1])\n",
        "    apply = [fresh[version] for version in sorted(fresh)]\n",
        ("tests/property/test_feed.py",),
    ),
)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything except what is installed or generated."""
    copy = tmp_path_factory.mktemp("mutants") / "tree"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "docs", copy / "docs")
    return copy


def run(tree: Path, suite: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *suite]
    soon = os.environ | {"MAGUEY_PATIENCE_S": "60"}  # it is to fail, and may do so by waiting in vain
    return subprocess.run(command, cwd=tree, env=soon, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_makes_the_suite_fail(tree: Path, mutant: Mutant) -> None:
    file = tree / mutant.file
    sound = file.read_text()
    assert sound.count(mutant.old) == 1, "the mutant no longer fits the product's text"
    file.write_text(sound.replace(mutant.old, mutant.new))
    try:
        done = run(tree, mutant.suite)
    finally:
        file.write_text(sound)
    assert done.returncode == 1, done.stdout[-2000:]
    # a test failed; a product that cannot even be imported would prove nothing
    assert "FAILED" in done.stdout and "ERROR" not in done.stdout, done.stdout[-2000:]

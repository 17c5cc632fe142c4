"""What became of the newest release, for the screen and the hub: read from what `fleet.release` writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.release.disk import ReleaseDisk, ReleasePaths
from fleet.release.lifecycle import ReleaseState, kept, rolled_back, staged, tried
from gate.rules.model import Now
from gate.store.update_note import read_update_note
from tests.factories import NOW

THEN = Now(wall=NOW, monotonic_ms=1, boot_id="boot")


def written(folder: Path, state: ReleaseState) -> Path:
    paths = ReleasePaths(opt=folder, state_dir=folder)
    ReleaseDisk(paths).save(state)
    return paths.state


def test_a_rollback_is_read_in_words_with_its_reason(tmp_path: Path) -> None:
    state = tried(staged(ReleaseState(good="1.0"), "1.1", THEN), THEN, 90)
    note = read_update_note(written(tmp_path, rolled_back(state, THEN, "No frame.")))
    assert note is not None
    assert (note.version, note.at, note.rollback) == ("1.1", NOW, "1.1 was rolled back: No frame.")
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o644


def test_any_other_end_is_no_rollback(tmp_path: Path) -> None:
    state = staged(ReleaseState(good="1.0"), "1.1", THEN)
    for end in (state, tried(state, THEN, 90), kept(tried(state, THEN, 90), THEN)):
        note = read_update_note(written(tmp_path, end))
        assert note is not None
        assert note.rollback == ""
    assert read_update_note(written(tmp_path, ReleaseState())) is None


@pytest.mark.parametrize("data", [None, b"", b'{"update": 7}', b"[" * 100_000, b" " * 300_000])
def test_nobody_is_stopped_by_a_state_that_cannot_be_read(data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "state.json").write_bytes(data)
    assert read_update_note(tmp_path / "state.json") is None


def test_a_pipe_in_its_place_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    assert read_update_note(tmp_path / "state.json") is None

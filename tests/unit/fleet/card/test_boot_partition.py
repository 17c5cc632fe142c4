"""Files go to a boot partition only, and never over what somebody else wrote there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.card.boot_partition import write_first_boot
from fleet.card.first_boot import MARK
from fleet.errors import FleetError

FILES = {"user-data": f"#cloud-config\n# {MARK}\n{{}}\n", "ssh": ""}


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    for name in ("config.txt", "cmdline.txt"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / "user-data").write_text("#cloud-config\n\n# hostname: raspberrypi\n")
    return tmp_path


def test_the_images_own_examples_are_replaced_and_a_second_run_changes_nothing(boot: Path) -> None:
    assert write_first_boot(boot, FILES) == ["user-data", "ssh"]
    before = {file: file.stat().st_mtime_ns for file in boot.iterdir()}
    assert write_first_boot(boot, FILES) == []
    assert {file: file.stat().st_mtime_ns for file in boot.iterdir()} == before


def test_what_it_wrote_itself_it_changes(boot: Path) -> None:
    write_first_boot(boot, FILES)
    assert write_first_boot(boot, FILES | {"user-data": f"# {MARK}\n{{1}}\n"}) == ["user-data"]


def test_what_somebody_else_wrote_stays_and_nothing_else_is_written(boot: Path) -> None:
    (boot / "user-data").write_text("#cloud-config\nhostname: mine\n")
    with pytest.raises(FleetError, match="user-data was written by somebody else"):
        write_first_boot(boot, FILES)
    assert (boot / "user-data").read_text() == "#cloud-config\nhostname: mine\n"
    assert not (boot / "ssh").exists()


def test_a_folder_that_is_no_boot_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="no boot partition"):
        write_first_boot(tmp_path, FILES)
    assert list(tmp_path.iterdir()) == []

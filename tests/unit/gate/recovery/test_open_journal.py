"""Opening a journal that takes its time, or that cannot be opened."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gate.common.errors import Step, StoreError
from gate.recovery.open_journal import PatientOpener
from gate.store.journal import Journal


def test_a_journal_slow_to_open_is_opened_outside_the_doors_loop(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slowly() -> Journal:
        go_on.wait()
        return Journal(tmp_path / "journal.db", "gate-1", "epoch-1")

    patient = PatientOpener(slowly, patience_s=0)
    with pytest.raises(StoreError, match="being checked") as told:
        patient.open()
    assert told.value.step is Step.DISK_CHECK
    go_on.set()
    assert patient._thread is not None
    patient._thread.join()
    patient.open().close()


def test_the_error_that_keeps_a_journal_from_opening_is_raised_on_each_try() -> None:
    def never() -> Journal:
        raise StoreError("full", Step.DISK_FULL)

    patient = PatientOpener(never, patience_s=60)
    for _ in range(2):
        with pytest.raises(StoreError, match="full") as told:
            patient.open()
        assert told.value.step is Step.DISK_FULL


def test_a_journal_begun_while_the_door_starts_is_opened_once(tmp_path: Path) -> None:
    opened: list[Journal] = []

    def open_it() -> Journal:
        opened.append(Journal(tmp_path / "journal.db", "gate-1", "epoch-1"))
        return opened[-1]

    patient = PatientOpener(open_it, patience_s=60)
    patient.begin().join()
    journal = patient.open()
    journal.close()
    assert opened == [journal]

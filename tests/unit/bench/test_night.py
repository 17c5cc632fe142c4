"""The night that is measured, and the gate it is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from bench import night, reading
from bench.bed import Gate, OneInsert, UncommittedJournal
from bench.context import Context
from bench.decision import a_record
from bench.pictures import empty_frames
from bench.scenes import NOISE, scene
from bench.standin import hub
from gate.rules.model import Admission, Kind
from gate.rules.payload import Code, code_hash
from hardware.decoder.decode import read_codes
from sync.cache.spool import Spool
from sync.feed.snapshot import HubClient


@pytest.fixture
def uncommitted(tmp_path: Path) -> Iterator[Gate]:
    with closing(Gate(tmp_path, 100, journal=UncommittedJournal)) as gate:
        yield gate


def test_every_guest_presented_is_in_the_feed() -> None:
    known = {row.code_hash for row in night.rows(200) if isinstance(row, Admission)}
    assert len(known) == 200
    assert {code_hash(night.code(number)) for number in islice(night.guests(1, 200), 400)} == known


def test_presented_codes_are_well_formed() -> None:
    what = night.presented(7).what
    assert isinstance(what, Code)
    assert what.check_ok


def test_one_guest_in_ten_belongs_to_a_table() -> None:
    kinds = [row.kind for row in night.rows(100) if isinstance(row, Admission)]
    assert kinds.count(Kind.VIP_LINKED) == 10


def test_one_presentation_in_ten_repeats_an_earlier_ticket() -> None:
    numbers = list(islice(night.guests(3, 900), 1000))
    assert 1000 - len(set(numbers)) == 100


def test_uncommitted_scans_leave_nothing_in_the_journal(uncommitted: Gate) -> None:
    for _ in range(3):
        uncommitted.scan()
    assert a_record(uncommitted).released
    assert uncommitted.journal.last_seq() == 0


def test_two_gates_in_one_folder_do_not_share_files(tmp_path: Path) -> None:
    with closing(Gate(tmp_path, 100)) as first, closing(Gate(tmp_path, 100)) as second:
        first.scan()
        assert (first.journal.last_seq(), second.journal.last_seq()) == (1, 0)


def test_the_floor_inserts_a_row_each_time(tmp_path: Path) -> None:
    with closing(Gate(tmp_path, 100)) as gate, closing(OneInsert(tmp_path, a_record(gate))) as floor:
        assert all(floor.insert() > 0 for _ in range(3))


def test_the_stand_in_answers_as_the_hub_does(tmp_path: Path) -> None:
    with hub(50) as url:
        client = HubClient(url, "gate-1", "any")
        assert [event.event_id for event in client.config().events] == [night.EVENT_ID]
        fetched = client.admissions(night.EVENT_ID, 0, Spool(tmp_path / "spool.db"))
    assert fetched.spooled is not None
    assert fetched.spooled.count == len(list(night.rows(50)))


def test_without_test_pictures_read_rates_are_reported_as_not_measured(tmp_path: Path) -> None:
    row = next(iter(reading.rows(Context(folder=tmp_path, data=tmp_path / "none"))))
    assert row.state == "not measured"
    assert str(tmp_path / "none") in row.note


def test_scenes_are_reproducible_and_most_noiseless_ones_can_be_read() -> None:
    made = [scene(number) for number in range(0, 140, len(NOISE))]
    assert {one.noise for one in made} == {0}
    assert (scene(3).grey == scene(3).grey).all()
    assert made[0].grey.shape == (480, 640)
    read = [one.text.encode() in {code.raw for code in read_codes(one.grey).found} for one in made]
    assert read.count(True) > len(read) / 2


def test_without_test_pictures_generated_frames_are_measured(tmp_path: Path) -> None:
    frames = empty_frames(tmp_path)
    assert list(frames) == ["plain", "sensor noise"]
    assert {grey.shape for grey in frames.values()} == {(480, 640)}

"""A certificate is renewed at two thirds of its life, and key and certificate change together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gate.rules.model import Now
from hub.authority.certificates import gate_certificate, make_issuer, new_key, requested_key
from hub.authority.folders import pem
from sync.identity.files import IdentityFiles
from sync.identity.renewal import CHECK_MS, CertificateRenewal
from tests.unit.sync.identity.test_files import ISSUER, NOW, contents, files_in, installed

LIFE = timedelta(days=730)


def now(after: timedelta, ms: int = 0) -> Now:
    return Now(wall=NOW + after, monotonic_ms=ms, boot_id="b")


class Renewing(CertificateRenewal):
    """With what it asked for in the last turn."""

    def __init__(self, files: IdentityFiles) -> None:
        self.asked: list[str] = []
        super().__init__(files, "gate-1", self.asked.append)

    def due(self, at: Now) -> str:
        self.asked.clear()
        self.turn(at)
        return "".join(self.asked)


@pytest.fixture
def renewal(tmp_path: Path) -> Renewing:
    installed(files_in(tmp_path))
    return Renewing(files_in(tmp_path))


@pytest.mark.parametrize("part", [0.0, 0.5, 0.66])
def test_before_two_thirds_of_its_life_nothing_is_asked(renewal: Renewing, part: float) -> None:
    assert renewal.due(now(LIFE * part)) == ""


@pytest.mark.parametrize("part", [0.67, 0.99, 1.5])
def test_after_that_it_is_asked_every_hour_with_the_same_new_key(renewal: Renewing, part: float) -> None:
    first = renewal.due(now(LIFE * part))
    assert first
    assert renewal.due(now(LIFE * part, CHECK_MS - 1)) == ""
    again = renewal.due(now(LIFE * part, CHECK_MS))
    assert requested_key(again).public_numbers() == requested_key(first).public_numbers()


def test_a_clock_that_is_lost_asks_for_nothing(renewal: Renewing) -> None:
    lost = Now(wall=datetime(1970, 1, 1, tzinfo=UTC), monotonic_ms=0, boot_id="b")
    assert renewal.due(lost) == ""


def test_the_new_pair_takes_the_place_of_the_old_one(renewal: Renewing, tmp_path: Path) -> None:
    before = contents(files_in(tmp_path))
    asked = requested_key(renewal.due(now(LIFE * 0.7)))
    assert renewal.take(pem(gate_certificate(ISSUER, "gate-1", asked, NOW)).decode())
    after = contents(files_in(tmp_path))
    changed = {name for name in before if after[name] != before[name]}
    assert (changed, sorted(after)) == ({"gate.key", "gate.pem"}, sorted(before))
    there = files_in(tmp_path).certificate_in_use()
    assert there is not None
    assert there.public_key() == asked


@pytest.mark.parametrize("wrong", ["another gate", "another key", "another authority", "no certificate"])
def test_what_is_not_its_certificate_changes_nothing(renewal: Renewing, tmp_path: Path, wrong: str) -> None:
    before = contents(files_in(tmp_path))
    asked = requested_key(renewal.due(now(LIFE * 0.7)))
    stranger = make_issuer("Maguey gates authority", new_key(), NOW)
    made: dict[str, x509.Certificate] = {
        "another gate": gate_certificate(ISSUER, "gate-2", asked, NOW),
        "another key": gate_certificate(ISSUER, "gate-1", new_key().public_key(), NOW),
        "another authority": gate_certificate(stranger, "gate-1", asked, NOW),
    }
    sent = pem(made[wrong]).decode() if wrong in made else "<html>"
    assert not renewal.take(sent)
    after = contents(files_in(tmp_path))
    assert {name: after[name] for name in before} == before


def test_a_folder_that_cannot_be_read_stops_nothing_else(tmp_path: Path) -> None:
    files = files_in(tmp_path / "id")
    installed(files)
    files.key.unlink()
    files.key.mkdir()  # what root may not read either
    assert Renewing(files).due(now(LIFE)) == ""

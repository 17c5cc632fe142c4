"""``authority init`` makes everything once, with the right modes, and adds what is missing."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from hub.authority.certificates import hosts_of
from hub.authority.folders import AuthorityError, Folders, Owners, make_missing, read_issuer

NOW = datetime.now(UTC).replace(microsecond=0)
NOBODY = Owners()


def folders(home: Path) -> Folders:
    return Folders(authority=home / "ca", broker=home / "broker", hub=home / "hub")


def contents(home: Path) -> dict[str, bytes]:
    return {str(file.relative_to(home)): file.read_bytes() for file in home.rglob("*.*") if file.is_file()}


def test_it_makes_everything_once_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    place = folders(tmp_path)
    assert make_missing(place, ["hub.club"], NOBODY, NOW)
    first = contents(tmp_path)
    assert sorted(first) == [
        *(
            f"broker/{name}"
            for name in ("broker.key", "broker.pem", "ca.pem", "crl.pem", "gates.json", "hub-ca.pem")
        ),
        *(f"ca/{name}" for name in ("ca.key", "ca.pem", "hub-ca.key", "hub-ca.pem")),
        *(f"hub/{name}" for name in ("ca.pem", "hub.key", "hub.pem", "web.key", "web.pem")),
    ]
    assert make_missing(place, ["hub.club"], NOBODY, NOW + timedelta(days=300)) == []
    assert contents(tmp_path) == first


def test_no_key_is_readable_by_others(tmp_path: Path) -> None:
    place = folders(tmp_path)
    make_missing(place, ["hub.club"], NOBODY, NOW)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*.key")}
    assert modes == {
        "ca.key": 0o400,
        "hub-ca.key": 0o400,
        "broker.key": 0o440,
        "hub.key": 0o400,
        "web.key": 0o400,
    }
    assert stat.S_IMODE(place.authority.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "lost", ["broker/broker.key", "hub/web.pem", "hub/hub.key", "broker/crl.pem", "broker/ca.pem"]
)
def test_what_is_missing_is_added_and_the_rest_stays(tmp_path: Path, lost: str) -> None:
    make_missing(folders(tmp_path), ["hub.club"], NOBODY, NOW)
    before = contents(tmp_path)
    (tmp_path / lost).unlink()
    assert make_missing(folders(tmp_path), ["hub.club"], NOBODY, NOW)
    after = contents(tmp_path)
    stem = lost.rsplit(".", 1)[0]
    assert sorted(after) == sorted(before)
    assert {name for name in after if after[name] != before[name]} <= {f"{stem}.pem", f"{stem}.key"}


def test_a_new_name_of_the_hub_is_added_to_its_servers_certificates(tmp_path: Path) -> None:
    place = folders(tmp_path)
    make_missing(place, ["hub.club"], NOBODY, NOW)
    made = make_missing(place, ["10.0.0.5"], NOBODY, NOW)
    assert [line.split(",")[0] for line in made] == [
        f"made {place.broker}/broker.pem",
        f"made {place.hub}/web.pem",
    ]
    web = x509.load_pem_x509_certificate((place.hub / "web.pem").read_bytes())
    assert hosts_of(web) == {"hub.club", "10.0.0.5"}


def test_a_servers_certificate_is_made_anew_before_it_ends(tmp_path: Path) -> None:
    place = folders(tmp_path)
    make_missing(place, ["hub.club"], NOBODY, NOW)
    late = make_missing(place, ["hub.club"], NOBODY, NOW + timedelta(days=5 * 365 - 89))
    assert [Path(line.split()[1].rstrip(",")).name for line in late] == ["broker.pem", "web.pem", "hub.pem"]


def test_a_run_that_was_cut_after_an_authoritys_key_goes_on_with_that_key(tmp_path: Path) -> None:
    place = folders(tmp_path)
    make_missing(place, ["hub.club"], NOBODY, NOW)
    key = (place.authority / "ca.key").read_bytes()
    (place.authority / "ca.pem").unlink()
    make_missing(place, ["hub.club"], NOBODY, NOW)
    assert (place.authority / "ca.key").read_bytes() == key
    read_issuer(place.authority)


def test_an_authority_without_its_key_is_never_replaced_silently(tmp_path: Path) -> None:
    place = folders(tmp_path)
    make_missing(place, ["hub.club"], NOBODY, NOW)
    (place.authority / "ca.key").unlink()
    before = contents(tmp_path)
    with pytest.raises(AuthorityError, match="Restore it"):
        make_missing(place, ["hub.club"], NOBODY, NOW)
    assert contents(tmp_path) == before


def test_a_missing_user_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="systemd-sysusers"):
        make_missing(folders(tmp_path), ["hub.club"], Owners(authority="no-such-user"), NOW)

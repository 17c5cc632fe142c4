"""hub.toml: the example loads, and all mistakes are reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.common.errors import ConfigError
from gate.config import read_gate_config
from hub.config import HubConfig, read_hub_config
from tests.paths import ROOT

EXAMPLE = ROOT / "config" / "hub.toml"


def problems(tmp_path: Path, text: str) -> str:
    file = tmp_path / "hub.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_hub_config(file)
    return str(caught.value)


def test_the_example_loads() -> None:
    config = read_hub_config(EXAMPLE)
    assert isinstance(config, HubConfig)
    assert (config.venue, config.mqtt.port, config.web.port) == ("maguey", 1883, 8080)


def test_the_examples_of_hub_and_gate_are_of_one_venue() -> None:
    assert read_hub_config(EXAMPLE).venue == read_gate_config(ROOT / "config" / "gate.toml").venue


def test_all_mistakes_are_reported_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    told = problems(tmp_path, '[postgres]\ndns = "x"\n[mqtt]\nport = "1883"\n[wep]\n')
    for part in ("5 mistakes", "Did you mean 'dsn'?", "mqtt.port", "Did you mean 'web'?", "venue: missing"):
        assert part in told


def test_all_wrong_values_are_reported_at_once(tmp_path: Path) -> None:
    text = 'venue = "a/b"\n[postgres]\ndsn = "host=x"\n[mqtt]\nport = 0\n'
    text += 'cert_file = "/none"\npassword_file = "/no"\n'
    told = problems(tmp_path, text)
    for part in (
        "venue",
        "names no database",
        "mqtt.port",
        "mqtt.cert_file",
        "belong together",
        "mqtt.username",
    ):
        assert part in told


def test_a_wrong_dsn_is_not_shown(tmp_path: Path) -> None:
    told = problems(tmp_path, 'venue = "v"\n[postgres]\ndsn = "password=hunter2 nonsense"\n')
    assert "not a connection string" in told
    assert "hunter2" not in told


def test_a_missing_file_is_reported_with_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"copy config/hub\.toml"):
        read_hub_config(tmp_path / "none.toml")


def test_the_dsn_is_not_shown() -> None:
    assert "dbname" not in repr(read_hub_config(EXAMPLE))


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:hun/ter2@h/db", "postgresql://u:hun@ter2@h/db", "postgresql://u:hun/ter2?x@h/db"]
)
def test_no_part_of_a_password_is_shown_as_another_part_of_the_dsn(tmp_path: Path, dsn: str) -> None:
    told = problems(tmp_path, f'venue = "v"\n[postgres]\ndsn = "{dsn}"\n')
    assert "postgres.dsn" in told
    for part in ("hun", "ter2"):
        assert part not in told


def test_an_empty_host_is_a_mistake(tmp_path: Path) -> None:
    told = problems(
        tmp_path, 'venue = "v"\n[postgres]\ndsn = "dbname=x"\n[mqtt]\nhost = ""\n[web]\nhost = " "\n'
    )
    assert "mqtt.host: is empty" in told
    assert "web.host: is empty" in told


def test_a_key_for_orders_needs_file_and_id(tmp_path: Path) -> None:
    text = 'venue = "v"\n[postgres]\ndsn = "dbname=x"\n[commands]\n'
    assert "belong together" in problems(tmp_path, text + 'key_file = "/k"\n')
    assert "commands.key_id: expected" in problems(tmp_path, text + 'key_file = "/k"\nkey_id = "c-1"\n')
    file = tmp_path / "hub.toml"
    file.write_text(text + 'key_file = "/k"\nkey_id = "C1"\n')
    assert read_hub_config(file).commands.key_id == "C1"


@pytest.mark.parametrize("line", ["unused_grants = 0", "unused_minutes = 100000"])
def test_a_limit_of_unused_grants_out_of_range_is_refused(tmp_path: Path, line: str) -> None:
    text = f'venue = "v"\n[postgres]\ndsn = "dbname=x"\n[watch]\n{line}\n'
    assert f"watch.{line.split(maxsplit=1)[0]}: expected 2 to 1000" in problems(tmp_path, text)


def test_a_pace_of_guests_out_of_range_is_refused(tmp_path: Path) -> None:
    for pace in (0, 1001):
        text = f'venue = "v"\n[postgres]\ndsn = "dbname=x"\n[watch]\nguests_per_second = {pace}\n'
        assert f"watch.guests_per_second: expected 1 to 1000, not {pace}." in problems(tmp_path, text)


def test_the_owners_dsn_is_checked_too_and_not_shown(tmp_path: Path) -> None:
    text = 'venue = "v"\n[postgres]\ndsn = "dbname=x"\nmigrate_dsn = "password=hunter2 nonsense"\n'
    told = problems(tmp_path, text)
    assert "postgres.migrate_dsn: not a connection string" in told
    assert "hunter2" not in told

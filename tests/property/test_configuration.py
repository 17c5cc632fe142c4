"""Whatever stands in gate.toml or hub.toml, it is refused in words or can be used: nothing fails later."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from gate.common.errors import ConfigError
from gate.common.hosts import is_host, is_web_address
from gate.config import GateFile, command_keys, public_keys, read_gate_config, wired_pins
from hub.config import HubConfig, read_hub_config
from hub.gates.alerts import unused_grants_limits

T = TypeVar("T")

NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**400, 999_999_999_999]),
    st.floats(),
    st.sampled_from([math.inf, -math.inf, math.nan, 5e-324, 1e-9, 1e308]),
)
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(
        ["", "\0", "/", "..", "a" * 5000, "hub", "::1", "https://hub", "http://[", "UTC", "dbname=y"]
    ),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, st.booleans(), st.datetimes()),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4),
        st.dictionaries(TEXTS.filter(lambda key: len(key) < 60), inside, max_size=4),
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """A value as TOML writes it, tables in line."""
    if isinstance(value, (bool, float, datetime)):
        return value.isoformat() if isinstance(value, datetime) else str(value).lower()
    if isinstance(value, int):
        return hex(value) if value > 10**300 else str(value)  # no limit of digits
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
    escaped = "".join(
        char if 32 <= ord(char) < 127 and char not in '"\\' else f"\\U{ord(char):08x}" for char in value
    )
    return f'"{escaped}"'


def fitting(kind: Any) -> st.SearchStrategy[Any]:
    """Values of about the right type."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    base = getattr(kind, "__origin__", kind)
    if base is int:
        return st.integers(0, 30)
    if base is float:
        return st.floats(0, 10)
    return st.booleans() if base is bool else TEXTS


def leaves(shape: type[msgspec.Struct], section: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every key of a file: its section, its name, its type."""
    for one in msgspec.structs.fields(shape):
        if isinstance(one.type, type) and issubclass(one.type, msgspec.Struct):
            yield from leaves(one.type, one.encode_name)
        yield section, one.encode_name, one.type


@st.composite
def sections(draw: st.DrawFn, shape: type[msgspec.Struct]) -> dict[str, Any]:
    """A few keys that are changed: so that many files are still good."""
    found: dict[str, Any] = {}
    for section, key, kind in draw(st.lists(st.sampled_from(list(leaves(shape))), max_size=3)):
        value = draw(st.one_of(fitting(kind), VALUES))
        inner = found.setdefault(section, {}) if section else found
        if isinstance(inner, dict):
            inner[key] = value
    return found


def file_of(base: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """The smallest good configuration with something changed."""
    merged = dict(base)
    for key, value in changes.items():
        kept = merged.get(key)
        merged[key] = {**kept, **value} if isinstance(kept, dict) and isinstance(value, dict) else value
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in merged.items())


GATE = {
    "gate_id": "gate-1",
    "venue": "maguey",
    "state_dir": "/var/lib/maguey",
    "hub": {"url": "https://hub.example", "token_file": "/var/lib/maguey-sync/token"},
}
HUB = {"venue": "maguey", "postgres": {"dsn": "dbname=maguey"}}


def read(text: str, reader: Callable[[Path], T]) -> T | None:
    """The value, or None if it was refused in words of a bounded length."""
    with NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        try:
            return reader(Path(file.name))
        except ConfigError as error:
            assert len(str(error)) < 100 * 1024
            return None


@given(changes=sections(GateFile))
@example(changes={"door": {"isolated_after": math.inf}})
@example(changes={"camera": {"fps": 10**5000}})
def test_a_gates_file_is_refused_or_can_be_used(changes: dict[str, Any]) -> None:
    config = read(file_of(GATE, changes), read_gate_config)
    if config is None:
        return
    now = datetime(2026, 11, 30, 22, tzinfo=UTC)
    door = config.door
    for seconds in (door.passback_window, door.rescan_after, door.isolated_after, door.passage_timeout):
        assert now + timedelta(seconds=seconds) > now
    assert now - timedelta(days=door.retain_days) < now
    assert int(door.claim_timeout * 1000) >= 1
    pins = wired_pins(config, simulated=True)
    assert len(set(pins.values())) == len(pins)
    for path in (config.journal, config.cache, config.live, config.socket, Path(config.hub.token_file)):
        os.fsencode(path)
        path.exists()
    assert is_host(config.hub.broker)
    assert is_web_address(config.hub.url)
    assert public_keys(config).keys() == config.keys.keys()
    assert command_keys(config).keys() == config.command_keys.keys()


@given(changes=sections(HubConfig))
@example(changes={"postgres": {"dsn": "dbname=x connect_timeout=1e400"}})
@example(changes={"mqtt": {"ca_file": "x" * 1000}})
@example(changes={"archive": {"keep_months": 10**5000}})
def test_a_hubs_file_is_refused_or_can_be_used(changes: dict[str, Any]) -> None:
    config = read(file_of(HUB, changes), read_hub_config)
    if config is None:
        return
    unused_grants_limits(config.venue, config.watch, datetime(2026, 11, 30, 22, tzinfo=UTC))
    assert is_host(config.mqtt.host)
    assert is_host(config.web.host)
    assert 0 < config.mqtt.port < 65536
    assert timedelta(days=31 * config.archive.keep_months)


@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_is_refused_in_words(text: str) -> None:
    assert read(text, read_gate_config) is None
    assert read(text, read_hub_config) is None

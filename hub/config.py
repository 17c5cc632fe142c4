"""The hub's configuration, `config/hub.toml`. All mistakes are reported at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from gate.common.config_file import read_config_text
from gate.common.errors import ConfigError
from gate.common.hosts import is_host
from gate.common.text_file import NotTextError, read_text
from gate.common.toml_settings import load_settings
from gate.rules.payload import visible

KEY_ID = re.compile(r"[A-Z0-9]{1,8}")
"""What a gate accepts as the id of a key (`gate.config`)."""
HUB_MADE_BY = "To make it, copy config/hub.toml there and fill it in."
_MOST_WATCHED = 1000
_MOST_GUESTS = 1000
_MOST_MONTHS = 1200
_MOST_BACKUPS = 1000
_SHORTEST_TOKEN = 16
_MOST_HOURS = 24 * 366
_MOST_PATHS = 64
_LONGEST_WAIT = 3600
_VENUE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""As in gate.toml (`gate.config`): it is the same name."""


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """`dsn`: a libpq connection string or URI (libpq manual, 34.1.1). It may hold a password.

    `migrate_dsn`: the same for the owner of the tables, used by ``maguey-hub migrate``. Without it, `dsn`
    needs those rights.
    """

    dsn: str
    migrate_dsn: str | None = None

    def __repr__(self) -> str:
        return "Postgres(dsn=…)"


class Mqtt(msgspec.Struct, frozen=True, kw_only=True):
    """The broker. `ca_file` turns TLS on; `cert_file` and `key_file` are the hub's own."""

    host: str = "127.0.0.1"
    port: int = 1883
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    def password(self) -> str | None:
        """The password, read from its file; None if there is none. Raises `ConfigError`."""
        return _secret("mqtt.password_file", self.password_file)


def _secret(name: str, file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return visible(read_text(Path(file)))
    except OSError as error:
        raise ConfigError(f"{name}: {error}. Give the hub's user read access.") from None
    except NotTextError as error:
        raise ConfigError(f"{name}: {file}: {error}") from None


class Web(msgspec.Struct, frozen=True, kw_only=True):
    """Where the HTTP interface listens.

    `port`: None: 8443 with TLS, 8080 without. `cert_file`, `key_file`: turn TLS on. `proxies`: addresses or
    networks of proxies, whose `X-Forwarded-For` is believed. `metrics_token_file`: holds the token that opens
    ``/metrics``, which is off without it.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    cert_file: str | None = None
    key_file: str | None = None
    proxies: tuple[str, ...] = ("127.0.0.1",)
    metrics_token_file: str | None = None

    def metrics_token(self) -> str | None:
        """The token, read from its file; None if there is none. Raises `ConfigError`, also if it is short."""
        token = _secret("web.metrics_token_file", self.metrics_token_file)
        if token is not None and len(token) < _SHORTEST_TOKEN:
            raise ConfigError(
                f"web.metrics_token_file: at least {_SHORTEST_TOKEN} characters; openssl rand -hex 32"
            )
        return token

    @property
    def port_used(self) -> int:
        """The port, given or not."""
        if self.port is not None:
            return self.port
        return 8443 if self.cert_file is not None else 8080


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs staff's orders to gates: the file ``maguey-hub command-key`` makes.

    `key_id`: the name of its line in every gate's ``[command_keys]``.
    """

    key_file: str | None = None
    key_id: str | None = None


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's own authority (``maguey-hub authority``).

    `dir`: its keys. `broker_dir`: what Mosquitto reads. `broker_pid_file`: how Mosquitto is told that
    something there is new. `gates_port`: its listener for the gates, on ``[mqtt] host``.
    """

    dir: str = "/var/lib/maguey-ca"
    broker_dir: str = "/etc/mosquitto/maguey"
    broker_pid_file: str = "/run/mosquitto/mosquitto.pid"
    gates_port: int = 8883


class Tickets(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs printed codes: the file ``maguey-hub tickets key`` makes. Without it they are plain.

    `key_id`: the name of its line in every gate's ``[keys]``.
    """

    key_file: str | None = None
    key_id: str | None = None


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """When staff are alerted: a gate was granted more than `unused_grants` tickets within `unused_minutes`
    and sent no scan with them; or it admits, or asks for, more than `guests_per_second`, which is the most
    that can walk through one gate, hour after hour. What exceeds that waits (`hub.gates.budgets`)."""

    unused_grants: int = 50
    unused_minutes: int = 10
    guests_per_second: int = 3


WATCH = Watch()
"""The defaults."""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """How long scans stay, in whole months besides the current one; then only their counts do."""

    keep_months: int = 13


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What ``maguey-hub backup`` takes along besides the database, where to, and how many backups stay.

    `warn_hours`: a newest backup that is older is reported.
    """

    folder: str = "/var/backups/maguey"
    keep: int = 28
    warn_hours: int = 26
    files: tuple[str, ...] = ("/etc/maguey", "/var/lib/maguey-ca")


class HubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All of `hub.toml`. `venue` is the level of the MQTT topics that holds the venue's gates.

    `timezone`: the venue's; None is this machine's.
    """

    venue: str
    timezone: str | None = None
    postgres: Postgres
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    commands: Commands = Commands()
    tickets: Tickets = Tickets()
    authority: Authority = Authority()
    watch: Watch = Watch()
    archive: Archive = Archive()
    backup: Backup = Backup()

    @property
    def zone(self) -> tzinfo | None:
        """The venue's time zone; None is this machine's."""
        return None if self.timezone is None else ZoneInfo(self.timezone)


def read_hub_config(path: Path) -> HubConfig:
    """Read `hub.toml`.

    :raises ConfigError: it cannot be read, or is wrong; the message lists every mistake.
    """
    return load_settings(read_config_text(path, HUB_MADE_BY), HubConfig, str(path), _mistakes)


def _mistakes(config: HubConfig) -> Iterator[str]:
    if not _VENUE.fullmatch(config.venue):
        yield f"venue: {config.venue!r} is not an id; expected up to 32 of a-z, 0-9 and hyphens."
    yield from _zone_mistakes(config.timezone)
    yield from dsn_mistakes("postgres.dsn", config.postgres.dsn)
    if config.postgres.migrate_dsn is not None:
        yield from dsn_mistakes("postgres.migrate_dsn", config.postgres.migrate_dsn)
    yield from _address_mistakes(config)
    yield from _file_mistakes("mqtt", config.mqtt, ("ca_file", "cert_file", "key_file", "password_file"))
    yield from _file_mistakes("web", config.web, ("cert_file", "key_file", "metrics_token_file"))
    yield from _mqtt_mistakes(config.mqtt)
    yield from _key_mistakes("commands", config.commands)
    yield from _key_mistakes("tickets", config.tickets)
    for name, number in (("grants", config.watch.unused_grants), ("minutes", config.watch.unused_minutes)):
        if not 2 <= number <= _MOST_WATCHED:
            yield f"watch.unused_{name}: expected 2 to {_MOST_WATCHED}, not {number}."
    if not 1 <= config.watch.guests_per_second <= _MOST_GUESTS:
        yield f"watch.guests_per_second: expected 1 to {_MOST_GUESTS}, not {config.watch.guests_per_second}."
    if not 2 <= config.archive.keep_months <= _MOST_MONTHS:
        yield f"archive.keep_months: expected 2 to {_MOST_MONTHS}, not {config.archive.keep_months}."
    yield from _backup_mistakes(config.backup)


def _address_mistakes(config: HubConfig) -> Iterator[str]:
    for name, host in (("mqtt.host", config.mqtt.host), ("web.host", config.web.host)):
        if not host.strip():
            yield f"{name}: is empty; expected a name or an address, for example '127.0.0.1'."
        elif not is_host(host):
            yield f"{name}: {host!r} is no name or address of a machine; expected for example '127.0.0.1'."
    for name, port in (
        ("mqtt.port", config.mqtt.port),
        ("web.port", config.web.port_used),
        ("authority.gates_port", config.authority.gates_port),
    ):
        if not 0 < port < 65536:
            yield f"{name}: expected a port from 1 to 65535, not {port}."
    for proxy in config.web.proxies:
        if not _is_network(proxy):
            yield f"web.proxies: {proxy!r} is no address or network; expected for example '192.168.7.5'."


def _zone_mistakes(timezone: str | None) -> Iterator[str]:
    try:
        ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"timezone: {timezone!r} is unknown; expected a name such as 'America/Mexico_City'."


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def dsn_mistakes(name: str, dsn: str) -> Iterator[str]:
    """What is wrong with a connection string; no part of it is repeated.

    :param name: of the setting or option.
    """
    try:
        known = conninfo_to_dict(dsn)
    except psycopg.Error:
        # the text itself is not repeated, because it may hold a password
        yield f"{name}: not a connection string; expected for example 'host=127.0.0.1 dbname=maguey'."
        return
    ports = str(known.get("port", "")).split(",")
    if any("@" in str(known.get(key, "")) for key in ("host", "dbname")) or not all(
        port.isdigit() or not port for port in ports
    ):
        # parsed like this, part of the password would be named in every error
        yield f"{name}: in a URI write '@', ':' and '/' of a password as %40, %3A and %2F."
    elif not _is_wait(str(known.get("connect_timeout", "0"))):
        yield f"{name}: connect_timeout: expected seconds, at most {_LONGEST_WAIT}."
    elif "dbname" not in known:
        yield f"{name}: names no database; add for example 'dbname=maguey'."


def _is_wait(text: str) -> bool:
    return text.isdecimal() and len(text) < 10 and int(text) <= _LONGEST_WAIT


def _key_mistakes(section: str, settings: Commands | Tickets) -> Iterator[str]:
    if (settings.key_file is None) != (settings.key_id is None):
        yield f"{section}.key_file and {section}.key_id belong together: give both or neither."
    if settings.key_id is not None and not KEY_ID.fullmatch(settings.key_id):
        yield f"{section}.key_id: expected 1 to 8 upper-case letters and digits, as in gate.toml."


def _unusable(file: Path) -> str:
    """Why this is no file of ours; empty if it is one."""
    try:
        return "" if file.is_file() else f"there is no file {file}."
    except OSError as error:  # above all, a folder on the way to it that this user may not enter
        return f"{file}: cannot be looked at: {error.strerror}."


def _backup_mistakes(backup: Backup) -> Iterator[str]:
    if not 1 <= backup.keep <= _MOST_BACKUPS:
        yield f"backup.keep: expected 1 to {_MOST_BACKUPS}, not {backup.keep}."
    if not 1 <= backup.warn_hours <= _MOST_HOURS:
        yield f"backup.warn_hours: expected 1 to {_MOST_HOURS}, not {backup.warn_hours}."
    if len(backup.files) > _MOST_PATHS:
        yield f"backup.files: expected at most {_MOST_PATHS}, not {len(backup.files)}."
    for path in (backup.folder, *backup.files[:_MOST_PATHS]):
        if not path.startswith("/"):
            yield f"backup: {path[:200]!r} is no full path; it has to begin with '/'."


def _file_mistakes(section: str, settings: Mqtt | Web, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        file = getattr(settings, name)
        if file is not None and (why := _unusable(Path(file))):
            yield f"{section}.{name}: {why}"
    if (settings.cert_file is None) != (settings.key_file is None):
        yield f"{section}.cert_file and {section}.key_file belong together: give both or neither."


def _mqtt_mistakes(mqtt: Mqtt) -> Iterator[str]:
    if mqtt.cert_file is not None and mqtt.ca_file is None:
        yield "mqtt.ca_file: needed with a certificate, to recognise the broker."
    if mqtt.password_file is not None and mqtt.username is None:
        yield "mqtt.username: needed with mqtt.password_file."

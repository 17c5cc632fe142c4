"""What an inventory says, as the gate.toml of each gate and the hub.toml. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gate.common.value import Value

IDENTITY = "/var/lib/maguey-sync"
"""Where a gate's token, key and certificates are: sync's alone."""
HEADING = "Written by maguey-fleet; what is changed here by hand is lost. Change the inventory instead."
OF_MACHINE = ("address", "name", "events", "model", "user", "port")
"""Keys of a gate's table that are not in gate.toml."""
OF_VENUE = ("venue", "lang", "timezone", "keys")


class HubPlaces(Value, frozen=True):
    """Where the hub's own certificates are, and its key for orders."""

    ca: str = "/etc/maguey/tls/ca.pem"
    cert: str = "/etc/maguey/tls/hub.pem"
    key: str = "/etc/maguey/tls/hub.key"
    web_cert: str = "/etc/maguey/tls/web.pem"
    web_key: str = "/etc/maguey/tls/web.key"
    command_key: str = "/etc/maguey/command.key"


def gate_settings(raw: Mapping[str, Any], name: str, hosts: Sequence[str]) -> dict[str, Any]:
    """One gate's gate.toml, from the tables of the inventory's file.

    :param hosts: by which gates reach the hub; the first is taken.
    """
    gate = raw["gates"][name]
    venue = {key: raw[key] for key in OF_VENUE if key in raw}
    shared = raw.get("every_gate")
    wired = merged(shared if isinstance(shared, dict) else {}, gate)
    known = {"gate_id": name, "state_dir": "/var/lib/maguey"} | venue
    if gate.get("name"):
        known["gate_name"] = gate["name"]
    own = {key: value for key, value in wired.items() if key not in OF_MACHINE}
    return known | own | {"hub": hub_section(raw["hub"], hosts[0])}


def hub_section(hub: Mapping[str, Any], host: str) -> dict[str, Any]:
    """gate.toml's ``[hub]``."""
    address = f"[{host}]" if ":" in host else host
    return {
        "url": f"https://{address}:{hub.get('web_port', 8443)}",
        "token_file": f"{IDENTITY}/token",
        "broker": host,
        "broker_port": hub.get("broker_port", 8883),
        "ca_file": f"{IDENTITY}/ca.pem",
        "cert_file": f"{IDENTITY}/gate.pem",
        "key_file": f"{IDENTITY}/gate.key",
    }


def hub_settings(venue: str, web_port: int, places: HubPlaces) -> dict[str, Any]:
    """The hub.toml: Postgres over its socket, so that no password exists; the broker and the web with TLS."""
    return {
        "venue": venue,
        "postgres": {
            "dsn": "host=/var/run/postgresql user=maguey_hub dbname=maguey",
            "migrate_dsn": "host=/var/run/postgresql user=maguey dbname=maguey",
        },
        "mqtt": {
            "host": "127.0.0.1",
            "port": 8884,
            "ca_file": places.ca,
            "cert_file": places.cert,
            "key_file": places.key,
        },
        "web": {
            "host": "0.0.0.0",  # noqa: S104 - the gates are other machines
            "port": web_port,
            "cert_file": places.web_cert,
            "key_file": places.web_key,
        },
        "commands": {"key_file": places.command_key, "key_id": "C1"},
    }


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one; what stands in `above` counts, section by section."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both

"""What a stock Raspberry Pi OS reads at its first boot, so that it is reachable over SSH. Pure.

Since Debian 13 (October 2025) that is cloud-init, which takes ``user-data`` and ``network-config`` from the
boot partition; before, raspberrypi-sys-mods, which takes ``custom.toml``. Each ignores the other's files, so
a card gets both. Nobody has a password: who has the operator's key may log in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.inventory.toml_text import toml_text
from gate.common.errors import ConfigError
from gate.common.value import Value

MARK = "Written by maguey-fleet card."
_KEY = re.compile(r"((?:ssh|ecdsa|sk)-[a-z0-9@.-]{3,60}) ([A-Za-z0-9+/=]{40,4096})(?: [^\r\n]{0,200})?")
_COUNTRY = re.compile(r"[A-Z]{2}")


class Wifi(Value, frozen=True):
    """A network with WPA. `key`: 64 hex digits (`wifi_key`); `country`: of the radio, ISO 3166-1."""

    ssid: str
    key: str
    country: str

    def __repr__(self) -> str:
        return f"Wifi(ssid={self.ssid!r}, key=…)"


class FirstBoot(Value, frozen=True):
    """`public_key`: the operator's, as one line of ``authorized_keys``."""

    hostname: str
    user: str
    public_key: str
    timezone: str
    wifi: Wifi | None = None


def public_key_line(text: str, name: str) -> str:
    """An SSH public key, from its file.

    :raises ConfigError: it is something else; a private key is not repeated.
    """
    line = text.strip()
    if "PRIVATE KEY" in line:
        raise ConfigError(f"{name}: the private key, which stays where it is. Give the one with .pub.")
    found = _KEY.fullmatch(line)
    if found is None or not _names_its_kind(found[1], found[2]):
        raise ConfigError(f"{name}: no SSH public key. Give a file such as ~/.ssh/id_ed25519.pub")
    return line


def _names_its_kind(kind: str, blob: str) -> bool:
    """A key begins with its kind (RFC 4253, 6.6)."""
    try:
        return base64.b64decode(blob, validate=True)[4:].startswith(kind.encode())
    except binascii.Error:
        return False


def wifi_problems(ssid: str, password: str, country: str) -> Iterator[str]:
    """What is wrong, a sentence each. The password is not repeated."""
    if not 1 <= len(ssid.encode()) <= 32:
        yield "--wifi: a network's name has 1 to 32 bytes."
    if not 8 <= len(password) <= 63 or not password.isascii() or not password.isprintable():
        yield "the Wi-Fi password: expected 8 to 63 printable ASCII characters."
    if not _COUNTRY.fullmatch(country):
        yield "--country: expected two capitals, such as MX; without it the radio stays off."


def wifi_key(ssid: str, password: str) -> str:
    """What WPA makes of a password (IEEE 802.11-2020, J.4.1), so that the card does not have the password."""
    return hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), 4096, 32).hex()


def first_boot_files(first: FirstBoot) -> dict[str, str]:
    """The files of the boot partition, by name."""
    return {
        "user-data": f"#cloud-config\n# {MARK}\n{_yaml(_user_data(first))}",
        "network-config": f"# {MARK}\n{_yaml(_network(first.wifi))}",
        "custom.toml": toml_text(_custom(first), MARK),
        "ssh": "",
    }


def _yaml(value: Mapping[str, Any]) -> str:
    """JSON is YAML, and leaves no text to be read as something else."""
    return json.dumps(value, indent=2) + "\n"


def _user_data(first: FirstBoot) -> dict[str, Any]:
    """cloud-init: modules "Set Hostname", "Users and Groups", "SSH", "Timezone"."""
    return {
        "hostname": first.hostname,
        "manage_etc_hosts": True,
        "timezone": first.timezone,
        "users": [
            {
                "name": first.user,
                "shell": "/bin/bash",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "groups": "sudo",
                "ssh_authorized_keys": [first.public_key],
            }
        ],
        "ssh_pwauth": False,
        "runcmd": [["systemctl", "enable", "--now", "ssh"]],
    }


def _network(wifi: Wifi | None) -> dict[str, Any]:
    """cloud-init, "Networking config version 2"; the cable always works."""
    network: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}}}
    if wifi is not None:
        network["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": wifi.country,
                "access-points": {wifi.ssid: {"password": wifi.key}},
            }
        }
    return {"network": network}


def _custom(first: FirstBoot) -> dict[str, Any]:
    """raspberrypi-sys-mods, ``init_config``. A password that is ``*`` fits nothing (shadow(5))."""
    said: dict[str, Any] = {
        "config_version": 1,
        "system": {"hostname": first.hostname},
        "user": {"name": first.user, "password": "*", "password_encrypted": True},
        "ssh": {"enabled": True, "password_authentication": False, "authorized_keys": [first.public_key]},
        "locale": {"timezone": first.timezone},
    }
    if first.wifi is not None:
        wlan = {"ssid": first.wifi.ssid, "password": first.wifi.key, "password_encrypted": True}
        said["wlan"] = wlan | {"country": first.wifi.country}
    return said

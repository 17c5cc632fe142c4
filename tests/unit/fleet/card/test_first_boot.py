"""A new Pi lets in whoever has the operator's key, and nobody with a password."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from fleet.card.first_boot import FirstBoot, Wifi, first_boot_files, public_key_line, wifi_key, wifi_problems
from gate.common.errors import ConfigError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlW4NsxYpjdmjSxrCXf3M1qLMSsdMaEhmF5XGvQhWcu ana@laptop"
SECRET = "correct horse battery"


def made(ssid: str = "") -> dict[str, str]:
    wifi = Wifi(ssid=ssid, key=wifi_key(ssid, SECRET), country="MX") if ssid else None
    return first_boot_files(
        FirstBoot(hostname="gate-1", user="ops", public_key=KEY, timezone="America/Mexico_City", wifi=wifi)
    )


def content(text: str) -> Any:
    """Below its comments it is JSON, which is YAML."""
    return json.loads("".join(line for line in text.splitlines() if not line.startswith("#")))


def test_cloud_init_makes_a_user_with_the_key_and_without_a_password() -> None:
    text = made()["user-data"]
    said = content(text)
    assert text.startswith("#cloud-config\n")
    assert said["hostname"] == "gate-1"
    assert said["ssh_pwauth"] is False
    [user] = said["users"]
    assert (user["name"], user["lock_passwd"], user["ssh_authorized_keys"]) == ("ops", True, [KEY])


def test_an_older_raspberry_pi_os_does_the_same() -> None:
    said = tomllib.loads(made()["custom.toml"])
    assert said["system"]["hostname"] == "gate-1"
    assert said["user"] == {"name": "ops", "password": "*", "password_encrypted": True}
    assert said["ssh"] == {"enabled": True, "password_authentication": False, "authorized_keys": [KEY]}


@pytest.mark.parametrize("ssid", ["Club", "no", "1.0", 'a"b: {', "ñandú"])
def test_any_name_of_a_network_is_read_as_it_is(ssid: str) -> None:
    files = made(ssid)
    points = content(files["network-config"])["network"]["wifis"]["wlan0"]["access-points"]
    assert list(points) == [ssid]
    assert tomllib.loads(files["custom.toml"])["wlan"]["ssid"] == ssid


def test_the_wifi_password_itself_is_not_on_the_card() -> None:
    """IEEE 802.11-2020, J.4.2, second test vector."""
    assert wifi_key("ThisIsASSID", "ThisIsAPassword").startswith("0dc0d6eb90555ed6419756b9a15ec3e3")
    assert not any(SECRET in text for text in made("Club").values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n", "the private key"),
        ("", "no SSH public key"),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), "no SSH public key"),
        (f"{KEY}\n{KEY}", "no SSH public key"),
        (f"command=evil {KEY}", "no SSH public key"),
    ],
)
def test_only_a_public_key_is_taken(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        public_key_line(text, "key.pub")
    assert "b3Blb" not in str(caught.value)


def test_all_that_is_wrong_with_a_network_is_told_without_the_password() -> None:
    told = list(wifi_problems("x" * 33, "geheim", "mexico"))
    assert len(told) == 3
    assert "geheim" not in " ".join(told)

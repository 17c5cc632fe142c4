"""Debian's own Mosquitto with our file in its conf.d: 2.0.11 of Debian 12, 2.0.21 of Debian 13."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from hub.gates.broker_list import broker_list_text
from tests.certificates import Authority
from tests.paths import ROOT
from trees.club import Club

HERE = "/etc/mosquitto/maguey"
DROP_IN = "systemd/hub/mosquitto.service.d/maguey.conf"


def files(folder: Path) -> dict[str, bytes]:
    """What the authority and `hub up` bring, by its place."""
    gates, hub = Authority(folder / "gates"), Authority(folder / "hub", "Hub")
    gates.issue("127.0.0.1", file="broker", address="127.0.0.1")
    gates.list_revoked()
    made = {
        f"{HERE}/{name}": (gates.folder / name).read_bytes() for name in ("ca.pem", "broker.pem", "crl.pem")
    }
    return made | {
        f"{HERE}/broker.key": (gates.folder / "broker.key").read_bytes(),
        f"{HERE}/hub-ca.pem": hub.file.read_bytes(),
        f"{HERE}/gates.json": broker_list_text("maguey", ["gate-1"]).encode(),
        f"{HERE}/maguey-hub.acl": (ROOT / "config/mosquitto/maguey-hub.acl").read_bytes(),
        "/etc/mosquitto/conf.d/maguey.conf": (ROOT / "config/mosquitto/maguey.conf").read_bytes(),
        "/etc/systemd/system/mosquitto.service.d/maguey.conf": (ROOT / DROP_IN).read_bytes(),
    }


@pytest.mark.parametrize("debian", [12, 13])
def test_it_starts_without_a_warning_and_can_be_told_of_a_revocation(
    club: Club, tmp_path: Path, debian: int
) -> None:
    hub = club.machine("hub", debian)
    hub.boot()
    hub.root("apt-get -qq update && apt-get -qq install -y --no-install-recommends mosquitto")
    for place, data in files(tmp_path).items():
        hub.root(f"mkdir -p {Path(place).parent} && cat >{shlex.quote(place)}", data)
    hub.root(f"chown mosquitto: {HERE}/* && chmod 0600 {HERE}/*")
    hub.root("systemctl daemon-reload && systemctl restart mosquitto && systemctl is-active mosquitto")
    log = "/var/log/mosquitto/mosquitto.log"
    assert hub.root(f"grep -ciE 'warning|error|recommended' {log} || true") == "0\n"
    pid = hub.root("systemctl show --property MainPID --value mosquitto")
    assert hub.root("cat /run/mosquitto/mosquitto.pid") == pid
    hub.root("kill -KILL $(cat /run/mosquitto/mosquitto.pid)")
    started = (
        f'systemctl is-active -q mosquitto && test "$(cat /run/mosquitto/mosquitto.pid)" != {pid.strip()}'
    )
    hub.root(f"until {started}; do sleep 0.2; done")
    again = hub.root("systemctl show --property MainPID --value mosquitto")
    assert hub.root("cat /run/mosquitto/mosquitto.pid") == again

"""Checks of folder, files, clock and certificates, with real faults wherever the machine allows them."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gate.common.findings import Finding, Severity
from gate.config import (
    GateFile,
    HubSection,
)
from gate.diagnostics.checks import (
    check_clock,
    check_door,
    check_files,
    check_sharing,
    check_state_dir,
    parts_of,
)
from gate.diagnostics.credentials import check_credentials, unreadable_for_service
from gate.diagnostics.mounts import mount_of
from gate.diagnostics.status import EventStatus, JournalStatus, StatusReport
from gate.store.live_file import Live, LiveReading, PartsReport
from tests.factories import NOW, StoppedClock

MOUNTINFO = """\
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw,size=800k
41 22 179:2 / /data/with\\040space ro,relatime shared:7 - ext4 /dev/mmcblk0p3 rw
42 22 179:2 / /frozen rw,relatime - ext4 /dev/mmcblk0p4 ro
43 22 0:40 / /live rw - overlay overlay rw,lowerdir=/a,upperdir=/b
44 43 179:5 / /live rw - ext4 /dev/sda1 rw
45 22 0:50 / /share rw - nfs4 server:/x rw
half a line
"""


def levels(found: Iterator[Finding]) -> dict[str, Severity]:
    return {one.check: one.level for one in found}


def a_config(folder: Path, **changes: Any) -> GateFile:
    base = GateFile(
        gate_id="gate-1",
        venue="maguey",
        state_dir=str(folder),
        hub=HubSection(url="http://hub", token_file=str(folder / "token")),
    )
    return msgspec.structs.replace(base, **changes)


@pytest.mark.parametrize(
    ("path", "kind", "read_only"),
    [
        ("/var/lib/maguey", "ext4", False),
        ("/run/maguey", "tmpfs", False),
        ("/data/with space/x", "ext4", True),
        ("/frozen/x", "ext4", True),  # the file system itself, not only this mount
        ("/live/state", "ext4", False),  # of two mounts on one point the later one counts
        ("/running", "ext4", False),  # not /run
        ("/share", "nfs4", False),
    ],
)
def test_a_folder_is_on_the_nearest_mount_above_it(path: str, kind: str, read_only: bool) -> None:
    mount = mount_of(MOUNTINFO, PurePosixPath(path))
    assert mount is not None
    assert (mount.kind, mount.read_only) == (kind, read_only)


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "nfs4"])
def test_a_journal_in_memory_or_over_a_network_is_a_fault(kind: str, tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/root rw\n2 1 0:2 / {tmp_path} rw - {kind} {kind} rw\n")
    assert levels(check_state_dir(a_config(tmp_path), table))["journal's disk"] is Severity.FAULT


def test_a_journal_on_a_real_tmpfs_is_a_fault() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        found = levels(check_state_dir(a_config(Path(folder))))
    assert found["journal's disk"] is Severity.FAULT
    assert found["journal's speed"] is Severity.OK


def test_a_disk_of_this_machine_is_fine_and_its_fsync_is_measured(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 0 254:0 / / rw - ext4 /dev/root rw\n")
    found = list(check_state_dir(a_config(tmp_path), table))
    assert levels(iter(found))["journal's disk"] is Severity.OK
    (speed,) = (one for one in found if one.check == "journal's speed")
    assert "fsync as" in speed.result
    assert f"as {pwd.getpwuid(os.geteuid()).pw_name}" in speed.result
    assert [path.name for path in tmp_path.iterdir()] == ["mountinfo"]  # the check leaves nothing behind


def test_a_missing_folder_is_reported_with_what_creates_it(tmp_path: Path) -> None:
    (one,) = check_state_dir(a_config(tmp_path / "nowhere"))
    assert one.level is Severity.FAULT
    assert "systemd-tmpfiles" in one.advice


def test_files_the_other_service_cannot_write_are_a_fault(tmp_path: Path) -> None:
    """See ADR 0014: a restored backup had left them at 0640."""
    (tmp_path / "journal.db").touch(0o640)
    assert levels(check_sharing(a_config(tmp_path))) == {}  # one user owns everything: nothing is shared
    tmp_path.chmod(0o2770)
    (one,) = check_sharing(a_config(tmp_path))
    assert one.level is Severity.FAULT
    assert "journal.db" in one.result
    (tmp_path / "journal.db").chmod(0o660)
    assert levels(check_sharing(a_config(tmp_path))) == {"shared files": Severity.OK}


def status(age: int | None = 3, problem: str | None = None) -> StatusReport:
    event = EventStatus(name="PF", inside=1, capacity=2, cache_version=3, cache_age_s=age)
    journal = JournalStatus(last_seq=7, problem=problem)
    return StatusReport(
        gate_id="gate-1", online=True, journal=journal, event=event, door=LiveReading(), problems=()
    )


def test_an_old_cache_is_a_warning_and_a_missing_one_a_fault() -> None:
    assert levels(check_files(status())) == {"journal": Severity.OK, "cache": Severity.OK}
    assert levels(check_files(status(age=901)))["cache"] is Severity.WARNING
    assert levels(check_files(status(age=None)))["cache"] is Severity.WARNING
    assert levels(check_files(msgspec.structs.replace(status(), event=None)))["cache"] is Severity.FAULT


def test_a_clock_that_cannot_be_right_is_a_fault(tmp_path: Path) -> None:
    clock = StoppedClock()
    now = clock.now()
    (one,) = check_clock(msgspec.structs.replace(now, wall=datetime(1970, 1, 1, tzinfo=UTC)), None)
    assert one.level is Severity.FAULT
    (one,) = check_clock(now, now.wall + timedelta(seconds=1))
    assert (one.level, "earlier than the last scan" in one.result) == (Severity.FAULT, True)
    (one,) = check_clock(now, now.wall)
    assert one.level is not Severity.FAULT  # whether it is synchronised depends on this machine


def test_a_clock_the_hub_confirmed_is_fine_and_a_machine_clock_far_off_a_warning() -> None:
    """Even if a scan was recorded with a later time before the clock was confirmed."""
    now = StoppedClock(synced=True).now()
    (one,) = check_clock(now, now.wall + timedelta(days=1))
    assert (one.level, "by the hub, within 5 ms" in one.result) == (Severity.OK, True)
    (one,) = check_clock(msgspec.structs.replace(now, offset_ms=-120_000), None)
    assert (one.level, "120.000 s off" in one.result) == (Severity.WARNING, True)


def reading(**parts: str) -> LiveReading:
    now = StoppedClock().now()
    live = Live(at=now.wall, monotonic_ms=1, boot_id="b", pid=42, version="1", parts=PartsReport(**parts))
    return LiveReading(live=live, age_ms=10, is_fresh=True)


def test_each_part_of_a_running_door_is_reported_as_the_door_sees_it() -> None:
    found = list(parts_of(reading(camera="No frame for 5 s.")))
    assert levels(iter(found))["camera"] is Severity.FAULT
    assert found[0].result == "No frame for 5 s."
    assert {one.level for one in found[1:]} == {Severity.OK}
    assert {one.check for one in found} >= {"decoder", "screen", "turnstile", "inputs", "lights", "keypad"}
    assert levels(check_door(reading())) == {"door": Severity.OK}
    assert levels(check_door(LiveReading(why="The door is not running."))) == {"door": Severity.WARNING}


def test_a_journal_or_cache_the_door_cannot_use_is_a_fault_though_the_doctor_can() -> None:
    """The doctor may run as root; the door does not, and it is the one that needs them."""
    told = {one.check: one for one in parts_of(reading(journal="Read-only.", cache="Locked."))}
    assert (told["door's journal"].level, told["door's journal"].result) == (Severity.FAULT, "Read-only.")
    assert (told["door's cache"].level, told["door's cache"].result) == (Severity.FAULT, "Locked.")
    assert levels(parts_of(reading()))["door's journal"] is Severity.OK


# --- credentials ---


class Papers:
    """A gate's real token, key and certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token, self.key, self.cert = (folder / name for name in ("token", "gate.key", "gate.pem"))
        self.token.write_text("canary-4711")
        self.token.chmod(0o400)
        self.issue()

    def issue(self, name: str = "gate-1", begins: int = -1, days: int = 100) -> None:
        """Make a new key, and a certificate valid from `begins` to `days` days from now."""
        key = generate_private_key(SECP256R1())
        self.key.unlink(missing_ok=True)
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key.chmod(0o400)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW + timedelta(days=begins))
            .not_valid_after(NOW + timedelta(days=days))
            .sign(key, hashes.SHA256())
        )
        self.cert.write_bytes(certificate.public_bytes(Encoding.PEM))

    def found(self, **hub: Any) -> dict[str, Finding]:
        files: dict[str, Any] = {
            "ca_file": str(self.cert),
            "cert_file": str(self.cert),
            "key_file": str(self.key),
        }
        section = HubSection(url="http://hub", token_file=str(self.token), **{**files, **hub})
        config = a_config(self.folder, hub=section)
        return {one.check: one for one in check_credentials(config, NOW)}


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def test_good_credentials_are_fine(papers: Papers) -> None:
    assert {one.level for one in papers.found().values()} == {Severity.OK}
    assert "100 days" in papers.found()["gate's certificate"].result


@pytest.mark.parametrize(
    ("issue", "level", "words"),
    [
        ({"begins": -9, "days": -1}, Severity.FAULT, "expired on"),
        ({"begins": 1}, Severity.FAULT, "not valid before"),
        ({"days": 89}, Severity.WARNING, "expires in 89 days"),
        ({"name": "gate-2"}, Severity.FAULT, "issued to gate-2, not to gate-1"),
    ],
)
def test_a_certificate_that_will_be_refused_is_reported(
    papers: Papers, issue: dict[str, Any], level: Severity, words: str
) -> None:
    papers.issue(**issue)
    one = papers.found()["gate's certificate"]
    assert one.level is level
    assert words in one.result


def test_a_secret_that_others_may_read_is_reported_and_never_shown(papers: Papers) -> None:
    papers.token.chmod(0o444)
    assert papers.found()["token"].level is Severity.FAULT
    papers.token.chmod(0o440)
    assert papers.found()["token"].level is Severity.WARNING
    papers.key.chmod(0o444)
    assert papers.found()["private key"].level is Severity.FAULT
    assert "canary" not in str(papers.found())


def test_missing_empty_and_broken_credentials_are_reported(papers: Papers) -> None:
    papers.token.chmod(0o600)
    papers.token.write_text("")
    assert "empty" in papers.found()["token"].result
    papers.token.unlink()
    assert "No such file" in papers.found()["token"].result
    papers.cert.write_text("no certificate")
    assert papers.found()["gate's certificate"].level is Severity.FAULT
    assert papers.found(ca_file="", cert_file="", key_file="")["hub's certificate"].level is Severity.WARNING


def test_a_secret_that_root_wrote_is_given_to_the_service_and_not_enrolled_again(papers: Papers) -> None:
    """Seen on the first real boot: the token was there, and the advice was to enrol."""
    found = papers.token.stat()
    assert "so daemon cannot read it" in unreadable_for_service(papers.token, found, "daemon")
    assert unreadable_for_service(papers.token, found, "nobody-has-this-name") == ""
    papers.token.chmod(0o404)
    assert unreadable_for_service(papers.token, papers.token.stat(), "daemon") == ""
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert unreadable_for_service(papers.token, papers.token.stat(), own) == ""
    papers.token.chmod(0o200)
    assert "may not read it" in unreadable_for_service(papers.token, papers.token.stat(), own)


def test_a_key_of_another_certificate_is_reported(papers: Papers) -> None:
    kept = papers.cert.read_bytes()
    papers.issue()
    papers.cert.write_bytes(kept)
    assert "not the key of" in papers.found()["private key"].result

"""Checks of a gate's folder, files and clock, without touching hardware."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import stat
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from gate.common.findings import Finding, fault, fine, warning
from gate.common.owned_files import create_own
from gate.config import GateFile
from gate.diagnostics.mounts import IN_MEMORY, REMOTE, mount_of
from gate.diagnostics.status import CATCH_UP, EventStatus, StatusReport
from gate.rules.model import Now
from gate.store.live_file import OK, LiveReading

FSYNCS = 20
SLOW_FSYNC_MS, BAD_FSYNC_MS = 50.0, 500.0
"""A guest waits for one fsync. A good card takes 2 to 20 ms; one that takes half a second is failing."""
LITTLE_MB, TOO_LITTLE_MB = 500, 100
"""A night of 10,000 scans takes about 10 MB of journal, and the cache of 100,000 tickets 60 MB."""
OLD_CACHE_S = 900
EARLIEST_YEAR = 2026
"""Before this software was written."""
MUCH_OFF_S = 60
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def check_state_dir(config: GateFile, mountinfo: Path = Path("/proc/self/mountinfo")) -> Iterator[Finding]:
    """Whether commits survive a power cut."""
    folder = Path(config.state_dir)
    if not folder.is_dir():
        advice = "Create it with systemd-tmpfiles --create maguey.conf, or correct state_dir."
        yield fault("journal's disk", f"{folder}: no such folder.", advice)
        return
    yield _disk(folder.resolve(), mountinfo.read_text())
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    yield _free(folder, free_mb)
    try:
        yield _fsync(folder)
    except OSError as error:
        advice = "Nobody can be admitted. Check its owner (ls -ld), the disk (dmesg) and the mount."
        result = f"{folder}: {_account()} cannot write to it: {error.strerror}."
        yield fault("journal's folder", result, advice)


def _disk(folder: Path, mountinfo: str) -> Finding:
    mount = mount_of(mountinfo, folder)
    if mount is None:
        return warning("journal's disk", f"{folder}: its mount was not found.", "Look at findmnt.")
    where = f"{folder} is on {mount.source} ({mount.kind})"
    if mount.kind in IN_MEMORY:
        advice = "A power cut loses all scans. Turn the overlay off (raspi-config) or move state_dir."
        return fault("journal's disk", f"{where}, which is in memory.", advice)
    if mount.kind in REMOTE:
        return fault(
            "journal's disk", f"{where}, over a network.", "Move state_dir to a disk of this machine."
        )
    if mount.read_only:
        advice = (
            "Nobody can be admitted. Look for disk errors in dmesg; a worn card turns read-only: replace it."
        )
        return fault("journal's disk", f"{where}, mounted read-only.", advice)
    return fine("journal's disk", f"{where}.")


def _free(folder: Path, free_mb: int) -> Finding:
    result, advice = f"{free_mb} MB free on {folder}.", "Make room: journalctl --vacuum-size=100M, df -h."
    if free_mb < TOO_LITTLE_MB:
        return fault("free space", result, advice)
    return warning("free space", result, advice) if free_mb < LITTLE_MB else fine("free space", result)


def _fsync(folder: Path) -> Finding:
    took_ms = sorted(_fsyncs(folder))
    middle, worst = statistics.median(took_ms), took_ms[-1]
    # root may write where the door's account may not: `door's journal` reports that
    result = f"fsync as {_account()}: median {middle:.2f} ms, longest {worst:.1f} ms of {len(took_ms)}."
    advice = "Every guest waits for one fsync. Use a better card (class A2) or a small SSD."
    if middle > BAD_FSYNC_MS:
        return fault("journal's speed", result, advice)
    return (
        warning("journal's speed", result, advice)
        if middle > SLOW_FSYNC_MS
        else fine("journal's speed", result)
    )


def _account() -> str:
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may have users without names
        return f"user {user}"


def _fsyncs(folder: Path) -> Iterator[float]:
    trial = folder / f".doctor-{os.getpid()}"
    try:
        with os.fdopen(create_own(trial), "wb", buffering=0) as file:
            for _ in range(FSYNCS):
                file.write(b"\0" * 4096)
                begun = time.perf_counter()
                os.fsync(file.fileno())
                yield (time.perf_counter() - begun) * 1000
    finally:
        trial.unlink(missing_ok=True)


def check_sharing(config: GateFile) -> Iterator[Finding]:
    """If two users share the folder, each must be able to write to the other's files (ADR 0014)."""
    folder = Path(config.state_dir)
    if not folder.is_dir() or not folder.stat().st_mode & stat.S_ISGID:
        return
    wanted, group = stat.S_IRGRP | stat.S_IWGRP, folder.stat().st_gid
    wrong = []
    for file in sorted(folder.glob("*.db*")):
        with contextlib.suppress(FileNotFoundError):
            found = file.stat()
            if found.st_mode & wanted != wanted or found.st_gid != group:
                wrong.append(file.name)
    if wrong:
        advice = f"cd {folder}; chgrp maguey *.db*; chmod 0660 *.db*"
        yield fault("shared files", f"The group cannot write: {', '.join(wrong)}.", advice)
    else:
        yield fine("shared files", "Door and sync can both open journal and cache.")


def check_files(status: StatusReport) -> Iterator[Finding]:
    """What journal and cache hold."""
    journal = status.journal
    if journal.problem:
        yield warning("journal", journal.problem, "")
    else:
        yield fine("journal", f"{journal.last_seq} records, {journal.waiting} waiting for the hub.")
    if not status.nights:
        yield fault("cache", "No night is loaded.", "Start maguey-sync and look at its log.")
    yield from map(_list_of, status.nights)


def _list_of(night: EventStatus) -> Finding:
    age = night.cache_age_s
    result = f"{night.name}, {night.inside} of {night.capacity} in, version {night.cache_version or '-'}"
    if night.behind_s is not None:
        return warning("cache", f"{result}, {night.state}.", CATCH_UP)
    if age is None or age > OLD_CACHE_S:
        since = "never current" if age is None else f"last current {age // 60} min ago"
        advice = "This gate does not know sales and refunds since then. Look at maguey-sync's log."
        return warning("cache", f"{result}, {since}.", advice)
    return fine("cache", f"{result}, {night.state}.")


def check_clock(
    now: Now, last_scan: datetime | None, rtc: Path = Path("/sys/class/rtc/rtc0")
) -> Iterator[Finding]:
    """Whether the time can be trusted: opening hours depend on it."""
    utc = f"{now.wall:%Y-%m-%d %H:%M:%S} UTC"
    if now.clock == "synced":
        yield _measured(utc, now)
    elif now.wall.year < EARLIEST_YEAR:
        yield fault(
            "clock", f"{utc} is impossible.", "Connect the gate to the network, or set it: timedatectl."
        )
    elif last_scan is not None and now.wall < last_scan:
        yield fault("clock", f"{utc} is earlier than the last scan.", "Set it: timedatectl set-ntp true.")
    elif not _is_synchronised():
        advice = "timedatectl timesync-status says why. Without a network the clock runs free."
        yield warning("clock", f"{utc}, not synchronised.", advice)
    else:
        kept = "has a clock chip" if rtc.exists() else "no clock chip: wrong after a power cut until NTP"
        yield fine("clock", f"{utc}, synchronised, not yet confirmed by the hub; {kept}.")


def _measured(utc: str, now: Now) -> Finding:
    """The door uses the hub's time; TLS and the log use the machine's."""
    off_s = abs(now.offset_ms or 0) / 1000
    result = f"{utc}, by the hub, within {now.uncertainty_ms} ms; the machine's own is {off_s:.3f} s off."
    if off_s <= MUCH_OFF_S:
        return fine("clock", result)
    return warning("clock", result, "The door works, but certificates may fail: timedatectl set-ntp true.")


def _is_synchronised() -> bool:
    """What adjtimex(2) says, asked without changing anything."""
    question = ctypes.create_string_buffer(512)  # struct timex, modes 0
    state: int = ctypes.CDLL(None).adjtimex(question)
    return 0 <= state != _TIME_ERROR


def check_door(reading: LiveReading) -> Iterator[Finding]:
    """What the running door reports; if none runs, the doctor tries the devices itself."""
    if reading.live is None or not reading.is_fresh:
        advice = "The devices are tried now. Start the door afterwards: systemctl start maguey-gate."
        yield warning("door", reading.why, advice)
        return
    live = reading.live
    yield fine("door", f"running, pid {live.pid}, {live.counters.scans} scans, {live.way.value}.")


def parts_of(reading: LiveReading) -> Iterator[Finding]:
    """Each device and file, as the running door reports it."""
    if reading.live is None:
        return
    parts: dict[str, str] = msgspec.structs.asdict(reading.live.parts)
    for name, said in parts.items():
        # the doctor reads these two files itself too; that it can does not mean that the door can
        check = f"door's {name}" if name in ("journal", "cache") else name
        yield fine(check, "works, as the door reports.") if said == OK else fault(check, said, "")

"""The work of every hour that nobody waits for: complete nights, make months of scans, drop old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import msgspec

from hub.authority.ends import WARNED_BEFORE, end_warnings
from hub.config import Archive, Backup
from hub.db.call import FunctionAnswer, ask, call
from hub.db.connection import Connection
from hub.db.statements import query
from hub.keeping.backup import newest_backup
from hub.keeping.retention import archive, months_before

MONTHS_AHEAD = 3
"""Partitions of scan_logs made in advance: so long housekeeping may fail before the default one is used."""

_UNPAID_MINUTES = 30
_MAIL_DAYS = 30
_REQUEST_DAYS = 30


class _Completed(FunctionAnswer, frozen=True, kw_only=True):
    events: int = 0
    reservations: int = 0


class _Released(FunctionAnswer, frozen=True, kw_only=True):
    released: int = 0


class _Made(FunctionAnswer, frozen=True, kw_only=True):
    made: tuple[str, ...] = ()


class _Forgotten(FunctionAnswer, frozen=True, kw_only=True):
    forgotten: int = 0


class _Purged(FunctionAnswer, frozen=True, kw_only=True):
    purged: int = 0


class Keeping(msgspec.Struct, frozen=True):
    """The parts of hub.toml that matter here."""

    archive: Archive = Archive()
    backup: Backup = Backup()


class HourlyResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step, in a line; `failed`: it is tried, or looked at, again in an hour."""

    line: str
    failed: bool = False


def housekeep(conn: Connection, settings: Keeping, now: datetime) -> Iterator[HourlyResult]:
    """Do every step, each in a transaction of its own, so that a failure stops none of the others.

    May run as often as you like, and on several machines at once: the second one says so and does nothing.

    :param conn: in autocommit mode, with the service's rights.
    :param now: in UTC.
    :raises psycopg.errors.UndefinedFunction: the database is not migrated; nothing was done.
    """
    conn.execute(query("keeping_is_migrated"))
    for what, step in _STEPS:
        with conn.transaction():
            conn.execute(query("wait_briefly"))
            if not call(conn, "try_lock", name="housekeeping"):
                yield HourlyResult(line=f"{what}: another session is doing it")
                continue
            yield step(what, conn, settings, now)


def _complete(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    done = ask(conn, "complete_finished_events", _Completed, now=now)
    return _step(what, done, f"{done.events} nights, {done.reservations} reservations completed")


def _release(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    done = ask(
        conn, "release_expired_reservations", _Released, older=timedelta(minutes=_UNPAID_MINUTES), now=now
    )
    return _step(what, done, f"{done.released} released that were not paid in {_UNPAID_MINUTES} minutes")


def _partitions(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    done = ask(conn, "ensure_scan_partitions", _Made, months_ahead=MONTHS_AHEAD, now=now)
    return _step(what, done, f"made {', '.join(done.made)}" if done.made else "all there")


def _webhooks(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    done = ask(conn, "cleanup_expired_webhook_idempotency", _Forgotten, now=now)
    return _step(what, done, f"{done.forgotten} forgotten that are older than 30 days")


def _mail(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    done = ask(conn, "purge_mail", _Purged, older=timedelta(days=_MAIL_DAYS), now=now)
    return _step(what, done, f"{done.purged} purged that were sent or given up {_MAIL_DAYS} days ago")


def _certificates(what: str, conn: Connection, _settings: Keeping, now: datetime) -> HourlyResult:
    """Failed while one ends soon, so that whoever watches this unit hears of it."""
    before = {"before": now - timedelta(days=_REQUEST_DAYS)}
    conn.execute(query("forget_enrolments"), before)
    conn.execute(query("forget_requests"), before)
    warnings = end_warnings(conn.execute(query("certificate_ends_everywhere")).fetchall(), now)
    words = " ".join(warnings) or f"none ends within {WARNED_BEFORE.days} days"
    return HourlyResult(line=f"{what}: {words}", failed=bool(warnings))


def _retention(what: str, conn: Connection, settings: Keeping, now: datetime) -> HourlyResult:
    done = archive(conn, months_before(now, settings.archive.keep_months), now)
    lines = [f"{one.month} archived ({one.scans:,} scans)" for one in done.months]
    lines += [f"{one.month} stays: {one.why}" for one in done.kept]
    return _step(what, done, ", ".join(lines) or f"nothing older than {settings.archive.keep_months} months")


def _step(what: str, done: FunctionAnswer, line: str) -> HourlyResult:
    if done.success:
        return HourlyResult(line=f"{what}: {line}")
    return HourlyResult(line=f"{what}: failed, and will be tried again: {done.message}", failed=True)


def _backups(what: str, conn: Connection, settings: Keeping, now: datetime) -> HourlyResult:
    taken_at = newest_backup(conn)
    if taken_at is None:
        return HourlyResult(line=f"{what}: none was made yet; systemctl enable --now maguey-hub-backup.timer")
    hours = (now - taken_at) // timedelta(hours=1)
    line = f"{what}: the newest is {hours} h old"
    if hours <= settings.backup.warn_hours:
        return HourlyResult(line=line)
    return HourlyResult(
        line=f"{line}: journalctl -u maguey-hub-backup says why there is no newer one", failed=True
    )


_STEPS: tuple[tuple[str, Callable[[str, Connection, Keeping, datetime], HourlyResult]], ...] = (
    ("nights", _complete),
    ("reservations", _release),
    ("months of scans", _partitions),
    ("webhooks", _webhooks),
    ("mail", _mail),
    ("old scans", _retention),
    ("certificates", _certificates),
    ("backups", _backups),
)

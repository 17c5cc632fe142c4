"""``maguey-hub authority serve``: the one process that has the authority's key.

Whatever changes in Postgres wakes it. It signs what waits, makes the broker's files what the database says,
has Mosquitto read them, and throws out whoever was revoked. All of that follows from what is there, so a turn
may be cut anywhere, and the next one goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from cryptography import x509
from psycopg.rows import DictRow

from gate.common.foreign import UnreadableError, read_json
from gate.common.outage import Outage
from hub.authority.broker_process import reload_broker, restart_broker
from hub.authority.broker_visit import BrokerAwayError, BrokerPlace, Visitor, is_let_in
from hub.authority.certificates import (
    TAKE_OVER_LIFE,
    Issuer,
    RequestError,
    certificate_digest,
    gate_certificate,
    new_key,
    requested_key,
    revocation_list,
)
from hub.authority.folders import LARGEST_FILE, AuthorityError, pem, read_issuer, read_short
from hub.config import HubConfig
from hub.db.call import call
from hub.db.connection import Connection
from hub.db.notices import wait_for_notice
from hub.db.statements import query
from hub.db.worker import DatabaseWorker
from hub.gates.atomic_file import replace_file
from hub.gates.broker_list import broker_list_text

POLL_S = 2.0
"""In case a notification was missed."""
LIST_READ_S = 5.0
"""Longest time for Mosquitto to read its list after a signal; it takes milliseconds."""
_AGAIN_S = 0.02
_FILE_MODE = 0o640

_log = structlog.get_logger()


class _Told(msgspec.Struct, frozen=True):
    """What Mosquitto was last told of."""

    venue: str
    gates: tuple[str, ...]
    revoked: tuple[str, ...]
    broker: str = ""
    """The SHA-256 of its own certificate."""

    def needs_restart(self, before: _Told | None) -> bool:
        """Whether a gate is new on the list. That needs a restart, everything else does not (ADR 31)."""
        return before is None or before.venue != self.venue or not set(self.gates) <= set(before.gates)


class AuthorityService:
    """Signs, and keeps the broker's files true. They get the group of their folder, which is setgid."""

    def __init__(
        self,
        config: HubConfig,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._venue = config.venue
        self._now = now
        self._home, self._broker = Path(config.authority.dir), Path(config.authority.broker_dir)
        self._pid_file = Path(config.authority.broker_pid_file)
        self._place = BrokerPlace(
            host=config.mqtt.host, port=config.authority.gates_port, ca_file=str(self._broker / "ca.pem")
        )
        self._issuer = read_issuer(self._home)
        self._told = _read_told(self._home / "told.json")
        self._own = {
            "gates authority": self._home / "ca.pem",
            "hub authority": self._home / "hub-ca.pem",
            "broker": self._broker / "broker.pem",
            "web": Path(config.web.cert_file or "-"),
            "hub": Path(config.mqtt.cert_file or "-"),
        }
        """Certificates that are files, to be noted when they end."""
        self._canaries: dict[str, Visitor] = {}
        self._outage = Outage("broker")

    def begin(self, conn: Connection) -> None:
        """Set up a new connection: listen, and note the certificates that were made without a database."""
        conn.execute(query("listen_authority"))
        self._note_own(conn)

    def _note_own(self, conn: Connection) -> None:
        for kind, file in self._own.items():
            if (found := _certificate_in(file)) is not None:
                self._note(conn, found, kind)

    def turn(self, conn: Connection, stop: threading.Event) -> None:
        """Do what there is to do, then wait for more.

        :param conn: in autocommit.
        """
        self.work(conn)
        wait_for_notice(conn, POLL_S, stop)

    def work(self, conn: Connection) -> None:
        """Do what there is to do.

        :raises AuthorityError: a file cannot be written, or the broker not be told.
        """
        while self._sign(conn):
            pass
        rows = conn.execute(query("revocations_waiting"), {"venue": self._venue}).fetchall()
        self._canaries = {row["gate_id"]: self._canary(conn, row["gate_id"]) for row in rows}
        self._publish(conn)
        for gate_id, canary in self._canaries.items():
            self._lock_out(conn, gate_id, canary)

    # --- certificates ---

    def _sign(self, conn: Connection) -> int:
        with conn.transaction():
            rows = conn.execute(query("requests_waiting"), {"venue": self._venue}).fetchall()
            for row in rows:
                self._answer(conn, row)
        return len(rows)

    def _answer(self, conn: Connection, row: DictRow) -> None:
        now = self._now()
        try:
            if row["revoked"]:
                raise RequestError("The gate was revoked.")
            made = gate_certificate(self._issuer, row["gate_id"], requested_key(row["request"]), now)
        except RequestError as error:
            conn.execute(query("refuse_request"), {"id": row["id"], "why": str(error), "now": now})
            return
        facts = _facts(made) | {"certificate": pem(made).decode(), "now": now}
        call(conn, "note_issued", request=row["id"], **facts)
        _log.info("certificate issued", gate_id=row["gate_id"], until=made.not_valid_after_utc.isoformat())

    def _canary(self, conn: Connection, gate_id: str) -> Visitor:
        """Somebody who is revoked from the beginning, well before the certificate ends by itself."""
        known = self._canaries.get(gate_id)
        if known is not None and known.certificate.not_valid_after_utc > self._now() + TAKE_OVER_LIFE / 2:
            return known
        return self._visitor(conn, gate_id, self._now())

    def _visitor(self, conn: Connection, gate_id: str, revoked_at: datetime | None = None) -> Visitor:
        """Somebody with this gate's name, for the authority's own visits. The key is never written down."""
        key, life = new_key(), TAKE_OVER_LIFE
        made = gate_certificate(self._issuer, gate_id, key.public_key(), self._now(), life)
        self._note(conn, made, "take-over", gate_id, revoked_at)
        return Visitor(gate_id, made, key)

    def _note(
        self,
        conn: Connection,
        certificate: x509.Certificate,
        kind: str,
        gate_id: str | None = None,
        revoked_at: datetime | None = None,
    ) -> None:
        facts = _facts(certificate) | {"kind": kind, "gate_id": gate_id, "revoked_at": revoked_at}
        conn.execute(query("note_certificate"), facts)

    # --- the broker's files ---

    def _publish(self, conn: Connection) -> None:
        """Write what differs from the database, and tell Mosquitto what it was not told yet."""
        now = self._now()
        wanted = {"venue": self._venue, "now": now}
        revoked = {r["serial"]: r["revoked_at"] for r in conn.execute(query("revoked_certificates"), wanted)}
        gates = [row["gate_id"] for row in conn.execute(query("listed_gates"), wanted)]
        self._write_list(revoked, now)
        self._write("gates.json", broker_list_text(self._venue, gates).encode())
        own = _certificate_in(self._broker / "broker.pem")
        broker = "" if own is None else certificate_digest(own)
        told = _Told(self._venue, tuple(gates), tuple(sorted(revoked)), broker)
        if told != self._told:
            self._note_own(conn)
            self._tell(told)

    def _write_list(self, revoked: dict[str, datetime], now: datetime) -> None:
        """Only if it names others than before: each signature of the same list would differ."""
        file = self._broker / "crl.pem"
        if _named_in(file, self._issuer) != set(revoked):
            numbers = [(int(serial, 16), at) for serial, at in revoked.items()]
            self._write("crl.pem", pem(revocation_list(self._issuer, numbers, now)))

    def _write(self, name: str, content: bytes) -> None:
        file = self._broker / name
        try:
            if not file.exists() or read_short(file) != content:
                replace_file(file, content, _FILE_MODE)
        except OSError as error:
            raise AuthorityError(
                f"{file}: {error.strerror}. The authority's user has to own {file.parent}."
            ) from None

    def _tell(self, told: _Told) -> None:
        restarts = told.needs_restart(self._told)
        (restart_broker if restarts else reload_broker)(self._pid_file)
        _log.info("broker told", gates=len(told.gates), revoked=len(told.revoked), restarted=restarts)
        replace_file(self._home / "told.json", msgspec.json.encode(told), 0o600)
        self._told = told

    # --- who was revoked ---

    def _lock_out(self, conn: Connection, gate_id: str, canary: Visitor) -> None:
        """Throw a revoked gate out, and note each proof when it is there.

        The canary is on the list like the gate's own certificates: once it is refused, they are, and whoever
        is thrown out then cannot come back.
        """
        proof: dict[str, object] = {
            "listed_at": None,
            "thrown_out_at": None,
            "refused_at": None,
            "trouble": "",
        }
        try:
            self._await_refusal(canary)
            proof["listed_at"] = self._now()
            if not is_let_in(self._place, self._visitor(conn, gate_id)):
                raise BrokerAwayError("Mosquitto lets nobody in: does it have this authority's ca.pem?")
            proof["thrown_out_at"] = self._now()
            self._await_refusal(canary)
            proof["refused_at"] = self._now()
            self._outage.over()
        except BrokerAwayError as error:
            proof["trouble"] = str(error)[:500]
            self._outage.began(error)
        conn.execute(query("note_revocation"), proof | {"gate_id": gate_id})

    def _await_refusal(self, canary: Visitor) -> None:
        until = time.monotonic() + LIST_READ_S
        while is_let_in(self._place, canary):
            if time.monotonic() > until:
                raise BrokerAwayError(
                    "Mosquitto still accepts a revoked certificate: does its crlfile name the crl.pem beside "
                    "gates.json?"
                )
            time.sleep(_AGAIN_S)


def authority_worker(config: HubConfig) -> DatabaseWorker:
    """The service, in a thread.

    :raises AuthorityError: there is no authority, or this user may not use it.
    """
    service = AuthorityService(config)
    return DatabaseWorker("authority", config.postgres.dsn, service.turn, begin=service.begin)


def _facts(certificate: x509.Certificate) -> dict[str, object]:
    return {
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": certificate_digest(certificate),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
    }


def _named_in(file: Path, issuer: Issuer) -> set[str] | None:
    """The serial numbers on a list; None if it cannot be used."""
    try:
        found = x509.load_pem_x509_crl(read_short(file))
        is_ours = found.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return {f"{entry.serial_number:x}" for entry in found} if is_ours else None


def _certificate_in(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(read_short(file))
    except (OSError, ValueError):
        return None


def _read_told(file: Path) -> _Told | None:
    try:
        return read_json(read_short(file), _Told, limit=LARGEST_FILE)
    except (FileNotFoundError, UnreadableError):
        return None

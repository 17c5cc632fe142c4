"""``/metrics`` for Prometheus: how hub and gates are, read from Postgres when it is asked for.

Nothing is counted in a process: what the hub has stored is what counts, whichever process stored it. Labels
are the gates' ids, of which a venue has at most 256, and words of our own; nothing that a gate says of itself
but its version becomes a label.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

import msgspec
import psycopg
from litestar import MediaType, Request, get
from litestar.datastructures import State
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from psycopg_pool import PoolTimeout

from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.web.gate_identity import pool_of
from hub.web.problems import Problem

KEPT_S = 5.0
"""However often it is asked for, Postgres is asked only so often."""
_DISK = "/var"
_VERSION_LETTERS = 40


class HubReadings(msgspec.Struct, frozen=True):
    """What Postgres says, as rows."""

    gates: list[dict[str, Any]]
    scans: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    hub: dict[str, Any]
    certificates: list[dict[str, Any]]


def read_hub(conn: Connection, venue: str) -> HubReadings:
    """Read everything, each statement within three seconds. Raises `psycopg.Error`."""
    wanted = {"venue": venue}
    with conn.transaction():
        conn.execute(query("metrics_in_time"))
        return HubReadings(
            gates=conn.execute(query("metrics_of_gates"), wanted).fetchall(),
            scans=conn.execute(query("metrics_of_scans"), wanted).fetchall(),
            claims=conn.execute(query("metrics_of_claims"), wanted).fetchall(),
            hub=conn.execute(query("metrics_of_hub"), wanted).fetchone() or {},
            certificates=conn.execute(query("certificate_ends"), wanted).fetchall(),
        )


class MetricsPage:
    """The text that was made last, and whoever makes the next.

    :param clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: tuple[float, bytes] | None = None

    def text(self, read: Callable[[], HubReadings | None]) -> bytes:
        """The text, made anew if it is older than `KEPT_S`; one caller makes it, the others wait for it."""
        with self._lock:
            if self._made is None or self._clock() - self._made[0] >= KEPT_S:
                self._made = self._clock(), metrics_text(read())
            return self._made[1]


@get("/metrics", media_type=MediaType.TEXT, sync_to_thread=True, include_in_schema=False)
def metrics(request: Request[Any, Any, State]) -> bytes:
    """For whoever shows the token of ``[web] metrics_token_file``."""
    state = request.app.state
    hub: HubConfig = state.hub
    _check_token(request.headers.get("authorization", ""), state.metrics_token)
    page: MetricsPage = state.metrics_page
    return page.text(lambda: _read(state, hub.venue))


def _check_token(shown: str, token: str | None) -> None:
    if token is None:
        detail = "Metrics are off. Name a file with a token in hub.toml: [web] metrics_token_file."
        raise Problem(404, "No metrics", detail)
    scheme, _, given = shown.partition(" ")
    hashes = (hashlib.sha256(text.encode()).digest() for text in (given.strip(), token))
    if not hmac.compare_digest(*hashes) or scheme.lower() != "bearer":
        detail = "Send the token of [web] metrics_token_file: 'Authorization: Bearer <token>'."
        raise Problem(401, "Wrong token", detail)


def _read(state: State, venue: str) -> HubReadings | None:
    """None while Postgres is away or too slow, which is a reading as well."""
    try:
        with pool_of(state).connection() as conn:
            return read_hub(conn, venue)
    except (psycopg.Error, PoolTimeout):
        return None


def metrics_text(readings: HubReadings | None) -> bytes:
    """All metrics in Prometheus' format.

    :param readings: None if Postgres did not answer.
    """
    registry = CollectorRegistry()
    registry.register(_Given(tuple(_families(readings))))
    return generate_latest(registry)


class _Given:
    """A collector of what was read already."""

    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(readings: HubReadings | None) -> Iterator[Metric]:
    yield _gauge("maguey_database_up", "Whether Postgres answered.", [((), readings is not None)])
    yield _gauge("maguey_hub_info", "The hub's version.", [((version("maguey-gate"),), 1)], ("version",))
    disk = shutil.disk_usage(_DISK)
    yield _gauge(
        "maguey_disk_free_ratio", f"The free part of the disk with {_DISK}.", [((), disk.free / disk.total)]
    )
    if readings is not None:
        yield from _hub_families(readings)
        for name, help_text, value in _OF_A_GATE:
            samples = [((row["gate_id"],), value(row)) for row in readings.gates]
            yield _gauge(name, help_text, samples, ("gate",))


def _hub_families(readings: HubReadings) -> Iterator[Metric]:
    hub = readings.hub
    yield _gauge("maguey_hub_active", "Whether maguey-hub ingest is at work.", [((), hub["active"])])
    yield _gauge(
        "maguey_quarantine_records", "What could not be stored, 10,000 at most.", [((), hub["quarantine"])]
    )
    yield _gauge(
        "maguey_conflicts_open", "Double admissions nobody has acknowledged.", [((), hub["conflicts"])]
    )
    backup_at = hub["backup_at"].timestamp() if hub["backup_at"] else 0
    yield _gauge(
        "maguey_backup_timestamp_seconds", "When the newest backup was made; 0: never.", [((), backup_at)]
    )
    ends = [
        ((row["kind"], row["gate_id"] or ""), row["not_after"].timestamp()) for row in readings.certificates
    ]
    yield _gauge(
        "maguey_certificate_end_timestamp_seconds", "When each certificate ends.", ends, ("kind", "gate")
    )
    claims = [((row["answer"],), row["count"]) for row in readings.claims]
    yield _gauge("maguey_claims_recent", "Claims of the last five minutes.", claims, ("answer",))
    stored = CounterMetricFamily(
        "maguey_records_stored", "Records stored.", labels=("gate", "record", "verdict")
    )
    for row in readings.scans:
        stored.add_metric((row["gate_id"], row["record"], row["verdict"]), row["count"])
    yield stored
    said = [((row["gate_id"], (row["version"] or "")[:_VERSION_LETTERS]), 1) for row in readings.gates]
    yield _gauge("maguey_gate_info", "The gate's version.", said, ("gate", "version"))


GateRow = Mapping[str, Any]


def _changes_behind(row: GateRow) -> int:
    return max((night["behind"] or 0 for night in row["nights"]), default=0)


def _has_state(row: GateRow, state: str) -> bool:
    return any(night["state"] == state for night in row["nights"])


def _troubles_of(row: GateRow) -> int:
    return sum(said != "ok" for said in (row["parts"] or {}).values())


_OF_A_GATE: tuple[tuple[str, str, Callable[[GateRow], float]], ...] = (
    ("maguey_gate_revoked", "Whether it was revoked.", lambda row: row["revoked"]),
    (
        "maguey_gate_on_duty",
        "Whether a night it serves is on.",
        lambda row: row["on_duty"] and not row["revoked"],
    ),
    ("maguey_gate_online", "Whether it is heard.", lambda row: row["link"] == "online"),
    (
        "maguey_gate_heard_timestamp_seconds",
        "When it was last heard; 0: never.",
        lambda row: row["heard_at"].timestamp() if row["heard_at"] else 0,
    ),
    ("maguey_gate_isolated", "Whether it says that it has no broker.", lambda row: bool(row["isolated"])),
    ("maguey_gate_door_running", "Whether its door runs.", lambda row: bool(row["door"])),
    ("maguey_gate_troubles", "How many of its parts are out of order.", _troubles_of),
    (
        "maguey_gate_flooding",
        "Whether it exceeded its budgets in the last hour.",
        lambda row: row["flooding"],
    ),
    ("maguey_gate_records_missing", "Records of its journal that are not here.", lambda row: row["lag"]),
    (
        "maguey_gate_oldest_missing_seconds",
        "The age of the first of them.",
        lambda row: row["oldest_unacked_s"] or 0,
    ),
    ("maguey_gate_changes_behind", "Changes its lists lack, 10,000 at most.", _changes_behind),
    ("maguey_gate_list_differs", "Whether a list is not the hub's.", lambda row: _has_state(row, "differs")),
    ("maguey_gate_clock_trusted", "Whether it knows the time.", lambda row: row["clock"] == "synced"),
    (
        "maguey_gate_clock_uncertainty_seconds",
        "How far its time may be off.",
        lambda row: (row["clock_uncertainty_ms"] or 0) / 1000,
    ),
)
"""Name, help, and the value of a row of `metrics_of_gates`."""


def _gauge(
    name: str,
    help_text: str,
    samples: Iterable[tuple[tuple[str, ...], float]],
    labels: tuple[str, ...] = (),
) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family

"""What a stranger may read at ``/schema``: the gates' requests, and nothing about this hub (protocol 4.4)."""

from __future__ import annotations

import json

import msgspec

from hub.config import HubConfig, Mqtt, Postgres
from hub.web.api import make_app

CONFIG = HubConfig(
    venue="club-of-secrets",
    postgres=Postgres(dsn="host=database-of-secrets user=user-of-secrets password=word-of-secrets"),
    mqtt=Mqtt(host="broker-of-secrets"),
)


def test_the_schema_lists_the_gates_routes_and_the_probes_only() -> None:
    assert set(make_app(CONFIG).openapi_schema.paths or ()) == {
        "/healthz",
        "/readyz",
        "/api/authority",
        "/api/gates/enroll",
        "/api/gates/{gate_id}/certificate",
        "/api/gates/{gate_id}/config",
        "/api/gates/{gate_id}/events/{event_id}/admissions",
    }


def test_the_schema_reveals_nothing_of_the_hubs_configuration() -> None:
    """Neither as a value nor as an example: the text is the same for every venue."""
    told = json.dumps(make_app(CONFIG).openapi_schema.to_schema())
    assert "of-secrets" not in told
    other = msgspec.structs.replace(CONFIG, venue="another", postgres=Postgres(dsn="host=other"))
    assert json.dumps(make_app(other).openapi_schema.to_schema()) == told


def test_the_schema_mentions_no_token_hash_and_no_database() -> None:
    told = json.dumps(make_app(CONFIG).openapi_schema.to_schema()).lower()
    assert not [word for word in ("token_hash", "sha-256", "postgres", "dsn", "select ") if word in told]

"""How often a stranger is answered, and that no gate is ever taken for one (protocol 4.4).

Real sockets, each address on its own.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from structlog.testing import capture_logs

from hub.config import HubConfig
from hub.web.api import make_app, token_hashes
from hub.web.request_limits import GATE_PER_MINUTE, PAY_OR_SHOW_PER_MINUTE, READS_PER_MINUTE, RequestLimits
from tests.integration.hub.test_api import TOKEN, hashed
from tests.integration.hub.visiting import (
    CONFIG,
    GATE,
    OTHER,
    PROXY,
    STRANGER,
    Answer,
    Server,
    guarded,
    is_ended,
    read,
    request,
    serving,
)
from tests.integration.hub.world import World


@pytest.fixture
def hub(config: HubConfig, world: World) -> Iterator[Server]:
    world.gate("gate-1", hashed(TOKEN), world.event())
    with guarded(config, clock=lambda: 0.0) as made:  # no allowance is earned back meanwhile
        yield made


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    return dict(Counter(status for status, _ in answers))


def test_wrong_tokens_are_limited_by_the_minute_but_not_the_gate_behind_them(
    hub: Server,
) -> None:
    with capture_logs() as logged:
        answers = [hub.ask(STRANGER, CONFIG, f"wrong-{number}") for number in range(650)]
        assert statuses(answers) == {401: PAY_OR_SHOW_PER_MINUTE, 429: 650 - PAY_OR_SHOW_PER_MINUTE}
        assert 0 < int(answers[-1][1]["retry-after"]) <= 60
        assert answers[-1][1]["content-type"] == "application/problem+json"
        for _ in range(2 * PAY_OR_SHOW_PER_MINUTE):
            assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
        assert hub.ask(OTHER, CONFIG, "wrong")[0] == 401
    assert len(logged) < 5


@pytest.mark.parametrize("path", ["/" + CONFIG, CONFIG.replace("/api/gates", "/api//gates"), CONFIG + "/"])
def test_a_path_spelled_differently_counts_as_the_path_it_leads_to(hub: Server, path: str) -> None:
    answers = [hub.ask(STRANGER, path, f"wrong-{number}") for number in range(2 * PAY_OR_SHOW_PER_MINUTE)]
    assert statuses(answers) == {401: PAY_OR_SHOW_PER_MINUTE, 429: PAY_OR_SHOW_PER_MINUTE}
    assert hub.ask(STRANGER, path, TOKEN)[0] == 200


def test_a_right_token_never_counts(hub: Server) -> None:
    for _ in range(3 * PAY_OR_SHOW_PER_MINUTE):
        assert hub.ask(GATE, CONFIG, TOKEN)[0] == 200
    assert hub.ask(GATE, CONFIG, "wrong")[0] == 401


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (CONFIG, "GET"),
        ("/api/gates/nobody/config", "GET"),
        ("/api/gates/gate-1/no-such-thing", "GET"),
        ("/api/gates/", "GET"),
        ("/api/gates/enroll", "POST"),
        ("/api/orders/create-checkout", "POST"),
    ],
)
def test_every_refused_request_with_a_token_or_a_payment_counts(hub: Server, path: str, method: str) -> None:
    asked = [hub.ask(STRANGER, path, method=method)[0] for _ in range(PAY_OR_SHOW_PER_MINUTE + 3)]
    assert 429 not in asked[:PAY_OR_SHOW_PER_MINUTE]
    assert asked[PAY_OR_SHOW_PER_MINUTE:] == [429] * 3


def test_strangers_may_read_200_times_a_minute(hub: Server) -> None:
    with hub.connect(STRANGER) as line:
        for number in range(READS_PER_MINUTE):
            line.sendall(request(("/healthz", "/schema/openapi.json", "/no/such")[number % 3]).encode())
            assert read(line)[0] in (200, 404)
        line.sendall(request("/healthz").encode())
        assert read(line)[0] == 429
        assert is_ended(line)
    assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
    assert hub.ask(OTHER, "/healthz")[0] == 200


def test_webhooks_are_not_counted(hub: Server) -> None:
    for _ in range(PAY_OR_SHOW_PER_MINUTE + 5):
        assert hub.ask(STRANGER, "/api/webhooks/stripe", method="POST")[0] == 404
    assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401


def test_a_minute_later_a_stranger_may_ask_again(config: HubConfig, world: World) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    now = [0.0]
    with guarded(config, clock=lambda: now[0]) as hub:
        for _ in range(PAY_OR_SHOW_PER_MINUTE):
            assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401
        status, headers = hub.ask(STRANGER, CONFIG, "wrong")
        assert (status, headers["retry-after"]) == (429, "60")
        now[0] += 60
        assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401


def test_a_gate_that_asks_endlessly_is_the_only_one_refused(config: HubConfig, world: World) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    world.gate("gate-2", hashed("other"), event)
    with guarded(config, clock=lambda: 0.0) as hub, hub.connect(GATE) as line:
        for _ in range(GATE_PER_MINUTE):
            line.sendall(request(CONFIG, TOKEN).encode())
            assert read(line)[0] == 200
        line.sendall(request(CONFIG, TOKEN).encode())
        status, headers = read(line)
        assert (status, headers["retry-after"]) == (429, "60")
        assert hub.ask(GATE, "/api/gates/gate-2/config", "other")[0] == 200


def test_a_revoked_gate_behind_an_exhausted_address_is_a_stranger(config: HubConfig, world: World) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    now = [0.0]
    with guarded(config, clock=lambda: now[0]) as hub:
        for _ in range(PAY_OR_SHOW_PER_MINUTE):
            hub.ask(STRANGER, CONFIG, "wrong")
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
        world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-1'")
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 410
        now[0] += 6
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 429


def test_the_address_counts_that_the_proxy_names_and_nobody_else_is_believed(hub: Server) -> None:
    def ask(address: str, says: str) -> int:
        return hub.ask(address, CONFIG, "wrong", **{"X-Forwarded-For": says})[0]

    for _ in range(PAY_OR_SHOW_PER_MINUTE):
        assert ask(PROXY, "203.0.113.9") == 401
    assert ask(PROXY, "203.0.113.9") == 429
    assert ask(PROXY, "made up, 203.0.113.9") == 429
    assert ask(PROXY, "203.0.113.10") == 401
    for number in range(PAY_OR_SHOW_PER_MINUTE):
        assert ask(STRANGER, f"203.0.113.{number}") == 401
    assert ask(STRANGER, "203.0.113.99") == 429


def test_while_postgres_is_away_a_gate_is_told_so_and_its_requests_do_not_count(config: HubConfig) -> None:
    import msgspec

    away = msgspec.structs.replace(config.postgres, dsn="host=127.0.0.1 port=1 dbname=none user=x")
    inner = make_app(msgspec.structs.replace(config, postgres=away))
    inner.state.pool.timeout = 0.05
    with capture_logs() as logged, serving(RequestLimits(inner, lambda: token_hashes(inner))) as hub:
        assert {hub.ask(GATE, CONFIG, TOKEN)[0] for _ in range(PAY_OR_SHOW_PER_MINUTE + 5)} == {503}
    assert [line["event"] for line in logged].count("database unavailable") == 1


@pytest.mark.parametrize(
    "text", [b"\x00\xff" * 50, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_bytes_that_are_not_http_cost_one_log_line_a_minute(hub: Server, text: bytes) -> None:
    with capture_logs() as logged:
        for _ in range(50):
            with hub.connect(STRANGER, text) as line, contextlib.suppress(ConnectionError):
                line.shutdown(socket.SHUT_WR)
                is_ended(line)
    assert len(logged) <= 2, json.dumps([str(line) for line in logged])

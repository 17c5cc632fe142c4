"""A machine becomes a gate with a token, once; any other use of it is refused, and staff hears of it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.authority.certificates import certificate_digest, new_key
from hub.authority.enrolment import TOKEN_LIFE, NewToken, make_enrolment
from hub.authority.service import authority_worker
from hub.cli.main import app
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.gates.alerts import AlertPublisher
from hub.gates.revocation import revoke
from hub.gates.roster import GateEntry, add_gate
from hub.keeping.hourly import Keeping, housekeep
from hub.web import enrolment as web_enrolment
from hub.web.api import make_app, token_hashes
from hub.web.request_limits import PAY_OR_SHOW_PER_MINUTE, RequestLimits
from sync.wire.enrolment import (
    EnrolAnswer,
    EnrolRequest,
    EnrolToken,
    enrolment_statement,
    sha256_hex,
    ssh_fingerprint,
    ssh_of_ed25519,
)
from sync.wire.topics import Topics
from tests.club import VENUE, quiet_venue, request_of
from tests.integration.hub.test_revocation import Line
from tests.integration.hub.world import World

ALL_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
OWN_TOKEN = "the gate's own token, which the hub never sees"


@dataclasses.dataclass
class Machine:
    """A blank Pi: an SSH host key, and a key that is to become the gate's."""

    host: Ed25519PrivateKey = dataclasses.field(default_factory=Ed25519PrivateKey.generate)
    request: str = dataclasses.field(default_factory=lambda: request_of(new_key()))

    @property
    def _wire_form(self) -> bytes:
        return ssh_of_ed25519(self.host.public_key().public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        return ssh_fingerprint(self._wire_form)

    def says(self, token: EnrolToken, gate_id: str = "gate-1", own_token: str = OWN_TOKEN) -> EnrolRequest:
        unsigned = EnrolRequest(
            gate_id=gate_id,
            token=token.secret,
            request=self.request,
            token_sha256=sha256_hex(own_token),
            host_key=base64.b64encode(self._wire_form).decode(),
            signature="",
        )
        return unsigned.signed(base64.b64encode(self.host.sign(enrolment_statement(unsigned))).decode())


@pytest.fixture
def venue(tmp_path: Path, dsn: str, conn: Connection) -> HubConfig:
    for number in (1, 2):
        add_gate(conn, VENUE, GateEntry(gate_id=f"gate-{number}"), "Eva")
    return quiet_venue(tmp_path, dsn)


@pytest.fixture
def web(venue: HubConfig) -> Iterator[TestClient[Any]]:
    with authority_worker(venue), TestClient(make_app(venue), raise_server_exceptions=False) as made:
        yield made


def token_for(
    conn: Connection, machine: Machine, gate_id: str = "gate-1", life: timedelta = TOKEN_LIFE
) -> EnrolToken:
    now = datetime.now(UTC)
    token = EnrolToken(
        secret=new_key().private_numbers().private_value.to_bytes(32, "big").hex(), authority="0" * 64
    )
    wanted = NewToken(gate_id=gate_id, host_key=machine.fingerprint, expires_at=now + life, token=token)
    make_enrolment(conn, VENUE, wanted, "Eva", now)
    return token


def send(web: TestClient[Any], said: EnrolRequest) -> tuple[int, Any]:
    answer = web.post("/api/gates/enroll", content=msgspec.json.encode(said))
    return answer.status_code, answer.json()


def alerts(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT gate_id, reason FROM alerts")


def refusals(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT target, reason FROM audit_log WHERE action = 'enrolment refused'")


def test_a_machine_with_its_token_becomes_the_gate_it_was_made_for(
    web: TestClient[Any], conn: Connection, world: World
) -> None:
    machine = Machine()
    status, body = send(web, machine.says(token_for(conn, machine)))
    answer = msgspec.convert(body, EnrolAnswer)
    made = x509.load_pem_x509_certificate(answer.certificate.encode())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(answer.authority.encode()))
    assert (status, answer.venue, answer.gate_name) == (200, VENUE, "GATE 1")
    assert made.subject.rfc4514_string() == "CN=gate-1"
    assert made.public_key() == x509.load_pem_x509_csr(machine.request.encode()).public_key()
    # the token it made itself opens its configuration from now on
    shown = {"Authorization": f"Bearer {OWN_TOKEN}"}
    assert web.get("/api/gates/gate-1/config", headers=shown).status_code == 200
    assert web.get("/api/gates/gate-2/config", headers=shown).status_code == 401
    known = world.all("SELECT kind, gate_id, fingerprint FROM certificates WHERE gate_id IS NOT NULL")
    assert known == [("gate", "gate-1", certificate_digest(made))]
    assert alerts(world) == []


def test_the_same_request_again_gets_the_same_answer_because_the_first_may_have_been_lost(
    web: TestClient[Any], conn: Connection, world: World
) -> None:
    machine = Machine()
    token = token_for(conn, machine)
    said = machine.says(token)
    assert send(web, said) == send(web, said)
    assert world.one("SELECT count(*) FROM certificates WHERE kind = 'gate'") == 1
    assert alerts(world) == []


@pytest.mark.parametrize("why", ["used", "late", "another machine", "unsigned", "another gate", "revoked"])
def test_any_other_use_of_a_token_is_refused_in_words_and_staff_is_told(
    web: TestClient[Any], conn: Connection, world: World, why: str
) -> None:
    machine, thief = Machine(), Machine()
    token = token_for(conn, machine, life=timedelta(0) if why == "late" else TOKEN_LIFE)
    said = machine.says(token)
    match why:
        case "used":
            assert send(web, said)[0] == 200
            said = Machine(host=machine.host).says(token)  # even from the same machine, with another key
        case "another machine":
            said = thief.says(token)
        case "unsigned":
            said = said.signed(thief.says(token).signature)
        case "another gate":
            said = machine.says(token, "gate-2")
        case "revoked":
            revoke(conn, VENUE, "gate-1", actor="Eva", reason="gone", now=datetime.now(UTC))
            world.run("DELETE FROM alerts")
    status, body = send(web, said)
    assert (status, "maguey-hub enrol" in body["detail"]) == (403, True)
    assert send(web, said)[0] == 403
    # told once, however often it is tried
    reason = "another machine" if why == "unsigned" else why
    assert (alerts(world), refusals(world)) == ([("gate-1", "enrolment")], [("gate-1", reason)])
    line = Line()
    AlertPublisher(line, Topics(venue=VENUE), lambda: 10.0).publish_due(conn)
    assert [topic for topic, _ in line.said] == [Topics(venue=VENUE).alerts()]


def test_a_token_shown_by_the_wrong_machine_stays_good_for_the_right_one(
    web: TestClient[Any], conn: Connection
) -> None:
    machine = Machine()
    token = token_for(conn, machine)
    assert send(web, Machine().says(token))[0] == 403
    assert send(web, machine.says(token))[0] == 200


def test_a_new_token_makes_the_one_before_it_too_late(web: TestClient[Any], conn: Connection) -> None:
    machine = Machine()
    first, second = token_for(conn, machine), token_for(conn, machine)
    assert send(web, machine.says(first))[0] == 403
    assert send(web, machine.says(second))[0] == 200


def test_a_strangers_guess_is_refused_and_alerts_nobody(web: TestClient[Any], world: World) -> None:
    status, body = send(web, Machine().says(EnrolToken(secret="0" * 64, authority="0" * 64)))
    assert (status, body["title"]) == (401, "Not enrolled")
    assert alerts(world) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"v": 2}', b"\xff", b"[" * 5000, b"x" * 20_000],
    ids=lambda body: repr(body[:5]),
)
def test_what_is_no_enrolment_is_refused(web: TestClient[Any], body: bytes) -> None:
    answer = web.post("/api/gates/enroll", content=body)
    assert answer.status_code in {400, 413}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_machine_that_is_enrolled_anew_takes_the_place_of_the_old_one(
    web: TestClient[Any], conn: Connection, world: World
) -> None:
    old, new = Machine(), Machine()
    assert send(web, old.says(token_for(conn, old), own_token="old"))[0] == 200
    assert send(web, new.says(token_for(conn, new), own_token="new"))[0] == 200
    revoked = world.all(
        "SELECT revoked_at IS NOT NULL FROM certificates WHERE kind = 'gate' ORDER BY created_at"
    )
    assert revoked == [(True,), (False,)]
    told = [
        web.get("/api/gates/gate-1/config", headers={"Authorization": f"Bearer {t}"}) for t in ("old", "new")
    ]
    assert [answer.status_code for answer in told] == [401, 200]


def test_without_the_authority_nothing_is_used_up(
    venue: HubConfig, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_enrolment, "ANSWER_S", 0.1)
    machine = Machine()
    token = token_for(conn, machine)
    with TestClient(make_app(venue), raise_server_exceptions=False) as web:
        status, body = send(web, machine.says(token))
        assert (status, "maguey-hub-authority" in body["detail"]) == (503, True)
        monkeypatch.undo()
        with authority_worker(venue):
            assert send(web, machine.says(token))[0] == 200


def test_a_gate_renews_over_its_own_session_and_the_old_certificate_stays_good(
    web: TestClient[Any], conn: Connection, world: World
) -> None:
    machine, key = Machine(), new_key()
    send(web, machine.says(token_for(conn, machine)))
    shown = {"Authorization": f"Bearer {OWN_TOKEN}"}
    body = msgspec.json.encode({"v": 1, "request": request_of(key)})
    answer = web.post("/api/gates/gate-1/certificate", content=body, headers=shown)
    made = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
    assert (answer.status_code, made.public_key()) == (200, key.public_key())
    assert world.one("SELECT count(*) FROM certificates WHERE kind = 'gate' AND revoked_at IS NULL") == 2
    strangers = web.post("/api/gates/gate-1/certificate", content=body, headers={"Authorization": "Bearer x"})
    assert strangers.status_code == 401


def test_a_gate_that_asks_for_one_certificate_after_the_other_is_stopped(
    web: TestClient[Any], conn: Connection
) -> None:
    machine = Machine()
    send(web, machine.says(token_for(conn, machine)))
    shown = {"Authorization": f"Bearer {OWN_TOKEN}"}
    told = [
        web.post(
            "/api/gates/gate-1/certificate",
            content=msgspec.json.encode({"request": request_of(new_key())}),
            headers=shown,
        ).status_code
        for _ in range(9)
    ]
    assert told == [200] * 7 + [429] * 2


def test_no_secret_of_an_enrolment_is_in_the_database(
    web: TestClient[Any], conn: Connection, world: World, server: Any, owner_dsn: str
) -> None:
    """Canaries: the token that was carried, the gate's own, and of course no key."""
    machine = Machine()
    token = token_for(conn, machine)
    send(web, machine.says(token))
    send(web, Machine().says(token))
    tables = [
        row[0]
        for row in world.all(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    ]
    everything = "".join(str(world.all(f"SELECT * FROM {name}")) for name in tables)
    assert hashlib.sha256(token.secret.encode()).hexdigest() in everything
    assert not [secret for secret in (token.secret, OWN_TOKEN, "PRIVATE KEY") if secret in everything]


def test_an_end_that_is_near_is_said_by_readyz_the_list_of_gates_and_housekeeping(
    web: TestClient[Any], conn: Connection, world: World, venue: HubConfig, tmp_path: Path
) -> None:
    machine = Machine()
    send(web, machine.says(token_for(conn, machine)))
    assert web.get("/readyz").text == "ready\n"
    world.run("UPDATE certificates SET not_after = now() + interval '80 days' WHERE gate_id = 'gate-1'")
    said = "The certificate of gate-1 ends in 79 days"
    ready = web.get("/readyz")
    assert (ready.status_code, ready.text.startswith(f"ready\n{said}")) == (200, True)
    file = tmp_path / "hub.toml"
    file.write_text(f'venue = "{VENUE}"\n[postgres]\ndsn = "{venue.postgres.dsn}"\n')
    listed = CliRunner().invoke(app, ["gate", "list", "--config", str(file)])
    assert (listed.exit_code, said in listed.output) == (1, True)
    kept = list(housekeep(conn, Keeping(venue.archive), datetime.now(UTC)))
    assert [step.failed for step in kept if said in step.line] == [True]


def test_whoever_guesses_tokens_is_stopped_for_the_rest_of_the_minute(
    venue: HubConfig, conn: Connection
) -> None:
    machine, inner = Machine(), make_app(venue)
    token = token_for(conn, machine)
    guess = EnrolToken(secret="0" * 64, authority="0" * 64)
    limited = RequestLimits(inner, lambda: token_hashes(inner))
    with authority_worker(venue), TestClient(limited, raise_server_exceptions=False) as web:
        told = [send(web, Machine().says(guess))[0] for _ in range(PAY_OR_SHOW_PER_MINUTE + 2)]
        assert told == [401] * PAY_OR_SHOW_PER_MINUTE + [429] * 2
        # from this address nobody enrols for the rest of the minute; the token waits
        assert send(web, machine.says(token))[0] == 429

"""A running gate renews its certificate by itself; a stolen one erases what it knows."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gate.store.journal import Journal
from hub.authority.certificates import BACKDATED, gate_certificate
from hub.authority.folders import pem, read_issuer
from hub.authority.service import authority_worker
from hub.db.connection import Connection
from hub.gates.revocation import revoke
from hub.gates.roster import GateEntry, add_gate
from hub.gates.signing_key import make_key, public_line, read_key
from sync.identity.files import IdentityFiles, signing_request
from sync.wire.enrolment import sha256_hex
from tests.club import VENUE, Venue, open_venue, signed
from tests.integration.hub.world import World
from tests.patience import PATIENCE_S, until


def enrolled(venue: Venue, folder: Path, token: str) -> IdentityFiles:
    """All but a certificate."""
    files = IdentityFiles(
        authority=folder / "ca.pem",
        certificate=folder / "gate.pem",
        key=folder / "gate.key",
        token=folder / "token",
    )
    files.make_folder()
    files.keep_authority((venue.folders.hub / "ca.pem").read_text())
    files.new_token(token)
    return files


def gate_with_an_old_certificate(venue: Venue, folder: Path, token: str) -> IdentityFiles:
    """Enrolled long ago: three quarters of its certificate's life are over."""
    files = enrolled(venue, folder, token)
    issuer, life = read_issuer(venue.folders.authority), BACKDATED / 3
    made = gate_certificate(issuer, "gate-1", files.new_key().public_key(), datetime.now(UTC), life)
    files.install(pem(made).decode())
    return files


def write_gate_toml(venue: Venue, url: str, folder: Path, files: IdentityFiles, keys: str = "") -> None:
    (folder / "gate.toml").write_text(
        f'gate_id = "gate-1"\nvenue = "{VENUE}"\nstate_dir = "{folder}"\nruntime_dir = "{folder}/run"\n'
        f'[hub]\nurl = "{url}"\ntoken_file = "{files.token}"\nbroker = "127.0.0.1"\n'
        f'broker_port = {venue.broker.port}\nca_file = "{files.authority}"\n'
        f'cert_file = "{files.certificate}"\nkey_file = "{files.key}"\n[command_keys]\n{keys}\n'
    )


@contextlib.contextmanager
def running_sync(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    Journal(folder / "journal.db", "gate-1", "epoch-1").close()
    command = [sys.executable, "-m", "sync.cli", "run", "--config", str(folder / "gate.toml")]
    with (folder / "sync.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            yield running
        finally:
            running.terminate()


def test_a_gate_renews_its_certificate_and_is_back_with_the_new_one(
    dsn: str, conn: Connection, world: World, tmp_path: Path
) -> None:
    add_gate(conn, VENUE, GateEntry(gate_id="gate-1"), "Eva")
    token, folder = secrets.token_urlsafe(32), tmp_path / "gate"
    world.run("UPDATE gates SET token_hash = %s", sha256_hex(token))
    folder.mkdir()
    log = tmp_path / "web.log"
    with open_venue(tmp_path, dsn) as venue, authority_worker(venue.config), venue.web(log) as url:
        venue.restart_broker()
        files = gate_with_an_old_certificate(venue, folder / "identity", token)
        old = files.certificate_in_use()
        write_gate_toml(venue, url, folder, files)
        with running_sync(folder):
            until(lambda: files.certificate_in_use() not in {None, old})
            new = files.certificate_in_use()
            assert new is not None
            assert new.not_valid_after_utc - datetime.now(UTC) > timedelta(days=700)
            # it connects anew, which it can only do with what is in its files by now
            until(lambda: venue.broker.log.read_text().count(" as gate-1 ") >= 2)
        secrets_of_it = (token, files.key.read_text().splitlines()[1])
        said = (folder / "sync.log").read_text() + log.read_text()
        assert not [secret for secret in secrets_of_it if secret in said]


def test_a_stolen_gate_that_is_thrown_out_erases_itself_and_says_so(
    dsn: str, conn: Connection, world: World, tmp_path: Path
) -> None:
    add_gate(conn, VENUE, GateEntry(gate_id="gate-1"), "Eva")
    token, folder, key = secrets.token_urlsafe(32), tmp_path / "gate", tmp_path / "command.key"
    world.run("UPDATE gates SET token_hash = %s", sha256_hex(token))
    folder.mkdir()
    make_key(key)
    with open_venue(tmp_path, dsn) as venue, authority_worker(venue.config):
        venue.restart_broker()
        with venue.file.open("a") as file:
            file.write(f'[commands]\nkey_file = "{key}"\nkey_id = "C1"\n')
        with venue.web(tmp_path / "web.log") as url:
            files = enrolled(venue, folder / "identity", token)
            files.install(signed(conn, "gate-1", signing_request(files.new_key())))
            write_gate_toml(venue, url, folder, files, public_line("C1", read_key(key)))
            with running_sync(folder) as running:
                until(lambda: " as gate-1 " in venue.broker.log.read_text())
                now = datetime.now(UTC)
                revoke(conn, VENUE, "gate-1", actor="Eva", reason="gone", now=now, stolen=True)
                # thrown out of the broker it asks the hub, which tells it why
                assert running.wait(PATIENCE_S) == 2
            assert "revoked as stolen" in (folder / "sync.log").read_text()
            with running_sync(folder) as running:  # it finds itself erased
                assert running.wait(PATIENCE_S) == 2
            assert "revoked as stolen" in (folder / "sync.log").read_text()
    assert sorted(file.name for file in files.key.parent.iterdir()) == ["ca.pem", "wiped"]
    assert (folder / "journal.db").exists()
    assert (folder / "cache.db").read_bytes().startswith(b"This gate was revoked")

"""A machine over SSH: strict about who answers, bounded in what it says, and every failure is a sentence."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from fleet.inventory.file import MachineLogin
from fleet.machine.ssh import MOST_SAID, MachineError, Ran, open_machine
from tests.ssh_server import SshServer, serving


def new_key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate(bits=256)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    made = paramiko.ECDSAKey.generate(bits=256)
    made.write_private_key_file(str(tmp_path / "key"))
    return tmp_path / "key"


@pytest.fixture
def server(key: Path) -> Iterator[SshServer]:
    with serving(SshServer(paramiko.ECDSAKey.from_private_key_file(str(key)), new_key())) as started:
        yield started


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def login(server: SshServer) -> MachineLogin:
    return MachineLogin(name="gate-1", address="127.0.0.1", port=server.port, user="root")


def said(server: SshServer, known: Path, key: Path, command: str, given: bytes = b"") -> Ran:
    with open_machine(login(server), known, key) as machine:
        return machine.run(command, given)


def refused(server: SshServer, known: Path, key: Path) -> str:
    with pytest.raises(MachineError) as caught, open_machine(login(server), known, key):
        pass
    return str(caught.value)


def test_a_command_has_its_input_its_two_outputs_and_its_code(
    server: SshServer, known: Path, key: Path
) -> None:
    given = b"secret" * 50_000
    ran = said(server, known, key, "cat | wc -c; echo broken >&2; exit 3", given)
    assert (ran.code, ran.out.strip(), ran.err) == (3, str(len(given)), "broken\n")
    assert ran.last_words == "broken"


def test_what_a_command_says_is_bounded(server: SshServer, known: Path, key: Path) -> None:
    ran = said(server, known, key, f"head -c {3 * MOST_SAID} /dev/zero")
    assert (ran.code, len(ran.out)) == (0, MOST_SAID)


def test_a_machine_is_remembered_and_another_in_its_place_is_refused(
    server: SshServer, known: Path, key: Path
) -> None:
    assert said(server, known, key, "true").code == 0
    assert said(server, known, key, "true").code == 0
    assert len(known.read_text().splitlines()) == 1
    server.host_key = new_key()
    told = refused(server, known, key)
    assert "has another key than before: SHA256:" in told
    assert f"ssh-keygen -f known_hosts -R '[127.0.0.1]:{server.port}'" in told


def test_a_wrong_key_is_told_with_the_user(server: SshServer, known: Path, tmp_path: Path) -> None:
    paramiko.ECDSAKey.generate(bits=256).write_private_key_file(str(tmp_path / "wrong"))
    assert "does not let root in with your key" in refused(server, known, tmp_path / "wrong")


def test_a_private_key_that_cannot_be_used_is_named(server: SshServer, known: Path, tmp_path: Path) -> None:
    (tmp_path / "no").write_text("no key")
    assert "no private key for SSH" in refused(server, known, tmp_path / "no")
    assert "No such file" in refused(server, known, tmp_path / "missing")


def test_who_may_not_become_root_is_told_how(server: SshServer, known: Path, key: Path) -> None:
    server.sudo = "echo 1000 #"
    assert "may not use sudo without a password" in refused(server, known, key)


def test_nobody_there_is_told_with_the_address(server: SshServer, known: Path, key: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server.port = taken.getsockname()[1]
    assert f"nobody answers at 127.0.0.1 port {server.port}" in refused(server, known, key)


def test_a_connection_that_breaks_says_that_it_goes_on(server: SshServer, known: Path, key: Path) -> None:
    with open_machine(login(server), known, key) as machine:
        server.cut = True
        with pytest.raises(MachineError, match=r"the connection broke.*goes on where it stopped"):
            machine.run("true")


def test_a_command_that_hangs_is_given_up(server: SshServer, known: Path, key: Path) -> None:
    with (
        open_machine(login(server), known, key) as machine,
        pytest.raises(MachineError, match="did not end within 1 s"),
    ):
        machine.run("exec sleep 5", limit_s=1)

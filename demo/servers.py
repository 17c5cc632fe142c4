"""A private Mosquitto and a private Postgres, for the demo and for the tests.

Each has a folder of its own, listens on a free port of this machine only, and ends with its `with` block or
with this process, however that dies. Neither runs as root: under root they run as the accounts that Debian's
packages created.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psycopg

_PREFIX, _LOCK = "maguey-", ".in-use"
_PATIENCE_SECONDS = 300.0
"""A bound for hangs: a server starts in seconds and stops in less."""
UNSYNCED = ("fsync=off", "full_page_writes=off", "max_wal_size=256MB", "dynamic_shared_memory_type=mmap")
"""Settings of a Postgres for tests. It never flushes to disk, which is most of what a new database costs; a
killed server still loses nothing, only a power cut would. Its shared memory is mapped files, so a kill leaves
none behind."""
S = TypeVar("S", bound="Server")


class ServerError(RuntimeError):
    """A server is not installed or did not start; the message ends with the server's own words."""


def free_port() -> int:
    """A free TCP port, reserved for this process.

    It lies below the range of outgoing connections: one of those could otherwise take the port before the
    server starts. The reservation is an abstract socket, which vanishes with the process.
    """
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = list(range(10_000, max(lowest_outgoing, 20_000)))
    random.SystemRandom().shuffle(candidates)
    for port in candidates:
        if _is_reserved(port) and _is_free(port):
            return port
    raise ServerError("no TCP port is free on 127.0.0.1.")


_RESERVATIONS: list[socket.socket] = []


def _is_reserved(port: int) -> bool:
    """Reserve a port; False if another process has it."""
    reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        reservation.bind(f"\0maguey-port-{port}")
    except OSError:
        reservation.close()
        return False
    _RESERVATIONS.append(reservation)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class Server:
    """One server process. `stop` and `start` again keep its port and its files."""

    folder: Path
    port: int
    command: list[str]
    polite: signal.Signals
    is_ready: Callable[[int], bool]
    account: pwd.struct_passwd | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """The file with the server's output."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start, and wait until it answers. Raises `ServerError`."""
        # setpriv sets the parent-death signal after it has changed the account, which clears it
        command = ["setpriv", f"--pdeathsig={self.polite.name[3:]}", *_as(self.account), *self.command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.is_ready(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{self.command[0]} does not answer: {self.log.read_text()[-800:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals | None = None) -> None:
        """Stop it, politely or with `how`; does nothing if it is not running."""
        if self.process is not None:
            self.process.send_signal(how or self.polite)
            self.process.wait(timeout=_PATIENCE_SECONDS)
            self.process = None

    def kill(self) -> None:
        """Send SIGKILL, like a crash."""
        self.stop(signal.SIGKILL)


class Mosquitto(Server):
    """A broker on 127.0.0.1."""


class Postgres(Server):
    """A database server on 127.0.0.1 with the superuser ``maguey`` and the login ``maguey_hub``."""

    @property
    def dsn(self) -> str:
        """Connection string of the database ``postgres``, as its superuser."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Connection string of another database."""
        return f"host=127.0.0.1 port={self.port} user=maguey dbname={name}"

    def hub(self, name: str) -> str:
        """Connection string of another database, with the hub's own login (`make_hub_login`)."""
        return f"host=127.0.0.1 port={self.port} user=maguey_hub dbname={name}"

    def make_hub_login(self) -> None:
        """Create the hub's own login: a member of ``service_role`` and nothing more."""
        sql = (
            "do $$ begin\n"
            "if to_regrole('service_role') is null then create role service_role; end if;\n"
            "if to_regrole('maguey_hub') is null then\n"
            "create role maguey_hub login in role service_role; end if;\n"
            "end $$"
        )
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql)

    def kill(self) -> None:
        """Shut down immediately: all server processes end at once, and the next start recovers."""
        self.stop(signal.SIGQUIT)


@contextlib.contextmanager
def mosquitto(folder: Path, extra: str = "allow_anonymous true") -> Iterator[Mosquitto]:
    """A running broker.

    :param folder: for configuration, persistence and log.
    :param extra: further lines of its configuration.
    """

    def conf(home: Path, port: int) -> str:
        return (
            f"listener {port} 127.0.0.1\n{extra}\npersistence true\n"
            f"persistence_location {home}/\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_dest stderr\n"
        )

    with mosquitto_of(folder, conf) as broker:
        yield broker


@contextlib.contextmanager
def mosquitto_of(folder: Path, conf: Callable[[Path, int], str]) -> Iterator[Mosquitto]:
    """A running broker.

    :param folder: for configuration, persistence and log.
    :param conf: returns its whole configuration, for its folder and its port.
    """
    account = _account("mosquitto")
    with _home(folder, account) as home:
        file = home / "mosquitto.conf"
        command = [_program("mosquitto"), "-c", str(file)]
        broker = Mosquitto(home, free_port(), command, signal.SIGTERM, _accepts, account)
        file.write_text(conf(home, broker.port))
        yield from _running(broker)


@contextlib.contextmanager
def postgres(folder: Path, *settings: str) -> Iterator[Postgres]:
    """A running, empty Postgres; its files are removed afterwards.

    :param settings: of the server, as ``name=value``.
    """
    account = _account("postgres")
    with _home(folder, account) as home:
        data = home / "data"
        shutil.rmtree(data, ignore_errors=True)
        init = [_program("initdb"), "-D", str(data), "-U", "maguey", "-A", "trust", "-E", "UTF8"]
        init += ["--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run(["setpriv", *_as(account), *init], capture_output=True, check=False, cwd=home)
        if made.returncode != 0:
            raise ServerError(f"initdb: {made.stderr.decode()[-800:]}")
        port = free_port()
        command = [_program("postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
        command += [part for setting in settings for part in ("-c", setting)]
        server = Postgres(home, port, command, signal.SIGINT, _postgres_answers, account)
        try:
            yield from _running(server)
        finally:
            shutil.rmtree(data, ignore_errors=True)


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _account(name: str) -> pwd.struct_passwd | None:
    """The account to run a server as: its own under root, otherwise the current user (None)."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ServerError(f"there is no account '{name}'; run 'tools/setup' first.") from None


def _as(account: pwd.struct_passwd | None) -> list[str]:
    """Arguments that make `setpriv` switch to this account."""
    if account is None:
        return ["--"]
    return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]


@contextlib.contextmanager
def _home(wanted: Path, account: pwd.struct_passwd | None) -> Iterator[Path]:
    """`wanted`, or a temporary folder if the account cannot reach `wanted` (below /root)."""
    wanted.mkdir(parents=True, exist_ok=True)
    if account is None:
        yield wanted
        return
    os.chown(wanted, account.pw_uid, account.pw_gid)
    test = ["setpriv", *_as(account), "test", "-w", str(wanted)]
    if subprocess.run(test, check=False).returncode == 0:
        yield wanted
        return
    _sweep(Path(tempfile.gettempdir()))
    with temporary_folder() as home:
        os.chown(home, account.pw_uid, account.pw_gid)
        yield home


@contextlib.contextmanager
def temporary_folder(where: Path | None = None) -> Iterator[Path]:
    """A folder removed after the `with` block, or, if this process is killed, by the next call.

    :param where: the folder to create it in; by default the system's for temporary files.
    """
    where = where or Path(tempfile.gettempdir())
    _sweep(where)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True) as name:
        new = Path(name, f"{_LOCK}.new")
        with new.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.chmod(0o600)  # nobody else can lock it
            new.rename(new.with_name(_LOCK))  # only from now on can it be swept
            yield Path(name)


def _sweep(folder: Path) -> None:
    """Remove the folders of killed processes: their locks are free. A Postgres takes gigabytes."""
    for left in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # its owner may be removing it
            # others may put things here: what is not our own regular file is left alone, and never blocks us
            lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                kind = os.fstat(lock)
                if stat.S_ISREG(kind.st_mode) and kind.st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(left.parent)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove the lock last: if this process is killed before, the folder can still be swept."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != _LOCK:
            entry.unlink(missing_ok=True)
    if [entry.name for entry in folder.iterdir()] == [_LOCK]:
        (folder / _LOCK).unlink()
        folder.rmdir()


def _program(name: str) -> str:
    """Full path of a server's program. Debian keeps Postgres out of PATH; the newest version is used."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3]))
        found = str(versions[-1]) if versions else None
    if found is None:
        raise ServerError(f"'{name}' is not installed; run 'tools/setup' first.")
    return found


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _postgres_answers(port: int) -> bool:
    """Whether it serves clients; a recovering server accepts connections and refuses them."""
    ready = subprocess.run([_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False)
    return ready.returncode == 0

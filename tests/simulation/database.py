"""A Postgres for the simulator: real, fast instead of durable, and by the clock of the simulated night."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from demo.servers import postgres
from hub.db.connection import conninfo
from hub.db.migrate import migrate

FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "dynamic_shared_memory_type=mmap",
    "max_wal_size=1GB",
    "shared_buffers=256MB",
    "autovacuum=off",
    "jit=off",
    "plan_cache_mode=force_generic_plan",
)
NIGHTS_OF_A_PLAN = 25
"""After so many nights dead rows are vacuumed, and statements planned again for the tables as they are."""
SHARED_MEMORY = Path("/dev/shm")
TIME = """
create or replace function pg_catalog.{name}() returns timestamptz language sql volatile
as $$ select pg_read_file('{path}')::timestamptz $$
"""
"""Every default, view and function of the hub asks these for the time; they read it from a file."""


class Killed(BaseException):
    """The running process ends here."""


class Trouble:
    """What is to go wrong between the hub and Postgres. `is_cut`: nothing gets through.

    `part`: the part of the hub whose turn it is; `kill_part`: the one in whose turn it is to die.
    """

    def __init__(self) -> None:
        self.is_cut = False
        self.is_aside = False
        self.part = self.kill_part = ""
        self.kill_at: int | None = None
        self.kill_at_word: int | None = None
        self.lose_commit = False

    def quiet(self) -> None:
        """Nothing planned for a process that is gone happens to the next one."""
        self.kill_at = self.kill_at_word = None
        self.lose_commit = False

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Somebody else's work, which the trouble does not touch."""
        self.is_aside = True
        try:
            yield
        finally:
            self.is_aside = False

    def said(self) -> None:
        """The hub says something to the broker."""
        if self.kill_at_word is not None and self.part == self.kill_part:
            self.kill_at_word -= 1
            if self.kill_at_word < 0:
                self.kill_at_word = None
                raise Killed

    def statement(self) -> None:
        """A statement is about to be sent."""
        if self.is_aside:
            return
        if self.is_cut:
            raise psycopg.OperationalError("simulated: the connection to the server was lost")
        if self.kill_at is not None and self.part == self.kill_part:
            self.kill_at -= 1
            if self.kill_at < 0:
                self.kill_at = None
                raise Killed

    def committed(self) -> None:
        """A commit was made; its answer may be lost."""
        if self.lose_commit and not self.is_aside:
            self.lose_commit = False
            raise psycopg.OperationalError("simulated: the connection was lost in the commit")


class Session(psycopg.Connection[DictRow]):
    """A connection that can break, and that tells the server what time it is. See `open_session`."""

    trouble: Trouble
    clock: Callable[[], datetime]
    clock_file: int
    told: datetime | None = None
    sweeping: bytes | None = None
    nights: int = 0

    def execute(self, *args: Any, **kwargs: Any) -> psycopg.Cursor[DictRow]:
        """As any connection's."""
        self.trouble.statement()
        self.tell_time()
        return super().execute(*args, **kwargs)

    @contextlib.contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
        """As any connection's."""
        is_outermost = self.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        self.tell_time()
        with super().transaction(*args, **kwargs) as transaction:
            yield transaction
            if is_outermost:
                self.trouble.statement()
        if is_outermost:
            self.trouble.committed()

    def tell_time(self) -> None:
        """Only when it has changed."""
        now = self.clock()
        if now != self.told:
            os.pwrite(self.clock_file, now.isoformat(timespec="microseconds").encode(), 0)
            self.told = now

    def back_to_normal(self) -> None:
        """Be like a connection that was just made, whatever was interrupted."""
        self.rollback()
        self.isolation_level, self.read_only = None, None
        self.told = None


@contextlib.contextmanager
def open_session(clock: Callable[[], datetime], trouble: Trouble) -> Iterator[Session]:
    """A connection to an empty, migrated database on a server of its own."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder())
        sockets = folder / "sockets"  # half the cost of TCP
        sockets.mkdir()
        sockets.chmod(0o777)
        server = stack.enter_context(
            postgres(folder / "postgres", *FAST, f"unix_socket_directories={sockets}")
        )
        stack.callback(server.kill)  # thrown away: a clean shutdown would first write everything to disk
        migrate(server.dsn)
        file = folder / "now"
        clock_file = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
        stack.callback(os.close, clock_file)
        local = make_conninfo(conninfo(server.dsn), host=str(sockets))
        session = Session.connect(local, autocommit=True, row_factory=dict_row)
        assert isinstance(session, Session)
        stack.callback(session.close)
        session.prepare_threshold = 0
        session.clock, session.trouble, session.clock_file = clock, trouble, clock_file
        for name in ("now", "clock_timestamp"):
            session.execute(TIME.format(name=name, path=file).encode())
        yield session


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="maguey-simulation-", dir=where))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty(session: Session) -> None:
    """Remove whatever the night before left.

    Row by row, not with TRUNCATE: after that, Postgres plans all statements on a table again.
    """
    if session.sweeping is None:
        session.sweeping = _sweeping(session)
    if session.nights % NIGHTS_OF_A_PLAN == 1:
        session.execute(b"vacuum analyze")
    session.nights += 1
    session.execute(session.sweeping)


def _sweeping(session: Session) -> bytes:
    """One statement for all tables and counters. Without triggers: they would tell the gates.

    The allowed transitions of states belong to no night: without them nothing may change.
    """
    tables = session.execute(
        b"select format('delete from %I;', relname) as sql from pg_class"
        b" where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
        b" and relname !~ 'yoyo' and relname <> 'state_transitions' order by relname"
    ).fetchall()
    counters = session.execute(
        b"select format('perform setval(''%I'', 1, false);', sequencename) as sql from pg_sequences"
        b" where schemaname = 'public' order by sequencename"
    ).fetchall()
    work = " ".join(row["sql"] for row in (*tables, *counters))
    role = "perform set_config('session_replication_role', 'replica', true);"
    return f"do $$ begin {role} {work} end $$".encode()

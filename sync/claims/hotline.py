"""Sync's end of the local socket: doors connect, and their messages go to the claim loop.

A thread of its own reads the socket and only passes on. A packet is a message (`gate.hotline.messages`); an
unreadable one is logged and has no other effect. A client that does not read what it is sent is disconnected.
The socket's file and folder are checked: a file left by another process is replaced, and a missing file or
folder is created again.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from gate.common.errors import MagueyError
from gate.common.outage import Outage
from gate.hotline.messages import LONGEST, ToSync, to_sync
from gate.rules.first_entry import Claim
from gate.store.shared_files import SHARED

LOOK_S = 1.0
MOST_DOORS = 8
"""The door, a command or two, and what remains of killed ones."""
_FOLDER = 0o2770


class DoorSession:
    """One connection. `send` and `close` may be called from any thread."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.has_claimed = False
        """Whether it has sent a claim, as only a door does."""
        self.is_garbled = False
        """Whether it has sent something that cannot be read."""
        self._lock = threading.Lock()
        self._is_closed = False

    def send(self, packet: bytes) -> bool:
        """Send a packet; False if it is not received. A client that does not read is disconnected."""
        with self._lock:
            if self._is_closed:
                return False
            try:
                self.line.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                self._shut()
                return False
            return True

    def close(self) -> None:
        """Shut the connection, which the client sees at once; the reading thread releases the socket."""
        with self._lock:
            if not self._is_closed:
                self._shut()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the socket; only the thread that reads it may do so."""
        with self._lock:
            self._is_closed = True
            self.line.close()


class HotlineServer:
    """The socket and its doors.

    :param put: called in the server's thread with each message of a door; must only enqueue.
    :param look_s: how often the socket's file is checked.
    """

    def __init__(
        self, path: Path, put: Callable[[DoorSession, ToSync], None], look_s: float = LOOK_S
    ) -> None:
        self._path = path
        self._put = put
        self._look_s = look_s
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._doors: tuple[DoorSession, ...] = ()
        self._listener: socket.socket | None = None
        self._inode = 0
        self._is_stopped = False
        self._outage = Outage("hotline")
        self._crowd = Outage("hotline", begins="hotline full", ends="hotline has room again")
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="hotline", daemon=True)
        self.turns = 0
        """How often the loop has turned, at least once a second."""

    def start(self) -> None:
        """Begin to listen; what fails is tried again from then on."""
        self._look()
        self._thread.start()

    def tell(self, packet: bytes) -> int:
        """Send a packet to every door; returns how many took it."""
        return sum(door.send(packet) for door in self._doors)

    def close(self) -> None:
        """Close all connections and remove the socket."""
        self._is_stopped = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(timeout=1.0)
        self._give_up()
        for door in self._doors:
            door.release()
        self._doors = ()

    def _run(self) -> None:
        while not self._is_stopped:
            for key, _ in self._selector.select(self._look_s):
                self._ready(key)
            self.turns += 1
            self._look()

    def _ready(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, DoorSession):
            if key.data in self._doors:  # it may have been closed in this very turn
                self._read(key.data)
        elif key.fileobj is self._listener:
            self._accept(self._listener)

    # --- the doors ---

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # gone again
            line, _ = listener.accept()
            if len(self._doors) >= MOST_DOORS and not self._make_room():
                line.close()
                return
            line.setblocking(False)
            door = DoorSession(line)
            self._doors = (*self._doors, door)
            self._selector.register(line, selectors.EVENT_READ, door)

    def _make_room(self) -> bool:
        """Close the oldest connection that never claimed: if it was a door, it connects again by itself."""
        self._crowd.began(
            f"{MOST_DOORS} connections; the oldest that never claimed is closed, or else the new one"
        )
        idle = next((door for door in self._doors if not door.has_claimed), None)
        if idle is not None:
            self._release(idle)
        return idle is not None

    def _read(self, door: DoorSession) -> None:
        try:
            packet = door.line.recv(LONGEST + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._drop(door)
            return
        try:
            if len(packet) > LONGEST:
                raise ValueError(f"longer than {LONGEST} bytes")
            message = to_sync(packet)
        except ValueError as error:
            if not door.is_garbled:  # once per connection: such packets come in numbers
                self._log.warning("packet rejected", error=str(error))
            door.is_garbled = True
        else:
            door.has_claimed |= isinstance(message, Claim)
            self._put(door, message)

    def _drop(self, door: DoorSession) -> None:
        self._release(door)
        self._crowd.over()

    def _release(self, door: DoorSession) -> None:
        self._selector.unregister(door.line)
        self._doors = tuple(other for other in self._doors if other is not door)
        door.release()

    # --- the socket's place ---

    def _look(self) -> None:
        """Listen, unless the socket is in its place."""
        try:
            if self._listener is not None and self._path.stat().st_ino == self._inode:
                return
        except OSError:
            pass
        self._give_up()
        try:
            self._listen()
        except (OSError, MagueyError) as error:
            self._outage.began(f"{self._path}: {error}. First entries go unclaimed until this works.")
        else:
            self._outage.over()

    def _listen(self) -> None:
        _make_folder(self._path.parent)
        if _is_used(self._path):
            raise MagueyError("another maguey-sync listens there; stop one of the two")
        aside = self._path.with_name(f".{os.getpid()}")  # a socket's path has at most 107 characters
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            aside.unlink(missing_ok=True)
            listener.bind(str(aside))
            aside.chmod(SHARED)
            listener.listen(MOST_DOORS)
            self._inode = aside.stat().st_ino
            aside.rename(self._path)  # replaces a leftover without a moment in between
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _give_up(self) -> None:
        if self._listener is None:
            return
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener = None
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _make_folder(folder: Path) -> None:
    """Create it for both users, whichever comes first."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(_FOLDER)


def _is_used(path: Path) -> bool:
    """Whether somebody listens there; otherwise it is a leftover."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as line:
        try:
            line.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full
        except OSError:
            return False
        return True

"""A TCP proxy that can be a bad network: cut, slow, or deaf in one direction. For tests with real servers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.patience import PATIENCE_S

PIECE_BYTES = 64 * 1024


@dataclass
class Proxy:
    """Listens on `port` and passes on to `to_port` on this machine. Its faults are set from any thread."""

    to_port: int
    port: int = 0
    delay_s: float = 0.0
    """Every piece waits this long, in both directions."""
    is_cut: bool = False
    """Nobody gets through; connections are torn, new ones refused after they are accepted."""
    loses_up: bool = False
    """What the client says is swallowed; the connection stays."""
    loses_down: bool = False
    """What the server says is swallowed; the connection stays."""
    tears_after: int = 0
    """Every connection is torn after so many bytes from the server; 0: never."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop, repr=False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)

    def cut(self) -> None:
        """Tear every connection, and let nobody through until `heal`."""
        self.is_cut = True
        self._loop.call_soon_threadsafe(self._tear)

    def tear(self) -> None:
        """Tear every connection once; new ones get through."""
        self._loop.call_soon_threadsafe(self._tear)

    def heal(self) -> None:
        """A good network again. Connections that lost something are torn: TCP would have."""
        lossy = self.loses_up or self.loses_down
        self.delay_s, self.is_cut, self.loses_up, self.loses_down = 0.0, False, False, False
        if lossy:
            self.tear()

    def _tear(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.is_cut:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._open.add(back)
            try:
                await asyncio.wait(
                    [
                        asyncio.ensure_future(self._pass(reader, back, "loses_up")),
                        asyncio.ensure_future(self._pass(there, writer, "loses_down")),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._open.discard(back)
                back.transport.abort()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, lost: str) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE_BYTES):
                allowed = self._allowed(piece, passed, lost)
                passed += len(piece)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not getattr(self, lost):
                    target.write(allowed)
                    await target.drain()
                if allowed != piece:
                    return

    def _allowed(self, piece: bytes, passed: int, lost: str) -> bytes:
        """What of a piece gets through before the connection is torn."""
        if not self.tears_after or lost == "loses_up":
            return piece
        return piece[: max(self.tears_after - passed, 0)]

    def run(self, is_up: threading.Event) -> None:
        """The proxy's own thread."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        is_up.set()
        self._loop.run_forever()
        self._tear()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def stop(self) -> None:
        """End the proxy's loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextlib.contextmanager
def proxy(to_port: int) -> Iterator[Proxy]:
    """A running proxy to a port of this machine."""
    made, is_up = Proxy(to_port), threading.Event()
    thread = threading.Thread(target=made.run, args=(is_up,), name=f"proxy to {to_port}", daemon=True)
    thread.start()
    assert is_up.wait(PATIENCE_S)
    try:
        yield made
    finally:
        made.stop()
        thread.join(PATIENCE_S)

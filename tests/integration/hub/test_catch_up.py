"""A gate that was away for long, on a line that keeps breaking: what it received is kept (protocol 4.4)."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path

from gate.rules.model import Admission
from gate.store.cache import CacheReader
from hub.feed.snapshot import PAGE_CHANGES
from sync.cache.spool import Spool
from sync.cache.writer import Cache
from sync.feed.fetcher import Want, WantConfig
from sync.feed.follower import FeedFollower
from sync.feed.snapshot import FetchError, HubClient
from sync.wire.messages import Head
from tests.factories import StoppedClock
from tests.integration.hub.test_api import TOKEN, hashed
from tests.integration.hub.world import World
from tests.proxy import Proxy

MISSED = 2_000
TEARS_AFTER = 60_000
"""Bytes: more than one page takes, less than all of them."""


class Gate:
    """The part of sync that follows the hub, without threads: one request after another."""

    def __init__(self, folder: Path, line: Proxy) -> None:
        self.cache = Cache(folder / "cache.db")
        self.client = HubClient(f"http://127.0.0.1:{line.port}", "gate-1", TOKEN, pause=lambda _seconds: None)
        self.spool = Spool(folder / "spool.db")
        self.wishes: deque[Want] = deque([WantConfig()])
        self.follower = FeedFollower(self.cache, self.wishes.append, StoppedClock())
        self.cuts = 0

    def follow(self) -> list[int]:
        """Follow until nothing is wanted any more; return the version held after each answer."""
        held: list[int] = []
        while self.wishes:
            wish = self.wishes.popleft()
            try:
                self._fulfil(wish)
            except FetchError:
                self.cuts += 1
                self.wishes.append(wish)
            held.append(self.follower.version or 0)
        return held

    def _fulfil(self, wish: Want) -> None:
        if isinstance(wish, WantConfig):
            self.follower.on_config(self.client.config())
        else:
            asked = (wish.event_id, wish.since, self.spool, wish.generation, wish.whole)
            self.follower.on_fetched(self.client.admissions(*asked))


def test_a_catch_up_cut_again_and_again_continues_with_the_next_page(
    world: World, line: Proxy, tmp_path: Path
) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    gate = Gate(tmp_path, line)
    begun = gate.follow()[-1]
    world.run(
        "INSERT INTO tickets (ticket_id, event_id, qr_code_data, guest_name)"
        " SELECT n, %s, n, 'Ana' FROM generate_series(1, %s) n",
        event,
        MISSED,
    )
    line.tears_after = TEARS_AFTER
    line.tear()
    gate.follower.on_head(Head(event_id=event, version=begun + 1, count=1))  # an old head is enough
    held = gate.follow()
    assert gate.cuts > 0
    steps = [after - before for before, after in zip([begun, *held], held, strict=False) if after > before]
    assert steps == [PAGE_CHANGES] * (MISSED // PAGE_CHANGES)
    assert gate.follower.is_current()
    with contextlib.closing(CacheReader(tmp_path / "cache.db")) as reader:
        admissions = [row for row in world.feed(event) if isinstance(row, Admission)]
        assert len(admissions) == MISSED
        assert all(reader.find(row.code_hash).admission == row for row in admissions)
    gate.cache.close()

"""With every text at its bound, each message, line, row and page fits through every hop (protocol 4.5)."""

from __future__ import annotations

import io
import itertools
import unicodedata

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.rules.model import Event
from hub.db.connection import Connection
from hub.db.statements import query
from hub.feed import snapshot
from hub.feed.config_bounds import MOST_DIVIDED, MOST_LENT, bounded
from hub.feed.publisher import Publisher
from hub.mqtt.inbox import Delivery, FairInbox
from hub.mqtt.link import HEADER
from hub.ticketing.orders import record_ticket_order
from sync.feed.answer_lines import CHANGES_BYTES, LINE_BYTES, AnswerLines
from sync.feed.snapshot import CONFIG_BYTES
from sync.wire.messages import DELTA_BYTES, MOST_NIGHTS, PACKET, GateConfig, decode, encode
from sync.wire.topics import Topics
from tests.factories import an_event
from tests.integration.hub.shop import lines, order
from tests.integration.hub.world import World
from tests.long import cases

ROW_BYTES = 64 * 1024
"""Longer rows of the feed are cut: hub/sql/queries."""
DEAR = [
    "\x01",
    '"',
    "\\",
    "é",
    "न",
    "\U0001d54f",
    "\U0001f468\u200d",
    "e\u0301",
    "\U0001f1f2",
    "\u0301",
    "漢",
]
"""Characters that take much space in JSON or UTF-8, or that combine with the letter before."""
_number = itertools.count(1)


class Line:
    """A broker in memory that records how large each message was."""

    def __init__(self) -> None:
        self.inbox = FairInbox()
        self.connects = 1
        self.is_up = True
        self.sizes: list[int] = []

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:  # noqa: ARG002 - a Line
        self.sizes.append(HEADER + len(topic) + len(payload))

    def acknowledge(self, *messages: Delivery) -> None: ...

    def tend(self) -> None: ...


def filled(dear: str, characters: int) -> str:
    """The longest text of these letters."""
    return (dear * characters)[:characters]


def largest_night(world: World, conn: Connection, dear: str) -> str:
    """A night whose every text is as long as it may be: an order, a table, its guests, who let them in."""
    number = next(_number)
    event = world.event(f"L{chr(65 + number // 26 % 26)}{chr(65 + number % 26)}")
    world.run(
        "UPDATE events SET name = %s, venue_capacity = 100000, ticket_types = '[]' WHERE id = %s",
        filled(dear, 110) + str(number),
        event,
    )
    sold = [
        msgspec.structs.replace(
            line,
            ticket_type=filled(dear, 200),
            guest_name=filled(dear, 200),
            guest_email=filled(dear, 320),
            guest_phone=filled(dear, 50),
            qr_signature=filled(dear, 1024),
            price_cents=0,
        )
        for line in lines(61)
    ]
    tickets: list[str] = []
    for line in sold:
        told = record_ticket_order(conn, order(event, customer_name=filled(dear, 200)), (line,))
        assert told.success, told.message
        tickets += told.ticket_ids
    reservation = world.reservation(event, seats=1000)
    world.run("UPDATE vip_reservations SET purchaser_name = %s WHERE id = %s", filled(dear, 200), reservation)
    world.run("UPDATE event_vip_tables SET table_name = %s WHERE event_id = %s", filled(dear, 120), event)
    for ticket in tickets:
        linked = world.one("SELECT link_ticket_to_vip(%s, %s, 'Ana', true)", reservation, ticket)
        assert linked["success"], linked
    world.run(
        "INSERT INTO vip_guest_passes (reservation_id, guest_number, guest_name, qr_code_token)"
        " SELECT %s, n, %s, %s || n FROM generate_series(1, 61) n",
        reservation,
        filled(dear, 200),
        f"VIP-PASS-{next(_number)}-",
    )
    world.run(
        "UPDATE tickets SET status = 'checked_in', checked_in_at = now(), checked_in_by = %s"
        " WHERE event_id = %s",
        filled(dear, 200),
        event,
    )
    return event


@pytest.mark.parametrize("dear", ["\x01", "e\u0301"])
def test_all_that_goes_to_gates_fits_through_every_hop_at_the_bounds(
    conn: Connection, world: World, dear: str
) -> None:
    line = Line()
    publisher = Publisher(line, Topics(venue="maguey"))
    publisher.publish_new(conn)
    event = largest_night(world, conn, dear)
    publisher.published[event], publisher._generations[event] = 0, 1
    publisher.publish_new(conn)
    publisher.publish_heads(conn)
    changes = [len(row["change"].encode()) for row in _changes(conn, event)]
    assert len(changes) > 180
    assert max(changes) < ROW_BYTES < LINE_BYTES
    assert max(line.sizes) < PACKET
    assert max(changes) < DELTA_BYTES
    assert max(changes) * snapshot.PAGE_CHANGES < CHANGES_BYTES
    out = io.BytesIO()
    conn.autocommit = False
    found = snapshot.plan_snapshot(conn, event, 0)
    assert found is not None
    snapshot.write_snapshot(conn, found, out, gzip=False)
    assert max(map(len, out.getvalue().splitlines())) < ROW_BYTES
    read = AnswerLines([out.getvalue()], event)
    assert len(list(read.rows())) == read.header.count == 61 + 61 + 1 + 1
    assert read.unread == ""


def _changes(conn: Connection, event: str) -> list[dict[str, str]]:
    wanted = {"event_id": event, "since": 0, "limit": 100_000}
    return conn.execute(query("changes_since"), wanted).fetchall()


def is_of_the_letter_before(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character in "\u200c\u200d"
        or 0x1F3FB <= code <= 0x1F3FF
    )


@settings(
    max_examples=cases(50, long=150),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from([*DEAR, "A", "b", " ", "\U0001f3fd", "\U0001f1fd", "\u0e33"]), max_size=120))
def test_a_name_is_cut_where_a_letter_ends(conn: Connection, parts: list[str]) -> None:
    name = "".join(parts)
    cut = conn.execute("SELECT feed_text(%s) AS cut", (name,)).fetchone()
    assert cut is not None
    short = cut["cut"]
    assert name.startswith(short)
    assert len(short) <= 80
    assert bool(short) == bool(name)
    rest = name[len(short) :]
    if not rest:
        return
    assert len(short) >= 20
    if not is_of_the_letter_before(short[0]) or len(short) < 80:
        assert not is_of_the_letter_before(rest[0]) or len(short) == 80
        assert not short.endswith("\u200d")


def test_a_gate_takes_a_configuration_at_the_bounds() -> None:
    homes = tuple(f"{number:064}" for number in range(256))
    nights = [
        an_event(event_id=f"{number:036}", code="ABCDEF", name="\x01" * 80, homes=homes, retired=homes)
        for number in range(MOST_NIGHTS)
    ]
    lent = {night.event_id: tuple(f"{n:064x}" for n in range(MOST_LENT - 100)) for night in nights[-3:]}
    config = GateConfig(
        gate_id="g" * 64,
        gate_name="\x01" * 120,
        venue="v" * 64,
        events=tuple(nights),
        gate_names={gate: "\x01" * 120 for gate in homes},
        lent=lent,
        revoked=homes,
    )
    told = bounded(config)
    assert len(encode(told)) < CONFIG_BYTES
    assert decode(encode(told), GateConfig) == told
    assert len(told.events) == MOST_NIGHTS
    assert sum(map(len, told.lent.values())) <= MOST_LENT
    # a gate not told what it lent is told no homes either, so it admits nobody of that night by itself
    kept = [event.event_id for event in told.events if event.homes]
    assert len(kept) == MOST_DIVIDED
    assert [night for night in lent if night not in told.lent and night in kept] == []
    small = GateConfig(gate_id="g", gate_name="", venue="v", events=(an_event(homes=("g",)),), lent={})
    assert bounded(small) == small


def test_with_very_many_nights_a_gate_gets_its_own_and_the_nearest(conn: Connection, world: World) -> None:
    own = world.event()
    world.gate("gate-1", "", own)
    world.moved(own, 60 * 24 * 449.5)  # later than all the others but one
    world.run(
        "INSERT INTO events (name, code, event_date, doors_open_at, starts_at, ends_at)"
        " SELECT 'n' || n, 'N' || chr(65 + n / 26) || chr(65 + mod(n, 26)), current_date, at, at,"
        " at + interval '1 hour'"
        " FROM (SELECT n, now() + n * interval '1 day' AS at FROM generate_series(1, 450) n) d"
    )
    rows = conn.execute(query("gate_config_events"), {"gate_id": "gate-1"}).fetchall()
    nights = [msgspec.json.decode(row["event"], type=Event) for row in rows]
    assert len(nights) == MOST_NIGHTS
    assert [night.event_id for night in nights if night.served] == [own]
    assert [night.name for night in nights][1:] == [f"n{n}" for n in range(1, MOST_NIGHTS)]


@pytest.mark.parametrize("what", ["gates", "gate_events"])
def test_a_night_and_a_venue_have_a_maximum_number_of_gates(world: World, what: str) -> None:
    event = world.event()
    world.run(
        "INSERT INTO gates (gate_id, venue, name, token_hash)"
        " SELECT 'g' || n, 'v' || n / 200, 'n', '' FROM generate_series(1, 300) n"
    )
    many = {
        "gates": "INSERT INTO gates (gate_id, venue, name, token_hash) SELECT 'x' || n, 'v', 'n', ''"
        " FROM generate_series(1, %s) n",
        "gate_events": f"INSERT INTO gate_events (gate_id, event_id) SELECT 'g' || n, '{event}'"
        " FROM generate_series(1, %s) n",
    }[what]
    with pytest.raises(Exception, match="at most 256 gates"):
        world.run(many, 257)
    world.run(many, 256)

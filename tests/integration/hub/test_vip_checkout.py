"""Tables sold: reservations, the one checkout of a table and its host's ticket (domain 2.1, 2.2)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_37_36

from gate.rules.model import Kind
from hub.db.connection import Connection
from hub.ticketing.codes import CROCKFORD
from hub.vip.tables import (
    Checkout,
    HostTicket,
    Purchaser,
    Reservation,
    confirm_vip_reservation,
    create_unified_vip_checkout,
    create_vip_reservation_atomic,
)
from tests.integration.hub.test_ingest import take
from tests.integration.hub.test_vip_guests import refused
from tests.integration.hub.world import World, call, record

LUIS = Purchaser(name="Luis", email="Luis@Example.org", phone="+52 1", special_requests="ice")
UUID = re.compile(r"[0-9a-f-]{36}")
NOBODY = "00000000-0000-4000-8000-000000000000"
EVERYTHING = ("orders", "payments", "tickets", "vip_reservations", "vip_guest_passes", "vip_linked_tickets")


def host_ticket(number: int = 1, **changes: Any) -> HostTicket:
    made: dict[str, Any] = {"ticket_id": f"MGY-PF-20260130-HOST{number:012d}", "price_cents": 2500}
    return HostTicket(**(made | changes))


def reserve(conn: Connection, event: str, table: str, intent: str | None = None, **also: Any) -> Reservation:
    return create_vip_reservation_atomic(
        conn, event, table, LUIS, 150_000, stripe_payment_intent_id=intent, **also
    )


def check_out(conn: Connection, event: str, table: str, intent: str | None = "pi_1", **also: Any) -> Checkout:
    cents, ticket = also.pop("amount_cents", 152_500), also.pop("ticket", host_ticket())
    return create_unified_vip_checkout(
        conn, event, table, LUIS, cents, ticket, stripe_payment_intent_id=intent, **also
    )


def counts(world: World) -> dict[str, int]:
    return {table: world.one(f"SELECT count(*) FROM {table}") for table in EVERYTHING}


def is_available(world: World, table: str) -> bool:
    return bool(world.one("SELECT is_available FROM event_vip_tables WHERE id = %s", table))


# --- a table alone ---


def test_a_table_that_waits_for_its_payment_is_sold_to_nobody_else(world: World, conn: Connection) -> None:
    event = world.event()
    table = world.table(event)
    answer = world.one(
        'SELECT create_vip_reservation_atomic(%s, %s, \'{"name": "Luis"}\', 150000,'
        " p_package => '{\"guestCount\": 6}', p_guest_passes => 2)",
        event,
        table,
    )
    assert set(answer) == {
        "success",
        "already",
        "reservation_id",
        "qr_code_token",
        "invite_code",
        "status",
        "pass_ids",
    }
    assert (answer["success"], answer["already"], answer["status"]) == (True, False, "pending")
    passes = world.all(
        "SELECT id::text, guest_number, status, qr_code_token FROM vip_guest_passes ORDER BY 2"
    )
    assert [row[:3] for row in passes] == [
        (answer["pass_ids"][0], 1, "issued"),
        (answer["pass_ids"][1], 2, "issued"),
    ]
    for row in passes:
        assert re.fullmatch(f"VIP-PASS-[{CROCKFORD}]{{16}}[0-9A-Z]", row[3])
        assert mod_37_36.is_valid(row[3].replace("-", ""))
    assert world.all("SELECT amount_paid_cents, stripe_payment_intent_id FROM vip_reservations") == [
        (0, None)
    ]
    assert not is_available(world, table)
    assert reserve(conn, event, table).error == "TABLE_NOT_AVAILABLE"


def test_a_table_that_is_paid_is_confirmed_and_the_same_payment_is_the_same_table(
    world: World, conn: Connection
) -> None:
    event = world.event()
    table = world.table(event)
    first = reserve(conn, event, table, "pi_1", guest_passes=1)
    assert (first.success, first.already, first.status, len(first.pass_ids)) == (True, False, "confirmed", 1)
    again = reserve(conn, event, table, "pi_1", guest_passes=1)
    assert (again.already, again.reservation_id, again.invite_code, again.pass_ids) == (
        True,
        first.reservation_id,
        first.invite_code,
        first.pass_ids,
    )
    assert world.all(
        "SELECT purchaser_name, purchaser_email, purchaser_phone, special_requests, amount_paid_cents"
        " FROM vip_reservations"
    ) == [("Luis", "luis@example.org", "+52 1", "ice", 150_000)]
    assert world.all("SELECT stripe_payment_intent_id, amount_cents, status FROM payments") == [
        ("pi_1", 150_000, "succeeded")
    ]
    assert reserve(conn, event, world.table(event), "pi_1").error == "ALREADY_PROCESSED"


def test_a_reservation_is_confirmed_by_its_payment_once(world: World, conn: Connection) -> None:
    event = world.event()
    table = world.table(event)
    waiting = reserve(conn, event, table).reservation_id
    assert waiting is not None
    guest = world.ticket(event, status="checked_in")
    world.link(waiting, guest)
    done = confirm_vip_reservation(conn, waiting, "pi_1", 150_000)
    assert (done.success, done.already, done.reservation_id) == (True, False, waiting)
    assert done.status == "checked_in", "its guest was there before the payment"
    assert confirm_vip_reservation(conn, waiting, "pi_1", 150_000).already
    assert confirm_vip_reservation(conn, waiting, "pi_2", 150_000).error == "ALREADY_PROCESSED"
    other = reserve(conn, event, world.table(event)).reservation_id
    assert other is not None
    assert confirm_vip_reservation(conn, other, "pi_1", 150_000).error == "ALREADY_PROCESSED"
    assert confirm_vip_reservation(conn, other, "", 150_000).error == "INVALID_ARGUMENT"
    assert confirm_vip_reservation(conn, other, "pi_3", -1).error == "INVALID_AMOUNT"
    assert confirm_vip_reservation(conn, NOBODY, "pi_3", 1).error == "RESERVATION_NOT_FOUND"


def test_a_payment_that_comes_too_late_is_refused(world: World, conn: Connection) -> None:
    event = world.event()
    expired = reserve(conn, event, world.table(event)).reservation_id
    late = reserve(conn, event, world.table(event)).reservation_id
    assert expired is not None
    assert late is not None
    world.run("UPDATE vip_reservations SET status = 'cancelled' WHERE id = %s", expired)
    assert confirm_vip_reservation(conn, expired, "pi_1", 1).error == "RESERVATION_NOT_CONFIRMED"
    world.moved(event, starts_in=-8 * 60)
    assert confirm_vip_reservation(conn, late, "pi_1", 1).error == "EVENT_OVER"


def test_a_reservation_not_paid_in_time_is_given_up(world: World, conn: Connection) -> None:
    event = world.event()
    tables = [world.table(event) for _ in range(3)]
    for table, intent in zip(tables, (None, None, "pi_1"), strict=True):
        reserve(conn, event, table, intent, guest_passes=1)
    world.run("UPDATE vip_reservations SET created_at = now() - interval '31 minutes'")
    world.run(
        "UPDATE vip_reservations SET created_at = now() - interval '29 minutes'"
        " WHERE event_vip_table_id = %s",
        tables[1],
    )
    assert call(conn, "release_expired_reservations()")["released"] == 1
    assert [is_available(world, table) for table in tables] == [True, False, False]
    assert world.all(
        "SELECT r.status, p.status AS pass FROM vip_reservations r"
        " JOIN vip_guest_passes p ON p.reservation_id = r.id ORDER BY r.table_number"
    ) == [("cancelled", "cancelled"), ("pending", "issued"), ("confirmed", "issued")]
    assert call(conn, "release_expired_reservations()")["released"] == 0
    assert reserve(conn, event, tables[0]).success


def test_nothing_is_given_up_once_the_night_has_started(world: World, conn: Connection) -> None:
    event = world.event()
    reserve(conn, event, world.table(event))
    world.moved(event, starts_in=-1)
    assert call(conn, "release_expired_reservations(interval '0')")["released"] == 0
    assert world.one("SELECT status FROM vip_reservations") == "pending"


# --- a table with its host's ticket ---


def test_the_checkout_makes_an_order_a_table_and_the_hosts_ticket(world: World, conn: Connection) -> None:
    event = world.event()
    table = world.table(event)
    answer = world.one(
        'SELECT create_unified_vip_checkout(%s, %s, \'{"name": "Luis", "email": "Luis@example.org"}\','
        ' 152500, \'{"ticket_id": "MGY-1", "qr_code_data": "MGY-PF-20260130-ABCDEFGH",'
        ' "qr_signature": "c2ln", "price_cents": 2500}\', \'pi_1\', \'cs_1\', \'{"guestCount": 4}\', 3)',
        event,
        table,
    )
    names = ("order_id", "reservation_id", "ticket_id", "link_id", "invite_code", "qr_code")
    assert set(answer) == {"success", "already", *names}
    assert (answer["success"], answer["already"]) == (True, False)
    assert answer["qr_code"] == "MGY-PF-20260130-ABCDEFGH"
    assert world.all(
        "SELECT id::text, order_id::text, stripe_payment_intent_id, line_number, guest_name, guest_email,"
        " price_paid_cents, qr_signature, status FROM tickets"
    ) == [
        (
            answer["ticket_id"],
            answer["order_id"],
            "pi_1",
            1,
            "Luis",
            "Luis@example.org",
            2500,
            "c2ln",
            "issued",
        )
    ]
    assert world.all(
        "SELECT id::text, status, total_amount_cents, ticket_count, stripe_session_id FROM orders"
    ) == [(answer["order_id"], "completed", 152_500, 1, "cs_1")]
    assert world.all("SELECT order_id::text, amount_cents, status FROM payments") == [
        (answer["order_id"], 152_500, "succeeded")
    ]
    assert world.all(
        "SELECT id::text, status, amount_paid_cents, stripe_payment_intent_id, invite_code"
        " FROM vip_reservations"
    ) == [(answer["reservation_id"], "confirmed", 150_000, "pi_1", answer["invite_code"])]
    assert world.all(
        "SELECT id::text, ticket_id::text, vip_reservation_id::text, is_booker_purchase"
        " FROM vip_linked_tickets"
    ) == [(answer["link_id"], answer["ticket_id"], answer["reservation_id"], True)]
    assert world.one("SELECT check_vip_capacity(%s)", answer["reservation_id"])["remaining"] == 0
    take(conn, record(1, subject_id=answer["ticket_id"], kind=Kind.VIP_HOST))
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations") == [("checked_in", 1)]


def test_the_same_payment_twice_is_one_checkout(world: World, conn: Connection) -> None:
    event = world.event()
    table = world.table(event)
    first = check_out(conn, event, table, stripe_session_id="cs_1")
    made = counts(world)
    for intent in ("pi_1", None):
        again = check_out(conn, event, table, intent, stripe_session_id="cs_1")
        assert (again.success, again.already, again.order_id, again.qr_code) == (
            True,
            True,
            first.order_id,
            first.qr_code,
        )
    assert counts(world) == made
    assert check_out(conn, event, world.table(event), "pi_1", ticket=host_ticket(2)).already


def test_a_payment_that_bought_something_else_buys_no_table(world: World, conn: Connection) -> None:
    event = world.event()
    reserve(conn, event, world.table(event), "pi_1")
    assert check_out(conn, event, world.table(event), "pi_1").error == "ALREADY_PROCESSED"


def test_an_order_that_waited_for_its_payment_becomes_the_checkout(world: World, conn: Connection) -> None:
    event = world.event()
    waiting = world.one(
        "INSERT INTO orders (stripe_session_id, event_id) VALUES ('cs_1', %s) RETURNING id::text", event
    )
    done = check_out(conn, event, world.table(event), stripe_session_id="cs_1")
    assert done.order_id == waiting


def test_the_hosts_code_is_not_in_the_repr(world: World, conn: Connection) -> None:
    event = world.event()
    done = check_out(conn, event, world.table(event))
    assert done.qr_code is not None
    assert done.qr_code not in repr(done)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount_cents": 2499}, "INVALID_AMOUNT"),
        ({"amount_cents": -1}, "INVALID_AMOUNT"),
        ({"intent": None}, "INVALID_ARGUMENT"),
        ({"guest_passes": 8}, "CAPACITY_EXCEEDED"),
        ({"guest_passes": -1}, "INVALID_ARGUMENT"),
        ({"package": {"guestCount": 9}}, "CAPACITY_EXCEEDED"),
        ({"package": {"guestCount": "many"}}, "INVALID_ARGUMENT"),
        ({"ticket": host_ticket(ticket_id="MGY-PF-20260130-TAKEN")}, "INVALID_ARGUMENT"),
        ({"ticket": host_ticket(price_cents=-1)}, "INVALID_AMOUNT"),
        ({"event": NOBODY}, "EVENT_NOT_FOUND"),
        ({"table": NOBODY}, "TABLE_NOT_FOUND"),
    ],
)
def test_a_refused_checkout_leaves_nothing_behind(
    world: World, conn: Connection, changes: dict[str, Any], error: str
) -> None:
    event = world.event()
    table = world.table(event)
    world.ticket(event, code="MGY-PF-20260130-TAKEN")
    made = counts(world)
    answer = check_out(conn, **({"event": event, "table": table} | changes))
    assert (answer.success, answer.error, answer.order_id) == (False, error, None)
    assert counts(world) == made
    assert is_available(world, table)


def test_a_table_of_another_night_is_not_found(world: World, conn: Connection) -> None:
    other = world.table(world.event("PS"))
    assert check_out(conn, world.event(), other).error == "TABLE_NOT_FOUND"


def test_a_table_that_is_taken_or_blocked_is_not_sold(world: World, conn: Connection) -> None:
    event = world.event()
    taken, blocked = world.table(event), world.table(event)
    check_out(conn, event, taken)
    world.run("UPDATE event_vip_tables SET is_available = false WHERE id = %s", blocked)
    for table in (taken, blocked):
        answer = check_out(conn, event, table, "pi_2", ticket=host_ticket(2))
        assert answer.error == "TABLE_NOT_AVAILABLE"


def test_a_full_house_sells_no_table_either(world: World, conn: Connection) -> None:
    event = world.event()
    world.run("UPDATE events SET venue_capacity = 1")
    world.ticket(event)
    assert check_out(conn, event, world.table(event)).error == "SOLD_OUT"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("status = 'cancelled'", "EVENT_CANCELLED"),
        ("status = 'completed'", "EVENT_COMPLETED"),
        ("doors_open_at = now() - interval '9 hours', starts_at = NULL, ends_at = now()", "EVENT_OVER"),
    ],
)
def test_nothing_is_sold_for_a_night_that_is_over(
    world: World, conn: Connection, change: str, error: str
) -> None:
    event = world.event()
    world.run(f"UPDATE events SET {change}")
    assert check_out(conn, event, world.table(event)).error == error
    assert reserve(conn, event, world.table(event)).error == error


def test_a_purchaser_needs_a_name(world: World) -> None:
    event = world.event()
    table = world.table(event)
    for purchaser in ("{}", '{"name": " "}', "[]", "null", '{"name": "' + "x" * 201 + '"}'):
        answer = world.one(
            "SELECT create_vip_reservation_atomic(%s, %s, %s::jsonb, 1)", event, table, purchaser
        )
        assert refused(answer) == "INVALID_ARGUMENT"


# --- codes ---


def test_invite_codes_are_eight_letters_and_never_the_same(world: World) -> None:
    codes = [row[0] for row in world.all("SELECT new_invite_code() FROM generate_series(1, 4000)")]
    assert all(re.fullmatch(f"[{CROCKFORD}]{{8}}", code) for code in codes)
    assert len(set(codes)) == len(codes)
    for place in range(8):
        # each of 32 letters 125 times; 60 is 5.9 standard deviations away
        found = [sum(code[place] == letter for code in codes) for letter in CROCKFORD]
        assert all(abs(count - 125) < 65 for count in found)


def test_the_source_of_codes_is_the_operating_systems(world: World) -> None:
    """`random()` can be seeded, and its output gives away the next; `gen_random_uuid` has neither flaw."""
    source = world.one("SELECT prosrc FROM pg_proc WHERE proname = 'random_letters'")
    assert "gen_random_uuid()" in source
    assert not re.search(r"(?<!gen_)random\s*\(|setseed", source)
    seeded = []
    for _ in range(2):
        world.run("SELECT setseed(0.5)")
        seeded.append(world.one("SELECT new_invite_code() || new_pass_code()"))
    assert seeded[0] != seeded[1]


def test_the_check_character_follows_the_standard(conn: Connection) -> None:
    @given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-", min_size=1, max_size=40))
    def holds(code: str) -> None:
        letters = code.replace("-", "")
        row = conn.execute("SELECT check_character(%s) AS letter", [code]).fetchone()
        assert row is not None
        assert not letters or row["letter"] == mod_37_36.calc_check_digit(letters)

    holds()

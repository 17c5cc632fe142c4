"""Personal data of a past night, or of a person who asks for it, is erased; the books stay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from hub.cli.main import app
from hub.db.connection import Connection
from hub.keeping.retention import ErasureResult, erase_event, erase_person
from tests.integration.hub.shop import buy, night
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, record

PERSONAL = re.compile(r"ana|luis|guest \d|eva|tequila|\+52", re.IGNORECASE)
EVERYTHING = (
    "orders", "payments", "tickets", "vip_reservations", "vip_guest_passes", "vip_linked_tickets",
    "payment_failures", "email_queue", "admission_changes", "scan_logs", "audit_log", "refunds",
)  # fmt: skip


def sold_out(world: World, conn: Connection, code: str = "PF", email: str = "Ana@example.com") -> str:
    """A night with an order, a table with passes and a linked ticket, a mail, a failed payment, a scan."""
    event = night(world, code=code)
    bought = buy(conn, event, 2, customer_email=email, customer_name="Ana")
    assert bought.success
    world.run(
        "UPDATE tickets SET guest_name = 'Ana', guest_phone = '+52 1', guest_email = %s, metadata ="
        ' \'{"wish": "tequila"}\' WHERE event_id = %s',
        email,
        event,
    )
    table = world.reservation(event, package='{"guestCount": 4, "tier": "premium", "note": "for Luis"}')
    world.run(
        "UPDATE vip_reservations SET purchaser_email = %s, purchaser_phone = '+52 2',"
        " special_requests = 'tequila', amount_paid_cents = 90000 WHERE id = %s",
        email,
        table,
    )
    world.guest_pass(table, 1)
    ticket = world.ticket(event, "Eva")
    world.link(table, ticket)
    world.run("UPDATE vip_linked_tickets SET purchased_by_email = %s, purchased_by_name = 'Ana'", email)
    world.run(
        "INSERT INTO payment_failures (customer_email, payment_type, event_id, amount_cents)"
        " VALUES (%s, 'ga_ticket', %s, 2500)",
        email,
        event,
    )
    world.run(
        "INSERT INTO email_queue (recipient, kind, payload) VALUES"
        " (%s, 'ticket', jsonb_build_object('event_id', %s::text))",
        email,
        event,
    )
    scan = record(1, epoch=code, event_id=event, subject_id=ticket, note="Eva forgot her coat")
    take(conn, scan)
    return event


def over(world: World, event: str) -> str:
    world.moved(event, -600)
    return event


def personal(world: World) -> dict[str, list[str]]:
    """Every row of every table that still names somebody."""
    found = {}
    for table in EVERYTHING:
        rows = [str(row) for (row,) in world.all(f"SELECT to_jsonb(t)::text FROM {table} t")]
        named = [row for row in rows if PERSONAL.search(row)]
        if named:
            found[table] = named
    return found


def books(world: World) -> list[Any]:
    """What has to stay."""
    return [
        world.all("SELECT id, total_amount_cents, ticket_count, status FROM orders ORDER BY id"),
        world.all("SELECT id, amount_cents, status FROM payments ORDER BY id"),
        world.all("SELECT id, code_hash, status, price_paid_cents, checked_in_at FROM tickets ORDER BY id"),
        world.all(
            "SELECT id, amount_paid_cents, status, checked_in_guests FROM vip_reservations ORDER BY id"
        ),
        world.all("SELECT id, code_hash, status FROM vip_guest_passes ORDER BY id"),
        world.all("SELECT amount_cents, payment_type FROM payment_failures ORDER BY id"),
        world.all("SELECT scan_id, verdict, reason, payload_hash FROM scan_logs ORDER BY scan_id"),
        world.all("SELECT id, feed_digest(id) FROM events ORDER BY id"),
    ]


def test_nobody_is_named_any_more_and_the_books_stay(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    before = books(world)
    done = erase_event(conn, event, "Carla")
    assert done == ErasureResult(
        success=True,
        event_id=event,
        orders=1,
        tickets=3,
        reservations=1,
        guest_passes=1,
        mails=1,
        feed_rows=done.feed_rows,
    )
    assert done.feed_rows > 0
    assert personal(world) == {}
    assert books(world) == before
    assert world.one("SELECT package_snapshot FROM vip_reservations") == {"guestCount": 4, "tier": "premium"}


def test_the_feed_keeps_no_names_and_no_gap(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    assert "Ana" in msgspec.json.encode(world.changes(event)).decode()
    erase_event(conn, event, "Carla")
    changes = world.changes(event)
    text = msgspec.json.encode(changes).decode() + msgspec.json.encode(world.feed(event)).decode()
    assert not PERSONAL.search(text)
    versions = [change.version for change in changes]
    assert versions == list(range(1, len(versions) + 1))
    assert versions[-1] == world.one("SELECT admission_version FROM events WHERE id = %s", event)


def test_erasing_twice_changes_nothing_more(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    erase_event(conn, event, "Carla")
    version = world.one("SELECT admission_version FROM events")
    assert erase_event(conn, event, "Carla") == ErasureResult(success=True, already=True, event_id=event)
    assert world.one("SELECT admission_version FROM events") == version
    assert world.all("SELECT actor, target FROM audit_log WHERE action = 'erase'") == [("Carla", event)]


def test_data_that_arrives_late_is_erased_by_the_next_call(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    erase_event(conn, event, "Carla")
    world.ticket(event, "Ana")
    done = erase_event(conn, event, "Carla")
    assert (done.already, done.tickets) == (True, 1)
    assert personal(world) == {}


def test_a_night_that_is_not_over_keeps_its_names(world: World, conn: Connection) -> None:
    event = sold_out(world, conn)
    world.moved(event, -10)  # it has begun
    before = personal(world)
    done = erase_event(conn, event, "Carla")
    assert (done.success, done.error) == (False, "EVENT_NOT_OVER")
    assert personal(world) == before
    assert world.one("SELECT count(*) FROM audit_log WHERE action = 'erase'") == 0


def test_other_nights_keep_their_names(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    other = over(world, sold_out(world, conn, "CO"))
    before = world.all("SELECT row FROM admission_changes WHERE event_id = %s ORDER BY version", other)
    erase_event(conn, event, "Carla")
    assert world.all("SELECT DISTINCT guest_name FROM tickets WHERE event_id = %s ORDER BY 1", other) == [
        ("Ana",),
        ("Eva",),
    ]
    assert (
        world.all("SELECT row FROM admission_changes WHERE event_id = %s ORDER BY version", other) == before
    )
    assert world.one("SELECT count(*) FROM email_queue") == 1


@pytest.mark.parametrize(
    ("event", "actor", "error"),
    [
        ("00000000-0000-4000-8000-000000000000", "Carla", "EVENT_NOT_FOUND"),
        ("00000000-0000-4000-8000-000000000000", " ", "INVALID_ARGUMENT"),
    ],
)
def test_erasing_an_unknown_night_or_without_an_actor_is_refused(
    conn: Connection, event: str, actor: str, error: str
) -> None:
    assert erase_event(conn, event, actor).error == error


def test_a_person_is_erased_from_every_night_that_is_over(world: World, conn: Connection) -> None:
    for code in ("PF", "CO"):
        over(world, sold_out(world, conn, code))
    stranger = world.ticket(world.event("ZZ"), "Zoe")
    world.run("UPDATE tickets SET guest_email = 'zoe@example.com' WHERE id = %s", stranger)
    before = books(world)
    done = erase_person(conn, " ANA@example.com", "Carla")
    assert (done.success, done.already, done.orders, done.tickets, done.reservations) == (
        True,
        False,
        2,
        6,
        2,
    )
    assert books(world) == before
    left = personal(world)
    assert set(left) == {"scan_logs"}  # a note by staff about somebody else
    assert world.all("SELECT guest_name FROM tickets WHERE guest_name <> ''") == [("Zoe",)]
    assert erase_person(conn, "ana@example.com", "Carla") == ErasureResult(success=True, already=True)
    audit = world.all("SELECT actor, target FROM audit_log WHERE action = 'erase'")
    assert audit == [("Carla", world.one("SELECT hash_of_text('ana@example.com')"))]


def test_a_guest_of_a_coming_night_is_not_erased(world: World, conn: Connection) -> None:
    over(world, sold_out(world, conn))
    sold_out(world, conn, "CO")
    before = personal(world)
    done = erase_person(conn, "ana@example.com", "Carla")
    assert done.error == "EVENT_NOT_OVER"
    assert done.message == "This person is a guest of Night CO. Erase them once it is over."
    assert personal(world) == before


def test_guests_of_others_keep_their_names(world: World, conn: Connection) -> None:
    event = over(world, sold_out(world, conn))
    theirs = world.ticket(event, "Zoe")
    world.run("UPDATE tickets SET guest_email = 'zoe@example.com' WHERE id = %s", theirs)
    assert erase_person(conn, "zoe@example.com", "Carla").tickets == 1
    assert "Zoe" not in msgspec.json.encode(world.changes(event)).decode()
    assert world.one("SELECT customer_name FROM orders") == "Ana"


@pytest.mark.parametrize("email", ["", "ana", "ana @example.com"])
def test_an_invalid_address_is_refused(conn: Connection, email: str) -> None:
    assert erase_person(conn, email, "Carla").error == "INVALID_ARGUMENT"


def test_the_command_asks_and_says_what_it_did(world: World, conn: Connection, config_file: Path) -> None:
    over(world, sold_out(world, conn))
    runner = CliRunner()
    command = ["erase", "PF", "--config", str(config_file), "--actor", "Carla"]
    refused = runner.invoke(app, command, input="n\n")
    assert (refused.exit_code, "Nothing was erased." in refused.output) == (1, True)
    assert personal(world)
    done = runner.invoke(app, [*command, "--yes"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Erased: 1 orders, 3 tickets, 1 tables, 1 guest passes, ")
    again = runner.invoke(app, [*command, "--yes"])
    assert again.output == "It was erased before; since then: nothing.\n"
    nobody = runner.invoke(app, ["erase", "--email", "zoe@example.com", "--yes", *command[2:]])
    assert nobody.output == "Nothing is stored under that address, or nothing any more.\n"
    both = runner.invoke(app, [*command, "--email", "ana@example.com"])
    assert both.exit_code == 2
    unknown = runner.invoke(app, ["erase", "XX", "--config", str(config_file), "--yes"])
    assert (unknown.exit_code, "there is no night 'XX'" in unknown.output) == (2, True)

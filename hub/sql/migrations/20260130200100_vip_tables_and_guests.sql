-- Tables sold, and who sits at them: reservations, the one checkout of a table and its host's ticket, invite codes,
-- the guest list and its seats (domain 2.1, 2.2, 2.5). Everything here locks in one order: the night, the table,
-- the reservation, then tickets and passes.

-- CODES

-- At most 32 letters of Crockford's alphabet (no I, L, O, U), 5 bits each, from the source of random uuids, which
-- is the operating system's; their few fixed bits are hashed away.
create or replace function random_letters(p_count integer) returns text
language sql volatile set search_path = public, pg_temp as $$
    with source as materialized (
        select sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) as bytes
    )
    select string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', (get_byte(bytes, place) & 31) + 1, 1), ''
        order by place)
    from source, generate_series(0, p_count - 1) as place
$$;

create or replace function new_invite_code() returns text
language sql volatile set search_path = public, pg_temp
as $$ select random_letters(8) $$;

-- The check character of a code: ISO 7064 MOD 37,36 over its letters and digits (protocol 4.1).
create or replace function check_character(p_code text) returns text
language plpgsql immutable parallel safe set search_path = public, pg_temp as $$
declare
    c_alphabet constant text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
    v_check integer := 36;
    v_letter text;
begin
    foreach v_letter in array string_to_array(replace(p_code, '-', ''), null) loop
        v_check := (v_check + strpos(c_alphabet, v_letter) - 1) % 36;
        v_check := case when v_check = 0 then 36 else v_check end * 2 % 37;
    end loop;
    return substr(c_alphabet, (37 - v_check) % 36 + 1, 1);
end
$$;

create or replace function new_pass_code() returns text
language plpgsql volatile set search_path = public, pg_temp as $$
declare
    v_code text := 'VIP-PASS-' || random_letters(16);
begin
    return v_code || check_character(v_code);
end
$$;

-- SEATS

-- A table's seats and who has them: a pass that is not cancelled, a linked ticket, the host's own among them.
create or replace function seats_of(
    p_reservation_id uuid, out capacity integer, out passes integer, out linked integer, out remaining integer
)
language sql stable set search_path = public, pg_temp as $$
    select s.capacity, s.passes, s.linked, greatest(s.capacity - s.passes - s.linked, 0)
    from (
        select vip_seats(r.package_snapshot, v.capacity) as capacity,
            (select count(*)::integer from vip_guest_passes p
                where p.reservation_id = r.id and p.status <> 'cancelled') as passes,
            (select count(*)::integer from vip_linked_tickets l where l.vip_reservation_id = r.id) as linked
        from vip_reservations r join event_vip_tables v on v.id = r.event_vip_table_id
        where r.id = p_reservation_id
    ) s
$$;

-- One too many is refused whoever writes it. Fires after the feed's trigger, by its name: that one has locked
-- the night, so that nobody else is taking a seat.
create or replace function keep_to_seats() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_column text := tg_argv[0];
    v_full record;
begin
    if tg_op = 'INSERT' then
        select s.* into v_full
        from (select distinct (to_jsonb(n) ->> v_column)::uuid as id from new_rows n) r
        cross join lateral seats_of(r.id) s
        where s.passes + s.linked > s.capacity limit 1;
    else
        select s.* into v_full
        from (
            select id, (to_jsonb(n) ->> v_column)::uuid as reservation_id from new_rows n
            except
            select id, (to_jsonb(o) ->> v_column)::uuid from old_rows o
        ) r
        cross join lateral seats_of(r.reservation_id) s
        where s.passes + s.linked > s.capacity limit 1;
    end if;
    if v_full.capacity is not null then
        raise exception 'the table has % seats: % passes and % linked tickets are too many',
            v_full.capacity, v_full.passes, v_full.linked
            using errcode = 'check_violation', constraint = 'vip_seats',
                hint = 'Cancel a pass or unlink a ticket first.';
    end if;
    return null;
end
$$;

create or replace trigger vip_linked_tickets_seats_insert after insert on vip_linked_tickets
referencing new table as new_rows for each statement execute function keep_to_seats('vip_reservation_id');

create or replace trigger vip_linked_tickets_seats_update after update on vip_linked_tickets
referencing old table as old_rows new table as new_rows
for each statement execute function keep_to_seats('vip_reservation_id');

create or replace trigger vip_guest_passes_seats_insert after insert on vip_guest_passes
referencing new table as new_rows for each statement execute function keep_to_seats('reservation_id');

create or replace trigger vip_guest_passes_seats_update after update on vip_guest_passes
referencing old table as old_rows new table as new_rows
for each statement execute function keep_to_seats('reservation_id');

-- A linked guest whom staff checks in without a scan, or whose ticket is called back, moves the table's count too.
-- Scans count for themselves (settle_vip). Fires after the feed's trigger, which has locked the night.
create or replace function keep_tables_counted() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_changed uuid[];
begin
    if not exists (select from new_rows where checked_in_scan is null or status in ('cancelled', 'refunded')) then
        return null;
    end if;
    -- `except` and no join: a plan made for one row would compare each with each
    v_changed := array(
        select id from (
            select id, status = 'checked_in' as is_in from new_rows
            except
            select id, status = 'checked_in' from old_rows
        ) c where exists (select from vip_linked_tickets l where l.ticket_id = c.id)
    );
    if cardinality(v_changed) = 0 then
        return null;
    end if;
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at)
    select t.id, r.id, 'first_entry', coalesce(t.checked_in_by, ''), t.checked_in_at
    from tickets t
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id and r.status in ('confirmed', 'checked_in')
    where t.id = any (v_changed) and t.status = 'checked_in' and t.checked_in_scan is null
        and t.checked_in_at is not null;
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (v_changed)
    ));
    return null;
end
$$;

create or replace trigger tickets_table_update after update on tickets
referencing old table as old_rows new table as new_rows
for each statement execute function keep_tables_counted();

-- So does a pass that is cancelled after its guest came.
create or replace function keep_passes_counted() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if exists (select from new_rows where status = 'cancelled') then
        perform vip_recount(array(
            select o.reservation_id from old_rows o join new_rows n on n.id = o.id
            where o.status = 'checked_in' and n.status = 'cancelled'
        ));
    end if;
    return null;
end
$$;

create or replace trigger vip_guest_passes_table_update after update on vip_guest_passes
referencing old table as old_rows new table as new_rows
for each statement execute function keep_passes_counted();

-- THE GUEST LIST

-- Why nobody may be put on or taken off a night's guest lists, null if one may: the purchaser until the night
-- starts, staff until it is over.
create or replace function why_list_is_closed(p_event events, p_by_staff boolean, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    elsif has_started(p_event, p_now) and not p_by_staff then
        return refuse('GUEST_LIST_FROZEN',
            format('%s has started: ask staff at the door to change the guest list.', p_event.name));
    end if;
    return null;
end
$$;

-- Who may keep the guest list of a table: whoever bought it, staff, the hub.
create or replace function may_keep_list(p_reservation_id uuid) returns boolean
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    return is_service() or is_staff() or exists (
        select from vip_reservations where id = p_reservation_id and lower(purchaser_email) = my_email()
    );
end
$$;

-- What staff does to a guest list is written down; at the door under a name of its own.
create or replace function note_list_change(
    p_action text, p_event events, p_reservation vip_reservations, p_ticket_id uuid, p_actor text, p_now timestamptz
) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, p_action || case when has_started(p_event, p_now) then '_at_door' else '' end,
        p_ticket_id::text, format('guest list of table %s, %s', p_reservation.table_number, p_event.code),
        jsonb_build_object('event_id', p_event.id, 'vip_reservation_id', p_reservation.id,
            'table_number', p_reservation.table_number));
end
$$;

create or replace function link_told(p_link vip_linked_tickets) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'link_id', p_link.id,
        'vip_reservation_id', p_link.vip_reservation_id, 'ticket_id', p_link.ticket_id,
        'linked', s.linked, 'capacity', s.capacity)
    from seats_of(p_link.vip_reservation_id) s
$$;

-- Put a ticket on a table's guest list; the same again changes nothing. A ticket whose table was cancelled is free.
create or replace function link_ticket_at(
    p_reservation_id uuid, p_ticket_id uuid, p_actor text, p_by_staff boolean, p_now timestamptz default now()
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_reservation vip_reservations;
    v_ticket tickets;
    v_link vip_linked_tickets;
    v_refusal jsonb;
begin
    select * into v_event from events
    where id = (select event_id from vip_reservations where id = p_reservation_id) for no key update;
    select * into v_reservation from vip_reservations where id = p_reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.');
    end if;
    select * into v_ticket from tickets where id = p_ticket_id for no key update;
    if not found then
        return refuse('TICKET_NOT_FOUND', 'There is no such ticket.');
    end if;
    select * into v_link from vip_linked_tickets where ticket_id = p_ticket_id;
    if v_link.vip_reservation_id = p_reservation_id then
        return link_told(v_link);
    end if;
    v_refusal := why_not_linked(v_event, v_reservation, v_ticket, v_link, p_by_staff, p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    insert into vip_linked_tickets (vip_reservation_id, order_id, ticket_id, purchased_by_email, purchased_by_name,
        linked_by)
    values (p_reservation_id, v_ticket.order_id, p_ticket_id, left(v_ticket.guest_email, 320),
        left(v_ticket.guest_name, 200), p_actor)
    on conflict (ticket_id) do update set vip_reservation_id = excluded.vip_reservation_id,
        is_booker_purchase = false, linked_by = excluded.linked_by
    returning * into v_link;
    if p_by_staff then
        perform note_list_change('link', v_event, v_reservation, p_ticket_id, p_actor, p_now);
    end if;
    return link_told(v_link);
end
$$;

-- Why this ticket cannot have a seat at this table, null if it can; all of them are locked.
create or replace function why_not_linked(
    p_event events, p_reservation vip_reservations, p_ticket tickets, p_link vip_linked_tickets,
    p_by_staff boolean, p_now timestamptz
) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_refusal jsonb := why_list_is_closed(p_event, p_by_staff, p_now);
begin
    if v_refusal is not null then
        return v_refusal;
    elsif p_reservation.status not in ('pending', 'confirmed', 'checked_in') then
        return refuse('RESERVATION_NOT_CONFIRMED',
            format('Table %s is %s.', p_reservation.table_number, p_reservation.status));
    elsif p_ticket.event_id <> p_event.id then
        return refuse('OTHER_EVENT', format('This ticket is not for %s.', p_event.name));
    elsif p_ticket.status not in ('issued', 'checked_in') then
        return refuse('TICKET_NOT_VALID', format('This ticket is %s.', p_ticket.status));
    elsif exists (
        select from vip_reservations where id = p_link.vip_reservation_id and status <> 'cancelled'
    ) then
        return refuse('TICKET_ALREADY_LINKED', 'This ticket belongs to another table.');
    elsif (select remaining from seats_of(p_reservation.id)) < 1 then
        return refuse('CAPACITY_EXCEEDED', format('Table %s has %s seats, and all are taken.',
            p_reservation.table_number, (select capacity from seats_of(p_reservation.id))));
    end if;
    return null;
end
$$;

-- Link a ticket to a table. p_by_staff: at the door, also once the night has started; believed of staff and the
-- hub only. p_linked_by names who did it when the hub asks; a person is named by their token.
create or replace function link_ticket_to_vip(
    p_reservation_id uuid, p_ticket_id uuid, p_linked_by text default null, p_by_staff boolean default false
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not may_keep_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return link_ticket_at(p_reservation_id, p_ticket_id, named_actor(p_linked_by),
        coalesce(p_by_staff, false) and (is_service() or is_staff()), now());
end
$$;

-- Take a ticket off its table's guest list: plain general admission again.
create or replace function unlink_ticket_at(
    p_ticket_id uuid, p_actor text, p_by_staff boolean, p_now timestamptz default now()
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_reservation vip_reservations;
    v_link vip_linked_tickets;
    v_refusal jsonb;
begin
    select e.* into v_event from events e
    where e.id = (
        select r.event_id from vip_linked_tickets l join vip_reservations r on r.id = l.vip_reservation_id
        where l.ticket_id = p_ticket_id
    ) for no key update;
    select * into v_reservation from vip_reservations
    where id = (select vip_reservation_id from vip_linked_tickets where ticket_id = p_ticket_id)
    for no key update;
    perform 1 from tickets where id = p_ticket_id for no key update;
    if not found then
        return refuse('TICKET_NOT_FOUND', 'There is no such ticket.');
    end if;
    select * into v_link from vip_linked_tickets where ticket_id = p_ticket_id;
    if not found then
        return refuse('TICKET_NOT_LINKED', 'This ticket is not on any guest list.');
    elsif v_link.is_booker_purchase then
        return refuse('NOT_ALLOWED', 'This is the ticket of whoever bought the table: it stays with it.');
    end if;
    v_refusal := why_list_is_closed(v_event, p_by_staff, p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    delete from vip_linked_tickets where id = v_link.id;
    if p_by_staff then
        perform note_list_change('unlink', v_event, v_reservation, p_ticket_id, p_actor, p_now);
    end if;
    return jsonb_build_object('success', true, 'ticket_id', p_ticket_id,
        'vip_reservation_id', v_link.vip_reservation_id);
end
$$;

create or replace function unlink_ticket_from_vip(p_ticket_id uuid, p_actor text default null) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not may_keep_list((select vip_reservation_id from vip_linked_tickets where ticket_id = p_ticket_id)) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return unlink_ticket_at(p_ticket_id, named_actor(p_actor), is_service() or is_staff(), now());
end
$$;

create or replace function check_vip_capacity(p_reservation_id uuid) returns jsonb
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    if not may_keep_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may see who sits there.');
    end if;
    return coalesce(
        (select jsonb_build_object('success', true, 'capacity', capacity, 'passes', passes, 'linked', linked,
            'remaining', remaining) from seats_of(p_reservation_id) where capacity is not null),
        refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.')
    );
end
$$;

-- A guest joins a table with its invite code and their own ticket, until the night starts.
create or replace function join_vip_by_invite(p_invite_code text, p_ticket_id uuid) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_reservation_id uuid;
begin
    if not is_service() and not exists (
        select from tickets t left join orders o on o.id = t.order_id
        where t.id = p_ticket_id and my_email() in (lower(t.guest_email), lower(o.customer_email))
    ) then
        return refuse('TICKET_NOT_FOUND', 'You have no such ticket.');
    end if;
    select id into v_reservation_id from vip_reservations
    where invite_code = upper(btrim(p_invite_code)) and status <> 'cancelled';
    if not found then
        return refuse('INVITE_NOT_FOUND', 'No table has this invite code.');
    end if;
    return link_ticket_at(v_reservation_id, p_ticket_id, acting_as(), false, now());
end
$$;

-- TABLES SOLD

-- A reservation as whoever made it is told: the same to everybody, whoever made it.
create or replace function reservation_told(p_reservation_id uuid, p_already boolean) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'already', p_already, 'reservation_id', r.id,
        'qr_code_token', r.qr_code_token, 'invite_code', r.invite_code, 'status', r.status,
        'pass_ids', (
            select coalesce(jsonb_agg(p.id order by p.guest_number), '[]') from vip_guest_passes p
            where p.reservation_id = r.id
        ))
    from vip_reservations r where r.id = p_reservation_id
$$;

-- What is wrong with a booking as it was given, null if nothing is.
create or replace function booking_mistake(
    p_purchaser jsonb, p_amount_cents integer, p_package jsonb, p_guest_passes integer
) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    if coalesce(jsonb_typeof(p_purchaser), '') <> 'object'
        or length(btrim(coalesce(p_purchaser ->> 'name', ''))) not between 1 and 200
        or length(p_purchaser ->> 'email') > 320 or length(p_purchaser ->> 'phone') > 50
    then
        return refuse('INVALID_ARGUMENT', 'A purchaser has a name of at most 200 characters, and may have an email of'
            ' at most 320 and a phone of at most 50.');
    elsif coalesce(jsonb_typeof(p_package), '') <> 'object'
        or p_package ? 'guestCount' and coalesce(p_package ->> 'guestCount', '') !~ '^[1-9][0-9]{0,5}$'
    then
        return refuse('INVALID_ARGUMENT', 'A package is an object; its guestCount is a number of guests.');
    elsif octet_length(p_package::text) > 16384 then
        return refuse('INVALID_ARGUMENT', 'A package has at most 16384 bytes.');
    elsif coalesce(p_guest_passes, -1) not between 0 and 1000 then
        return refuse('INVALID_ARGUMENT', 'guest_passes is how many passes to make, 0 or more.');
    elsif coalesce(p_amount_cents, -1) not between 0 and 999999999 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, from 0 to 999999999.');
    end if;
    return null;
end
$$;

-- Why a table cannot be sold, null if it can: with the night and the table locked. p_guests: seats that are taken
-- at once, by passes and the host.
create or replace function why_table_not_sold(
    p_event events, p_table event_vip_tables, p_package jsonb, p_guests integer, p_now timestamptz
) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    elsif p_table.id is null or p_table.event_id <> p_event.id then
        return refuse('TABLE_NOT_FOUND', format('%s has no such table.', p_event.name));
    elsif not p_table.is_available or exists (
        select from vip_reservations
        where event_vip_table_id = p_table.id and status in ('pending', 'confirmed', 'checked_in')
    ) then
        return refuse('TABLE_NOT_AVAILABLE', format('Table %s is taken.', p_table.table_number));
    elsif vip_seats(p_package, p_table.capacity) > p_table.capacity
        or p_guests > vip_seats(p_package, p_table.capacity)
    then
        return refuse('CAPACITY_EXCEEDED',
            format('Table %s has %s seats.', p_table.table_number, p_table.capacity));
    end if;
    return null;
end
$$;

-- The money of a table that has no order.
create or replace function note_table_paid(p_intent text, p_amount_cents integer) returns void
language sql set search_path = public, pg_temp as $$
    insert into payments (stripe_payment_intent_id, amount, amount_cents, status)
    select p_intent, p_amount_cents / 100.0, p_amount_cents, 'succeeded' where p_amount_cents > 0
    on conflict (stripe_payment_intent_id) do update set amount = excluded.amount,
        amount_cents = excluded.amount_cents, status = excluded.status
$$;

-- Write a reservation and its passes; the table is nobody else's any more.
create or replace function write_reservation(
    p_table event_vip_tables, p_purchaser jsonb, p_amount_cents integer, p_status text, p_intent text,
    p_package jsonb, p_guest_passes integer, p_now timestamptz
) returns uuid
language plpgsql set search_path = public, pg_temp as $$
declare
    v_id uuid;
begin
    insert into vip_reservations (event_id, event_vip_table_id, table_number, purchaser_name, purchaser_email,
        purchaser_phone, amount_paid_cents, stripe_payment_intent_id, status, qr_code_token, invite_code,
        package_snapshot, special_requests, created_at)
    values (p_table.event_id, p_table.id, p_table.table_number, btrim(p_purchaser ->> 'name'),
        lower(btrim(p_purchaser ->> 'email')), p_purchaser ->> 'phone',
        case when p_status = 'confirmed' then p_amount_cents else 0 end, p_intent, p_status, random_letters(26),
        new_invite_code(), p_package, left(p_purchaser ->> 'special_requests', 2000), p_now)
    returning id into v_id;
    insert into vip_guest_passes (reservation_id, guest_number, qr_code_token)
    select v_id, number, new_pass_code() from generate_series(1, p_guest_passes) as number;
    update event_vip_tables set is_available = false where id = p_table.id;
    return v_id;
end
$$;

create or replace function create_vip_reservation_at(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_intent text, p_package jsonb,
    p_guest_passes integer, p_now timestamptz default now()
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refusal jsonb := booking_mistake(p_purchaser, p_amount_cents, p_package, p_guest_passes);
    v_event events;
    v_table event_vip_tables;
    v_known vip_reservations;
    v_id uuid;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_known from vip_reservations where stripe_payment_intent_id = p_intent;
    if v_known.event_vip_table_id = p_table_id then
        return reservation_told(v_known.id, true);
    elsif p_intent is not null and is_spent(p_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := why_table_not_sold(v_event, v_table, p_package, p_guest_passes, p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    v_id := write_reservation(v_table, p_purchaser, p_amount_cents,
        case when p_intent is null then 'pending' else 'confirmed' end, p_intent, p_package, p_guest_passes, p_now);
    if p_intent is not null then
        perform note_table_paid(p_intent, p_amount_cents);
    end if;
    return reservation_told(v_id, false);
end
$$;

-- Reserve a table: paid at once where a payment is named, else `pending` until confirm_vip_reservation or
-- release_expired_reservations. The same payment again is told the same reservation.
create or replace function create_vip_reservation_atomic(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer,
    p_stripe_payment_intent_id text default null, p_package jsonb default '{}', p_guest_passes integer default 0
) returns jsonb
language sql security definer set search_path = public, pg_temp
as $$
    select create_vip_reservation_at(p_event_id, p_table_id, p_purchaser, p_amount_cents,
        nullif(p_stripe_payment_intent_id, ''), p_package, p_guest_passes, now())
$$;

-- A reservation that waited was paid. Its guests who came before count from now on (feed_on_reservations).
create or replace function confirm_vip_reservation_at(
    p_reservation_id uuid, p_intent text, p_amount_cents integer, p_now timestamptz default now()
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_reservation vip_reservations;
begin
    if p_intent is null then
        return refuse('INVALID_ARGUMENT', 'A payment has an id.');
    elsif coalesce(p_amount_cents, -1) not between 0 and 999999999 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, from 0 to 999999999.');
    end if;
    select * into v_event from events
    where id = (select event_id from vip_reservations where id = p_reservation_id) for no key update;
    select * into v_reservation from vip_reservations where id = p_reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.');
    elsif v_reservation.stripe_payment_intent_id = p_intent then
        return reservation_told(p_reservation_id, true);
    elsif v_reservation.stripe_payment_intent_id is not null or is_spent(p_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This table is paid, or this payment has bought something else.');
    elsif v_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', v_event.name));
    elsif v_event.status = 'completed' or p_now >= v_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', v_event.name));
    elsif v_reservation.status <> 'pending' then
        return refuse('RESERVATION_NOT_CONFIRMED', format('The reservation of table %s is %s: give the payment back.',
            v_reservation.table_number, v_reservation.status));
    end if;
    update vip_reservations set status = 'confirmed', stripe_payment_intent_id = p_intent,
        amount_paid_cents = p_amount_cents
    where id = p_reservation_id;
    perform note_table_paid(p_intent, p_amount_cents);
    return reservation_told(p_reservation_id, false);
end
$$;

create or replace function confirm_vip_reservation(
    p_reservation_id uuid, p_stripe_payment_intent_id text, p_amount_cents integer
) returns jsonb
language sql security definer set search_path = public, pg_temp
as $$
    select confirm_vip_reservation_at(p_reservation_id, nullif(p_stripe_payment_intent_id, ''), p_amount_cents,
        now())
$$;

-- Reservations that nobody paid within p_older: their tables can be sold again. Once the night has started nothing
-- is cancelled any more (domain 2.1): they stay `pending`.
create or replace function release_expired_reservations_at(p_older interval, p_now timestamptz default now())
returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_expired uuid[];
    v_tables uuid[];
begin
    perform 1 from events e where not has_started(e, p_now) and exists (
        select from vip_reservations r
        where r.event_id = e.id and r.status = 'pending' and r.created_at <= p_now - p_older
    ) order by id for no key update;
    select array_agg(r.id), array_agg(r.event_vip_table_id) into v_expired, v_tables
    from vip_reservations r join events e on e.id = r.event_id
    where r.status = 'pending' and r.created_at <= p_now - p_older and not has_started(e, p_now);
    perform 1 from event_vip_tables where id = any (v_tables) order by id for no key update;
    perform 1 from vip_reservations where id = any (v_expired) order by id for no key update;
    update vip_reservations set status = 'cancelled' where id = any (v_expired) and status = 'pending';
    update vip_guest_passes set status = 'cancelled'
    where reservation_id = any (v_expired) and status in ('issued', 'checked_in');
    update event_vip_tables set is_available = true where id = any (v_tables);
    return jsonb_build_object('success', true, 'released', coalesce(cardinality(v_expired), 0));
end
$$;

create or replace function release_expired_reservations(p_older interval default '30 minutes') returns jsonb
language sql security definer set search_path = public, pg_temp
as $$ select release_expired_reservations_at(p_older, now()) $$;

-- THE ONE CHECKOUT

create or replace function checkout_told(p_order_id uuid, p_already boolean) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'already', p_already, 'order_id', p_order_id,
        'reservation_id', r.id, 'ticket_id', t.id, 'link_id', l.id, 'invite_code', r.invite_code,
        'qr_code', t.qr_code_data)
    from tickets t
    join vip_linked_tickets l on l.ticket_id = t.id and l.is_booker_purchase
    join vip_reservations r on r.id = l.vip_reservation_id
    where t.order_id = p_order_id
$$;

-- Order, table and the host's own ticket, linked as the booker's. The night is locked, and nothing is wrong with it.
create or replace function write_checkout(
    p_event events, p_table event_vip_tables, p_order jsonb, p_lines jsonb, p_purchaser jsonb, p_package jsonb,
    p_guest_passes integer, p_now timestamptz
) returns uuid
language plpgsql set search_path = public, pg_temp as $$
declare
    v_order_id uuid;
    v_reservation_id uuid;
begin
    v_reservation_id := write_reservation(p_table, p_purchaser,
        (p_order ->> 'total_amount_cents')::integer - (p_lines #>> '{0,price_cents}')::integer, 'confirmed',
        p_order ->> 'stripe_payment_intent_id', p_package, p_guest_passes, p_now);
    v_order_id := write_order((
        select id from orders
        where status in ('pending', 'failed') and (stripe_payment_intent_id = p_order ->> 'stripe_payment_intent_id'
            or stripe_session_id = p_order ->> 'stripe_session_id') limit 1
    ), p_event, p_order, p_lines, p_now);
    insert into vip_linked_tickets (vip_reservation_id, order_id, ticket_id, purchased_by_email, purchased_by_name,
        is_booker_purchase, linked_by)
    select v_reservation_id, v_order_id, t.id, t.guest_email, t.guest_name, true, 'checkout'
    from tickets t where t.order_id = v_order_id;
    return v_order_id;
end
$$;

create or replace function create_unified_vip_checkout_at(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_order jsonb, p_lines jsonb, p_package jsonb,
    p_guest_passes integer, p_now timestamptz default now()
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_intent text := p_order ->> 'stripe_payment_intent_id';
    v_session text := p_order ->> 'stripe_session_id';
    v_event events;
    v_table event_vip_tables;
    v_known orders;
    v_order_id uuid;
    v_refusal jsonb;
    v_why text;
begin
    v_refusal := coalesce(booking_mistake(p_purchaser, (p_order ->> 'total_amount_cents')::integer, p_package,
        p_guest_passes), order_mistake(p_order, p_lines));
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_known from orders
    where status in ('completed', 'refunded') and (stripe_payment_intent_id = v_intent or stripe_session_id = v_session)
    limit 1;
    if found then
        return coalesce(checkout_told(v_known.id, true),
            refuse('ALREADY_PROCESSED', 'This payment or this session has bought something else.'));
    elsif v_intent is not null and is_spent(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := coalesce(why_table_not_sold(v_event, v_table, p_package, p_guest_passes + 1, p_now),
        why_not_sold(v_event, array[p_lines #>> '{0,ticket_type}'], p_now));
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_order_id := write_checkout(v_event, v_table, p_order, p_lines, p_purchaser, p_package, p_guest_passes,
            p_now);
        return checkout_told(v_order_id, false);
    exception when unique_violation then
        get stacked diagnostics v_why = constraint_name;
    end;
    if v_why in ('tickets_ticket_id_key', 'tickets_qr_code_data_key', 'tickets_code_any_case') then
        return refuse('INVALID_ARGUMENT', 'A ticket of this number or code exists already.');
    end if;
    -- the same payment for two nights at once: each has its own lock
    return refuse('ALREADY_PROCESSED', 'This payment or this session has bought something else.');
end
$$;

-- A table and the purchaser's own ticket, bought together: all of it or nothing. p_amount_cents: what was paid for
-- both; p_ticket: ticket_id, price_cents, and qr_code_data, qr_signature and ticket_type where they are not its own
-- number, none, and general admission. That ticket's code is the one code of the host.
create or replace function create_unified_vip_checkout(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer, p_ticket jsonb,
    p_stripe_payment_intent_id text, p_stripe_session_id text default null, p_package jsonb default '{}',
    p_guest_passes integer default 0
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_line jsonb := jsonb_build_object('qr_code_data', p_ticket ->> 'ticket_id', 'ticket_type', 'General Admission',
        'guest_name', p_purchaser ->> 'name', 'guest_email', p_purchaser ->> 'email',
        'guest_phone', p_purchaser ->> 'phone') || jsonb_strip_nulls(p_ticket);
begin
    if coalesce(p_stripe_payment_intent_id, p_stripe_session_id, '') = '' then
        return refuse('INVALID_ARGUMENT', 'What is not paid is no checkout: name the payment or its session.');
    elsif coalesce(jsonb_typeof(p_ticket), '') <> 'object' then
        return refuse('INVALID_ARGUMENT', 'The host buys a ticket of their own.');
    end if;
    return create_unified_vip_checkout_at(p_event_id, p_table_id, p_purchaser,
        jsonb_strip_nulls(jsonb_build_object('event_id', p_event_id, 'total_amount_cents', p_amount_cents,
            'stripe_payment_intent_id', nullif(p_stripe_payment_intent_id, ''),
            'stripe_session_id', nullif(p_stripe_session_id, ''), 'customer_email', p_purchaser ->> 'email',
            'customer_name', p_purchaser ->> 'name')),
        jsonb_build_array(v_line), p_package, p_guest_passes, now());
end
$$;

-- Tables sold: reservations, and the joint checkout of a table and its host's ticket (domain 2.1, 2.2, 2.5). Locks are
-- taken in the order of 41_vip_guests.

-- TABLES SOLD

-- The answer about a reservation, the same for the call that made it and for every repetition.
create or replace function reservation_answer(p_reservation_id uuid, p_already boolean) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'already', p_already, 'reservation_id', r.id,
        'qr_code_token', r.qr_code_token, 'invite_code', r.invite_code, 'status', r.status,
        'pass_ids', (
            select coalesce(jsonb_agg(p.id order by p.guest_number), '[]') from vip_guest_passes p
            where p.reservation_id = r.id
        ))
    from vip_reservations r where r.id = p_reservation_id
$$;

-- What is wrong with a booking by itself; null if nothing is.
create or replace function booking_refusal(
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

-- Why a table cannot be sold; null if it can. Lock the night and the table first. p_guests: seats taken at once, by
-- passes and the host.
create or replace function table_sale_refusal(
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

-- Record the payment of a table without an order.
create or replace function record_table_payment(p_intent text, p_amount_cents integer) returns void
language sql set search_path = public, pg_temp as $$
    insert into payments (stripe_payment_intent_id, amount, amount_cents, status)
    select p_intent, p_amount_cents / 100.0, p_amount_cents, 'succeeded' where p_amount_cents > 0
    on conflict (stripe_payment_intent_id) do update set amount = excluded.amount,
        amount_cents = excluded.amount_cents, status = excluded.status
$$;

-- Write a reservation and its passes; the table is no longer available.
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

-- Reserve a table: paid at once where a payment is named, else `pending` until confirm_vip_reservation or
-- release_expired_reservations. The same payment again gets the same reservation.
create or replace function create_vip_reservation_atomic(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_amount_cents integer,
    p_stripe_payment_intent_id text default null, p_package jsonb default '{}', p_guest_passes integer default 0,
    p_now timestamptz default now()
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_intent text := nullif(p_stripe_payment_intent_id, '');
    v_refusal jsonb := booking_refusal(p_purchaser, p_amount_cents, p_package, p_guest_passes);
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
    select * into v_known from vip_reservations where stripe_payment_intent_id = v_intent;
    if v_known.event_vip_table_id = p_table_id then
        return reservation_answer(v_known.id, true);
    elsif v_intent is not null and is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := table_sale_refusal(v_event, v_table, p_package, p_guest_passes, p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    v_id := write_reservation(v_table, p_purchaser, p_amount_cents,
        case when v_intent is null then 'pending' else 'confirmed' end, v_intent, p_package, p_guest_passes, p_now);
    if v_intent is not null then
        perform record_table_payment(v_intent, p_amount_cents);
    end if;
    return reservation_answer(v_id, false);
end
$$;

-- Confirm a pending reservation that was paid. Guests who came before count from now on (feed_on_reservations).
create or replace function confirm_vip_reservation(
    p_reservation_id uuid, p_stripe_payment_intent_id text, p_amount_cents integer, p_now timestamptz default now()
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_intent text := nullif(p_stripe_payment_intent_id, '');
    v_event events;
    v_reservation vip_reservations;
begin
    if v_intent is null then
        return refuse('INVALID_ARGUMENT', 'A payment has an id.');
    elsif coalesce(p_amount_cents, -1) not between 0 and 999999999 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, from 0 to 999999999.');
    end if;
    select * into v_event from events
    where id = (select event_id from vip_reservations where id = p_reservation_id) for no key update;
    select * into v_reservation from vip_reservations where id = p_reservation_id for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.');
    elsif v_reservation.stripe_payment_intent_id = v_intent then
        return reservation_answer(p_reservation_id, true);
    elsif v_reservation.stripe_payment_intent_id is not null or is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This table is paid, or this payment has bought something else.');
    elsif v_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', v_event.name));
    elsif v_event.status = 'completed' or p_now >= v_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', v_event.name));
    elsif v_reservation.status <> 'pending' then
        return refuse('RESERVATION_NOT_CONFIRMED', format('The reservation of table %s is %s: give the payment back.',
            v_reservation.table_number, v_reservation.status));
    end if;
    update vip_reservations set status = 'confirmed', stripe_payment_intent_id = v_intent,
        amount_paid_cents = p_amount_cents
    where id = p_reservation_id;
    perform record_table_payment(v_intent, p_amount_cents);
    return reservation_answer(p_reservation_id, false);
end
$$;

-- Cancel reservations that nobody paid within p_older, unless somebody at the hub holds them; their tables can be sold
-- again. Once the night has started
-- nothing is cancelled any more (domain 2.1), so they stay `pending`.
create or replace function release_expired_reservations(
    p_older interval default '30 minutes', p_now timestamptz default now()
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_expired uuid[];
    v_tables uuid[];
begin
    perform 1 from events e where not has_started(e, p_now) and exists (
        select from vip_reservations r
        where r.event_id = e.id and r.status = 'pending' and not r.held_by_hand and r.created_at <= p_now - p_older
    ) order by id for no key update;
    select array_agg(r.id), array_agg(r.event_vip_table_id) into v_expired, v_tables
    from vip_reservations r join events e on e.id = r.event_id
    where r.status = 'pending' and not r.held_by_hand and r.created_at <= p_now - p_older and not has_started(e, p_now);
    perform 1 from event_vip_tables where id = any (v_tables) order by id for no key update;
    perform 1 from vip_reservations where id = any (v_expired) order by id for no key update;
    update vip_reservations set status = 'cancelled' where id = any (v_expired) and status = 'pending';
    update vip_guest_passes set status = 'cancelled'
    where reservation_id = any (v_expired) and status in ('issued', 'checked_in');
    update event_vip_tables set is_available = true where id = any (v_tables);
    return jsonb_build_object('success', true, 'released', coalesce(cardinality(v_expired), 0));
end
$$;

-- THE JOINT CHECKOUT

-- The answer about a checkout, the same for the call that made it and for every repetition.
create or replace function checkout_answer(p_order_id uuid, p_already boolean) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'already', p_already, 'order_id', p_order_id,
        'reservation_id', r.id, 'ticket_id', t.id, 'link_id', l.id, 'invite_code', r.invite_code,
        'qr_code', t.qr_code_data)
    from tickets t
    join vip_linked_tickets l on l.ticket_id = t.id and l.is_booker_purchase
    join vip_reservations r on r.id = l.vip_reservation_id
    where t.order_id = p_order_id
$$;

-- Write order, table and the host's own ticket, linked as the booker's. The night is locked and the sale is allowed.
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

-- Sell the table and the one ticket of p_lines, unless the payment has bought them before.
create or replace function sell_table_with_ticket(
    p_event_id uuid, p_table_id uuid, p_purchaser jsonb, p_order jsonb, p_lines jsonb, p_package jsonb,
    p_guest_passes integer
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
    v_constraint text;
begin
    v_refusal := coalesce(booking_refusal(p_purchaser, (p_order ->> 'total_amount_cents')::integer, p_package,
        p_guest_passes), order_refusal(p_order, p_lines));
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
        return coalesce(checkout_answer(v_known.id, true),
            refuse('ALREADY_PROCESSED', 'This payment or this session has bought something else.'));
    elsif v_intent is not null and is_payment_used(v_intent, null) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    select * into v_table from event_vip_tables where id = p_table_id for no key update;
    v_refusal := coalesce(table_sale_refusal(v_event, v_table, p_package, p_guest_passes + 1, now()),
        sale_refusal(v_event, array[p_lines #>> '{0,ticket_type}'], now()));
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_order_id := write_checkout(v_event, v_table, p_order, p_lines, p_purchaser, p_package, p_guest_passes,
            now());
        return checkout_answer(v_order_id, false);
    exception when unique_violation then
        get stacked diagnostics v_constraint = constraint_name;
        return duplicate_refusal(v_constraint);
    end;
end
$$;

-- Sell a table together with the purchaser's own ticket: both or nothing. p_amount_cents: the payment for both.
-- p_ticket: ticket_id, price_cents, and optionally qr_code_data (otherwise the ticket_id), qr_signature (none) and
-- ticket_type (general admission). The ticket's code is the only one the host needs.
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
    return sell_table_with_ticket(p_event_id, p_table_id, p_purchaser,
        jsonb_strip_nulls(jsonb_build_object('event_id', p_event_id, 'total_amount_cents', p_amount_cents,
            'stripe_payment_intent_id', nullif(p_stripe_payment_intent_id, ''),
            'stripe_session_id', nullif(p_stripe_session_id, ''), 'customer_email', p_purchaser ->> 'email',
            'customer_name', p_purchaser ->> 'name')),
        jsonb_build_array(v_line), p_package, p_guest_passes);
end
$$;

-- Tickets sold, once for each payment; what is left to sell; messages of the payment service, each handled once
-- (domain 2.1, 2.2; data model 3.1).

-- WHAT IS LEFT

-- A night's ticket types. capacity: null where a type has no limit of its own.
create or replace function ticket_types_of(p_types jsonb)
returns table (place bigint, name text, price jsonb, capacity bigint)
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select listed.place, listed.one ->> 'name', listed.one -> 'price',
        case when listed.one ->> 'capacity' ~ '^[0-9]{1,9}$' then (listed.one ->> 'capacity')::bigint end
    from jsonb_array_elements(case when jsonb_typeof(p_types) = 'array' then p_types else '[]' end)
        with ordinality as listed (one, place)
    where listed.one ->> 'name' <> ''
$$;

-- Tickets sold, by type. One that was cancelled or refunded can be sold again.
create or replace function tickets_sold(p_event_id uuid) returns table (name text, sold bigint)
language sql stable set search_path = public, pg_temp as $$
    select ticket_type, count(*) from tickets
    where event_id = p_event_id and status in ('issued', 'checked_in') group by ticket_type
$$;

-- How many tickets of a capacity are left; null is no limit.
create or replace function tickets_left(p_capacity bigint, p_sold bigint) returns bigint
language sql immutable parallel safe
return case when p_capacity is not null then greatest(p_capacity - p_sold, 0) end;

-- What is left of a night, in all and by type: the types of its list in their order, then others that were sold.
-- A venue_capacity of 0 was never set and means no limit. Nothing is left of a night that is over or cancelled.
-- A definer, because anybody may know how many tickets are left, and nothing else about them.
create or replace function event_availability(p_event_id uuid) returns jsonb
language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
    v_event events;
    v_sold bigint;
    v_left bigint;
    v_types jsonb;
begin
    select * into v_event from events where id = p_event_id;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select coalesce(sum(sold), 0) into v_sold from tickets_sold(p_event_id);
    v_left := case when v_event.status = 'scheduled'
        then tickets_left(nullif(v_event.venue_capacity, 0), v_sold) else 0 end;
    select coalesce(jsonb_agg(jsonb_build_object(
        'name', coalesce(t.name, s.name), 'price', t.price, 'capacity', t.capacity,
        'sold', coalesce(s.sold, 0),
        'remaining', least(tickets_left(t.capacity, coalesce(s.sold, 0)), v_left)
    ) order by t.place, s.name), '[]') into v_types
    from ticket_types_of(v_event.ticket_types) t full join tickets_sold(p_event_id) s on s.name = t.name;
    return jsonb_build_object('success', true, 'event_id', v_event.id, 'status', v_event.status,
        'capacity', nullif(v_event.venue_capacity, 0), 'sold', v_sold, 'remaining', v_left, 'types', v_types);
end
$$;

-- Why tickets of these types (one element for each ticket) cannot be sold; null if they can. Lock the event first, or
-- another sale may come between the answer and the sale.
create or replace function sale_refusal(p_event events, p_types text[], p_now timestamptz) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_stock jsonb;
    v_lacking record;
begin
    if p_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', p_event.name));
    elsif p_event.status = 'completed' then
        return refuse('EVENT_COMPLETED', format('%s is over.', p_event.name));
    elsif p_now >= p_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', p_event.name));
    end if;
    v_stock := event_availability(p_event.id);
    select asked.name, asked.count, t.name is null as is_unknown, (t.one ->> 'remaining')::bigint as remaining
    into v_lacking
    from (select name, count(*) from unnest(p_types) as a (name) group by name) asked
    left join (
        select one ->> 'name' as name, one from jsonb_array_elements(v_stock -> 'types') as s (one)
    ) t on t.name = asked.name
    where t.name is null and exists (select from ticket_types_of(p_event.ticket_types))
        or (t.one ->> 'remaining')::bigint < asked.count
    order by is_unknown desc, asked.name limit 1;
    if v_lacking.is_unknown then
        return refuse('INVALID_ARGUMENT',
            format('%s sells no tickets of the type %s.', p_event.name, v_lacking.name));
    elsif v_lacking.name is not null then
        return refuse('SOLD_OUT', format('%s of %s: asked for %s, left %s.', v_lacking.name, p_event.name,
            v_lacking.count, v_lacking.remaining));
    elsif (v_stock ->> 'remaining')::bigint < cardinality(p_types) then
        return refuse('SOLD_OUT', format('%s: asked for %s, left %s.', p_event.name, cardinality(p_types),
            v_stock ->> 'remaining'));
    end if;
    return null;
end
$$;

-- ORDERS

-- What is wrong with an order by itself; null if nothing is. A price is what the guest paid for the ticket. Together
-- they are at most the payment; the rest of it is fees.
create or replace function order_refusal(p_order jsonb, p_lines jsonb) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
declare
    c_cents constant text := '^[0-9]{1,9}$';
begin
    if coalesce(p_order ->> 'event_id', '') !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return refuse('INVALID_ARGUMENT', 'event_id is the id of a night.');
    elsif coalesce(p_order ->> 'currency', 'usd') !~ '^[a-z]{3}$' then
        return refuse('INVALID_ARGUMENT', 'currency is three small letters, like usd.');
    elsif octet_length(p_order::text) > 20000 or octet_length(p_lines::text) > 200000
            or coalesce(jsonb_typeof(p_order -> 'metadata'), 'object') <> 'object' then
        return refuse('INVALID_ARGUMENT', 'This is too much for an order, or its metadata are no object.');
    elsif coalesce(jsonb_typeof(p_lines), '') <> 'array' or jsonb_array_length(p_lines) not between 1 and 100 then
        return refuse('INVALID_ARGUMENT', 'An order has 1 to 100 tickets.');
    elsif exists (
        select from jsonb_array_elements(p_lines) as l (one)
        where coalesce(length(one ->> 'ticket_id'), 0) not between 1 and 200
            or coalesce(length(one ->> 'qr_code_data'), 0) not between 1 and 200
            or coalesce(length(one ->> 'ticket_type'), 0) not between 1 and 200
            or coalesce(jsonb_typeof(one -> 'metadata'), 'object') <> 'object'
    ) then
        return refuse('INVALID_ARGUMENT', 'Each ticket has ticket_id, qr_code_data and ticket_type.');
    elsif length(p_order ->> 'customer_name') > 200 or length(p_order ->> 'customer_email') > 320 or exists (
        select from jsonb_array_elements(p_lines) as l (one)
        where length(one ->> 'guest_name') > 200 or length(one ->> 'guest_email') > 320
            or length(one ->> 'guest_phone') > 50 or length(one ->> 'qr_signature') > 1024
            or octet_length(one ->> 'metadata') > 16384
    ) or octet_length(p_order ->> 'metadata') > 16384 or greatest(length(p_order ->> 'stripe_payment_intent_id'),
        length(p_order ->> 'stripe_session_id'), length(p_order ->> 'stripe_customer_id')) > 255
    then
        return refuse('INVALID_ARGUMENT', 'Too long: a name has at most 200 characters, an email 320, a phone 50,'
            ' a signature 1024, an id of the payment service 255, metadata 16384 bytes.');
    elsif coalesce(p_order ->> 'total_amount_cents', '') !~ c_cents or exists (
        select from jsonb_array_elements(p_lines) as l (one) where coalesce(one ->> 'price_cents', '') !~ c_cents
    ) then
        return refuse('INVALID_AMOUNT', 'Amounts are whole cents, from 0 to 999999999.');
    elsif (p_order ->> 'total_amount_cents')::bigint < (
        select sum((one ->> 'price_cents')::bigint) from jsonb_array_elements(p_lines) as l (one)
    ) then
        return refuse('INVALID_AMOUNT', 'The tickets cost more than was paid.');
    end if;
    return null;
end
$$;

-- The answer about an order, the same for the call that made it and for every repetition.
create or replace function order_answer(p_order_id uuid, p_already boolean) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'already', p_already, 'order_id', o.id,
        'payment_id', (select p.id from payments p where p.order_id = o.id order by p.created_at, p.id limit 1),
        'ticket_ids', (
            select coalesce(jsonb_agg(t.id order by t.line_number, t.ticket_id), '[]') from tickets t
            where t.order_id = o.id
        ),
        'ticket_count', o.ticket_count, 'total_amount_cents', o.total_amount_cents, 'currency', o.currency,
        'status', o.status)
    from orders o where o.id = p_order_id
$$;

-- Whether a payment has bought anything but this order of tickets.
create or replace function is_payment_used(p_intent text, p_order_id uuid) returns boolean
language sql stable set search_path = public, pg_temp as $$
    select exists (select from vip_reservations where stripe_payment_intent_id = p_intent)
        or exists (
            select from payments where stripe_payment_intent_id = p_intent and status <> 'failed'
                and order_id is distinct from p_order_id
        )
        or exists (
            select from tickets where stripe_payment_intent_id = p_intent and order_id is distinct from p_order_id
        )
$$;

-- Write order, payment and tickets of a new payment. p_order_id: the order that waited for the payment, or null.
create or replace function write_order(
    p_order_id uuid, p_event events, p_order jsonb, p_lines jsonb, p_now timestamptz
) returns uuid
language plpgsql set search_path = public, pg_temp as $$
declare
    v_id uuid := coalesce(p_order_id, gen_random_uuid());
    v_intent text := nullif(p_order ->> 'stripe_payment_intent_id', '');
    v_cents integer := (p_order ->> 'total_amount_cents')::integer;
    v_currency text := coalesce(p_order ->> 'currency', 'usd');
begin
    insert into orders as o (id, stripe_payment_intent_id, stripe_session_id, stripe_customer_id, customer_email,
        customer_name, total_amount, total_amount_cents, currency, status, event_id, event_name, ticket_count,
        completed_at, metadata)
    values (v_id, v_intent, nullif(p_order ->> 'stripe_session_id', ''), p_order ->> 'stripe_customer_id',
        p_order ->> 'customer_email', p_order ->> 'customer_name', v_cents / 100.0, v_cents, v_currency,
        'completed', p_event.id, left(p_event.name, 200), jsonb_array_length(p_lines), p_now,
        coalesce(p_order -> 'metadata', '{}'))
    on conflict (id) do update set
        stripe_payment_intent_id = coalesce(excluded.stripe_payment_intent_id, o.stripe_payment_intent_id),
        stripe_session_id = coalesce(excluded.stripe_session_id, o.stripe_session_id),
        stripe_customer_id = coalesce(excluded.stripe_customer_id, o.stripe_customer_id),
        customer_email = coalesce(excluded.customer_email, o.customer_email),
        customer_name = coalesce(excluded.customer_name, o.customer_name),
        total_amount = excluded.total_amount, total_amount_cents = excluded.total_amount_cents,
        currency = excluded.currency, status = excluded.status,
        event_id = excluded.event_id, event_name = excluded.event_name, ticket_count = excluded.ticket_count,
        completed_at = excluded.completed_at,
        metadata = o.metadata || excluded.metadata;
    if v_cents > 0 then
        insert into payments as p (order_id, stripe_payment_intent_id, amount, amount_cents, currency, status)
        values (v_id, v_intent, v_cents / 100.0, v_cents, v_currency, 'succeeded')
        on conflict (stripe_payment_intent_id) do update set order_id = excluded.order_id,
            amount = excluded.amount, amount_cents = excluded.amount_cents, currency = excluded.currency,
            status = excluded.status;
    end if;
    insert into tickets (ticket_id, order_id, event_id, event_name, ticket_type, qr_code_data, qr_signature,
        price_paid, price_paid_cents, stripe_payment_intent_id, line_number, guest_name, guest_email, guest_phone,
        metadata)
    select l.one ->> 'ticket_id', v_id, p_event.id, left(p_event.name, 200), l.one ->> 'ticket_type',
        l.one ->> 'qr_code_data', l.one ->> 'qr_signature', (l.one ->> 'price_cents')::integer / 100.0,
        (l.one ->> 'price_cents')::integer, v_intent, l.place,
        coalesce(l.one ->> 'guest_name', p_order ->> 'customer_name'),
        coalesce(l.one ->> 'guest_email', p_order ->> 'customer_email'), l.one ->> 'guest_phone',
        coalesce(l.one -> 'metadata', '{}')
    from jsonb_array_elements(p_lines) with ordinality as l (one, place);
    return v_id;
end
$$;

-- The answer to a unique violation in a sale.
create or replace function duplicate_refusal(p_constraint text) returns jsonb
language sql immutable
return case
    when p_constraint in ('tickets_ticket_id_key', 'tickets_qr_code_data_key', 'tickets_code_any_case')
        then refuse('INVALID_ARGUMENT', 'A ticket of this number or code exists already.')
    -- the same payment for two nights at once: each night has a lock of its own
    else refuse('ALREADY_PROCESSED', 'This payment or this session has bought something else.')
end;

-- Record the order and the tickets of a payment, once, however often it is reported. p_order: known columns of
-- `orders`, at least event_id and total_amount_cents. p_lines: one object for each ticket, with ticket_id,
-- qr_code_data, ticket_type, price_cents, and any other known columns of `tickets`.
create or replace function record_ticket_order(p_order jsonb, p_lines jsonb, p_now timestamptz default now())
returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refusal jsonb := order_refusal(p_order, p_lines);
    v_intent text := nullif(p_order ->> 'stripe_payment_intent_id', '');
    v_session text := nullif(p_order ->> 'stripe_session_id', '');
    v_event events;
    v_order orders;
    v_constraint text;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = (p_order ->> 'event_id')::uuid for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    end if;
    select * into v_order from orders
    where stripe_payment_intent_id = v_intent or stripe_session_id = v_session
    order by stripe_payment_intent_id = v_intent desc nulls last limit 1;
    if v_order.event_id <> v_event.id or v_order.stripe_payment_intent_id <> v_intent
            or v_order.stripe_session_id <> v_session then
        return refuse('ALREADY_PROCESSED', 'This payment or this session belongs to another order.');
    elsif v_order.status in ('completed', 'refunded') then
        return order_answer(v_order.id, true);
    elsif is_payment_used(v_intent, v_order.id) then
        return refuse('ALREADY_PROCESSED', 'This payment has bought something else.');
    end if;
    v_refusal := sale_refusal(v_event, array(
        select one ->> 'ticket_type' from jsonb_array_elements(p_lines) as l (one)
    ), p_now);
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_order.id := write_order(v_order.id, v_event, p_order, p_lines, p_now);
        return order_answer(v_order.id, false);
    exception when unique_violation then
        get stacked diagnostics v_constraint = constraint_name;
        return duplicate_refusal(v_constraint);
    end;
end
$$;

-- FAILED PAYMENTS, AND MESSAGES HANDLED ONCE

-- Record a failed payment for the owner, once for each message of the payment service.
create or replace function record_payment_failure(
    p_stripe_event_id text, p_stripe_payment_intent_id text, p_customer_email text, p_amount_cents integer,
    p_error_message text, p_error_code text, p_payment_type text, p_event_id uuid default null,
    p_metadata jsonb default '{}'
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_id uuid;
begin
    if coalesce(p_payment_type, '') not in ('ga_ticket', 'vip_reservation') then
        return refuse('INVALID_ARGUMENT', 'payment_type is ga_ticket or vip_reservation.');
    elsif coalesce(p_amount_cents, -1) < 0 then
        return refuse('INVALID_AMOUNT', 'An amount is whole cents, 0 or more.');
    elsif p_event_id is not null and not exists (select from events where id = p_event_id) then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    elsif length(p_customer_email) > 320 or greatest(length(p_stripe_event_id), length(p_stripe_payment_intent_id)) > 255
            or octet_length(p_metadata::text) > 16384 then
        return refuse('INVALID_ARGUMENT',
            'Too long: an email has at most 320 characters, an id 255, metadata 16384 bytes.');
    end if;
    insert into payment_failures (stripe_event_id, stripe_payment_intent_id, customer_email, amount_cents,
        error_message, error_code, payment_type, event_id, metadata)
    values (nullif(p_stripe_event_id, ''), nullif(p_stripe_payment_intent_id, ''), p_customer_email, p_amount_cents,
        left(coalesce(p_error_message, ''), 2000), left(p_error_code, 200), p_payment_type, p_event_id,
        coalesce(p_metadata, '{}'))
    on conflict (stripe_event_id) do nothing returning id into v_id;
    if v_id is not null then
        return jsonb_build_object('success', true, 'already', false, 'failure_id', v_id);
    end if;
    select id into v_id from payment_failures where stripe_event_id = p_stripe_event_id;
    return jsonb_build_object('success', true, 'already', true, 'failure_id', v_id);
end
$$;

-- Begin to handle a message of the payment service. It counts as handled once webhook_done was called; if a worker dies
-- before that, the next one handles it. Called in one transaction with the work, so a second worker waits for the
-- first.
create or replace function webhook_begin(p_stripe_event_id text, p_kind text) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event webhook_events;
begin
    if length(coalesce(p_stripe_event_id, '')) not between 1 and 255 or length(p_kind) > 200 then
        return refuse('INVALID_ARGUMENT', 'A message has an id of at most 255 characters, and a kind of at most 200.');
    end if;
    insert into webhook_events (stripe_event_id, kind) values (p_stripe_event_id, coalesce(p_kind, ''))
    on conflict (stripe_event_id) do nothing;
    select * into v_event from webhook_events where stripe_event_id = p_stripe_event_id for update;
    return jsonb_build_object('success', true, 'already', v_event.outcome is not null, 'outcome', v_event.outcome);
end
$$;

-- The message is handled. The first outcome stays.
create or replace function webhook_done(p_stripe_event_id text, p_outcome text) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_outcome text;
begin
    if length(coalesce(p_outcome, '')) not between 1 and 500 then
        return refuse('INVALID_ARGUMENT', 'An outcome is a word or more, and at most 500 characters.');
    end if;
    update webhook_events set processed_at = case when outcome is null then now() else processed_at end,
        outcome = coalesce(outcome, p_outcome)
    where stripe_event_id = p_stripe_event_id returning outcome into v_outcome;
    if not found then
        return refuse('INVALID_ARGUMENT', 'This message was never begun.');
    end if;
    return jsonb_build_object('success', true, 'outcome', v_outcome);
end
$$;

-- Forget messages after 30 days: Stripe repeats one for three. -> {forgotten}
create or replace function cleanup_expired_webhook_idempotency(p_now timestamptz default now()) returns jsonb
language sql set search_path = public, pg_temp as $$
    with forgotten as (
        delete from webhook_events where processed_at < p_now - interval '30 days' returning 1
    )
    select jsonb_build_object('success', true, 'forgotten', count(*)) from forgotten
$$;

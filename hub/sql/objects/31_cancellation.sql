-- Cancelling a night before it starts, with everything that belongs to it. Every payment is queued for a refund once
-- (domain 2.2, Cancellation).

-- WHAT A CANCELLATION COSTS

-- What was paid for a night and not refunded, by purchase. intent: null if it was not paid through the payment service;
-- somebody has to refund it by hand.
create or replace function purchases_of(p_event_id uuid)
returns table (order_id uuid, reservation_id uuid, intent text, cents bigint, currency text)
language sql stable set search_path = public, pg_temp as $$
    select id, null::uuid, stripe_payment_intent_id, total_amount_cents::bigint, orders.currency from orders
    where event_id = p_event_id and status = 'completed'
    union all
    select null, id, stripe_payment_intent_id, amount_paid_cents, null from vip_reservations r
    where event_id = p_event_id and status in ('confirmed', 'checked_in') and refunded_at is null
        -- a table in an order is paid with it
        and (stripe_payment_intent_id is not null or not exists (
            select from vip_linked_tickets l
            where l.vip_reservation_id = r.id and l.is_booker_purchase and l.order_id is not null
        ))
    union all
    -- sold before there were orders
    select null, null, stripe_payment_intent_id,
        sum(coalesce(price_paid_cents, round(price_paid * 100), 0))::bigint, null
    from tickets where event_id = p_event_id and order_id is null and status in ('issued', 'checked_in')
    group by stripe_payment_intent_id
$$;

-- The same by payment, because a table and its host's ticket are paid together. The amount is that of `payments`, or
-- the largest of the purchases if that table does not have it.
create or replace function refundable_payments(p_event_id uuid)
returns table (order_id uuid, reservation_id uuid, intent text, cents bigint, currency text)
language sql stable set search_path = public, pg_temp as $$
    select b.order_id, b.reservation_id, b.intent, coalesce(p.amount_cents, b.cents),
        coalesce(p.currency, b.currency, 'usd')
    from (
        select (array_agg(order_id) filter (where order_id is not null))[1] as order_id,
            (array_agg(reservation_id) filter (where reservation_id is not null))[1] as reservation_id,
            intent, max(cents) as cents, max(currency) as currency
        from purchases_of(p_event_id) where intent is not null group by intent
    ) b
    left join payments p on p.stripe_payment_intent_id = b.intent and p.status <> 'failed'
    where coalesce(p.amount_cents, b.cents) > 0 and p.status is distinct from 'refunded'
        and not exists (select from refunds r where r.stripe_payment_intent_id = b.intent)
$$;

-- The numbers of a cancellation. by_kind: tables with everything paid together with them, orders, tickets without an
-- order. by_hand_cents: paid, but not through the payment service. currency: null if there are several.
create or replace function cancellation_numbers(p_event events) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    with refund as (
        select cents, currency, case when reservation_id is not null then 'tables'
            when order_id is not null then 'orders' else 'tickets' end as kind
        from refundable_payments(p_event.id)
    )
    select jsonb_build_object(
        'event', jsonb_build_object('event_id', p_event.id, 'code', p_event.code, 'name', p_event.name,
            'starts_at', coalesce(p_event.starts_at, p_event.doors_open_at)),
        'orders', (select count(*) from orders where event_id = p_event.id and status = 'completed'),
        'tickets', (
            select count(*) from tickets where event_id = p_event.id and status in ('issued', 'checked_in')
        ),
        'reservations', (
            select count(*) from vip_reservations
            where event_id = p_event.id and status in ('pending', 'confirmed', 'checked_in')
        ),
        'guest_passes', (
            select count(*) from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
            where r.event_id = p_event.id and p.status in ('issued', 'checked_in')
        ),
        'refunds', (select count(*) from refund),
        'refund_total_cents', (select coalesce(sum(cents), 0) from refund),
        'by_kind', (
            select jsonb_object_agg(k.kind, jsonb_build_object('count', k.count, 'cents', k.cents)) from (
                select kind, count(r.cents), coalesce(sum(r.cents), 0) as cents
                from unnest(array['orders', 'tables', 'tickets']) as kinds (kind) left join refund r using (kind)
                group by kind
            ) k
        ),
        'by_hand_cents', (select coalesce(sum(cents), 0) from purchases_of(p_event.id) where intent is null),
        'currency', (select case when min(currency) = max(currency) then min(currency) end from refund)
    )
$$;

-- Why a night cannot be cancelled; null if it can. One that was only marked as cancelled can, because what belongs to
-- it was not.
create or replace function cancellation_refusal(p_event events, p_now timestamptz) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return case
        when p_event.id is null then refuse('EVENT_NOT_FOUND', 'There is no such night.')
        when p_event.cancellation is not null
            then refuse('EVENT_CANCELLED', format('%s is cancelled.', p_event.name))
        when p_event.status = 'completed' then refuse('EVENT_COMPLETED', format('%s is over.', p_event.name))
        when p_event.status = 'scheduled' and has_started(p_event, p_now) then refuse('EVENT_STARTED',
            format('%s has started: it cannot be cancelled any more.', p_event.name))
    end;
end
$$;

-- What cancelling a night would do and cost; changes nothing. If can_cancel is false, error and message say why.
create or replace function preview_event_cancellation(p_event_id uuid) returns jsonb
language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
    v_event events;
    v_refusal jsonb;
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may cancel a night.');
    end if;
    select * into v_event from events where id = p_event_id;
    v_refusal := cancellation_refusal(v_event, now());
    if v_event.id is null then
        return v_refusal;
    end if;
    return jsonb_build_object('success', true, 'can_cancel', v_refusal is null)
        || coalesce(v_event.cancellation, cancellation_numbers(v_event))
        || coalesce(v_refusal - 'success', '{}');
end
$$;

-- CANCELLING

-- Revoke everything that belongs to a night that was just cancelled, and is still locked. Locks are taken in the common
-- order: tables, reservations, then tickets and passes. Entries that were made stay on record.
create or replace function revoke_admissions_of(p_event_id uuid) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from event_vip_tables where event_id = p_event_id order by id for no key update;
    perform 1 from vip_reservations where event_id = p_event_id order by id for no key update;
    perform 1 from tickets where event_id = p_event_id order by id for no key update;
    perform 1 from vip_guest_passes where reservation_id in (
        select id from vip_reservations where event_id = p_event_id
    ) order by id for no key update;
    update vip_reservations set status = 'cancelled'
    where event_id = p_event_id and status in ('pending', 'confirmed');
    update vip_guest_passes set status = 'cancelled'
    where status in ('issued', 'checked_in') and reservation_id in (
        select id from vip_reservations where event_id = p_event_id
    );
    update tickets set status = 'refunded' where event_id = p_event_id and status in ('issued', 'checked_in');
    update orders set status = 'refunded' where event_id = p_event_id and status = 'completed';
    update event_vip_tables t set is_available = true
    where not is_available and event_id = p_event_id
        and exists (select from vip_reservations r where r.event_vip_table_id = t.id);
end
$$;

-- Cancel a night in the name of p_actor: everything of it is revoked, every refund queued, and the numbers kept.
create or replace function write_cancellation(
    p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_refusal jsonb;
    v_numbers jsonb;
begin
    if coalesce(btrim(p_reason), '') = '' or coalesce(btrim(p_actor), '') = '' then
        return refuse('INVALID_ARGUMENT', 'Who cancels and why are both needed.');
    end if;
    -- a second click waits here
    select * into v_event from events where id = p_event_id for no key update;
    if v_event.cancellation is not null then
        return v_event.cancellation || jsonb_build_object('success', true, 'already', true);
    end if;
    v_refusal := cancellation_refusal(v_event, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    v_numbers := cancellation_numbers(v_event) || jsonb_build_object('cancelled_at', now(), 'cancelled_by', p_actor,
        'reason', p_reason);
    if p_expected_total_cents <> (v_numbers ->> 'refund_total_cents')::bigint then
        return refuse('INVALID_AMOUNT', 'What has to be refunded has changed since it was looked at: look again.')
            || jsonb_build_object('refund_total_cents', v_numbers -> 'refund_total_cents');
    end if;

    update events set status = 'cancelled', cancelled_at = now(), cancelled_by = p_actor,
        cancellation_reason = p_reason, cancellation = v_numbers
    where id = p_event_id;
    with queued as (
        insert into refunds (event_id, order_id, reservation_id, stripe_payment_intent_id, amount_cents, currency,
            reason, next_attempt_at)
        select p_event_id, order_id, reservation_id, intent, cents, currency, p_reason, now()
        from refundable_payments(p_event_id) order by intent
        on conflict (stripe_payment_intent_id) do nothing
        returning reservation_id, amount_cents
    )
    update vip_reservations r set refund_amount_cents = queued.amount_cents
    from queued where r.id = queued.reservation_id;
    perform revoke_admissions_of(p_event_id);
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'cancel_event', v_event.code, p_reason, v_numbers);
    return v_numbers || jsonb_build_object('success', true, 'already', false);
end
$$;

-- Cancel a night before it starts. p_expected_total_cents: the refunds as they were shown and confirmed; if they have
-- changed since, nothing is done. A second click gets the same answer as the first.
create or replace function cancel_event(
    p_event_id uuid, p_actor text, p_reason text, p_expected_total_cents bigint default null
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may cancel a night.');
    end if;
    return write_cancellation(p_event_id, named_actor(p_actor), p_reason, p_expected_total_cents);
end
$$;

-- Refund one order; its tickets are no longer valid. Refused if somebody came in with one of them, or if it was paid
-- together with a table.
create or replace function refund_order(p_order_id uuid, p_reason text, p_actor text default null) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_actor text := named_actor(p_actor);
    v_order orders;
    v_refund uuid;
begin
    if not (is_owner() or is_service()) then
        return refuse('NOT_ALLOWED', 'Only an owner may refund an order.');
    elsif coalesce(btrim(p_reason), '') = '' then
        return refuse('INVALID_ARGUMENT', 'A reason is needed.');
    end if;
    perform 1 from events where id = (select event_id from orders where id = p_order_id) for no key update;
    perform 1 from tickets where order_id = p_order_id order by id for no key update;
    select * into v_order from orders where id = p_order_id for no key update;
    if not found then
        return refuse('ORDER_NOT_FOUND', 'There is no such order.');
    elsif v_order.status not in ('completed', 'refunded') then
        return refuse('NOT_ALLOWED', format('This order is %s: nothing was paid.', v_order.status));
    elsif v_order.status = 'completed' and exists (
        select from tickets where order_id = p_order_id and status = 'checked_in'
    ) then
        return refuse('NOT_ALLOWED', 'Somebody came in with a ticket of this order.');
    elsif v_order.status = 'completed' and exists (
        select from vip_reservations where stripe_payment_intent_id = v_order.stripe_payment_intent_id
    ) then
        return refuse('NOT_ALLOWED', 'This order was paid together with a table.');
    end if;
    if v_order.status = 'completed' then
        update tickets set status = 'refunded' where order_id = p_order_id and status = 'issued';
        update orders set status = 'refunded' where id = p_order_id;
        insert into refunds (event_id, order_id, stripe_payment_intent_id, amount_cents, currency, reason)
        select v_order.event_id, v_order.id, v_order.stripe_payment_intent_id,
            coalesce(p.amount_cents, v_order.total_amount_cents), v_order.currency, p_reason
        from (select) one left join payments p on p.stripe_payment_intent_id = v_order.stripe_payment_intent_id
        where v_order.stripe_payment_intent_id is not null
            and coalesce(p.amount_cents, v_order.total_amount_cents) > 0
        on conflict (stripe_payment_intent_id) do nothing;
        insert into audit_log (actor, action, target, reason, details)
        values (v_actor, 'refund_order', p_order_id::text, p_reason,
            jsonb_build_object('event_id', v_order.event_id, 'amount_cents', v_order.total_amount_cents));
    end if;
    select id into v_refund from refunds where stripe_payment_intent_id = v_order.stripe_payment_intent_id;
    return jsonb_build_object('success', true, 'already', v_order.status = 'refunded', 'order_id', p_order_id,
        'refund_id', v_refund, 'ticket_ids', (
            select coalesce(jsonb_agg(id order by line_number, ticket_id), '[]') from tickets
            where order_id = p_order_id and status = 'refunded'
        ));
end
$$;

-- THE QUEUE OF REFUNDS

-- Refunds that are due, for one worker; no two workers get the same. If a worker reports nothing for p_lease, its
-- refund is due again.
create or replace function next_refunds(
    p_limit integer default 10, p_now timestamptz default now(), p_lease interval default '10 minutes'
) returns table (refund_id uuid, event_id uuid, order_id uuid, reservation_id uuid, stripe_payment_intent_id text,
    amount_cents integer, currency text, attempts integer)
language sql set search_path = public, pg_temp as $$
    update refunds r set status = 'sent', attempts = r.attempts + 1, next_attempt_at = p_now + p_lease
    where r.id in (
        select d.id from refunds d where d.status in ('queued', 'sent') and d.next_attempt_at <= p_now
        order by d.next_attempt_at, d.id limit greatest(least(p_limit, 100), 0) for update skip locked
    )
    returning r.id, r.event_id, r.order_id, r.reservation_id, r.stripe_payment_intent_id, r.amount_cents,
        r.currency, r.attempts
$$;

-- The payment service has made the refund.
create or replace function refund_done(p_refund_id uuid, p_stripe_refund_id text) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refund refunds;
begin
    select * into v_refund from refunds where id = p_refund_id for update;
    if not found then
        return refuse('REFUND_NOT_FOUND', 'There is no such refund.');
    elsif v_refund.status <> 'done' then
        update refunds set status = 'done', stripe_refund_id = p_stripe_refund_id, last_error = null
        where id = p_refund_id;
        update payments set status = 'refunded' where stripe_payment_intent_id = v_refund.stripe_payment_intent_id;
        update vip_reservations set refunded_at = now(), stripe_refund_id = p_stripe_refund_id,
            refund_amount_cents = v_refund.amount_cents
        where id = v_refund.reservation_id;
    end if;
    return jsonb_build_object('success', true, 'already', v_refund.status = 'done', 'refund_id', p_refund_id);
end
$$;

-- The refund failed. It is tried again after 1, 4, 16 and 64 minutes; after the fifth time a person has to act.
create or replace function refund_failed(p_refund_id uuid, p_error text) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refund refunds;
begin
    update refunds set status = case when attempts >= 5 then 'failed' else 'queued' end,
        next_attempt_at = now() + interval '1 minute' * 4 ^ greatest(attempts - 1, 0),
        last_error = left(coalesce(p_error, ''), 2000)
    where id = p_refund_id and status = 'sent' returning * into v_refund;
    if found then
        return jsonb_build_object('success', true, 'refund_id', p_refund_id, 'status', v_refund.status,
            'attempts', v_refund.attempts);
    elsif exists (select from refunds where id = p_refund_id) then
        return refuse('ALREADY_PROCESSED', 'Nobody is working on this refund.');
    end if;
    return refuse('REFUND_NOT_FOUND', 'There is no such refund.');
end
$$;

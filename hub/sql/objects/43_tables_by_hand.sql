-- Tables reserved at the hub by a person, and paid without the payment service (domain 2.1, 2.2). Locks are taken in the
-- order of 41_vip_guests. Only the hub may call these.

-- The one reservation of a table that is not given up; null if it has none.
create or replace function reservation_of_table(p_event_id uuid, p_table_number integer) returns uuid
language sql stable set search_path = public, pg_temp as $$
    select id from vip_reservations
    where event_id = p_event_id and table_number = p_table_number and status <> 'cancelled'
    order by created_at desc limit 1
$$;

-- The host's own ticket, with the one code they show: the one of this code, or a new one. p_ticket: code, and for a new
-- one price_cents and ticket_type. The night is locked. -> {ticket_id}
create or replace function host_ticket_by_hand(p_event events, p_purchaser jsonb, p_ticket jsonb) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_id uuid;
    v_refusal jsonb;
begin
    if not p_ticket ? 'price_cents' then
        select id into v_id from tickets
        where event_id = p_event.id and upper(qr_code_data) = upper(p_ticket ->> 'code') for no key update;
        return case when v_id is null then refuse('TICKET_NOT_FOUND',
            format('%s has no ticket with this code.', p_event.name)) else jsonb_build_object('ticket_id', v_id) end;
    end if;
    v_refusal := sale_refusal(p_event, array[p_ticket ->> 'ticket_type'], now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    insert into tickets (ticket_id, event_id, event_name, ticket_type, qr_code_data, price_paid, price_paid_cents,
        guest_name, guest_email, guest_phone)
    values (p_ticket ->> 'code', p_event.id, p_event.name, p_ticket ->> 'ticket_type', p_ticket ->> 'code',
        (p_ticket ->> 'price_cents')::integer / 100.0, (p_ticket ->> 'price_cents')::integer,
        btrim(p_purchaser ->> 'name'), p_purchaser ->> 'email', p_purchaser ->> 'phone')
    returning id into v_id;
    return jsonb_build_object('ticket_id', v_id);
end
$$;

-- Reserve a table in somebody's name, with a pass for each of their guests: `pending` until it is confirmed. All of it
-- or nothing. p_ticket: as of host_ticket_by_hand.
create or replace function reserve_table_by_hand(
    p_event_id uuid, p_table_number integer, p_purchaser jsonb, p_guest_passes integer, p_ticket jsonb,
    p_actor text, p_reason text
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_refusal jsonb := booking_refusal(p_purchaser, 0, '{}', p_guest_passes);
    v_event events;
    v_table event_vip_tables;
    v_id uuid;
    v_host jsonb;
begin
    if v_refusal is not null then
        return v_refusal;
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    select * into v_table from event_vip_tables
    where event_id = p_event_id and table_number = p_table_number for no key update;
    v_refusal := table_sale_refusal(v_event, v_table, '{}', p_guest_passes + 1, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    begin
        v_id := write_reservation(v_table, p_purchaser, 0, 'pending', null, '{}', p_guest_passes, now());
        update vip_reservations set held_by_hand = true where id = v_id;
        v_host := host_ticket_by_hand(v_event, p_purchaser, p_ticket);
        if v_host ? 'ticket_id' then
            v_refusal := add_to_guest_list(v_id, (v_host ->> 'ticket_id')::uuid, p_actor, true);
        end if;
        if coalesce(v_refusal, v_host) -> 'success' = 'false' then
            raise exception using errcode = 'MG003', message = coalesce(v_refusal, v_host)::text;
        end if;
    exception when sqlstate 'MG003' then
        return sqlerrm::jsonb;
    end;
    -- without its order, because the table was not paid with it
    update vip_linked_tickets set is_booker_purchase = true, order_id = null where vip_reservation_id = v_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'reserve table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_id, 'guest_passes', p_guest_passes));
    return reservation_answer(v_id, false) || v_host;
end
$$;

-- Confirm a reservation that was paid by hand. Guests who came before count from now on (feed_on_reservations).
create or replace function confirm_table_by_hand(
    p_event_id uuid, p_table_number integer, p_amount_cents integer, p_actor text, p_reason text
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_reservation vip_reservations;
begin
    select * into v_event from events where id = p_event_id for no key update;
    select * into v_reservation from vip_reservations
    where id = reservation_of_table(p_event_id, p_table_number) for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', format('Table %s of %s is not reserved.', p_table_number, v_event.name));
    elsif v_event.status = 'cancelled' then
        return refuse('EVENT_CANCELLED', format('%s was cancelled.', v_event.name));
    elsif v_event.status = 'completed' or now() >= v_event.ends_at then
        return refuse('EVENT_OVER', format('%s is over.', v_event.name));
    elsif v_reservation.status <> 'pending' then
        return reservation_answer(v_reservation.id, true);
    end if;
    update vip_reservations set status = 'confirmed', amount_paid_cents = p_amount_cents where id = v_reservation.id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'confirm table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_reservation.id, 'amount_cents', p_amount_cents));
    return reservation_answer(v_reservation.id, false);
end
$$;

-- Give up a reservation that was never paid, before the night starts. Its passes are worth nothing, its host's ticket is
-- general admission again, and the table can be sold.
create or replace function cancel_table_by_hand(
    p_event_id uuid, p_table_number integer, p_actor text, p_reason text
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_event events;
    v_reservation vip_reservations;
begin
    select * into v_event from events where id = p_event_id for no key update;
    perform 1 from event_vip_tables where event_id = p_event_id and table_number = p_table_number for no key update;
    select * into v_reservation from vip_reservations
    where id = reservation_of_table(p_event_id, p_table_number) for no key update;
    if not found then
        return refuse('RESERVATION_NOT_FOUND', format('Table %s of %s is not reserved.', p_table_number, v_event.name));
    elsif v_reservation.status <> 'pending' then
        return refuse('NOT_ALLOWED', format('Table %s is %s: what is paid is not cancelled.', p_table_number,
            v_reservation.status));
    elsif has_started(v_event, now()) then
        return refuse('EVENT_STARTED', format('%s has started: nothing is cancelled any more.', v_event.name));
    end if;
    update vip_reservations set status = 'cancelled' where id = v_reservation.id;
    update vip_guest_passes set status = 'cancelled'
    where reservation_id = v_reservation.id and status in ('issued', 'checked_in');
    update event_vip_tables set is_available = true where id = v_reservation.event_vip_table_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'cancel table', v_event.code, p_reason, jsonb_build_object('table_number', p_table_number,
        'vip_reservation_id', v_reservation.id));
    return reservation_answer(v_reservation.id, false);
end
$$;

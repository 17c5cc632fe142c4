-- Personal data is erased once its time is up, or when a person asks for it (docs/operations.md, Retention and erasure;
-- docs/adr/0021).

-- ERASURE. Counts, money, ids and hashes stay; the people they belong to do not.

-- Rows of the feed as the gate's `FeedRow` has them, without names.
create or replace function without_names(p_row jsonb) returns jsonb
language sql immutable parallel safe
return case p_row ->> 't'
    when 'admission' then p_row - 'holder'
    when 'table' then p_row || '{"host": "", "guests": []}'
    else p_row
end;

-- What a table's package says of numbers and kind. People wrote the rest.
create or replace function without_people(p_package jsonb) returns jsonb
language sql immutable parallel safe
return coalesce((
    select jsonb_object_agg(key, value) from jsonb_each(p_package) where key in ('guestCount', 'tier')
), '{}');

-- Remove the names from the feed's earlier rows of these tickets and tables. Returns how many rows had one.
create or replace function erase_names_in_feed(p_events uuid[], p_tickets uuid[], p_reservations uuid[])
returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_rows integer;
begin
    update admission_changes set row = without_names(row)
    where event_id = any (p_events) and row <> without_names(row) and (
        row ->> 'subject_id' = any (p_tickets::text[]) or row ->> 'reservation_id' = any (
            p_reservations::text[] || array(
                select vip_reservation_id::text from vip_linked_tickets where ticket_id = any (p_tickets)
            )
        )
    );
    get diagnostics v_rows = row_count;
    return v_rows;
end
$$;

-- Erase the people behind these orders, tickets and tables, in the common order of locks. The feed gets new rows
-- without names. Returns how many of each had something to erase.
create or replace function erase_people(
    p_events uuid[], p_orders uuid[], p_tickets uuid[], p_reservations uuid[]
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_orders integer;
    v_tickets integer;
    v_reservations integer;
    v_passes integer;
    v_mails integer;
begin
    perform 1 from events where id = any (p_events) order by id for no key update;
    update orders set customer_email = null, customer_name = null, stripe_customer_id = null, metadata = '{}'
    where id = any (p_orders) and (customer_email, customer_name, stripe_customer_id, metadata)
        is distinct from (null, null, null, '{}'::jsonb);
    get diagnostics v_orders = row_count;
    update payments set metadata = '{}' where order_id = any (p_orders) and metadata <> '{}';
    update vip_reservations set purchaser_name = '', purchaser_email = null, purchaser_phone = null,
        special_requests = null, package_snapshot = without_people(package_snapshot)
    where id = any (p_reservations)
        and (purchaser_name, purchaser_email, purchaser_phone, special_requests, package_snapshot)
        is distinct from ('', null, null, null, without_people(package_snapshot));
    get diagnostics v_reservations = row_count;
    update vip_linked_tickets set purchased_by_email = null, purchased_by_name = null, linked_by = null
    where (vip_reservation_id = any (p_reservations) or ticket_id = any (p_tickets))
        and (purchased_by_email, purchased_by_name, linked_by) is distinct from (null, null, null);
    -- a reference may be made of the guest's name and address
    update tickets set guest_name = null, guest_email = null, guest_phone = null, metadata = '{}',
        external_reference = null
    where id = any (p_tickets) and (guest_name, guest_email, guest_phone, metadata, external_reference)
        is distinct from (null, null, null, '{}'::jsonb, null);
    get diagnostics v_tickets = row_count;
    update vip_guest_passes set guest_name = null
    where reservation_id = any (p_reservations) and guest_name is not null;
    get diagnostics v_passes = row_count;
    delete from email_queue where payload ->> 'order_id' = any (p_orders::text[])
        or payload ->> 'ticket_id' = any (p_tickets::text[])
        or payload ->> 'reservation_id' = any (p_reservations::text[]);
    get diagnostics v_mails = row_count;
    return jsonb_build_object('orders', v_orders, 'tickets', v_tickets, 'reservations', v_reservations,
        'guest_passes', v_passes, 'mails', v_mails,
        'feed_rows', erase_names_in_feed(p_events, p_tickets, p_reservations));
end
$$;

-- Erase the personal data of a night that is over. `already`: it was done before, and the numbers are of what has come
-- since. -> {already, orders, tickets, reservations, guest_passes, mails, feed_rows}
create or replace function erase_personal_data(p_event_id uuid, p_actor text, p_now timestamptz default now())
returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_event events;
    v_already boolean;
    v_done jsonb;
    v_mails integer;
begin
    if coalesce(btrim(p_actor), '') = '' then
        return refuse('INVALID_ARGUMENT', 'Say who erases it; it is recorded.');
    end if;
    select * into v_event from events where id = p_event_id for no key update;
    if not found then
        return refuse('EVENT_NOT_FOUND', 'There is no such night.');
    elsif p_now < v_event.ends_at then
        return refuse('EVENT_NOT_OVER', 'This night is not over: its guests still need their names.');
    end if;
    v_already := exists (select from audit_log where action = 'erase' and target = p_event_id::text);
    v_done := erase_people(
        array[p_event_id],
        array(select id from orders where event_id = p_event_id),
        array(select id from tickets where event_id = p_event_id),
        array(select id from vip_reservations where event_id = p_event_id)
    );
    update payment_failures set customer_email = null, metadata = '{}'
    where event_id = p_event_id and (customer_email is not null or metadata <> '{}');
    delete from email_queue where payload ->> 'event_id' = p_event_id::text;
    get diagnostics v_mails = row_count;
    v_done := v_done || jsonb_build_object('mails', (v_done ->> 'mails')::integer + v_mails);
    update admission_changes set row = without_names(row)
    where event_id = p_event_id and row <> without_names(row);
    -- a note that staff wrote on a scan may name a guest; the name of its author stays
    update scan_logs set note = ''
    where event_id = p_event_id and note <> '' and received_at > v_event.doors_open_at - interval '1 day';
    if not v_already then
        insert into audit_log (actor, action, target, reason, details)
        values (btrim(p_actor), 'erase', p_event_id::text, 'personal data of a past night', v_done);
    end if;
    return v_done || jsonb_build_object('success', true, 'already', v_already, 'event_id', p_event_id);
end
$$;

-- Erase one person everywhere, by e-mail. Refused while they have a ticket for a night that is not over. Tickets that
-- others bought for them are found only if they carry their address. The audit log keeps a hash of the address.
-- `already`: there was nothing left to erase.
create or replace function erase_person(p_email text, p_actor text, p_now timestamptz default now()) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_email text := lower(btrim(p_email));
    v_orders uuid[];
    v_tickets uuid[];
    v_reservations uuid[];
    v_events uuid[];
    v_coming text;
    v_done jsonb;
    v_mails integer;
    v_failures integer;
begin
    if coalesce(btrim(p_actor), '') = '' or coalesce(v_email, '') !~ '^\S+@\S+$' then
        return refuse('INVALID_ARGUMENT', 'An e-mail address and who erases it are both needed.');
    end if;
    v_orders := array(select id from orders where lower(customer_email) = v_email);
    v_reservations := array(select id from vip_reservations where lower(purchaser_email) = v_email);
    v_tickets := array(
        select id from tickets
        where lower(guest_email) = v_email or order_id = any (v_orders) and guest_email is null
        union
        select ticket_id from vip_linked_tickets where lower(purchased_by_email) = v_email
    );
    v_events := array(
        select event_id from orders where id = any (v_orders) and event_id is not null
        union select event_id from tickets where id = any (v_tickets)
        union select event_id from vip_reservations where id = any (v_reservations)
    );
    select string_agg(name, ', ' order by ends_at) into v_coming from events
    where id = any (v_events) and ends_at > p_now;
    if v_coming is not null then
        return refuse('EVENT_NOT_OVER', format('This person is a guest of %s. Erase them once it is over.', v_coming));
    end if;
    v_done := erase_people(v_events, v_orders, v_tickets, v_reservations);
    update payment_failures set customer_email = null, metadata = '{}' where lower(customer_email) = v_email;
    get diagnostics v_failures = row_count;
    delete from email_queue where lower(recipient) = v_email;
    get diagnostics v_mails = row_count;
    v_done := v_done || jsonb_build_object('mails', (v_done ->> 'mails')::integer + v_mails);
    if v_done <> '{"orders":0,"tickets":0,"reservations":0,"guest_passes":0,"mails":0,"feed_rows":0}' or v_failures > 0
    then
        insert into audit_log (actor, action, target, reason, details)
        values (btrim(p_actor), 'erase', hash_of_text(v_email), 'a person asked for it', v_done);
        return v_done || jsonb_build_object('success', true, 'already', false);
    end if;
    return v_done || jsonb_build_object('success', true, 'already', true);
end
$$;

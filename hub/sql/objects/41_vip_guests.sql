-- Who sits at a table: invite codes, passes, linked tickets, the guest list and its seats (domain 2.2, 2.5).
-- Everything here and in 42_vip_checkout takes its locks in one order: night, table, reservation, then tickets and
-- passes.

create or replace function new_pass_code() returns text
language plpgsql volatile set search_path = public, pg_temp as $$
declare
    v_code text := 'VIP-PASS-' || random_letters(16);
begin
    return v_code || check_character(v_code);
end
$$;

create or replace function new_invite_code() returns text
language sql volatile set search_path = public, pg_temp
as $$ select random_letters(8) $$;

-- SEATS

-- A table's seats. Each pass that is not cancelled takes one, and each linked ticket, including the host's own.
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

-- Refuses a guest too many, whoever writes the row. Its name makes it fire after the feed's trigger, which has locked
-- the night, so that no other session is taking a seat.
create or replace function enforce_seats() returns trigger
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
referencing new table as new_rows for each statement execute function enforce_seats('vip_reservation_id');

create or replace trigger vip_linked_tickets_seats_update after update on vip_linked_tickets
referencing old table as old_rows new table as new_rows
for each statement execute function enforce_seats('vip_reservation_id');

create or replace trigger vip_guest_passes_seats_insert after insert on vip_guest_passes
referencing new table as new_rows for each statement execute function enforce_seats('reservation_id');

create or replace trigger vip_guest_passes_seats_update after update on vip_guest_passes
referencing old table as old_rows new table as new_rows
for each statement execute function enforce_seats('reservation_id');

-- The table's count also changes if staff checks a linked guest in without a scan, or if the ticket is cancelled. Scans
-- are counted by settle_vip. Fires after the feed's trigger, which has locked the night.
create or replace function recount_after_tickets() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_changed uuid[];
begin
    if not exists (select from new_rows where checked_in_scan is null or status in ('cancelled', 'refunded')) then
        return null;
    end if;
    -- `except` instead of a join: a plan made for one row would compare every row with every other
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
for each statement execute function recount_after_tickets();

-- It also changes if a pass is cancelled after its guest came.
create or replace function recount_after_passes() returns trigger
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
for each statement execute function recount_after_passes();

-- THE GUEST LIST

-- Why a night's guest lists can no longer be changed; null if they can: by the purchaser until the night starts, by
-- staff until it is over.
create or replace function guest_list_refusal(p_event events, p_by_staff boolean, p_now timestamptz) returns jsonb
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

-- Whether the caller may change a table's guest list: its purchaser, staff, the hub.
create or replace function may_edit_guest_list(p_reservation_id uuid) returns boolean
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    return is_service() or is_staff() or exists (
        select from vip_reservations where id = p_reservation_id and lower(purchaser_email) = my_email()
    );
end
$$;

-- Record a change that staff makes to a guest list. At the door the action has a name of its own.
create or replace function audit_list_change(
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

-- The answer about a ticket on a guest list.
create or replace function link_answer(p_link vip_linked_tickets) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_build_object('success', true, 'link_id', p_link.id,
        'vip_reservation_id', p_link.vip_reservation_id, 'ticket_id', p_link.ticket_id,
        'linked', s.linked, 'capacity', s.capacity)
    from seats_of(p_link.vip_reservation_id) s
$$;

-- Put a ticket on a table's guest list; a repetition changes nothing. A ticket whose table was cancelled can be linked.
create or replace function add_to_guest_list(
    p_reservation_id uuid, p_ticket_id uuid, p_actor text, p_by_staff boolean
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
        return link_answer(v_link);
    end if;
    v_refusal := link_refusal(v_event, v_reservation, v_ticket, v_link, p_by_staff, now());
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
        perform audit_list_change('link', v_event, v_reservation, p_ticket_id, p_actor, now());
    end if;
    return link_answer(v_link);
end
$$;

-- Why this ticket cannot have a seat at this table; null if it can. All the rows are locked.
create or replace function link_refusal(
    p_event events, p_reservation vip_reservations, p_ticket tickets, p_link vip_linked_tickets,
    p_by_staff boolean, p_now timestamptz
) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_refusal jsonb := guest_list_refusal(p_event, p_by_staff, p_now);
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

-- Link a ticket to a table. p_by_staff: at the door, also once the night has started; only staff and the hub can set
-- it. p_linked_by: who did it, if the hub calls; a person is named by their token.
create or replace function link_ticket_to_vip(
    p_reservation_id uuid, p_ticket_id uuid, p_linked_by text default null, p_by_staff boolean default false
) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not may_edit_guest_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return add_to_guest_list(p_reservation_id, p_ticket_id, named_actor(p_linked_by),
        coalesce(p_by_staff, false) and (is_service() or is_staff()));
end
$$;

-- Take a ticket off its table's guest list; it is general admission again.
create or replace function remove_from_guest_list(p_ticket_id uuid, p_actor text, p_by_staff boolean)
returns jsonb
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
    v_refusal := guest_list_refusal(v_event, p_by_staff, now());
    if v_refusal is not null then
        return v_refusal;
    end if;
    delete from vip_linked_tickets where id = v_link.id;
    if p_by_staff then
        perform audit_list_change('unlink', v_event, v_reservation, p_ticket_id, p_actor, now());
    end if;
    return jsonb_build_object('success', true, 'ticket_id', p_ticket_id,
        'vip_reservation_id', v_link.vip_reservation_id);
end
$$;

create or replace function unlink_ticket_from_vip(p_ticket_id uuid, p_actor text default null) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if not may_edit_guest_list((select vip_reservation_id from vip_linked_tickets where ticket_id = p_ticket_id)) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may change its guest list.');
    end if;
    return remove_from_guest_list(p_ticket_id, named_actor(p_actor), is_service() or is_staff());
end
$$;

create or replace function check_vip_capacity(p_reservation_id uuid) returns jsonb
language plpgsql stable security definer set search_path = public, pg_temp as $$
begin
    if not may_edit_guest_list(p_reservation_id) then
        return refuse('NOT_ALLOWED', 'Only who bought the table, and staff, may see who sits there.');
    end if;
    return coalesce(
        (select jsonb_build_object('success', true, 'capacity', capacity, 'passes', passes, 'linked', linked,
            'remaining', remaining) from seats_of(p_reservation_id) where capacity is not null),
        refuse('RESERVATION_NOT_FOUND', 'There is no such reservation.')
    );
end
$$;

-- A guest joins a table with its invite code and a ticket of their own, until the night starts.
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
    return add_to_guest_list(v_reservation_id, p_ticket_id, acting_as(), false);
end
$$;

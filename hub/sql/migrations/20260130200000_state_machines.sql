-- What may become of a night, an order, a ticket, a table's reservation and a guest pass (domain 2.1): one
-- table says it, triggers keep to it whoever writes, and docs/data-model.md's diagrams are drawn from it.

create table if not exists state_transitions (
    machine text not null,
    from_state text not null,
    to_state text not null,
    condition text not null default ''
        constraint state_transitions_condition check (condition in ('', 'before_start', 'annulled')),
    primary key (machine, from_state, to_state)
);

-- checked_in -> refunded and cancelled: a guest who is in may be thrown out, and the money may be called back.
-- failed -> completed: the second attempt of one checkout, with another card.
-- confirmed -> completed: nobody came.
insert into state_transitions (machine, from_state, to_state, condition) values
    ('event', 'scheduled', 'completed', ''),
    ('event', 'scheduled', 'cancelled', 'before_start'),
    ('order', 'pending', 'completed', ''),
    ('order', 'pending', 'failed', ''),
    ('order', 'failed', 'completed', ''),
    ('order', 'completed', 'refunded', ''),
    ('ticket', 'issued', 'checked_in', ''),
    ('ticket', 'issued', 'cancelled', ''),
    ('ticket', 'issued', 'refunded', ''),
    ('ticket', 'checked_in', 'issued', 'annulled'),
    ('ticket', 'checked_in', 'cancelled', ''),
    ('ticket', 'checked_in', 'refunded', ''),
    ('ticket', 'cancelled', 'refunded', ''),
    ('reservation', 'pending', 'confirmed', ''),
    ('reservation', 'pending', 'cancelled', 'before_start'),
    ('reservation', 'confirmed', 'checked_in', ''),
    ('reservation', 'confirmed', 'completed', ''),
    ('reservation', 'confirmed', 'cancelled', 'before_start'),
    ('reservation', 'checked_in', 'completed', ''),
    ('guest_pass', 'issued', 'checked_in', ''),
    ('guest_pass', 'issued', 'cancelled', ''),
    ('guest_pass', 'checked_in', 'issued', 'annulled'),
    ('guest_pass', 'checked_in', 'cancelled', '')
on conflict do nothing;

-- Without a start of its own a night starts when its doors open.
create or replace function has_started(p_event events, p_now timestamptz) returns boolean
language sql immutable parallel safe
return p_now >= coalesce(p_event.starts_at, p_event.doors_open_at);

-- As the event stands in the table: who moves the start and cancels in one statement is not believed. What
-- belongs to a cancelled night may be cancelled at any time, for the night itself was before its start.
create or replace function may_be_cancelled(p_event uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$
    select exists (
        select from events e where e.id = p_event and (e.status = 'cancelled' or not has_started(e, p_now))
    )
$$;

-- The first argument is the machine. A definer: the rule holds also for whoever may not read the night.
create or replace function enforce_transition() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_thing text := case when tg_argv[0] ~ '^[aeiou]' then 'an ' else 'a ' end || replace(tg_argv[0], '_', ' ');
    v_condition text;
begin
    select condition into v_condition from state_transitions
    where (machine, from_state, to_state) = (tg_argv[0], old.status, new.status);
    if not found then
        raise exception '% cannot go from % to %', v_thing, old.status, new.status
            using errcode = 'check_violation', hint = 'docs/data-model.md shows the states; they only move forward.';
    elsif v_condition = 'before_start'
        and not may_be_cancelled(case tg_argv[0] when 'event' then new.id
            else (to_jsonb(new) ->> 'event_id')::uuid end, now())
    then
        raise exception '% cannot be % once the night has started', v_thing, new.status
            using errcode = 'check_violation', hint = 'All sales are final from then on; nothing was changed.';
    elsif v_condition = 'annulled' then
        -- only an entry that was a scan can be taken back: by the gate, when nobody walked through
        if old.checked_in_scan is null or new.checked_in_at is not null then
            raise exception '% cannot go from % to % unless its scan was annulled', v_thing, old.status, new.status
                using errcode = 'check_violation', hint = 'Only the hub does that, when a gate reports it.';
        end if;
    end if;
    return new;
end
$$;

create or replace trigger events_state before update of status on events
for each row when (old.status is distinct from new.status) execute function enforce_transition('event');

create or replace trigger orders_state before update of status on orders
for each row when (old.status is distinct from new.status) execute function enforce_transition('order');

create or replace trigger tickets_state before update of status on tickets
for each row when (old.status is distinct from new.status) execute function enforce_transition('ticket');

create or replace trigger vip_reservations_state before update of status on vip_reservations
for each row when (old.status is distinct from new.status) execute function enforce_transition('reservation');

create or replace trigger vip_guest_passes_state before update of status on vip_guest_passes
for each row when (old.status is distinct from new.status) execute function enforce_transition('guest_pass');

-- What held the reservations alone.
drop trigger if exists vip_reservations_forward on vip_reservations;
drop function if exists vip_reservation_forward_only();

-- Nights that are over, and their tables, whether anybody came or not. A reservation that was never paid stays
-- `pending`. The events are locked first, as by everybody who changes admissions: a batch of scans is taken in
-- before or after, never in between.
create or replace function complete_finished_events_at(p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_over uuid[];
    v_events integer;
    v_reservations integer;
begin
    v_over := array(
        select id from events e where ends_at <= p_now and (
            status = 'scheduled' or status = 'completed' and exists (
                select from vip_reservations r where r.event_id = e.id and r.status in ('confirmed', 'checked_in')
            )
        ) order by id for no key update
    );
    update vip_reservations set status = 'completed'
    where event_id = any (v_over) and status in ('confirmed', 'checked_in');
    get diagnostics v_reservations = row_count;
    update events set status = 'completed'
    where id = any (v_over) and status = 'scheduled' and ends_at <= p_now;
    get diagnostics v_events = row_count;
    return jsonb_build_object('success', true, 'events', v_events, 'reservations', v_reservations);
end
$$;

create or replace function complete_finished_events() returns jsonb
language sql security definer set search_path = public, pg_temp
as $$ select complete_finished_events_at(now()) $$;

-- A gate that was alone all night reports it the day after, when its tables are already completed. Whoever was
-- let in was let in: the entry is logged and counted, and the table stays completed.

create or replace function vip_recount(p_reservations uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    -- Two statements: the count must see what was committed while waiting for the lock.
    perform 1 from vip_reservations where id = any (p_reservations) order by id for no key update;
    with arrived as (
        select r.id, count(guest.status) as guests,
            (array_agg(guest.at order by guest.at, guest.gate))[1] as at,
            (array_agg(guest.gate order by guest.at, guest.gate))[1] as gate
        from vip_reservations r
        left join lateral (
            select p.status, p.checked_in_at as at, p.checked_in_by as gate from vip_guest_passes p
            where p.reservation_id = r.id and p.status = 'checked_in'
            union all
            select t.status, t.checked_in_at, t.checked_in_by
            from vip_linked_tickets l join tickets t on t.id = l.ticket_id
            where l.vip_reservation_id = r.id and t.status = 'checked_in'
        ) guest on true
        where r.id = any (p_reservations) and r.status in ('confirmed', 'checked_in', 'completed')
        group by r.id
    ), outcome as (
        select a.id, a.guests,
            case when r.status = 'confirmed' and a.guests > 0 then 'checked_in' else r.status end as status,
            case when a.guests > 0 then coalesce(a.at, r.checked_in_at) end as at,
            case when a.guests > 0 then coalesce(a.gate, r.checked_in_by) end as gate
        from arrived a join vip_reservations r on r.id = a.id
    )
    update vip_reservations r set
        checked_in_guests = o.guests, status = o.status, checked_in_at = o.at, checked_in_by = o.gate
    from outcome o
    where r.id = o.id and (r.checked_in_guests, r.status, r.checked_in_at, r.checked_in_by)
        is distinct from (o.guests, o.status, o.at, o.gate);
end
$$;

create or replace function log_linked_entries(p_scans uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    select t.id, r.id, 'reentry', a.gate, a.at, a.scan_id
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id
        and r.status in ('confirmed', 'checked_in', 'completed')
    order by a.at, a.gate, a.scan_id
$$;

create or replace function vip_pass_scan(
    p_pass_id uuid, p_scanned_by text, p_at timestamptz, p_scan uuid default null
) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_pass vip_guest_passes;
    v_reservation vip_reservations;
    v_seats integer;
    v_last timestamptz;
    v_first boolean;
begin
    -- Everything that changes admissions locks the event first: one order, no deadlocks.
    perform 1 from events where id = (
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = p_pass_id
    ) for no key update;
    select * into v_pass from vip_guest_passes where id = p_pass_id for update;
    if not found then
        return vip_refusal('PASS_NOT_FOUND', 'There is no such guest pass.');
    elsif v_pass.status = 'cancelled' then
        return vip_refusal('PASS_CANCELLED', 'This guest pass was cancelled.');
    end if;
    -- Not FOR UPDATE: that would wait for whoever is linking a ticket, who waits for the event.
    select * into v_reservation from vip_reservations where id = v_pass.reservation_id for no key update;
    if not found then
        return vip_refusal('RESERVATION_NOT_FOUND', 'The reservation of this pass does not exist.');
    elsif v_reservation.status not in ('confirmed', 'checked_in')
        and (v_reservation.status <> 'completed' or p_scan is null) then
        return vip_refusal('RESERVATION_NOT_CONFIRMED',
            format('Table %s is %s, not confirmed.', v_reservation.table_number, v_reservation.status));
    end if;

    v_first := v_pass.status = 'issued';
    if not v_first then
        select max(scanned_at) into v_last from vip_scan_logs where pass_id = p_pass_id;
        v_last := coalesce(v_last, v_pass.checked_in_at);
    end if;
    insert into vip_scan_logs (pass_id, reservation_id, scan_type, scanned_by, scanned_at, scan_id)
    values (p_pass_id, v_reservation.id, case when v_first then 'first_entry' else 'reentry' end,
        p_scanned_by, p_at, p_scan);
    -- A late report of an earlier entry: the earlier one was the first.
    perform refresh_passes(array[p_pass_id]);
    perform vip_relabel(array[p_pass_id]);
    perform vip_recount(array[v_reservation.id]);
    select * into v_reservation from vip_reservations where id = v_reservation.id;

    select vip_seats(v_reservation.package_snapshot, capacity) into v_seats
    from event_vip_tables where id = v_reservation.event_vip_table_id;
    return vip_entry(v_pass, v_reservation, v_seats, v_first, v_last);
end
$$;

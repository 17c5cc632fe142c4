-- The states of nights, orders, tickets, reservations and guest passes (domain 2.1). One table lists the allowed steps,
-- triggers enforce them whoever writes, and the diagrams of docs/data-model.md are drawn from it.

delete from state_transitions;

-- checked_in -> refunded and cancelled: a guest who is in may be thrown out, and a payment may be charged back.
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
    ('guest_pass', 'checked_in', 'cancelled', '');

-- A night without a start time starts when its doors open.
create or replace function has_started(p_event events, p_now timestamptz) returns boolean
language sql immutable parallel safe
return p_now >= coalesce(p_event.starts_at, p_event.doors_open_at);

-- Uses the event as it stands in the table, so that one statement cannot move the start and cancel. What belongs to a
-- cancelled night may be cancelled at any time, because the night itself was cancelled before its start.
create or replace function may_be_cancelled(p_event uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = public, pg_temp
as $$
    select exists (
        select from events e where e.id = p_event and (e.status = 'cancelled' or not has_started(e, p_now))
    )
$$;

-- Refuse a step that the table does not allow. p_is_annulled: of a ticket or a pass, its entry was a scan and is taken
-- back. p_events: the nights it belongs to.
create or replace function check_transition(
    p_machine text, p_from text, p_to text, p_is_annulled boolean, p_events uuid[]
) returns void
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_thing text := case when p_machine ~ '^[aeiou]' then 'an ' else 'a ' end || replace(p_machine, '_', ' ');
    v_condition text;
begin
    select condition into v_condition from state_transitions
    where (machine, from_state, to_state) = (p_machine, p_from, p_to);
    if not found then
        raise exception '% cannot go from % to %', v_thing, p_from, p_to
            using errcode = 'check_violation', hint = 'docs/data-model.md shows the states; they only move forward.';
    elsif v_condition = 'before_start'
        and exists (select from unnest(p_events) as e (id) where not may_be_cancelled(e.id, now()))
    then
        raise exception '% cannot be % once the night has started', v_thing, p_to
            using errcode = 'check_violation', hint = 'All sales are final from then on; nothing was changed.';
    elsif v_condition = 'annulled' and not p_is_annulled then
        -- only a scan can be annulled, by its gate, when nobody walked through
        raise exception '% cannot go from % to % unless its scan was annulled', v_thing, p_from, p_to
            using errcode = 'check_violation', hint = 'Only the hub does that, when a gate reports it.';
    end if;
end
$$;

-- The first argument is the machine. A definer, because the rule also holds for callers who may not read the night.
create or replace function enforce_transition() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform check_transition(tg_argv[0], old.status, new.status,
        to_jsonb(old) ->> 'checked_in_scan' is not null and to_jsonb(new) ->> 'checked_in_at' is null,
        array[case tg_argv[0] when 'event' then new.id else (to_jsonb(new) ->> 'event_id')::uuid end]);
    return new;
end
$$;

create or replace trigger events_state before update of status on events
for each row when (old.status is distinct from new.status) execute function enforce_transition('event');

create or replace trigger orders_state before update of status on orders
for each row when (old.status is distinct from new.status) execute function enforce_transition('order');

-- The same for tickets, which are checked in by the hundred: each kind of step is looked up once for each statement.
create or replace function enforce_ticket_transitions() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_step record;
begin
    for v_step in
        -- a full join never compares every row with every other, even if it was planned for one row
        select o.status as old_status, n.status as new_status,
            bool_and(o.id is not null and n.id is not null) as is_same,
            bool_and(o.checked_in_scan is not null and n.checked_in_at is null) as is_annulled,
            array_agg(distinct n.event_id) as events
        from new_rows n full join old_rows o on o.id = n.id
        where o.status is distinct from n.status group by o.status, n.status
    loop
        if not v_step.is_same then
            raise exception 'the id of a ticket cannot change' using errcode = 'check_violation';
        end if;
        perform check_transition('ticket', v_step.old_status, v_step.new_status, v_step.is_annulled, v_step.events);
    end loop;
    return null;
end
$$;

create or replace trigger tickets_state after update on tickets
referencing old table as old_rows new table as new_rows
for each statement execute function enforce_ticket_transitions();

create or replace trigger vip_reservations_state before update of status on vip_reservations
for each row when (old.status is distinct from new.status) execute function enforce_transition('reservation');

create or replace trigger vip_guest_passes_state before update of status on vip_guest_passes
for each row when (old.status is distinct from new.status) execute function enforce_transition('guest_pass');

-- Complete nights that are over, and their tables, whether anybody came or not. A reservation that was never paid stays
-- `pending`. The events are locked first, so a batch of scans is stored before or after this, never in between.
create or replace function complete_finished_events(p_now timestamptz default now()) returns jsonb
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

-- The admission feed: one gapless, ordered list of changes per event (data model 3.1).
--
-- A row of the feed is the JSON of the gate's `FeedRow`; it holds hashes of codes, never a code.
-- Rows are built only after the event is locked, in a later statement, so that two writers who
-- touch the same table cannot each publish a row that misses the other's change.

create table if not exists admission_changes (
    event_id uuid not null constraint admission_changes_event_fkey references events (id),
    version bigint not null,
    row jsonb not null,
    created_at timestamptz not null default now(),
    primary key (event_id, version)
);

create or replace function feed_time(p_at timestamptz) returns text
language sql stable parallel safe
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

create or replace function feed_entry(p_at timestamptz, p_gate text) returns jsonb
language sql stable parallel safe
return case when p_at is not null
    then jsonb_build_object('at', feed_time(p_at), 'gate', coalesce(p_gate, '')) end;

create or replace view feed_events as
select
    e.id as event_id,
    jsonb_build_object(
        't', 'event',
        'event_id', e.id,
        'code', e.code,
        'name', e.name,
        'doors_open_at', feed_time(e.doors_open_at),
        'ends_at', feed_time(e.ends_at),
        'status', e.status,
        'capacity', e.venue_capacity
    ) as row
from events e;

create or replace view feed_tables as
select
    r.event_id,
    r.id as reservation_id,
    jsonb_build_object(
        't', 'table',
        'reservation_id', r.id,
        'event_id', r.event_id,
        'number', r.table_number::text,
        'name', v.table_name,
        'tier', v.tier,
        'status', r.status,
        'host', r.purchaser_name,
        'seats', vip_seats(r.package_snapshot, v.capacity),
        'arrived', r.checked_in_guests,
        'guests', coalesce(passes.names, '[]'::jsonb) || coalesce(linked.names, '[]'::jsonb)
    ) as row
from vip_reservations r
join event_vip_tables v on v.id = r.event_vip_table_id
left join lateral (
    select jsonb_agg(p.guest_name order by p.guest_number) as names from vip_guest_passes p
    where p.reservation_id = r.id and p.status <> 'cancelled' and p.guest_name <> ''
) passes on true
left join lateral (
    select jsonb_agg(t.guest_name order by l.created_at, l.id) as names
    from vip_linked_tickets l join tickets t on t.id = l.ticket_id
    where l.vip_reservation_id = r.id and not l.is_booker_purchase and t.guest_name <> ''
) linked on true;

create or replace view feed_admissions as
select
    t.event_id,
    t.id as subject_id,
    jsonb_strip_nulls(jsonb_build_object(
        't', 'admission',
        'code_hash', t.code_hash,
        'subject_id', t.id,
        'event_id', t.event_id,
        'kind', case when l.is_booker_purchase then 'vip_host' when l.id is not null then 'vip_linked'
            else 'ga' end,
        'status', t.status,
        'ticket_type', t.ticket_type,
        'holder', t.guest_name,
        'reservation_id', l.vip_reservation_id,
        'signature_hash', hash_of_text(t.qr_signature),
        'first_entry', feed_entry(t.checked_in_at, t.checked_in_by),
        'last_entry', feed_entry(
            coalesce(t.last_entry_at, t.checked_in_at), coalesce(t.last_entry_gate, t.checked_in_by)
        )
    )) as row
from tickets t
left join vip_linked_tickets l on l.ticket_id = t.id
union all
select
    r.event_id,
    p.id as subject_id,
    jsonb_strip_nulls(jsonb_build_object(
        't', 'admission',
        'code_hash', p.code_hash,
        'subject_id', p.id,
        'event_id', r.event_id,
        'kind', 'vip_pass',
        'status', p.status,
        'holder', p.guest_name,
        'reservation_id', p.reservation_id,
        'guest_number', p.guest_number,
        'signature_hash', hash_of_text(p.qr_signature),
        'first_entry', feed_entry(p.checked_in_at, p.checked_in_by),
        'last_entry', feed_entry(
            coalesce(last.scanned_at, p.checked_in_at), coalesce(last.scanned_by, p.checked_in_by)
        )
    )) as row
from vip_guest_passes p
join vip_reservations r on r.id = p.reservation_id
left join lateral (
    select s.scanned_at, s.scanned_by from vip_scan_logs s
    where s.pass_id = p.id order by s.scanned_at desc, s.scanned_by desc limit 1
) last on true;

-- Append what is now true of these things to their events' feeds.
create or replace function feed_append(
    p_events uuid[] default '{}',
    p_reservations uuid[] default '{}',
    p_subjects uuid[] default '{}',
    p_removed_events uuid[] default '{}',
    p_removed_codes text[] default '{}'
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_events uuid[];
begin
    select array_agg(distinct touched.event_id) into v_events from (
        select unnest(p_events || p_removed_events) as event_id
        union all select event_id from vip_reservations where id = any (p_reservations)
        union all select event_id from tickets where id = any (p_subjects)
        union all select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
            where p.id = any (p_subjects)
    ) touched;
    if v_events is null then
        return;
    end if;
    perform 1 from events where id = any (v_events) order by id for no key update;

    with change as (
        select event_id, 1 as part, ''::text as place, row from feed_events where event_id = any (p_events)
        union all
        select event_id, 2, '',
            jsonb_build_object('t', 'removed', 'code_hash', code_hash, 'event_id', event_id)
        from unnest(p_removed_events, p_removed_codes) as removed (event_id, code_hash)
        union all
        select event_id, 3, reservation_id::text, row from feed_tables
        where reservation_id = any (p_reservations)
        union all
        select event_id, 4, subject_id::text, row from feed_admissions where subject_id = any (p_subjects)
    ), numbered as (
        select change.*, row_number() over (partition by event_id order by part, place) as step from change
    ), bumped as (
        update events e set admission_version = e.admission_version + counted.steps
        from (select event_id, max(step) as steps from numbered group by event_id) counted
        where e.id = counted.event_id
        returning e.id, e.admission_version - counted.steps as before
    )
    insert into admission_changes (event_id, version, row)
    select bumped.id, bumped.before + numbered.step, numbered.row
    from numbered join bumped on bumped.id = numbered.event_id;

    perform pg_notify('maguey_admissions', event_id::text) from unnest(v_events) as touched (event_id);
end
$$;

create or replace function feed_on_events() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_events uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_events from new_rows;
    else
        select array_agg(n.id) into v_events from new_rows n join old_rows o on o.id = n.id
        where (n.code, n.name, n.doors_open_at, n.ends_at, n.status, n.venue_capacity)
            is distinct from (o.code, o.name, o.doors_open_at, o.ends_at, o.status, o.venue_capacity);
    end if;
    if v_events is not null then
        perform feed_append(p_events => v_events);
    end if;
    return null;
end
$$;

create or replace function feed_on_tickets() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[] := '{}';
    v_reservations uuid[] := '{}';
    v_events uuid[] := '{}';
    v_codes text[] := '{}';
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_subjects from new_rows;
    elsif tg_op = 'DELETE' then
        select array_agg(event_id), array_agg(code_hash) into v_events, v_codes from old_rows;
    else
        select array_agg(n.id) into v_subjects from new_rows n join old_rows o on o.id = n.id
        where (n.code_hash, n.event_id, n.status, n.ticket_type, n.guest_name, n.qr_signature,
                n.checked_in_at, n.checked_in_by, n.last_entry_at, n.last_entry_gate)
            is distinct from (o.code_hash, o.event_id, o.status, o.ticket_type, o.guest_name, o.qr_signature,
                o.checked_in_at, o.checked_in_by, o.last_entry_at, o.last_entry_gate);
        select array_agg(o.event_id), array_agg(o.code_hash) into v_events, v_codes
        from new_rows n join old_rows o on o.id = n.id
        where (n.code_hash, n.event_id) is distinct from (o.code_hash, o.event_id);
        select array_agg(l.vip_reservation_id) into v_reservations
        from new_rows n join old_rows o on o.id = n.id join vip_linked_tickets l on l.ticket_id = n.id
        where n.guest_name is distinct from o.guest_name;
    end if;
    perform feed_append('{}', coalesce(v_reservations, '{}'), coalesce(v_subjects, '{}'),
        coalesce(v_events, '{}'), coalesce(v_codes, '{}'));
    return null;
end
$$;

create or replace function feed_on_guest_passes() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[] := '{}';
    v_reservations uuid[] := '{}';
    v_events uuid[] := '{}';
    v_codes text[] := '{}';
begin
    if tg_op = 'INSERT' then
        select array_agg(id), array_agg(distinct reservation_id) into v_subjects, v_reservations from new_rows;
    elsif tg_op = 'DELETE' then
        select array_agg(r.event_id), array_agg(o.code_hash), array_agg(distinct r.id)
        into v_events, v_codes, v_reservations
        from old_rows o join vip_reservations r on r.id = o.reservation_id;
    else
        select array_agg(n.id) into v_subjects from new_rows n join old_rows o on o.id = n.id
        where (n.code_hash, n.reservation_id, n.status, n.guest_name, n.guest_number, n.qr_signature,
                n.checked_in_at, n.checked_in_by)
            is distinct from (o.code_hash, o.reservation_id, o.status, o.guest_name, o.guest_number,
                o.qr_signature, o.checked_in_at, o.checked_in_by);
        select array_agg(r.event_id), array_agg(o.code_hash) into v_events, v_codes
        from new_rows n join old_rows o on o.id = n.id
        join vip_reservations r on r.id = o.reservation_id
        join vip_reservations now_at on now_at.id = n.reservation_id
        where (n.code_hash, now_at.event_id) is distinct from (o.code_hash, r.event_id);
        select array_agg(touched.id) into v_reservations
        from new_rows n join old_rows o on o.id = n.id
        cross join unnest(array[n.reservation_id, o.reservation_id]) as touched (id)
        where (n.guest_name, n.guest_number, n.reservation_id, n.status = 'cancelled')
            is distinct from (o.guest_name, o.guest_number, o.reservation_id, o.status = 'cancelled');
    end if;
    perform feed_append('{}', coalesce(v_reservations, '{}'), coalesce(v_subjects, '{}'),
        coalesce(v_events, '{}'), coalesce(v_codes, '{}'));
    return null;
end
$$;

create or replace function feed_on_reservations() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_reservations uuid[];
    v_subjects uuid[];
    v_events uuid[];
    v_codes text[];
    v_confirmed uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_reservations from new_rows;
    else
        select array_agg(n.id) into v_reservations from new_rows n join old_rows o on o.id = n.id
        where (n.event_id, n.status, n.purchaser_name, n.table_number, n.package_snapshot, n.checked_in_guests,
                n.event_vip_table_id)
            is distinct from (o.event_id, o.status, o.purchaser_name, o.table_number, o.package_snapshot,
                o.checked_in_guests, o.event_vip_table_id);
        -- A table that moves takes its passes along; a linked ticket has an event of its own.
        select array_agg(p.id), array_agg(o.event_id), array_agg(p.code_hash)
        into v_subjects, v_events, v_codes
        from new_rows n join old_rows o on o.id = n.id join vip_guest_passes p on p.reservation_id = n.id
        where n.event_id <> o.event_id;
        select array_agg(n.id) into v_confirmed from new_rows n join old_rows o on o.id = n.id
        where n.status = 'confirmed' and o.status <> 'confirmed';
    end if;
    if v_reservations is not null then
        perform feed_append('{}', v_reservations, coalesce(v_subjects, '{}'), coalesce(v_events, '{}'),
            coalesce(v_codes, '{}'));
    end if;
    if v_confirmed is not null then
        -- linked guests may have come while the table was not paid
        perform vip_recount(v_confirmed);
    end if;
    return null;
end
$$;

create or replace function feed_on_tables() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_reservations uuid[];
begin
    select array_agg(r.id) into v_reservations
    from new_rows n join old_rows o on o.id = n.id join vip_reservations r on r.event_vip_table_id = n.id
    where (n.table_name, n.tier, n.capacity) is distinct from (o.table_name, o.tier, o.capacity);
    if v_reservations is not null then
        perform feed_append(p_reservations => v_reservations);
    end if;
    return null;
end
$$;

create or replace function feed_on_linked_tickets() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[];
    v_reservations uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(ticket_id), array_agg(vip_reservation_id) into v_subjects, v_reservations from new_rows;
    elsif tg_op = 'DELETE' then
        select array_agg(ticket_id), array_agg(vip_reservation_id) into v_subjects, v_reservations from old_rows;
    else
        select array_agg(touched.ticket_id), array_agg(touched.reservation_id) into v_subjects, v_reservations
        from new_rows n join old_rows o on o.id = n.id
        cross join unnest(array[n.ticket_id, o.ticket_id], array[n.vip_reservation_id, o.vip_reservation_id])
            as touched (ticket_id, reservation_id)
        where (n.ticket_id, n.vip_reservation_id, n.is_booker_purchase)
            is distinct from (o.ticket_id, o.vip_reservation_id, o.is_booker_purchase);
    end if;
    if v_subjects is not null then
        perform feed_append(p_reservations => v_reservations, p_subjects => v_subjects);
        -- only now, because the events are locked: a guest may have come before the link
        perform vip_recount(v_reservations);
    end if;
    return null;
end
$$;

-- A pass's last entry is its newest log line; its first entry is told by the pass itself.
create or replace function feed_on_vip_scan_logs() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[];
begin
    select array_agg(pass_id) into v_subjects from new_rows
    where pass_id is not null and scan_type = 'reentry';
    if v_subjects is not null then
        perform feed_append(p_subjects => v_subjects);
    end if;
    return null;
end
$$;

create or replace trigger events_feed_insert after insert on events
referencing new table as new_rows for each statement execute function feed_on_events();

create or replace trigger events_feed_update after update on events
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_events();

create or replace trigger tickets_feed_insert after insert on tickets
referencing new table as new_rows for each statement execute function feed_on_tickets();

create or replace trigger tickets_feed_update after update on tickets
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_tickets();

create or replace trigger tickets_feed_delete after delete on tickets
referencing old table as old_rows for each statement execute function feed_on_tickets();

create or replace trigger vip_guest_passes_feed_insert after insert on vip_guest_passes
referencing new table as new_rows for each statement execute function feed_on_guest_passes();

create or replace trigger vip_guest_passes_feed_update after update on vip_guest_passes
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_guest_passes();

create or replace trigger vip_guest_passes_feed_delete after delete on vip_guest_passes
referencing old table as old_rows for each statement execute function feed_on_guest_passes();

create or replace trigger vip_reservations_feed_insert after insert on vip_reservations
referencing new table as new_rows for each statement execute function feed_on_reservations();

create or replace trigger vip_reservations_feed_update after update on vip_reservations
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_reservations();

create or replace trigger event_vip_tables_feed_update after update on event_vip_tables
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_tables();

create or replace trigger vip_linked_tickets_feed_insert after insert on vip_linked_tickets
referencing new table as new_rows for each statement execute function feed_on_linked_tickets();

create or replace trigger vip_linked_tickets_feed_update after update on vip_linked_tickets
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_linked_tickets();

create or replace trigger vip_linked_tickets_feed_delete after delete on vip_linked_tickets
referencing old table as old_rows for each statement execute function feed_on_linked_tickets();

create or replace trigger vip_scan_logs_feed_insert after insert on vip_scan_logs
referencing new table as new_rows for each statement execute function feed_on_vip_scan_logs();

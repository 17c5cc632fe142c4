-- The admission feed: one gapless, ordered list of changes per night, and the digest that a gate can compute as well
-- (data model 3.1; docs/adr/0018). Rows are built only after the night is locked, in a later statement, so that two
-- writers who touch the same table cannot each publish a row that misses the other's change.

-- WHAT A GATE IS TOLD

-- At most 40 letters, as somebody sees them, and 80 characters: a letter with its marks, an emoji with all it is
-- joined of and a flag are one letter (Unicode 14, UAX 29, a little coarser: never cut where that would not cut).
create or replace function cut_name(p_text text) returns text
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select coalesce(string_agg(letter, '' order by place), left(p_text, 80)) from (
        select m[1] as letter, place, sum(length(m[1])) over (order by place) as characters
        from (select
            -- Mn, Me, Mc, joining Hangul, skin tones and tags: what belongs to the letter before
            '\u0300-\u036F\u0483-\u0489\u0591-\u05BD\u05BF\u05C1-\u05C2\u05C4-\u05C5\u05C7\u0610-\u061A\u064B-\u065F'
            || '\u0670\u06D6-\u06DC\u06DF-\u06E4\u06E7-\u06E8\u06EA-\u06ED\u0711\u0730-\u074A\u07A6-\u07B0\u07EB-\u07F3'
            || '\u07FD\u0816-\u0819\u081B-\u0823\u0825-\u0827\u0829-\u082D\u0859-\u085B\u0898-\u089F\u08CA-\u08E1'
            || '\u08E3-\u0903\u093A-\u093C\u093E-\u094F\u0951-\u0957\u0962-\u0963\u0981-\u0983\u09BC\u09BE-\u09CD\u09D7'
            || '\u09E2-\u09E3\u09FE-\u0A03\u0A3C-\u0A51\u0A70-\u0A71\u0A75\u0A81-\u0A83\u0ABC\u0ABE-\u0ACD\u0AE2-\u0AE3'
            || '\u0AFA-\u0B03\u0B3C\u0B3E-\u0B57\u0B62-\u0B63\u0B82\u0BBE-\u0BCD\u0BD7\u0C00-\u0C04\u0C3C\u0C3E-\u0C56'
            || '\u0C62-\u0C63\u0C81-\u0C83\u0CBC\u0CBE-\u0CD6\u0CE2-\u0CE3\u0D00-\u0D03\u0D3B-\u0D3C\u0D3E-\u0D4D\u0D57'
            || '\u0D62-\u0D63\u0D81-\u0D83\u0DCA-\u0DDF\u0DF2-\u0DF3\u0E31\u0E34-\u0E3A\u0E47-\u0E4E\u0EB1\u0EB4-\u0EBC'
            || '\u0EC8-\u0ECD\u0F18-\u0F19\u0F35\u0F37\u0F39\u0F3E-\u0F3F\u0F71-\u0F84\u0F86-\u0F87\u0F8D-\u0FBC\u0FC6'
            || '\u102B-\u103E\u1056-\u1059\u105E-\u1060\u1062-\u1064\u1067-\u106D\u1071-\u1074\u1082-\u108D\u108F'
            || '\u109A-\u109D\u1160-\u11FF\u135D-\u135F\u1712-\u1715\u1732-\u1734\u1752-\u1753\u1772-\u1773\u17B4-\u17D3'
            || '\u17DD\u180B-\u180D\u180F\u1885-\u1886\u18A9\u1920-\u193B\u1A17-\u1A1B\u1A55-\u1A7F\u1AB0-\u1B04'
            || '\u1B34-\u1B44\u1B6B-\u1B73\u1B80-\u1B82\u1BA1-\u1BAD\u1BE6-\u1BF3\u1C24-\u1C37\u1CD0-\u1CD2\u1CD4-\u1CE8'
            || '\u1CED\u1CF4\u1CF7-\u1CF9\u1DC0-\u1DFF\u200C\u20D0-\u20F0\u2CEF-\u2CF1\u2D7F\u2DE0-\u2DFF\u302A-\u302F'
            || '\u3099-\u309A\uA66F-\uA672\uA674-\uA67D\uA69E-\uA69F\uA6F0-\uA6F1\uA802\uA806\uA80B\uA823-\uA827\uA82C'
            || '\uA880-\uA881\uA8B4-\uA8C5\uA8E0-\uA8F1\uA8FF\uA926-\uA92D\uA947-\uA953\uA980-\uA983\uA9B3-\uA9C0\uA9E5'
            || '\uAA29-\uAA36\uAA43\uAA4C-\uAA4D\uAA7B-\uAA7D\uAAB0\uAAB2-\uAAB4\uAAB7-\uAAB8\uAABE-\uAABF\uAAC1'
            || '\uAAEB-\uAAEF\uAAF5-\uAAF6\uABE3-\uABEA\uABEC-\uABED\uFB1E\uFE00-\uFE0F\uFE20-\uFE2F\U000101FD\U000102E0'
            || '\U00010376-\U0001037A\U00010A01-\U00010A0F\U00010A38-\U00010A3F\U00010AE5-\U00010AE6'
            || '\U00010D24-\U00010D27\U00010EAB-\U00010EAC\U00010F46-\U00010F50\U00010F82-\U00010F85'
            || '\U00011000-\U00011002\U00011038-\U00011046\U00011070\U00011073-\U00011074\U0001107F-\U00011082'
            || '\U000110B0-\U000110BA\U000110C2\U00011100-\U00011102\U00011127-\U00011134\U00011145-\U00011146\U00011173'
            || '\U00011180-\U00011182\U000111B3-\U000111C0\U000111C9-\U000111CC\U000111CE-\U000111CF'
            || '\U0001122C-\U00011237\U0001123E\U000112DF-\U000112EA\U00011300-\U00011303\U0001133B-\U0001133C'
            || '\U0001133E-\U0001134D\U00011357\U00011362-\U00011374\U00011435-\U00011446\U0001145E\U000114B0-\U000114C3'
            || '\U000115AF-\U000115C0\U000115DC-\U000115DD\U00011630-\U00011640\U000116AB-\U000116B7'
            || '\U0001171D-\U0001172B\U0001182C-\U0001183A\U00011930-\U0001193E\U00011940\U00011942-\U00011943'
            || '\U000119D1-\U000119E0\U000119E4\U00011A01-\U00011A0A\U00011A33-\U00011A39\U00011A3B-\U00011A3E\U00011A47'
            || '\U00011A51-\U00011A5B\U00011A8A-\U00011A99\U00011C2F-\U00011C3F\U00011C92-\U00011CB6'
            || '\U00011D31-\U00011D45\U00011D47\U00011D8A-\U00011D97\U00011EF3-\U00011EF6\U00016AF0-\U00016AF4'
            || '\U00016B30-\U00016B36\U00016F4F\U00016F51-\U00016F92\U00016FE4-\U00016FF1\U0001BC9D-\U0001BC9E'
            || '\U0001CF00-\U0001CF46\U0001D165-\U0001D169\U0001D16D-\U0001D172\U0001D17B-\U0001D182'
            || '\U0001D185-\U0001D18B\U0001D1AA-\U0001D1AD\U0001D242-\U0001D244\U0001DA00-\U0001DA36'
            || '\U0001DA3B-\U0001DA6C\U0001DA75\U0001DA84\U0001DA9B-\U0001DAAF\U0001E000-\U0001E02A\U0001E130-\U0001E136'
            || '\U0001E2AE\U0001E2EC-\U0001E2EF\U0001E8D0-\U0001E8D6\U0001E944-\U0001E94A\U0001F3FB-\U0001F3FF'
            || '\U000E0020-\U000E01EF'
            as marks
        ) c
        cross join regexp_matches(left(p_text, 81),
            '(?:[\U0001F1E6-\U0001F1FF]{2}|.)(?:[' || marks || ']|\u200D[^' || marks || '\u200D]?)*', 'g') with ordinality as l (m, place)
    ) cut
    where place <= 40 and characters <= 80
$$;

create or replace function feed_text(p_text text) returns text
language sql immutable parallel safe
return case when length(p_text) > 40 then cut_name(p_text) else p_text end;

create or replace function feed_time(p_at timestamptz) returns text
language sql stable parallel safe
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- Who let somebody in is a gate, or a member of staff.
create or replace function feed_entry(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', said_of(p_scan)
) end;

create or replace view feed_events with (security_invoker = true) as
select
    e.id as event_id,
    jsonb_build_object(
        't', 'event',
        'event_id', e.id,
        'code', e.code,
        'name', feed_text(e.name),
        'doors_open_at', feed_time(e.doors_open_at),
        'ends_at', feed_time(e.ends_at),
        'status', e.status,
        'capacity', e.venue_capacity,
        'isolation', e.isolation_policy,
        'homes', e.home_gates,
        'retired', e.retired_gates
    ) as row
from events e;

-- Of the guests the first 60: no screen lists more of them while a host stands before it.
create or replace view feed_tables with (security_invoker = true) as
select
    r.event_id,
    r.id as reservation_id,
    jsonb_build_object(
        't', 'table',
        'reservation_id', r.id,
        'event_id', r.event_id,
        'number', r.table_number::text,
        'name', feed_text(v.table_name),
        'tier', v.tier,
        'status', r.status,
        'host', feed_text(r.purchaser_name),
        'seats', vip_seats(r.package_snapshot, v.capacity),
        'arrived', r.checked_in_guests,
        'guests', jsonb_path_query_array(
            coalesce(passes.names, '[]'::jsonb) || coalesce(linked.names, '[]'::jsonb), '$[0 to 59]')
    ) as row
from vip_reservations r
join event_vip_tables v on v.id = r.event_vip_table_id
left join lateral (
    select jsonb_agg(feed_text(first.guest_name) order by first.guest_number) as names from (
        select p.guest_name, p.guest_number from vip_guest_passes p
        where p.reservation_id = r.id and p.status <> 'cancelled' and p.guest_name <> ''
        order by p.guest_number limit 60
    ) first
) passes on true
left join lateral (
    select jsonb_agg(feed_text(first.guest_name) order by first.created_at, first.id) as names from (
        select t.guest_name, l.created_at, l.id
        from vip_linked_tickets l join tickets t on t.id = l.ticket_id
        where l.vip_reservation_id = r.id and not l.is_booker_purchase and t.guest_name <> ''
        order by l.created_at, l.id limit 60
    ) first
) linked on true;

-- The row of a ticket. p_is_host, p_reservation: of its table, null if it has none.
create or replace function ticket_row(
    p_code_hash text, p_id uuid, p_event uuid, p_status text, p_type text, p_holder text, p_signature text,
    p_is_host boolean, p_reservation uuid, p_first_entry jsonb, p_last_entry jsonb
) returns jsonb
language sql stable parallel safe
return jsonb_strip_nulls(jsonb_build_object(
    't', 'admission',
    'code_hash', p_code_hash,
    'subject_id', p_id,
    'event_id', p_event,
    'kind', case when p_is_host then 'vip_host' when p_reservation is not null then 'vip_linked' else 'ga' end,
    'status', p_status,
    'ticket_type', feed_text(p_type),
    'holder', feed_text(p_holder),
    'reservation_id', p_reservation,
    'signature_hash', case when p_signature is not null then hash_of_text(p_signature) end,
    'first_entry', p_first_entry,
    'last_entry', p_last_entry
));

create or replace view feed_admissions with (security_invoker = true) as
select
    t.event_id,
    t.id as subject_id,
    ticket_row(t.code_hash, t.id, t.event_id, t.status, t.ticket_type, t.guest_name, t.qr_signature,
        l.is_booker_purchase, l.vip_reservation_id, feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan),
        case when t.last_entry_at is null
            then feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan)
            else feed_entry(t.last_entry_at, coalesce(t.last_entry_gate, t.checked_in_by), t.last_entry_scan) end
    ) as row
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
        'holder', feed_text(p.guest_name),
        'reservation_id', p.reservation_id,
        'guest_number', p.guest_number,
        'signature_hash', hash_of_text(p.qr_signature),
        'first_entry', feed_entry(p.checked_in_at, p.checked_in_by, p.checked_in_scan),
        'last_entry', case when last.scanned_at is null
            then feed_entry(p.checked_in_at, p.checked_in_by, p.checked_in_scan)
            else feed_entry(last.scanned_at, last.scanned_by, last.scan_id) end
    )) as row
from vip_guest_passes p
join vip_reservations r on r.id = p.reservation_id
left join lateral (
    select s.scanned_at, s.scanned_by, s.scan_id from vip_scan_logs s
    where s.pass_id = p.id order by s.scanned_at desc, s.scanned_by desc, s.scan_id desc limit 1
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
    v_of uuid[];
    v_rows jsonb[];
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
    )
    select array_agg(event_id order by part, place), array_agg(row order by part, place)
    into v_of, v_rows from change;
    perform append_rows(v_of, v_rows);
end
$$;

-- Append rows to the feeds of their events, which are locked; each event's in this order.
create or replace function append_rows(p_events uuid[], p_rows jsonb[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    with change as (
        select c.event_id, c.row, row_number() over (partition by c.event_id order by c.place) as step
        from unnest(p_events, p_rows) with ordinality as c (event_id, row, place)
    ), bumped as (
        update events e set admission_version = e.admission_version + counted.steps
        from (select event_id, count(*) as steps from change group by event_id) counted
        where e.id = counted.event_id
        returning e.id, e.admission_version - counted.steps as before
    )
    insert into admission_changes (event_id, version, row)
    select bumped.id, bumped.before + change.step, change.row from change join bumped on bumped.id = change.event_id;

    perform pg_notify('maguey_admissions', event_id::text) from unnest(p_events) as touched (event_id) group by event_id;
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
        where (n.code, n.name, n.doors_open_at, n.ends_at, n.status, n.venue_capacity, n.isolation_policy,
                n.home_gates, n.retired_gates)
            is distinct from (o.code, o.name, o.doors_open_at, o.ends_at, o.status, o.venue_capacity,
                o.isolation_policy, o.home_gates, o.retired_gates);
    end if;
    if v_events is not null then
        perform feed_append(p_events => v_events);
    end if;
    return null;
end
$$;

create or replace trigger events_feed_insert after insert on events
referencing new table as new_rows for each statement execute function feed_on_events();

create or replace trigger events_feed_update after update on events
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_events();

create or replace function feed_on_tickets() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[] := '{}';
    v_events uuid[] := '{}';
    v_codes text[] := '{}';
begin
    if tg_op = 'INSERT' then
        select array_agg(id) into v_subjects from new_rows;
    else
        select array_agg(event_id), array_agg(code_hash) into v_events, v_codes from old_rows;
    end if;
    perform feed_append('{}', '{}', coalesce(v_subjects, '{}'), coalesce(v_events, '{}'), coalesce(v_codes, '{}'));
    return null;
end
$$;

create or replace trigger tickets_feed_insert after insert on tickets
referencing new table as new_rows for each statement execute function feed_on_tickets();

create or replace trigger tickets_feed_delete after delete on tickets
referencing old table as old_rows for each statement execute function feed_on_tickets();

-- Check-ins come by the hundred: where nobody's code, night or name changes, the rows are made of what the trigger has
-- in hand.
create or replace function feed_on_ticket_updates() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v record;
begin
    -- a full join is never made by comparing each with each, whatever was planned for one row
    select array_agg(n.id) as subjects, array_agg(distinct n.event_id) as events,
        array_agg(o.event_id) filter (where moved.is_so) as left_events,
        array_agg(o.code_hash) filter (where moved.is_so) as left_codes,
        array_agg(n.id) filter (where n.guest_name is distinct from o.guest_name) as renamed
    into v
    from new_rows n full join old_rows o on o.id = n.id
    cross join lateral (select (n.event_id, n.code_hash) is distinct from (o.event_id, o.code_hash) as is_so) moved
    where (n.code_hash, n.event_id, n.status, n.ticket_type, n.guest_name, n.qr_signature, n.checked_in_at,
            n.checked_in_by, n.checked_in_scan, n.last_entry_at, n.last_entry_gate, n.last_entry_scan)
        is distinct from (o.code_hash, o.event_id, o.status, o.ticket_type, o.guest_name, o.qr_signature,
            o.checked_in_at, o.checked_in_by, o.checked_in_scan, o.last_entry_at, o.last_entry_gate,
            o.last_entry_scan);
    if v.subjects is null then
        return null;
    elsif v.left_events is not null or v.renamed is not null then
        perform feed_append('{}', array(
            select vip_reservation_id from vip_linked_tickets where ticket_id = any (v.renamed)
        ), v.subjects, coalesce(v.left_events, '{}'), coalesce(v.left_codes, '{}'));
        return null;
    end if;
    perform 1 from events where id = any (v.events) order by id for no key update;
    perform append_rows(
        array_agg(n.event_id order by n.id),
        array_agg(ticket_row(n.code_hash, n.id, n.event_id, n.status, n.ticket_type, n.guest_name, n.qr_signature,
            l.is_booker_purchase, l.vip_reservation_id, e.first, case
                when n.last_entry_at is null then e.first
                when (n.last_entry_at, n.last_entry_gate, n.last_entry_scan)
                    = (n.checked_in_at, n.checked_in_by, n.checked_in_scan) then e.first
                else feed_entry(n.last_entry_at, coalesce(n.last_entry_gate, n.checked_in_by), n.last_entry_scan) end
        ) order by n.id)
    )
    from new_rows n
    left join lateral (select * from vip_linked_tickets k where k.ticket_id = n.id offset 0) l on true
    cross join lateral (
        select feed_entry(n.checked_in_at, n.checked_in_by, n.checked_in_scan) as first offset 0
    ) e
    where n.id = any (v.subjects);
    return null;
end
$$;

create or replace trigger tickets_feed_update after update on tickets
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_ticket_updates();

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
                n.checked_in_at, n.checked_in_by, n.checked_in_scan)
            is distinct from (o.code_hash, o.reservation_id, o.status, o.guest_name, o.guest_number,
                o.qr_signature, o.checked_in_at, o.checked_in_by, o.checked_in_scan);
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

create or replace trigger vip_guest_passes_feed_insert after insert on vip_guest_passes
referencing new table as new_rows for each statement execute function feed_on_guest_passes();

create or replace trigger vip_guest_passes_feed_update after update on vip_guest_passes
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_guest_passes();

create or replace trigger vip_guest_passes_feed_delete after delete on vip_guest_passes
referencing old table as old_rows for each statement execute function feed_on_guest_passes();

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

create or replace trigger vip_reservations_feed_insert after insert on vip_reservations
referencing new table as new_rows for each statement execute function feed_on_reservations();

create or replace trigger vip_reservations_feed_update after update on vip_reservations
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_reservations();

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

create or replace trigger event_vip_tables_feed_update after update on event_vip_tables
referencing old table as old_rows new table as new_rows for each statement execute function feed_on_tables();

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

create or replace trigger vip_linked_tickets_feed_insert after insert on vip_linked_tickets
referencing new table as new_rows for each statement execute function feed_on_linked_tickets();

create or replace trigger vip_linked_tickets_feed_update after update on vip_linked_tickets
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_linked_tickets();

create or replace trigger vip_linked_tickets_feed_delete after delete on vip_linked_tickets
referencing old table as old_rows for each statement execute function feed_on_linked_tickets();

-- An entry whose time or place among the entries changes may be the last one of its pass.
create or replace function feed_on_vip_scan_logs() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subjects uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(pass_id) into v_subjects from new_rows
        where pass_id is not null and scan_type = 'reentry';
    elsif tg_op = 'DELETE' then
        select array_agg(pass_id) into v_subjects from old_rows
        where pass_id is not null and scan_type = 'reentry';
    else
        select array_agg(n.pass_id) into v_subjects from new_rows n join old_rows o on o.id = n.id
        where n.pass_id is not null and (n.scanned_at, n.scan_id) is distinct from (o.scanned_at, o.scan_id);
    end if;
    if v_subjects is not null then
        perform feed_append(p_subjects => v_subjects);
    end if;
    return null;
end
$$;

create or replace trigger vip_scan_logs_feed_insert after insert on vip_scan_logs
referencing new table as new_rows for each statement execute function feed_on_vip_scan_logs();

create or replace trigger vip_scan_logs_feed_delete after delete on vip_scan_logs
referencing old table as old_rows for each statement execute function feed_on_vip_scan_logs();

create or replace trigger vip_scan_logs_feed_update after update on vip_scan_logs
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_vip_scan_logs();

-- The digest of all a gate holds of a night: 16 hex digits, as sync/cache/digest.py computes them. The texts of
-- `text_of` there are part of the protocol. In one piece: a function called for each row takes ten times as long.
create or replace function feed_digest(p_event uuid) returns text
language sql stable set search_path = public, pg_temp as $$
    with held as materialized (
        select row from feed_events where event_id = p_event
        union all
        select row from feed_tables where event_id = p_event
        union all
        select row from feed_admissions where event_id = p_event
    ), line as (
        select case row ->> 't'
            when 'admission' then
                'a|' || (row ->> 'code_hash') || '|' || (row ->> 'subject_id') || '|' || (row ->> 'kind')
                || '|' || (row ->> 'status') || '|' || coalesce(row ->> 'reservation_id', '')
                || '|' || coalesce(row ->> 'signature_hash', '')
                || '|' || coalesce((row #>> '{first_entry,at}') || ' ' || (row #>> '{first_entry,gate}')
                    || ' ' || coalesce(row #>> '{first_entry,scan}', ''), '')
                || '|' || coalesce((row #>> '{last_entry,at}') || ' ' || (row #>> '{last_entry,gate}')
                    || ' ' || coalesce(row #>> '{last_entry,scan}', ''), '')
            when 'table' then
                't|' || (row ->> 'reservation_id') || '|' || (row ->> 'number') || '|' || (row ->> 'status')
                || '|' || coalesce(row ->> 'seats', '0') || '|' || coalesce(row ->> 'arrived', '0')
            when 'event' then
                'e|' || (row ->> 'event_id') || '|' || (row ->> 'code') || '|' || (row ->> 'status')
                || '|' || (row ->> 'doors_open_at') || '|' || (row ->> 'ends_at')
                || '|' || coalesce(row ->> 'capacity', '0') || '|' || coalesce(row ->> 'isolation', 'admit')
                || '|' || coalesce((select string_agg(item, ',' order by place) from
                    jsonb_array_elements_text(row -> 'homes') with ordinality as listed (item, place)), '')
                || '|' || coalesce((select string_agg(item, ',' order by place) from
                    jsonb_array_elements_text(row -> 'retired') with ordinality as listed (item, place)), '')
            end as text
        from held
    )
    select lpad(to_hex((coalesce(sum(
        ('x' || encode(substr(sha256(convert_to(text, 'UTF8')), 1, 6), 'hex'))::bit(48)::bigint
    ), 0) % 9223372036854775808)::bigint), 16, '0')
    from line
$$;

-- The database was put back to an earlier state: every gate is to load again what it follows. The time, in
-- microseconds, makes a generation that never was, also when the same backup is put back twice.
-- Returns how many nights; they are those the hub still publishes.
create or replace function feed_restored(p_reason text, p_actor text) returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_events uuid[];
begin
    if coalesce(btrim(p_reason), '') = '' or coalesce(btrim(p_actor), '') = '' then
        raise exception 'who did it and why are both needed' using errcode = 'invalid_parameter_value';
    end if;
    perform 1 from events where ends_at > now() - interval '1 day' order by id for no key update;
    with raised as (
        update events
        set feed_generation = greatest(feed_generation + 1, (extract(epoch from now()) * 1000000)::bigint)
        where ends_at > now() - interval '1 day'
        returning id
    )
    select array_agg(id) into v_events from raised;
    insert into audit_log (actor, action, target, reason)
    values (p_actor, 'restored', format('the feeds of %s nights', coalesce(cardinality(v_events), 0)), p_reason);
    perform pg_notify('maguey_admissions', id::text) from unnest(v_events) as raised (id);
    return coalesce(cardinality(v_events), 0);
end
$$;

-- A row of the feed from before the bounds, with everything that could be long in it cut. What decides at a door
-- stays: ids, hashes, states, times.
create or replace function without_long_texts(p_row jsonb) returns jsonb
language sql immutable parallel safe set search_path = public, pg_temp as $$
    select jsonb_object_agg(key, case
        when jsonb_typeof(value) = 'string' then to_jsonb(left(value #>> '{}', 80))
        when key = 'guests' then '[]'
        when value ? 'gate' then value || jsonb_build_object('gate', left(value ->> 'gate', 64))
        else value
    end)
    from jsonb_each(p_row)
$$;

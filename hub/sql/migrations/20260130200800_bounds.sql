-- Every text a person can type has a bound where it enters, and what a gate is told of it is bounded again, whatever
-- stands in the rows of before (protocol 4.5; docs/security.md, Bounds of texts).

-- WHERE IT ENTERS

-- Raised by triggers whose `when` found something too long. Arguments, in threes: a column, how much it may hold, of
-- what. Only what is changed is judged, and so it is no check constraint: one of those judges the whole row at every
-- update, and a ticket whose name was too long before could not even be cancelled.
create or replace function refuse_too_long() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_new jsonb := to_jsonb(new);
    v_old jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
    v_column text;
    v_most integer;
    v_size integer;
begin
    for v_place in 0 .. tg_nargs / 3 - 1 loop
        v_column := tg_argv[3 * v_place];
        v_most := tg_argv[3 * v_place + 1];
        v_size := case tg_argv[3 * v_place + 2]
            when 'characters' then length(v_new ->> v_column)
            when 'bytes' then octet_length(v_new ->> v_column)
            else jsonb_array_length(nullif(v_new -> v_column, 'null'))
        end;
        if v_size > v_most and v_new -> v_column is distinct from v_old -> v_column then
            raise exception '% of % holds at most % %, not %',
                v_column, tg_table_name, v_most, tg_argv[3 * v_place + 2], v_size
                using errcode = 'check_violation', table = tg_table_name, column = v_column,
                    constraint = tg_table_name || '_' || v_column || '_bound',
                    hint = 'Shorten it; docs/security.md lists the bounds.';
        end if;
    end loop;
    return new;
end
$$;

do $$
declare
    -- characters of texts, bytes of JSON as text, items of arrays
    c_bounds constant text := '
        events name 120, events description 5000, events ticket_types 16384, events cancelled_by 200,
        events cancellation_reason 500, events cancellation 65536, events home_gates 256, events retired_gates 256,
        tickets ticket_id 200, tickets event_name 200, tickets ticket_type 200, tickets qr_code_data 1024,
        tickets qr_signature 1024, tickets stripe_payment_id 255, tickets stripe_payment_intent_id 255,
        tickets guest_name 200, tickets guest_email 320, tickets guest_phone 50, tickets checked_in_by 200,
        tickets last_entry_gate 200, tickets metadata 16384,
        event_vip_tables table_name 120, event_vip_tables floor_section 120,
        vip_reservations purchaser_name 200, vip_reservations purchaser_email 320,
        vip_reservations purchaser_phone 50, vip_reservations stripe_payment_intent_id 255,
        vip_reservations stripe_refund_id 255, vip_reservations qr_code_token 1024, vip_reservations invite_code 64,
        vip_reservations package_snapshot 16384, vip_reservations special_requests 2000,
        vip_reservations checked_in_by 200,
        vip_guest_passes guest_name 200, vip_guest_passes qr_code_token 1024, vip_guest_passes qr_signature 1024,
        vip_guest_passes checked_in_by 200,
        vip_linked_tickets purchased_by_email 320, vip_linked_tickets purchased_by_name 200,
        vip_linked_tickets linked_by 200,
        vip_scan_logs scanned_by 200,
        orders stripe_payment_intent_id 255, orders stripe_session_id 255, orders stripe_customer_id 255,
        orders customer_email 320, orders customer_name 200, orders event_name 200, orders metadata 16384,
        payments stripe_payment_intent_id 255, payments metadata 16384,
        payment_failures stripe_event_id 255, payment_failures stripe_payment_intent_id 255,
        payment_failures customer_email 320, payment_failures error_message 2000, payment_failures error_code 200,
        payment_failures resolved_by 200, payment_failures metadata 16384,
        refunds stripe_payment_intent_id 255, refunds stripe_refund_id 255, refunds reason 500,
        refunds last_error 2000,
        webhook_events stripe_event_id 255, webhook_events kind 200, webhook_events outcome 500,
        email_queue recipient 320, email_queue kind 200, email_queue payload 65536, email_queue last_error 2000,
        audit_log actor 200, audit_log action 200, audit_log target 500, audit_log reason 500,
        audit_log details 65536,
        commands text 200, commands reason 500, commands actor 200, commands why 500, commands key_id 64,
        gates name 120, gates venue 64, gates certificate_fingerprint 255, gates token_hash 255, gates epoch 500,
        gates version 500,
        scan_conflicts acknowledged_by 200,
        staff name 200
    ';
    v_table record;
begin
    for v_table in
        select m[1] as name,
            string_agg(
                format(case when t.typname = 'text' then 'length(new.%I) > %s'
                    when t.typname = 'jsonb' then 'octet_length(new.%I::text) > %s'
                    else 'cardinality(new.%I) > %s' end, m[2], m[3]),
                ' or ' order by place) as condition,
            string_agg(
                format('%L, %L, %L', m[2], m[3],
                    case t.typname when 'text' then 'characters' when 'jsonb' then 'bytes' else 'items' end),
                ', ' order by place) as arguments
        from regexp_matches(c_bounds, '(\w+) (\w+) (\d+)', 'g') with ordinality as b (m, place)
        join pg_attribute a on a.attrelid = ('public.' || m[1])::regclass and a.attname = m[2]
        join pg_type t on t.oid = a.atttypid
        group by m[1]
    loop
        execute format('create or replace trigger %I before insert or update on public.%I for each row when (%s)'
            ' execute function refuse_too_long(%s)',
            v_table.name || '_bounds', v_table.name, v_table.condition, v_table.arguments);
    end loop;
end
$$;

-- How many gates one night has, and one venue: each is told of all of them.
create or replace function keep_to_gates() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    c_most constant integer := 256;
    v_count bigint;
begin
    if tg_table_name = 'gates' then
        select count(*) into v_count from gates where venue = new.venue;
    else
        select count(*) into v_count from gate_events where event_id = new.event_id;
    end if;
    if v_count > c_most then
        raise exception 'one % has at most % gates',
            case tg_table_name when 'gates' then 'venue' else 'night' end, c_most
            using errcode = 'check_violation', constraint = tg_table_name || '_bound';
    end if;
    return null;
end
$$;

create or replace trigger gates_at_most after insert on gates for each row execute function keep_to_gates();
create or replace trigger gate_events_at_most after insert on gate_events
for each row execute function keep_to_gates();

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

-- Who let somebody in is a gate, or a member of staff.
create or replace function feed_entry(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', p_scan) end;

create or replace function claim_entry_of(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null then jsonb_build_object(
    'at', feed_time(p_at), 'gate', left(coalesce(p_gate, ''), 64), 'scan', coalesce(p_scan::text, '')) end;

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

create or replace view feed_admissions with (security_invoker = true) as
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
        'ticket_type', feed_text(t.ticket_type),
        'holder', feed_text(t.guest_name),
        'reservation_id', l.vip_reservation_id,
        'signature_hash', case when t.qr_signature is not null then hash_of_text(t.qr_signature) end,
        'first_entry', feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan),
        'last_entry', case when t.last_entry_at is null
            then feed_entry(t.checked_in_at, t.checked_in_by, t.checked_in_scan)
            else feed_entry(t.last_entry_at, coalesce(t.last_entry_gate, t.checked_in_by), t.last_entry_scan) end
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

revoke all on function refuse_too_long(), keep_to_gates(), cut_name(text), feed_text(text), without_long_texts(jsonb)
from public, anon, authenticated, service_role;
grant execute on function cut_name(text), feed_text(text), without_long_texts(jsonb) to service_role;

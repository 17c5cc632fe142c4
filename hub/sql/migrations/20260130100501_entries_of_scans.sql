-- The feed names the scan of an entry, for its time may be corrected (protocol 4.3; docs/adr/0016).

-- A check-in changes no indexed column: with room on its page it touches none of seven indexes. Who bought
-- together comes together, so there is room for every ticket of a page to be checked in at once.
alter table tickets set (fillfactor = 45);

create or replace function feed_entry(p_at timestamptz, p_gate text, p_scan uuid) returns jsonb
language sql stable parallel safe
return case when p_at is not null
    then jsonb_build_object('at', feed_time(p_at), 'gate', coalesce(p_gate, ''), 'scan', p_scan) end;

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
        'holder', p.guest_name,
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

drop function if exists feed_entry(timestamptz, text);

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
        -- `except` and no join: a plan made for one row would compare each with each
        select array_agg(id) into v_subjects from (
            select id, code_hash, event_id, status, ticket_type, guest_name, qr_signature, checked_in_at,
                checked_in_by, checked_in_scan, last_entry_at, last_entry_gate, last_entry_scan from new_rows
            except
            select id, code_hash, event_id, status, ticket_type, guest_name, qr_signature, checked_in_at,
                checked_in_by, checked_in_scan, last_entry_at, last_entry_gate, last_entry_scan from old_rows
        ) changed;
        select array_agg(event_id), array_agg(code_hash) into v_events, v_codes from (
            select id, event_id, code_hash from old_rows except select id, event_id, code_hash from new_rows
        ) moved;
        select array_agg(l.vip_reservation_id) into v_reservations from (
            select id, guest_name from new_rows except select id, guest_name from old_rows
        ) renamed join vip_linked_tickets l on l.ticket_id = renamed.id;
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

create or replace trigger vip_scan_logs_feed_update after update on vip_scan_logs
referencing old table as old_rows new table as new_rows
for each statement execute function feed_on_vip_scan_logs();

-- Of the logged entries of these guests, the one their pass or ticket names is the first (invariant 9).
create or replace function vip_relabel(p_subjects uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    with label as (
        select l.id, case when
            (l.scanned_at, l.scanned_by) = (coalesce(p.checked_in_at, t.checked_in_at),
                coalesce(p.checked_in_by, t.checked_in_by, ''))
            and l.scan_id is not distinct from coalesce(p.checked_in_scan, t.checked_in_scan)
            and row_number() over (
                partition by l.pass_id, l.ticket_id, l.scanned_at, l.scanned_by, l.scan_id order by l.id
            ) = 1
            then 'first_entry' else 'reentry' end as scan_type
        from vip_scan_logs l
        left join vip_guest_passes p on p.id = l.pass_id
        left join tickets t on t.id = l.ticket_id
        where l.pass_id = any (p_subjects) or l.ticket_id = any (p_subjects)
    )
    update vip_scan_logs l set scan_type = label.scan_type from label
    where l.id = label.id and l.scan_type <> label.scan_type
$$;

-- Entries made before know their scan where exactly one fits.
with entry as (
    select t.id as subject_id, t.checked_in_at as at, t.checked_in_by as gate from tickets t
    where t.checked_in_scan is null and t.checked_in_at is not null
    union
    select t.id, t.last_entry_at, t.last_entry_gate from tickets t
    where t.last_entry_scan is null and t.last_entry_at is not null
), found as (
    select e.subject_id, e.at, e.gate, (array_agg(s.scan_id))[1] as scan_id
    from entry e join tickets t on t.id = e.subject_id
    join scan_logs s on s.occurred_at = e.at and s.gate_id = e.gate and s.verdict = 'admit' and s.record = 'scan'
        and s.annulled_at is null
        and (s.subject_id = t.id or s.subject_id is null and s.code_hash = t.code_hash)
    group by e.subject_id, e.at, e.gate having count(*) = 1
)
update tickets t set checked_in_scan = coalesce(t.checked_in_scan, first.scan_id),
    last_entry_scan = coalesce(t.last_entry_scan, last.scan_id)
from tickets k
left join found first on first.subject_id = k.id and (first.at, first.gate) = (k.checked_in_at, k.checked_in_by)
left join found last on last.subject_id = k.id and (last.at, last.gate) = (k.last_entry_at, k.last_entry_gate)
where t.id = k.id and (t.checked_in_scan is null and first.scan_id is not null
    or t.last_entry_scan is null and last.scan_id is not null);

with found as (
    select l.id, (array_agg(s.scan_id))[1] as scan_id
    from vip_scan_logs l
    join scan_logs s on s.occurred_at = l.scanned_at and s.gate_id = l.scanned_by and s.verdict = 'admit'
        and s.record = 'scan' and s.annulled_at is null and s.subject_id in (l.pass_id, l.ticket_id)
    where l.scan_id is null
    group by l.id having count(*) = 1
), single as (
    select scan_id, (array_agg(id))[1] as id from found group by scan_id having count(*) = 1
)
update vip_scan_logs l set scan_id = single.scan_id from single where l.id = single.id;

update vip_guest_passes p set checked_in_scan = l.scan_id from vip_scan_logs l
where l.pass_id = p.id and (l.scanned_at, l.scanned_by) = (p.checked_in_at, p.checked_in_by)
    and p.checked_in_scan is null and l.scan_id is not null;

CREATE FUNCTION public.admitted_by(p_scans uuid[], p_annulled boolean DEFAULT false) RETURNS TABLE(scan_id uuid, subject_id uuid, at timestamp with time zone, gate text)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.occurred_at, s.gate_id
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans) and s.verdict = 'admit' and s.record = 'scan'
        and (s.annulled_at is not null) = p_annulled
$$;
CREATE FUNCTION public.advance_watermark(p_gate text, p_epoch text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    c_step constant integer := 1000;
    v_before bigint;
    v_seq bigint;
    v_next bigint;
begin
    insert into gate_watermarks (gate_id, epoch) values (p_gate, p_epoch) on conflict do nothing;
    select seq into v_before from gate_watermarks where gate_id = p_gate and epoch = p_epoch for update;
    v_seq := v_before;
    loop
        select max(run.seq) into v_next from (
            select kept.seq, row_number() over (order by kept.seq) as n from (
                (select seq from scan_logs where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
                union
                (select seq from scan_repeats where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
                union
                (select seq from scan_quarantine where gate_id = p_gate and epoch = p_epoch and seq > v_seq
                    order by seq limit c_step)
            ) kept
        ) run where run.seq = v_seq + run.n;
        exit when v_next is null;
        exit when v_next < v_seq + c_step;
        v_seq := v_next;
    end loop;
    v_seq := coalesce(v_next, v_seq);
    if v_seq > v_before then
        update gate_watermarks set seq = v_seq, updated_at = now() where gate_id = p_gate and epoch = p_epoch;
    end if;
    return v_seq;
end
$$;
CREATE FUNCTION public.check_in_passes(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_entry record;
begin
    for v_entry in
        select p.id, a.at, a.gate from admitted_by(p_scans) a
        join vip_guest_passes p on p.id = a.subject_id
        order by a.at, a.gate, a.scan_id
    loop
        perform vip_pass_scan(v_entry.id, v_entry.gate, v_entry.at);
    end loop;
end
$$;
CREATE FUNCTION public.check_in_tickets(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from tickets where id in (select subject_id from admitted_by(p_scans))
    order by qr_code_data for no key update;
    with entry as (
        select subject_id,
            (array_agg(at order by at, gate))[1] as first_at,
            (array_agg(gate order by at, gate))[1] as first_gate,
            (array_agg(at order by at desc, gate desc))[1] as last_at,
            (array_agg(gate order by at desc, gate desc))[1] as last_gate
        from admitted_by(p_scans) group by subject_id
    ), outcome as (
        select t.id, e.*,
            t.checked_in_at is null
                or (e.first_at, e.first_gate) < (t.checked_in_at, coalesce(t.checked_in_by, '')) as is_first,
            t.last_entry_at is null
                or (e.last_at, e.last_gate) > (t.last_entry_at, coalesce(t.last_entry_gate, '')) as is_last
        from entry e join tickets t on t.id = e.subject_id
        where t.status in ('issued', 'checked_in')
    )
    update tickets t set status = 'checked_in', is_used = true,
        checked_in_at = case when o.is_first then o.first_at else t.checked_in_at end,
        checked_in_by = case when o.is_first then o.first_gate else t.checked_in_by end,
        last_entry_at = case when o.is_last then o.last_at else t.last_entry_at end,
        last_entry_gate = case when o.is_last then o.last_gate else t.last_entry_gate end
    from outcome o where t.id = o.id;
end
$$;
CREATE FUNCTION public.check_vip_linked_ticket_reentry(p_ticket_id uuid) RETURNS json
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select coalesce((
        select json_build_object(
            'is_vip_linked', true,
            'allow_reentry', r.status in ('confirmed', 'checked_in'),
            'vip_reservation_id', r.id,
            'table_number', r.table_number,
            'table_name', v.table_name,
            'reservation_status', r.status
        )
        from vip_linked_tickets l
        join vip_reservations r on r.id = l.vip_reservation_id
        join event_vip_tables v on v.id = r.event_vip_table_id
        where l.ticket_id = p_ticket_id
    ), json_build_object('is_vip_linked', false))
$$;
CREATE FUNCTION public.concerned_by(p_scans uuid[]) RETURNS uuid[]
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select array_agg(distinct coalesce(s.subject_id, t.id, p.id))
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans || array(
        select a.refers_to from scan_logs a where a.scan_id = any (p_scans) and a.record = 'annulled'
    )) and (s.verdict = 'admit' or s.record = 'annulled')
$$;
CREATE FUNCTION public.feed_append(p_events uuid[] DEFAULT '{}'::uuid[], p_reservations uuid[] DEFAULT '{}'::uuid[], p_subjects uuid[] DEFAULT '{}'::uuid[], p_removed_events uuid[] DEFAULT '{}'::uuid[], p_removed_codes text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_digest(p_event uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_time(p_at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char((p_at AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text);
CREATE FUNCTION public.feed_entry(p_at timestamp with time zone, p_gate text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (p_at IS NOT NULL) THEN jsonb_build_object('at', public.feed_time(p_at), 'gate', COALESCE(p_gate, ''::text)) ELSE NULL::jsonb END;
CREATE FUNCTION public.feed_on_events() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_guest_passes() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_linked_tickets() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_reservations() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_tables() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_tickets() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.feed_on_vip_scan_logs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[];
begin
    if tg_op = 'INSERT' then
        select array_agg(pass_id) into v_subjects from new_rows
        where pass_id is not null and scan_type = 'reentry';
    else
        select array_agg(pass_id) into v_subjects from old_rows
        where pass_id is not null and scan_type = 'reentry';
    end if;
    if v_subjects is not null then
        perform feed_append(p_subjects => v_subjects);
    end if;
    return null;
end
$$;
CREATE FUNCTION public.feed_restored(p_reason text, p_actor text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_events uuid[];
begin
    if coalesce(btrim(p_reason), '') = '' or coalesce(btrim(p_actor), '') = '' then
        raise exception 'who did it and why are both needed' using errcode = 'invalid_parameter_value';
    end if;
    perform 1 from events where ends_at > now() - interval '1 day' order by id for no key update;
    with raised as (
        update events
        set feed_generation = greatest(feed_generation + 1, extract(epoch from now())::bigint)
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
CREATE FUNCTION public.hash_of_code(p_code text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(upper(p_code), 'UTF8'::name)), 'hex'::text);
CREATE FUNCTION public.hash_of_text(p_text text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN encode(sha256(convert_to(p_text, 'UTF8'::name)), 'hex'::text);
CREATE FUNCTION public.ingest_scans(p_records jsonb, p_topics jsonb DEFAULT '{}'::jsonb) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_new uuid[] := store_scans(p_records);
    v_concerned uuid[];
    v_taken_back uuid[];
    v_subjects uuid[];
begin
    if cardinality(v_new) < jsonb_array_length(p_records) then
        perform keep_repeats(p_records);
        perform quarantine_misfits(p_records, p_topics);
    end if;
    v_concerned := concerned_by(v_new);
    if v_concerned is not null then
        perform lock_events_of(v_concerned);
    end if;
    v_taken_back := note_outcomes(v_new);
    if cardinality(v_taken_back) > 0 then
        perform take_back(v_taken_back);
    end if;
    select array_agg(subject_id) into v_subjects from admitted_by(v_new);
    if v_subjects is not null then
        perform log_linked_entries(v_new);
        perform check_in_tickets(v_new);
        perform vip_relabel(v_subjects);
        perform recount_linked_tables(v_new);
        perform check_in_passes(v_new);
    end if;
    perform note_alerts(v_new, p_topics);
    return cardinality(v_new);
end
$$;
CREATE FUNCTION public.is_plausible(p_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((p_at IS NULL) OR ((EXTRACT(epoch FROM p_at) >= (0)::numeric) AND (EXTRACT(epoch FROM p_at) < ('7258118400'::bigint)::numeric)));
CREATE FUNCTION public.keep_repeats(p_records jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into scan_repeats (gate_id, epoch, seq, scan_id, payload_hash)
    select r.gate_id, r.epoch, r.seq, r.scan_id, r.payload_hash
    from jsonb_populate_recordset(null::scan_logs, p_records) r
    join scan_logs s on s.scan_id = r.scan_id and (s.epoch, s.seq) <> (r.epoch, r.seq)
    where scan_content(s) = scan_content(r) and not exists (
        select from scan_logs o where (o.gate_id, o.epoch, o.seq) = (r.gate_id, r.epoch, r.seq)
    )
    order by r.gate_id, r.epoch, r.seq
    on conflict do nothing
$$;
CREATE FUNCTION public.lock_events_of(p_subjects uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    select 1 from events where id in (
        select event_id from tickets where id = any (p_subjects)
        union
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = any (p_subjects)
    ) order by id for no key update
$$;
CREATE FUNCTION public.log_linked_entries(p_scans uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at)
    select t.id, r.id, 'reentry', a.gate, a.at
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id and r.status in ('confirmed', 'checked_in')
    order by a.at, a.gate, a.scan_id
$$;
CREATE FUNCTION public.note_alerts(p_new uuid[], p_topics jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select s.scan_id, split_part(p_topics ->> s.gate_id, '/', 3), s.gate_id, s.reason, s.occurred_at
    from scan_logs s
    where s.scan_id = any (p_new) and s.record = 'event' and p_topics ? s.gate_id
        and s.reason in ('guessing', 'tamper', 'free_passage', 'intrusion', 'sensor_silent')
    order by s.gate_id, s.epoch, s.seq
    on conflict do nothing
$$;
CREATE FUNCTION public.note_outcomes(p_new uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_scans uuid[];
    v_taken_back uuid[];
begin
    select array_agg(told.refers_to order by told.refers_to) into v_scans from (
        select l.refers_to from scan_logs l where l.scan_id = any (p_new) and l.record in ('passed', 'annulled')
        union
        select l.refers_to from scan_logs l where l.refers_to = any (p_new) and l.record in ('passed', 'annulled')
    ) told;
    if v_scans is null then
        return '{}';
    end if;
    perform 1 from scan_logs where scan_id = any (v_scans) order by scan_id for no key update;
    with outcome as (
        select l.refers_to, l.gate_id, bool_or(l.reason <> 'not_opened') as actuated,
            min(l.occurred_at) filter (where l.record = 'annulled') as annulled_at
        from scan_logs l where l.refers_to = any (v_scans) and l.record in ('passed', 'annulled')
        group by l.refers_to, l.gate_id
    ), noted as (
        update scan_logs s set actuated = o.actuated, annulled_at = o.annulled_at
        from outcome o join scan_logs before on before.scan_id = o.refers_to
        where s.scan_id = o.refers_to and s.gate_id = o.gate_id
            and s.record = 'scan' and s.verdict = 'admit'
            and (s.actuated, s.annulled_at) is distinct from (o.actuated, o.annulled_at)
        returning s.scan_id, before.annulled_at is null and s.annulled_at is not null as is_taken_back
    )
    select array_agg(scan_id) into v_taken_back from noted where is_taken_back and scan_id <> all (p_new);
    return coalesce(v_taken_back, '{}');
end
$$;
CREATE FUNCTION public.process_vip_scan_with_reentry(p_pass_id uuid, p_scanned_by character varying DEFAULT 'system'::character varying) RETURNS json
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$ select vip_pass_scan(p_pass_id, coalesce(p_scanned_by, 'system'), now()) $$;
CREATE FUNCTION public.quarantine_misfits(p_records jsonb, p_topics jsonb) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
    select coalesce(p_topics ->> r.gate_id, ''), r.gate_id, r.epoch, r.seq,
        substring(convert_to(r.raw::text, 'UTF8') for 65536), r.payload_hash, octet_length(r.raw::text),
        case when coalesce(s.scan_id, p.scan_id) is null then 'this scan_id belongs to another scan'
            else 'another record is already kept for this gate, epoch and seq' end
    from (
        select e.value as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
            (e.value ->> 'seq')::bigint as seq, e.value ->> 'payload_hash' as payload_hash
        from jsonb_array_elements(p_records) e
    ) r
    left join scan_logs s on s.gate_id = r.gate_id and s.epoch = r.epoch and s.seq = r.seq
    left join scan_repeats p on p.gate_id = r.gate_id and p.epoch = r.epoch and p.seq = r.seq
    where coalesce(s.payload_hash, p.payload_hash) is distinct from r.payload_hash
    on conflict do nothing
$$;
CREATE FUNCTION public.recount_linked_tables(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform vip_recount(array(
        select l.vip_reservation_id from admitted_by(p_scans) a
        join vip_linked_tickets l on l.ticket_id = a.subject_id
    ));
end
$$;
CREATE TABLE public.scan_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    scan_id uuid NOT NULL,
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    boot_id text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    monotonic_ms bigint NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    rule integer NOT NULL,
    kind text NOT NULL,
    clock text NOT NULL,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    event_id uuid,
    subject_id uuid,
    code_hash text,
    raw_hash text,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    scan_method text NOT NULL,
    cache_version bigint,
    cache_age_s bigint,
    released boolean NOT NULL,
    record text NOT NULL,
    refers_to uuid,
    payload_hash text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    actuated boolean,
    annulled_at timestamp with time zone,
    CONSTRAINT scan_logs_annulled CHECK (public.is_plausible(annulled_at)),
    CONSTRAINT scan_logs_record CHECK ((record = ANY (ARRAY['scan'::text, 'passed'::text, 'annulled'::text, 'event'::text]))),
    CONSTRAINT scan_logs_seq_positive CHECK ((seq > 0)),
    CONSTRAINT scan_logs_time CHECK (public.is_plausible(occurred_at)),
    CONSTRAINT scan_logs_verdict CHECK ((verdict = ANY (ARRAY['admit'::text, 'deny'::text, 'none'::text])))
);
CREATE FUNCTION public.scan_content(p_scan public.scan_logs) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (to_jsonb(p_scan) - ARRAY['id'::text, 'epoch'::text, 'seq'::text, 'payload_hash'::text, 'received_at'::text, 'actuated'::text, 'annulled_at'::text]);
CREATE FUNCTION public.store_scans(p_records jsonb) RETURNS uuid[]
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with stored as (
        insert into scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,
            reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash,
            raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to,
            payload_hash)
        select r.scan_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms, r.verdict,
            r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
            r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
            r.released, r.record, r.refers_to, r.payload_hash
        from jsonb_populate_recordset(null::scan_logs, p_records) r
        where not exists (
            select from scan_repeats p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq)
        )
        order by r.gate_id, r.epoch, r.seq
        on conflict do nothing
        returning scan_id
    )
    select coalesce(array_agg(scan_id), '{}') from stored
$$;
CREATE FUNCTION public.take_back(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    v_subjects uuid[] := array(select subject_id from admitted_by(p_scans, true) where subject_id is not null);
begin
    perform unlog_entries(p_scans);
    perform take_back_tickets(p_scans);
    perform take_back_passes(p_scans);
    perform vip_relabel(v_subjects);
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (v_subjects)
        union
        select reservation_id from vip_guest_passes where id = any (v_subjects)
    ));
end
$$;
CREATE FUNCTION public.take_back_passes(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from vip_guest_passes where id in (select subject_id from admitted_by(p_scans, true))
    order by qr_code_token for no key update;
    with outcome as (
        select p.id, left_over.*
        from vip_guest_passes p
        cross join lateral (
            select (array_agg(l.scanned_at order by l.scanned_at, l.scanned_by))[1] as at,
                (array_agg(l.scanned_by order by l.scanned_at, l.scanned_by))[1] as gate
            from vip_scan_logs l where l.pass_id = p.id
        ) left_over
        where exists (
            select from admitted_by(p_scans, true) a
            where a.subject_id = p.id and (a.at, a.gate) = (p.checked_in_at, p.checked_in_by)
        )
    )
    update vip_guest_passes p set checked_in_at = o.at, checked_in_by = o.gate,
        status = case when o.at is null and p.status = 'checked_in' then 'issued' else p.status end
    from outcome o where p.id = o.id;
end
$$;
CREATE FUNCTION public.take_back_tickets(p_scans uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    perform 1 from tickets where id in (select subject_id from admitted_by(p_scans, true))
    order by qr_code_data for no key update;
    with annulled as (
        select subject_id, array_agg((at, gate)) as entries from admitted_by(p_scans, true) group by subject_id
    ), outcome as (
        select t.id,
            coalesce((t.checked_in_at, t.checked_in_by) = any (a.entries), false) as was_first,
            coalesce((t.last_entry_at, t.last_entry_gate) = any (a.entries), false) as was_last,
            left_over.*
        from annulled a
        join tickets t on t.id = a.subject_id
        cross join lateral (
            select (array_agg(s.at order by s.at, s.gate))[1] as first_at,
                (array_agg(s.gate order by s.at, s.gate))[1] as first_gate,
                (array_agg(s.at order by s.at desc, s.gate desc))[1] as last_at,
                (array_agg(s.gate order by s.at desc, s.gate desc))[1] as last_gate
            from (
                select occurred_at as at, gate_id as gate from scan_logs
                where subject_id = t.id and verdict = 'admit' and record = 'scan' and annulled_at is null
                union all
                select occurred_at, gate_id from scan_logs
                where subject_id is null and code_hash = t.code_hash
                    and verdict = 'admit' and record = 'scan' and annulled_at is null
            ) s
        ) left_over
    )
    update tickets t set
        status = case when o.was_first and o.first_at is null and t.status = 'checked_in' then 'issued'
            else t.status end,
        is_used = case when o.was_first then o.first_at is not null else t.is_used end,
        checked_in_at = case when o.was_first then o.first_at else t.checked_in_at end,
        checked_in_by = case when o.was_first then o.first_gate else t.checked_in_by end,
        last_entry_at = case when o.was_last then o.last_at else t.last_entry_at end,
        last_entry_gate = case when o.was_last then o.last_gate else t.last_entry_gate end
    from outcome o where t.id = o.id and (o.was_first or o.was_last);
end
$$;
CREATE FUNCTION public.touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.updated_at := now();
    return new;
end
$$;
CREATE FUNCTION public.unlog_entries(p_scans uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    delete from vip_scan_logs where id in (
        select logged.id from (
            select l.id, a.times, row_number() over (
                partition by l.pass_id, l.ticket_id, l.scanned_at, l.scanned_by order by l.id
            ) as number
            from (
                select subject_id, at, gate, count(*) as times from admitted_by(p_scans, true)
                group by subject_id, at, gate
            ) a
            join vip_scan_logs l on l.scanned_at = a.at and l.scanned_by = a.gate
                and (l.pass_id = a.subject_id or l.ticket_id = a.subject_id)
        ) logged where logged.number <= logged.times
    )
$$;
CREATE TABLE public.vip_guest_passes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    reservation_id uuid NOT NULL,
    guest_number integer NOT NULL,
    guest_name text,
    qr_code_token text NOT NULL,
    qr_signature text,
    code_hash text GENERATED ALWAYS AS (public.hash_of_code(qr_code_token)) STORED NOT NULL,
    status text DEFAULT 'issued'::text NOT NULL,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_guest_passes_status CHECK ((status = ANY (ARRAY['issued'::text, 'checked_in'::text, 'cancelled'::text]))),
    CONSTRAINT vip_guest_passes_times CHECK (public.is_plausible(checked_in_at))
);
CREATE TABLE public.vip_reservations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    event_vip_table_id uuid NOT NULL,
    table_number integer NOT NULL,
    purchaser_name text DEFAULT ''::text NOT NULL,
    purchaser_email text,
    purchaser_phone text,
    amount_paid_cents integer DEFAULT 0 NOT NULL,
    stripe_payment_intent_id text,
    status text DEFAULT 'pending'::text NOT NULL,
    qr_code_token text,
    invite_code text,
    package_snapshot jsonb DEFAULT '{}'::jsonb NOT NULL,
    special_requests text,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    checked_in_guests integer DEFAULT 0 NOT NULL,
    refunded_at timestamp with time zone,
    refund_amount_cents integer,
    stripe_refund_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_reservations_status CHECK ((status = ANY (ARRAY['pending'::text, 'confirmed'::text, 'checked_in'::text, 'completed'::text, 'cancelled'::text])))
);
CREATE FUNCTION public.vip_entry(p_pass public.vip_guest_passes, p_reservation public.vip_reservations, p_seats integer, p_first boolean, p_last timestamp with time zone) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    RETURN ((jsonb_build_object('success', true, 'entry_type', CASE WHEN p_first THEN 'first_entry'::text ELSE 'reentry'::text END, 'message', CASE WHEN p_first THEN 'Welcome.'::text ELSE 'Re-entry granted.'::text END, 'pass_id', (p_pass).id, 'reservation_id', (p_reservation).id, 'guest_number', (p_pass).guest_number, 'checked_in_guests', (p_reservation).checked_in_guests, 'total_guests', p_seats) || CASE WHEN p_first THEN '{}'::jsonb ELSE jsonb_build_object('last_entry_time', p_last) END))::json;
CREATE FUNCTION public.vip_pass_scan(p_pass_id uuid, p_scanned_by text, p_at timestamp with time zone) RETURNS json
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
    elsif v_reservation.status not in ('confirmed', 'checked_in') then
        return vip_refusal('RESERVATION_NOT_CONFIRMED',
            format('Table %s is %s, not confirmed.', v_reservation.table_number, v_reservation.status));
    end if;
    v_first := v_pass.status = 'issued';
    if v_first then
        update vip_guest_passes set status = 'checked_in', checked_in_at = p_at, checked_in_by = p_scanned_by
        where id = p_pass_id;
    else
        select max(scanned_at) into v_last from vip_scan_logs where pass_id = p_pass_id;
        v_last := coalesce(v_last, v_pass.checked_in_at);
        -- A late report of an earlier entry: the earlier one was the first.
        update vip_guest_passes set checked_in_at = p_at, checked_in_by = p_scanned_by
        where id = p_pass_id and (p_at, p_scanned_by) < (checked_in_at, checked_in_by);
    end if;
    insert into vip_scan_logs (pass_id, reservation_id, scan_type, scanned_by, scanned_at)
    values (p_pass_id, v_reservation.id, case when v_first then 'first_entry' else 'reentry' end,
        p_scanned_by, p_at);
    perform vip_relabel(array[p_pass_id]);
    perform vip_recount(array[v_reservation.id]);
    select * into v_reservation from vip_reservations where id = v_reservation.id;
    select vip_seats(v_reservation.package_snapshot, capacity) into v_seats
    from event_vip_tables where id = v_reservation.event_vip_table_id;
    return vip_entry(v_pass, v_reservation, v_seats, v_first, v_last);
end
$$;
CREATE FUNCTION public.vip_recount(p_reservations uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
        where r.id = any (p_reservations) and r.status in ('confirmed', 'checked_in')
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
CREATE FUNCTION public.vip_refusal(p_error text, p_message text) RETURNS json
    LANGUAGE sql IMMUTABLE
    RETURN json_build_object('success', false, 'error', p_error, 'message', p_message);
CREATE FUNCTION public.vip_relabel(p_subjects uuid[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    with label as (
        select l.id, case when
            (l.scanned_at, l.scanned_by) = (coalesce(p.checked_in_at, t.checked_in_at),
                coalesce(p.checked_in_by, t.checked_in_by, ''))
            and row_number() over (partition by l.pass_id, l.ticket_id order by l.scanned_at, l.scanned_by, l.id) = 1
            then 'first_entry' else 'reentry' end as scan_type
        from vip_scan_logs l
        left join vip_guest_passes p on p.id = l.pass_id
        left join tickets t on t.id = l.ticket_id
        where l.pass_id = any (p_subjects) or l.ticket_id = any (p_subjects)
    )
    update vip_scan_logs l set scan_type = label.scan_type from label
    where l.id = label.id and l.scan_type <> label.scan_type
$$;
CREATE FUNCTION public.vip_reservation_forward_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if (old.status, new.status) not in (
        ('pending', 'confirmed'), ('pending', 'cancelled'), ('confirmed', 'checked_in'),
        ('confirmed', 'cancelled'), ('confirmed', 'completed'), ('checked_in', 'completed')
    ) then
        raise exception 'a reservation cannot go from % to %', old.status, new.status
            using errcode = 'check_violation', hint = 'States only move forward; make a new reservation.';
    end if;
    return new;
end
$$;
CREATE FUNCTION public.vip_seats(p_package jsonb, p_capacity integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((p_package ->> 'guestCount'::text) ~ '^[0-9]{1,6}$'::text) THEN ((p_package ->> 'guestCount'::text))::integer ELSE p_capacity END;
CREATE TABLE public.admission_changes (
    event_id uuid NOT NULL,
    version bigint NOT NULL,
    "row" jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.alerts (
    number bigint NOT NULL,
    scan_id uuid NOT NULL,
    venue text NOT NULL,
    gate_id text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    CONSTRAINT alerts_time CHECK (public.is_plausible(at))
);
ALTER TABLE public.alerts ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alerts_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.audit_log (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.commands (
    id uuid NOT NULL,
    venue text NOT NULL,
    gate_id text NOT NULL,
    action text NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    key_id text NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    outcome text,
    why text DEFAULT ''::text NOT NULL,
    replied_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT commands_action CHECK ((action = ANY (ARRAY['release'::text, 'hold_open'::text, 'close'::text, 'resume'::text, 'show_text'::text, 'refetch'::text, 'restart'::text]))),
    CONSTRAINT commands_actor CHECK ((actor <> ''::text)),
    CONSTRAINT commands_life CHECK ((expires_at > issued_at)),
    CONSTRAINT commands_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'refused'::text]))),
    CONSTRAINT commands_reason CHECK ((reason <> ''::text))
);
CREATE TABLE public.event_vip_tables (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    table_number integer NOT NULL,
    table_name text DEFAULT ''::text NOT NULL,
    tier text DEFAULT 'standard'::text NOT NULL,
    price numeric(10,2) DEFAULT 0 NOT NULL,
    price_cents integer DEFAULT 0 NOT NULL,
    capacity integer NOT NULL,
    bottles_included integer DEFAULT 0 NOT NULL,
    floor_section text,
    position_x integer,
    position_y integer,
    is_available boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_vip_tables_capacity CHECK ((capacity > 0)),
    CONSTRAINT event_vip_tables_tier CHECK ((tier = ANY (ARRAY['premium'::text, 'front_row'::text, 'standard'::text])))
);
CREATE TABLE public.events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    code text NOT NULL,
    description text,
    event_date date NOT NULL,
    doors_open_at timestamp with time zone NOT NULL,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone NOT NULL,
    venue_capacity integer DEFAULT 0 NOT NULL,
    ticket_types jsonb DEFAULT '[]'::jsonb NOT NULL,
    status text DEFAULT 'scheduled'::text NOT NULL,
    admission_version bigint DEFAULT 0 NOT NULL,
    cancelled_at timestamp with time zone,
    cancelled_by text,
    cancellation_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    feed_generation bigint DEFAULT 1 NOT NULL,
    CONSTRAINT events_capacity_positive CHECK ((venue_capacity >= 0)),
    CONSTRAINT events_code_letters CHECK ((code ~ '^[A-Z]{2,6}$'::text)),
    CONSTRAINT events_generation_positive CHECK ((feed_generation > 0)),
    CONSTRAINT events_hours CHECK ((ends_at > doors_open_at)),
    CONSTRAINT events_status CHECK ((status = ANY (ARRAY['scheduled'::text, 'completed'::text, 'cancelled'::text]))),
    CONSTRAINT events_times CHECK ((public.is_plausible(doors_open_at) AND public.is_plausible(starts_at) AND public.is_plausible(ends_at)))
);
CREATE TABLE public.tickets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    ticket_id text NOT NULL,
    order_id uuid,
    event_id uuid NOT NULL,
    event_name text DEFAULT ''::text NOT NULL,
    ticket_type text DEFAULT 'General Admission'::text NOT NULL,
    status text DEFAULT 'issued'::text NOT NULL,
    is_used boolean DEFAULT false NOT NULL,
    qr_code_data text NOT NULL,
    qr_signature text,
    code_hash text GENERATED ALWAYS AS (public.hash_of_code(qr_code_data)) STORED NOT NULL,
    price_paid numeric(10,2),
    price_paid_cents integer,
    stripe_payment_id text,
    stripe_payment_intent_id text,
    line_number integer,
    guest_name text,
    guest_email text,
    guest_phone text,
    checked_in_at timestamp with time zone,
    checked_in_by text,
    last_entry_at timestamp with time zone,
    last_entry_gate text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tickets_status CHECK ((status = ANY (ARRAY['issued'::text, 'checked_in'::text, 'cancelled'::text, 'refunded'::text]))),
    CONSTRAINT tickets_times CHECK ((public.is_plausible(checked_in_at) AND public.is_plausible(last_entry_at)))
);
CREATE TABLE public.vip_linked_tickets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    vip_reservation_id uuid NOT NULL,
    order_id uuid,
    ticket_id uuid NOT NULL,
    purchased_by_email text,
    purchased_by_name text,
    is_booker_purchase boolean DEFAULT false NOT NULL,
    linked_by text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.vip_scan_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    pass_id uuid,
    ticket_id uuid,
    reservation_id uuid,
    scan_type text NOT NULL,
    scanned_by text DEFAULT 'system'::text NOT NULL,
    scanned_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vip_scan_logs_time CHECK (public.is_plausible(scanned_at)),
    CONSTRAINT vip_scan_logs_type CHECK ((scan_type = ANY (ARRAY['first_entry'::text, 'reentry'::text])))
);
CREATE VIEW public.feed_admissions AS
 SELECT t.event_id,
    t.id AS subject_id,
    jsonb_strip_nulls(jsonb_build_object('t', 'admission', 'code_hash', t.code_hash, 'subject_id', t.id, 'event_id', t.event_id, 'kind',
        CASE
            WHEN l.is_booker_purchase THEN 'vip_host'::text
            WHEN (l.id IS NOT NULL) THEN 'vip_linked'::text
            ELSE 'ga'::text
        END, 'status', t.status, 'ticket_type', t.ticket_type, 'holder', t.guest_name, 'reservation_id', l.vip_reservation_id, 'signature_hash', public.hash_of_text(t.qr_signature), 'first_entry', public.feed_entry(t.checked_in_at, t.checked_in_by), 'last_entry', public.feed_entry(COALESCE(t.last_entry_at, t.checked_in_at), COALESCE(t.last_entry_gate, t.checked_in_by)))) AS "row"
   FROM (public.tickets t
     LEFT JOIN public.vip_linked_tickets l ON ((l.ticket_id = t.id)))
UNION ALL
 SELECT r.event_id,
    p.id AS subject_id,
    jsonb_strip_nulls(jsonb_build_object('t', 'admission', 'code_hash', p.code_hash, 'subject_id', p.id, 'event_id', r.event_id, 'kind', 'vip_pass', 'status', p.status, 'holder', p.guest_name, 'reservation_id', p.reservation_id, 'guest_number', p.guest_number, 'signature_hash', public.hash_of_text(p.qr_signature), 'first_entry', public.feed_entry(p.checked_in_at, p.checked_in_by), 'last_entry', public.feed_entry(COALESCE(last.scanned_at, p.checked_in_at), COALESCE(last.scanned_by, p.checked_in_by)))) AS "row"
   FROM ((public.vip_guest_passes p
     JOIN public.vip_reservations r ON ((r.id = p.reservation_id)))
     LEFT JOIN LATERAL ( SELECT s.scanned_at,
            s.scanned_by
           FROM public.vip_scan_logs s
          WHERE (s.pass_id = p.id)
          ORDER BY s.scanned_at DESC, s.scanned_by DESC
         LIMIT 1) last ON (true));
CREATE TABLE public.feed_digests (
    event_id uuid NOT NULL,
    generation bigint NOT NULL,
    version bigint NOT NULL,
    digest text NOT NULL,
    computed_at timestamp with time zone NOT NULL
);
CREATE VIEW public.feed_events AS
 SELECT e.id AS event_id,
    jsonb_build_object('t', 'event', 'event_id', e.id, 'code', e.code, 'name', e.name, 'doors_open_at', public.feed_time(e.doors_open_at), 'ends_at', public.feed_time(e.ends_at), 'status', e.status, 'capacity', e.venue_capacity) AS "row"
   FROM public.events e;
CREATE VIEW public.feed_tables AS
 SELECT r.event_id,
    r.id AS reservation_id,
    jsonb_build_object('t', 'table', 'reservation_id', r.id, 'event_id', r.event_id, 'number', (r.table_number)::text, 'name', v.table_name, 'tier', v.tier, 'status', r.status, 'host', r.purchaser_name, 'seats', public.vip_seats(r.package_snapshot, v.capacity), 'arrived', r.checked_in_guests, 'guests', (COALESCE(passes.names, '[]'::jsonb) || COALESCE(linked.names, '[]'::jsonb))) AS "row"
   FROM (((public.vip_reservations r
     JOIN public.event_vip_tables v ON ((v.id = r.event_vip_table_id)))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(p.guest_name ORDER BY p.guest_number) AS names
           FROM public.vip_guest_passes p
          WHERE ((p.reservation_id = r.id) AND (p.status <> 'cancelled'::text) AND (p.guest_name <> ''::text))) passes ON (true))
     LEFT JOIN LATERAL ( SELECT jsonb_agg(t.guest_name ORDER BY l.created_at, l.id) AS names
           FROM (public.vip_linked_tickets l
             JOIN public.tickets t ON ((t.id = l.ticket_id)))
          WHERE ((l.vip_reservation_id = r.id) AND (NOT l.is_booker_purchase) AND (t.guest_name <> ''::text))) linked ON (true));
CREATE TABLE public.gate_events (
    gate_id text NOT NULL,
    event_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.gate_status (
    gate_id text NOT NULL,
    online boolean NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    event_id uuid,
    cache_version bigint,
    cache_age_s bigint,
    epoch text,
    last_seq bigint DEFAULT 0 NOT NULL,
    acked bigint DEFAULT 0 NOT NULL,
    unacked bigint DEFAULT 0 NOT NULL,
    oldest_unacked_s bigint,
    clock text DEFAULT 'untrusted'::text NOT NULL,
    clock_offset_ms bigint,
    clock_uncertainty_ms bigint,
    boot_id text DEFAULT ''::text NOT NULL,
    monotonic_ms bigint,
    isolated boolean DEFAULT false NOT NULL,
    door boolean,
    parts jsonb DEFAULT '{}'::jsonb NOT NULL,
    way text DEFAULT ''::text NOT NULL,
    counters jsonb DEFAULT '{}'::jsonb NOT NULL,
    held jsonb DEFAULT '[]'::jsonb NOT NULL,
    said_at timestamp with time zone,
    heard_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gate_status_clock CHECK ((clock = ANY (ARRAY['synced'::text, 'untrusted'::text]))),
    CONSTRAINT gate_status_said CHECK (public.is_plausible(said_at))
);
CREATE TABLE public.gate_watermarks (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.gates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    gate_id text NOT NULL,
    venue text NOT NULL,
    name text NOT NULL,
    certificate_fingerprint text,
    token_hash text,
    epoch text,
    version text,
    last_seen_at timestamp with time zone,
    status text DEFAULT 'active'::text NOT NULL,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gates_gate_id_topic CHECK ((gate_id ~ '^[A-Za-z0-9_.-]{1,64}$'::text)),
    CONSTRAINT gates_status CHECK ((status = ANY (ARRAY['active'::text, 'revoked'::text])))
);
CREATE TABLE public.scan_quarantine (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    topic text NOT NULL,
    gate_id text,
    epoch text,
    seq bigint,
    raw bytea NOT NULL,
    raw_hash text NOT NULL,
    raw_length integer NOT NULL,
    error text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.scan_repeats (
    gate_id text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    scan_id uuid NOT NULL,
    payload_hash text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT scan_repeats_seq_positive CHECK ((seq > 0))
);
ALTER TABLE ONLY public.admission_changes
    ADD CONSTRAINT admission_changes_pkey PRIMARY KEY (event_id, version);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_scan_key UNIQUE (scan_id);
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_number_key UNIQUE (event_id, table_number);
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_code_key UNIQUE (code);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_name_key UNIQUE (name);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.feed_digests
    ADD CONSTRAINT feed_digests_pkey PRIMARY KEY (event_id, generation, version);
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_pkey PRIMARY KEY (gate_id, event_id);
ALTER TABLE ONLY public.gate_status
    ADD CONSTRAINT gate_status_pkey PRIMARY KEY (gate_id);
ALTER TABLE ONLY public.gate_watermarks
    ADD CONSTRAINT gate_watermarks_pkey PRIMARY KEY (gate_id, epoch);
ALTER TABLE ONLY public.gates
    ADD CONSTRAINT gates_gate_id_key UNIQUE (gate_id);
ALTER TABLE ONLY public.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.scan_logs
    ADD CONSTRAINT scan_logs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.scan_logs
    ADD CONSTRAINT scan_logs_place_key UNIQUE (gate_id, epoch, seq);
ALTER TABLE ONLY public.scan_logs
    ADD CONSTRAINT scan_logs_scan_id_key UNIQUE (scan_id);
ALTER TABLE ONLY public.scan_quarantine
    ADD CONSTRAINT scan_quarantine_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.scan_repeats
    ADD CONSTRAINT scan_repeats_pkey PRIMARY KEY (gate_id, epoch, seq);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_qr_code_data_key UNIQUE (qr_code_data);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_ticket_id_key UNIQUE (ticket_id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT unique_ticket_stripe_payment UNIQUE (stripe_payment_intent_id, line_number);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_number_key UNIQUE (reservation_id, guest_number);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_qr_code_token_key UNIQUE (qr_code_token);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_ticket_key UNIQUE (ticket_id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_invite_code_key UNIQUE (invite_code);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_qr_code_token_key UNIQUE (qr_code_token);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_pkey PRIMARY KEY (id);
CREATE INDEX alerts_sent ON public.alerts USING btree (venue, gate_id, reason, sent_at) WHERE (sent_at IS NOT NULL);
CREATE INDEX alerts_waiting ON public.alerts USING btree (venue, number) WHERE (sent_at IS NULL);
CREATE INDEX audit_log_time ON public.audit_log USING btree (created_at);
CREATE INDEX commands_gate ON public.commands USING btree (gate_id, issued_at);
CREATE INDEX scan_logs_refers_to ON public.scan_logs USING btree (refers_to) WHERE (refers_to IS NOT NULL);
CREATE INDEX scan_logs_subject ON public.scan_logs USING btree (subject_id, occurred_at) WHERE (subject_id IS NOT NULL);
CREATE INDEX scan_logs_unsynced ON public.scan_logs USING btree (code_hash) WHERE ((subject_id IS NULL) AND (verdict = 'admit'::text) AND (record = 'scan'::text));
CREATE UNIQUE INDEX scan_quarantine_once ON public.scan_quarantine USING btree (public.hash_of_text(((topic || ' '::text) || raw_hash)));
CREATE INDEX scan_quarantine_place ON public.scan_quarantine USING btree (gate_id, epoch, seq) WHERE (seq IS NOT NULL);
CREATE UNIQUE INDEX tickets_code_any_case ON public.tickets USING btree (upper(qr_code_data));
CREATE INDEX tickets_code_hash ON public.tickets USING btree (code_hash);
CREATE INDEX tickets_event ON public.tickets USING btree (event_id);
CREATE UNIQUE INDEX unique_vip_stripe_payment ON public.vip_reservations USING btree (stripe_payment_intent_id) WHERE (stripe_payment_intent_id IS NOT NULL);
CREATE UNIQUE INDEX vip_guest_passes_code_any_case ON public.vip_guest_passes USING btree (upper(qr_code_token));
CREATE INDEX vip_guest_passes_code_hash ON public.vip_guest_passes USING btree (code_hash);
CREATE INDEX vip_linked_tickets_reservation ON public.vip_linked_tickets USING btree (vip_reservation_id);
CREATE INDEX vip_reservations_event ON public.vip_reservations USING btree (event_id);
CREATE INDEX vip_reservations_table ON public.vip_reservations USING btree (event_vip_table_id);
CREATE INDEX vip_scan_logs_pass ON public.vip_scan_logs USING btree (pass_id, scanned_at);
CREATE INDEX vip_scan_logs_reservation ON public.vip_scan_logs USING btree (reservation_id);
CREATE INDEX vip_scan_logs_ticket ON public.vip_scan_logs USING btree (ticket_id, scanned_at);
CREATE TRIGGER commands_touch BEFORE UPDATE ON public.commands FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER event_vip_tables_feed_update AFTER UPDATE ON public.event_vip_tables REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tables();
CREATE TRIGGER event_vip_tables_touch BEFORE UPDATE ON public.event_vip_tables FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER events_feed_insert AFTER INSERT ON public.events REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_events();
CREATE TRIGGER events_feed_update AFTER UPDATE ON public.events REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_events();
CREATE TRIGGER events_touch BEFORE UPDATE ON public.events FOR EACH ROW WHEN ((old.admission_version = new.admission_version)) EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER gate_status_touch BEFORE UPDATE ON public.gate_status FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER gates_touch BEFORE UPDATE ON public.gates FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER tickets_feed_delete AFTER DELETE ON public.tickets REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tickets();
CREATE TRIGGER tickets_feed_insert AFTER INSERT ON public.tickets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tickets();
CREATE TRIGGER tickets_feed_update AFTER UPDATE ON public.tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_tickets();
CREATE TRIGGER tickets_touch BEFORE UPDATE ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_guest_passes_feed_delete AFTER DELETE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_feed_insert AFTER INSERT ON public.vip_guest_passes REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_feed_update AFTER UPDATE ON public.vip_guest_passes REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_guest_passes();
CREATE TRIGGER vip_guest_passes_touch BEFORE UPDATE ON public.vip_guest_passes FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_linked_tickets_feed_delete AFTER DELETE ON public.vip_linked_tickets REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_feed_insert AFTER INSERT ON public.vip_linked_tickets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_feed_update AFTER UPDATE ON public.vip_linked_tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_linked_tickets();
CREATE TRIGGER vip_linked_tickets_touch BEFORE UPDATE ON public.vip_linked_tickets FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_reservations_feed_insert AFTER INSERT ON public.vip_reservations REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_reservations();
CREATE TRIGGER vip_reservations_feed_update AFTER UPDATE ON public.vip_reservations REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_reservations();
CREATE TRIGGER vip_reservations_forward BEFORE UPDATE OF status ON public.vip_reservations FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.vip_reservation_forward_only();
CREATE TRIGGER vip_reservations_touch BEFORE UPDATE ON public.vip_reservations FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at();
CREATE TRIGGER vip_scan_logs_feed_delete AFTER DELETE ON public.vip_scan_logs REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_vip_scan_logs();
CREATE TRIGGER vip_scan_logs_feed_insert AFTER INSERT ON public.vip_scan_logs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.feed_on_vip_scan_logs();
ALTER TABLE ONLY public.admission_changes
    ADD CONSTRAINT admission_changes_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.commands
    ADD CONSTRAINT commands_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.event_vip_tables
    ADD CONSTRAINT event_vip_tables_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.feed_digests
    ADD CONSTRAINT feed_digests_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.gate_events
    ADD CONSTRAINT gate_events_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.gate_status
    ADD CONSTRAINT gate_status_gate_fkey FOREIGN KEY (gate_id) REFERENCES public.gates(gate_id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.vip_guest_passes
    ADD CONSTRAINT vip_guest_passes_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_reservation_fkey FOREIGN KEY (vip_reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_linked_tickets
    ADD CONSTRAINT vip_linked_tickets_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_event_fkey FOREIGN KEY (event_id) REFERENCES public.events(id);
ALTER TABLE ONLY public.vip_reservations
    ADD CONSTRAINT vip_reservations_table_fkey FOREIGN KEY (event_vip_table_id) REFERENCES public.event_vip_tables(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_pass_fkey FOREIGN KEY (pass_id) REFERENCES public.vip_guest_passes(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES public.vip_reservations(id);
ALTER TABLE ONLY public.vip_scan_logs
    ADD CONSTRAINT vip_scan_logs_ticket_fkey FOREIGN KEY (ticket_id) REFERENCES public.tickets(id);

-- Scans from the gates: each exactly once, with its check-in, in one call per batch (protocol 4.2, 4.3).

-- A batch as rows. Each element is a scan record with its payload_hash, and its place in the batch.
create or replace function scan_rows(p_records jsonb) returns setof scan_logs
language sql stable set search_path = public, pg_temp as $$
    select r.scan_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms,
        r.verdict, r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
        r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
        r.released, r.record, r.refers_to, r.payload_hash, now()
    from jsonb_populate_recordset(null::scan_logs, p_records) r
$$;

-- Keep what is new; returns the ids of the scans that were.
create or replace function store_scans(p_records jsonb) returns uuid[]
language sql set search_path = public, pg_temp as $$
    with stored as (
        insert into scan_logs select r.* from scan_rows(p_records) r order by r.gate_id, r.epoch, r.seq
        on conflict do nothing
        returning scan_id
    )
    select coalesce(array_agg(scan_id), '{}') from stored
$$;

-- A record that differs from what its place holds, or reuses another's scan_id, is no duplicate.
create or replace function quarantine_misfits(p_records jsonb, p_topics jsonb) returns void
language sql set search_path = public, pg_temp as $$
    insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
    select coalesce(p_topics ->> r.gate_id, ''), r.gate_id, r.epoch, r.seq,
        substring(convert_to(r.raw::text, 'UTF8') for 65536), r.payload_hash, octet_length(r.raw::text),
        case when s.scan_id is null then 'this scan_id belongs to another scan'
            else 'another record is already kept for this gate, epoch and seq' end
    from (
        select e.value as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
            (e.value ->> 'seq')::bigint as seq, e.value ->> 'payload_hash' as payload_hash,
            (e.value ->> 'scan_id')::uuid as scan_id
        from jsonb_array_elements(p_records) e
    ) r
    left join scan_logs s on s.gate_id = r.gate_id and s.epoch = r.epoch and s.seq = r.seq
    where s.payload_hash is distinct from r.payload_hash
    on conflict do nothing
$$;

-- Who was let in by these scans. A code the gate did not know is found by its hash.
create or replace function admitted_by(p_scans uuid[])
returns table (scan_id uuid, subject_id uuid, at timestamptz, gate text)
language sql stable set search_path = public, pg_temp as $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.occurred_at, s.gate_id
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans) and s.verdict = 'admit' and s.record = 'scan'
$$;

-- One order for everybody who changes admissions: the event first.
create or replace function lock_events_of(p_subjects uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    select 1 from events where id in (
        select event_id from tickets where id = any (p_subjects)
        union
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = any (p_subjects)
    ) order by id for no key update
$$;

-- Log the entries of tickets that belong to a paid table; `vip_relabel` finds out which was the first.
create or replace function log_linked_entries(p_scans uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    insert into vip_scan_logs (ticket_id, reservation_id, scan_type, scanned_by, scanned_at)
    select t.id, r.id, 'reentry', a.gate, a.at
    from admitted_by(p_scans) a
    join tickets t on t.id = a.subject_id and t.status in ('issued', 'checked_in')
    join vip_linked_tickets l on l.ticket_id = t.id
    join vip_reservations r on r.id = l.vip_reservation_id and r.status in ('confirmed', 'checked_in')
    order by a.at, a.gate, a.scan_id
$$;

-- Check the tickets in. The earliest scan is the first entry in whatever order they arrive; a
-- cancelled or refunded ticket stays as it is. Locked in code order, so that two cannot deadlock.
create or replace function check_in_tickets(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- Who arrived at which table, counted from the tickets as they now are.
create or replace function recount_linked_tables(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform vip_recount(array(
        select l.vip_reservation_id from admitted_by(p_scans) a
        join vip_linked_tickets l on l.ticket_id = a.subject_id
    ));
end
$$;

create or replace function check_in_passes(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- Take in a batch of scan records (each with its payload_hash); returns how many were new.
-- p_topics: the topic each gate's records came on, for what has to be quarantined.
create or replace function ingest_scans(p_records jsonb, p_topics jsonb default '{}') returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_new uuid[] := store_scans(p_records);
    v_subjects uuid[];
begin
    if cardinality(v_new) < jsonb_array_length(p_records) then
        perform quarantine_misfits(p_records, p_topics);
    end if;
    select array_agg(subject_id) into v_subjects from admitted_by(v_new);
    if v_subjects is not null then
        perform lock_events_of(v_subjects);
        perform log_linked_entries(v_new);
        perform check_in_tickets(v_new);
        perform vip_relabel(v_subjects);
        perform recount_linked_tables(v_new);
        perform check_in_passes(v_new);
    end if;
    return cardinality(v_new);
end
$$;

-- Move a gate's watermark over everything now kept without a gap; returns it.
create or replace function advance_watermark(p_gate text, p_epoch text) returns bigint
language plpgsql set search_path = public, pg_temp as $$
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

-- What becomes of an admission (passed, annulled), what happens at the door without a scan, and what of
-- that somebody has to be told (domain 2.3; protocol 4.2, 4.3).

alter table scan_logs drop constraint if exists scan_logs_record;
alter table scan_logs add constraint scan_logs_record
check (record in ('scan', 'passed', 'annulled', 'event'));

-- actuated: the turnstile opened; null while nothing is known. annulled_at: nobody walked through, so the
-- scan is no entry. Both are told by later records of the same gate; the scan's own are as it was sent.
alter table scan_logs add column if not exists actuated boolean;
alter table scan_logs add column if not exists annulled_at timestamptz
constraint scan_logs_annulled check (is_plausible(annulled_at));
create index if not exists scan_logs_refers_to on scan_logs (refers_to) where refers_to is not null;
create index if not exists scan_logs_unsynced on scan_logs (code_hash)
where subject_id is null and verdict = 'admit' and record = 'scan';

-- A damaged journal's scans come again in its gate's next numbering. Kept once, in scan_logs under the
-- place that came first; here stand the others, so that no numbering has a hole.
create table if not exists scan_repeats (
    gate_id text not null,
    epoch text not null,
    seq bigint not null constraint scan_repeats_seq_positive check (seq > 0),
    scan_id uuid not null,
    payload_hash text not null,
    received_at timestamptz not null default now(),
    primary key (gate_id, epoch, seq)
);

-- What staff and the other gates are to be told of, one row for each record. sent_at: handed to the broker.
create table if not exists alerts (
    number bigint generated always as identity primary key,
    scan_id uuid not null constraint alerts_scan_key unique,
    venue text not null,
    gate_id text not null,
    reason text not null,
    at timestamptz not null constraint alerts_time check (is_plausible(at)),
    created_at timestamptz not null default now(),
    sent_at timestamptz
);
create index if not exists alerts_waiting on alerts (venue, number) where sent_at is null;
create index if not exists alerts_sent on alerts (venue, gate_id, reason, sent_at) where sent_at is not null;

drop function if exists scan_rows(jsonb);

-- Keep what is new; returns the ids of the scans that were.
create or replace function store_scans(p_records jsonb) returns uuid[]
language sql set search_path = public, pg_temp as $$
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

-- What a record says, whatever its place in the journal and whatever was learnt of it since.
create or replace function scan_content(p_scan scan_logs) returns jsonb
language sql stable
return to_jsonb(p_scan)
    - array['id', 'epoch', 'seq', 'payload_hash', 'received_at', 'actuated', 'annulled_at'];

-- The same scan under another number: remember the number, and count it as kept.
create or replace function keep_repeats(p_records jsonb) returns void
language sql set search_path = public, pg_temp as $$
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

-- A record that differs from what its place holds, or reuses another's scan_id, is no duplicate.
create or replace function quarantine_misfits(p_records jsonb, p_topics jsonb) returns void
language sql set search_path = public, pg_temp as $$
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

drop function if exists admitted_by(uuid[]);

-- Who was let in by these scans, or by those of them that were annulled. A code the gate did not know is
-- found by its hash.
create or replace function admitted_by(p_scans uuid[], p_annulled boolean default false)
returns table (scan_id uuid, subject_id uuid, at timestamptz, gate text)
language sql stable set search_path = public, pg_temp as $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.occurred_at, s.gate_id
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans) and s.verdict = 'admit' and s.record = 'scan'
        and (s.annulled_at is not null) = p_annulled
$$;

-- Everybody whose entry these records may change. An annulment names them itself: its scan may be in
-- another transaction still, which the event's lock then waits for.
create or replace function concerned_by(p_scans uuid[]) returns uuid[]
language sql stable set search_path = public, pg_temp as $$
    select array_agg(distinct coalesce(s.subject_id, t.id, p.id))
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans || array(
        select a.refers_to from scan_logs a where a.scan_id = any (p_scans) and a.record = 'annulled'
    )) and (s.verdict = 'admit' or s.record = 'annulled')
$$;

-- Write down at their scans what the later records among these say, and at these scans what was said
-- before they came. Only the gate that admitted may say it. Returns the scans that were entries until now.
create or replace function note_outcomes(p_new uuid[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
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

-- The log of VIP entries holds entries. The annulled scan itself stays in scan_logs.
create or replace function unlog_entries(p_scans uuid[]) returns void
language sql set search_path = public, pg_temp as $$
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

-- Tickets checked in by these annulled scans: what is left of their entries counts, at whatever gate; with
-- none left they are good again. An entry that another scan made stays as it is. Locked in code order.
create or replace function take_back_tickets(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- The same for guest passes, whose entries are all in vip_scan_logs.
create or replace function take_back_passes(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- Take back the check-ins of scans that are annulled now. A table that is checked in stays so (forward
-- only, domain 2.1); its guests are counted again.
create or replace function take_back(p_scans uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
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

-- A re-entry that is not one after all changes the last entry of its pass, like the one that came.
create or replace function feed_on_vip_scan_logs() returns trigger
language plpgsql set search_path = public, pg_temp as $$
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

create or replace trigger vip_scan_logs_feed_delete after delete on vip_scan_logs
referencing old table as old_rows for each statement execute function feed_on_vip_scan_logs();

-- Records somebody has to be told of, each once. The venue is a level of the topic they came on.
create or replace function note_alerts(p_new uuid[], p_topics jsonb) returns void
language sql set search_path = public, pg_temp as $$
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select s.scan_id, split_part(p_topics ->> s.gate_id, '/', 3), s.gate_id, s.reason, s.occurred_at
    from scan_logs s
    where s.scan_id = any (p_new) and s.record = 'event' and p_topics ? s.gate_id
        and s.reason in ('guessing', 'tamper', 'free_passage', 'intrusion', 'sensor_silent')
    order by s.gate_id, s.epoch, s.seq
    on conflict do nothing
$$;

-- Take in a batch of scan records (each with its payload_hash); returns how many were new.
-- p_topics: the topic each gate's records came on, for what has to be quarantined or told.
create or replace function ingest_scans(p_records jsonb, p_topics jsonb default '{}') returns integer
language plpgsql set search_path = public, pg_temp as $$
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

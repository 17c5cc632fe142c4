-- Taking in scans: each once, in corrected time, with its check-in, its conflicts, and what says that two
-- machines use one identity (domain 2.3; protocol 4.2, 4.3; docs/adr/0016).

-- What a record says, whatever its place in the journal and whatever was learnt of it since.
create or replace function scan_content(p_scan scan_logs) returns jsonb
language sql stable
return to_jsonb(p_scan) - array['epoch', 'seq', 'payload_hash', 'received_at', 'actuated', 'annulled_at',
    'corrected_at', 'corrected_uncertainty_ms', 'one_time_code_hash'];

-- A record that differs from what its place holds, or reuses another's scan_id, is no duplicate. One whose
-- hash alone differs is: it was taken in by a hub that knew fewer fields. Returns the gates and epochs in
-- which a place was to be used twice.
drop function if exists quarantine_misfits(jsonb, jsonb);
create or replace function quarantine_misfits(p_records jsonb, p_topics jsonb) returns jsonb
language sql set search_path = public, pg_temp as $$
    with misfit as (
        select coalesce(p_topics ->> r.gate_id, '') as topic, r.gate_id, r.epoch, r.seq, r.raw, r.payload_hash,
            coalesce(s.scan_id, p.scan_id) is not null as is_taken
        from (
            select e.value as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
                (e.value ->> 'seq')::bigint as seq, e.value ->> 'payload_hash' as payload_hash
            from jsonb_array_elements(p_records) e
        ) r
        left join scan_logs s on s.gate_id = r.gate_id and s.epoch = r.epoch and s.seq = r.seq
        left join scan_repeats p on p.gate_id = r.gate_id and p.epoch = r.epoch and p.seq = r.seq
        where coalesce(s.payload_hash, p.payload_hash) is distinct from r.payload_hash and not exists (
            select from scan_logs k
            where k.scan_id = coalesce(s.scan_id, p.scan_id)
                and scan_content(k) = scan_content(jsonb_populate_record(null::scan_logs, r.raw))
        )
    ), kept as (
        insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
        select topic, gate_id, epoch, seq, substring(convert_to(raw::text, 'UTF8') for 65536), payload_hash,
            octet_length(raw::text),
            case when is_taken then 'another record is already kept for this gate, epoch and seq'
                else 'this scan_id belongs to another scan' end
        from misfit
        on conflict do nothing
    )
    select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from misfit where is_taken
$$;

-- Numberings in which one boot goes on after another has begun: no machine does that alone.
create or replace function entangled(p_numberings jsonb) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return (
        select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from (
            select b.gate_id, b.epoch, b.last_seq,
                lead(b.first_seq) over (partition by b.gate_id, b.epoch order by b.first_seq) as next_first
            from jsonb_to_recordset(p_numberings) as n (gate_id text, epoch text)
            join boots b on b.gate_id = n.gate_id and b.epoch = n.epoch
        ) span where last_seq > next_first
    );
end
$$;

-- Two machines under one identity, or a journal that was put back: told once of a numbering.
create or replace function note_clones(p_places jsonb, p_venue text) returns void
language sql set search_path = public, pg_temp as $$
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select md5('cloned ' || gate_id || ' ' || epoch)::uuid, p_venue, gate_id, 'cloned', now()
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text)
    where p_venue <> ''
    order by gate_id, epoch
    on conflict do nothing
$$;

drop function if exists concerned_by(uuid[]);

-- Whose entries these records may change. An annulment names them itself: its scan may be in another
-- transaction still, which the event's lock then waits for. `plain`: the scans of those of whom there is nothing
-- here but the first entry of a one-time ticket, once. `codes`: the one-time codes; `strangers`: those of them
-- that no ticket here has.
create or replace function concerned_by(
    p_scans uuid[], out subjects uuid[], out plain uuid[], out codes text[], out strangers text[]
)
language plpgsql stable set search_path = public, pg_temp as $$
begin
    with named as (
        select s.scan_id, s.one_time_code_hash as code, coalesce(s.subject_id, t.id, p.id) as subject,
            s.subject_id is not null and s.one_time_code_hash is not null as is_plain,
            s.subject_id is null and t.id is null as is_stranger
        from unnest(p_scans) as asked (scan_id)
        -- one look into the index each (offset 0), whatever was planned when the table was empty
        cross join lateral (
            select * from scan_logs l where l.scan_id = asked.scan_id
                and (l.verdict = 'admit' or l.record = 'annulled') offset 0
        ) s
        -- nothing is looked up where a gate knew who it was
        left join tickets t on t.code_hash = case when s.subject_id is null then s.code_hash end
        left join vip_guest_passes p on p.code_hash = case when s.subject_id is null then s.code_hash end
    ), concerned as (
        select subject, case when count(*) = 1 and bool_and(is_plain) then (array_agg(scan_id))[1] end as scan_id
        from named where subject is not null group by subject
    )
    select coalesce(array_agg(subject), '{}'),
        coalesce(array_agg(scan_id) filter (where scan_id is not null), '{}'),
        array(select distinct code from named where code is not null),
        array(select distinct code from named where code is not null and is_stranger)
    into subjects, plain, codes, strangers
    from concerned;
end
$$;

-- Codes that no ticket here has: nothing else keeps two from counting their admissions at once.
drop function if exists lock_codes(uuid[]);
create or replace function lock_codes(p_codes text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock(key) from (
        select distinct hashtextextended('maguey code ' || code, 0) as key from unnest(p_codes) as c (code)
        order by key offset 0
    ) keys;
end
$$;

-- One order for everybody who changes admissions: the event first.
create or replace function lock_events_of(p_subjects uuid[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from events where id in (
        select event_id from tickets where id = any (p_subjects)
        union
        select r.event_id from vip_guest_passes p join vip_reservations r on r.id = p.reservation_id
        where p.id = any (p_subjects)
    ) order by id for no key update;
end
$$;

-- Who was let in by these scans, and when that was. A code the gate did not know is found by its hash.
drop function if exists admitted_by(uuid[], boolean);
create or replace function admitted_by(p_scans uuid[])
returns table (scan_id uuid, subject_id uuid, at timestamptz, gate text)
language sql stable set search_path = public, pg_temp as $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.corrected_at, s.gate_id
    from scan_logs s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.scan_id = any (p_scans) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;

drop function if exists check_in_tickets(uuid[]);

-- The usual case: the first admission of a ticket nobody has used, one scan of each. Returns the tickets it did.
create or replace function check_in_fresh(p_scans uuid[], p_doubled text[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_tickets uuid[];
begin
    with checked_in as (
        update tickets t set status = 'checked_in', is_used = true,
            checked_in_at = s.corrected_at, checked_in_by = s.gate_id, checked_in_scan = s.scan_id,
            last_entry_at = s.corrected_at, last_entry_gate = s.gate_id, last_entry_scan = s.scan_id,
            updated_at = now()
        from unnest(p_scans) as plain (scan_id)
        cross join lateral (select * from scan_logs l where l.scan_id = plain.scan_id offset 0) s
        where s.one_time_code_hash is not null and s.annulled_at is null
            and s.one_time_code_hash <> all (p_doubled)
            and t.id = s.subject_id and t.status = 'issued' and t.checked_in_at is null
        returning t.id
    )
    select array_agg(id) into v_tickets from checked_in;
    return coalesce(v_tickets, '{}');
end
$$;

-- Every admission of these tickets that still counts as one.
create or replace function ticket_entries(p_tickets uuid[])
returns table (ticket_id uuid, scan scan_logs)
language sql stable set search_path = public, pg_temp as $$
    select t.id, s from tickets t join scan_logs s on s.subject_id = t.id
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
    union all
    select t.id, s from tickets t join scan_logs s on s.subject_id is null and s.code_hash = t.code_hash
    where t.id = any (p_tickets) and s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;

-- Every other case: what a ticket's row says follows from all its admissions. Of those of a one-time ticket
-- only the winner can be its check-in; an entry made without a scan stays among them. A ticket that was
-- cancelled or refunded before anybody used it stays as it is; one whose last admission was annulled is good
-- again.
create or replace function refresh_tickets(p_tickets uuid[]) returns void
language sql set search_path = public, pg_temp as $$
    with entry as (
        select ticket_id, (scan).scan_id, (scan).corrected_at as at, (scan).gate_id as gate,
            (scan).one_time_code_hash is not null as is_one_time, as_admission(scan) as admission
        from ticket_entries(p_tickets)
    ), winner as (
        select a.ticket_id, w.scan_id from (
            select ticket_id, jsonb_agg(admission) as admissions from entry where is_one_time group by ticket_id
        ) a cross join lateral winner_of(a.admissions) w
    ), first_entry as (
        select distinct on (ticket_id) * from (
            select e.ticket_id, e.at, e.gate, e.scan_id from entry e
            where not e.is_one_time or e.scan_id in (select scan_id from winner)
            union all
            select id, checked_in_at, checked_in_by, null from tickets
            where id = any (p_tickets) and checked_in_at is not null and checked_in_scan is null
        ) candidate order by ticket_id, at, gate collate "C", scan_id
    ), last_entry as (
        select distinct on (ticket_id) * from (
            select ticket_id, at, gate, scan_id from entry
            union all
            select id, last_entry_at, last_entry_gate, null from tickets
            where id = any (p_tickets) and last_entry_at is not null and last_entry_scan is null
        ) candidate order by ticket_id, at desc, gate collate "C" desc, scan_id desc
    ), outcome as (
        select t.id, f.at is not null or t.is_used and t.checked_in_scan is null as is_used,
            case when f.at is not null and t.status = 'issued' then 'checked_in'
                when f.at is null and t.status = 'checked_in' and t.checked_in_scan is not null then 'issued'
                else t.status end as status,
            f.at, f.gate, f.scan_id, l.at as last_at, l.gate as last_gate, l.scan_id as last_scan_id
        from tickets t
        left join first_entry f on f.ticket_id = t.id
        left join last_entry l on l.ticket_id = t.id
        where t.id = any (p_tickets) and (t.status in ('issued', 'checked_in') or t.checked_in_at is not null)
    )
    update tickets t set status = o.status, is_used = o.is_used,
        checked_in_at = o.at, checked_in_by = o.gate, checked_in_scan = o.scan_id,
        last_entry_at = o.last_at, last_entry_gate = o.last_gate, last_entry_scan = o.last_scan_id
    from outcome o
    where t.id = o.id
        and (t.status, t.is_used, t.checked_in_at, t.checked_in_by, t.checked_in_scan, t.last_entry_at,
            t.last_entry_gate, t.last_entry_scan)
        is distinct from (o.status, o.is_used, o.at, o.gate, o.scan_id, o.last_at, o.last_gate, o.last_scan_id)
$$;

-- A batch of records is taken in by `ingest_scans`, in one transaction: each record is stored once, what cannot be
-- stored goes into the quarantine, and what follows from the new ones takes effect (54_settle_scans). Then the gate's
-- watermark moves (protocol 4.2, 4.3).

-- Whether a record is the first entry of a ticket that is good once.
create or replace function is_one_time(p_verdict text, p_record text, p_reason text, p_kind text) returns boolean
language sql immutable parallel safe
return p_verdict = 'admit' and p_record = 'scan' and p_reason = 'first_entry' and p_kind in ('ga', 'unknown');

-- How often one gate may admit one guest, annulled or not: nobody does so in earnest, and whatever concerns that guest
-- later looks at all of it. What is beyond is in the quarantine (`quarantine_misfits`).
create or replace function most_of_one_guest() returns bigint language sql immutable parallel safe return 200;

-- How often it has by now, no further than that; first entries of a one-time ticket, or the others.
create or replace function admitted_already(p_gate text, p_code text, p_subject uuid) returns bigint
language plpgsql stable set search_path = public, pg_temp as $$
begin
    if p_code is not null then
        return (select count(*) from (
            select from scan_places where one_time_code_hash = p_code and gate_id = p_gate limit most_of_one_guest()
        ) k);
    end if;
    return (select count(*) from (
        select from scan_logs where subject_id = p_subject and gate_id = p_gate
            and verdict = 'admit' and one_time_code_hash is null limit most_of_one_guest()
    ) k);
end
$$;

-- What this record admits for the first time on a ticket that is good once; null if it is none such.
create or replace function one_time_code_of(p_record scan_logs) returns text
language plpgsql stable set search_path = public, pg_temp as $$
begin
    if not is_one_time(p_record.verdict, p_record.record, p_record.reason, p_record.kind) then
        return null;
    end if;
    return coalesce(p_record.code_hash, (select t.code_hash from tickets t where t.id = p_record.subject_id),
        p_record.subject_id::text);
end
$$;

-- Those of these records that are not here yet, and not one admission too many of a guest.
create or replace function new_records(p_records scan_logs[]) returns scan_logs[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        with new as (
            select r as record, r.verdict = 'admit' and r.record = 'scan' as is_admission, one_time_code_of(r) as code,
                r.gate_id, r.epoch, r.seq, r.subject_id
            from unnest(p_records) r
            -- one look into the index each, whatever was planned when the table was empty
            where (select true from scan_places p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq))
                    is null
                and (select true from scan_places p where p.scan_id = r.scan_id) is null
                and (select true from scan_repeats p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq))
                    is null
        ), counted as (
            select *, row_number() over (
                partition by gate_id, coalesce(code, subject_id::text), is_admission order by epoch, seq
            ) as nth from new
        )
        select c.record from counted c
        where not c.is_admission or c.code is null and c.subject_id is null
            or c.nth <= most_of_one_guest() - case
                when (select true from scan_places p where p.one_time_code_hash = c.code limit 1) is null
                    and c.code is not null then 0
                else admitted_already(c.gate_id, c.code, c.subject_id) end
    );
end
$$;

-- Of these records, each place and each scan_id once: the first, by its number, that no earlier one of those taken
-- rules out. A gate whose journal is sound never sends two of either.
create or replace function each_once(p_records scan_logs[]) returns scan_logs[]
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_record scan_logs;
    v_once scan_logs[];
    v_taken jsonb := '{}';
    v_place text;
begin
    if (
        select count(*) = least(count(distinct (r.gate_id, r.epoch, r.seq)), count(distinct r.scan_id))
        from unnest(p_records) r
    ) then
        return p_records;
    end if;
    -- only the few that share a place or an id have to be looked at one by one
    v_once := array(
        select c.record from (
            select r as record, count(*) over (partition by r.gate_id, r.epoch, r.seq) as of_place,
                count(*) over (partition by r.scan_id) as of_id
            from unnest(p_records) r
        ) c where c.of_place = 1 and c.of_id = 1
    );
    for v_record in
        select (c.record).* from (
            select r as record, row_number() over () as place,
                count(*) over (partition by r.gate_id, r.epoch, r.seq) as of_place,
                count(*) over (partition by r.scan_id) as of_id
            from unnest(p_records) r
        ) c where c.of_place > 1 or c.of_id > 1
        order by (c.record).gate_id, (c.record).epoch, (c.record).seq, c.place
    loop
        v_place := jsonb_build_array(v_record.gate_id, v_record.epoch, v_record.seq)::text;
        if not v_taken ? v_place and not v_taken ? v_record.scan_id::text then
            v_once := v_once || v_record;
            v_taken := v_taken || jsonb_build_object(v_place, true, v_record.scan_id, true);
        end if;
    end loop;
    return v_once;
end
$$;

-- Keep these records; returns them as they are kept.
create or replace function store_records(p_records scan_logs[]) returns scan_logs[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_stored scan_logs[];
begin
    with stored as (
        insert into scan_logs (scan_id, said_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,
            reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash,
            raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to, heard,
            actor, note, payload_hash, corrected_at, corrected_uncertainty_ms, one_time_code_hash)
        select r.scan_id, r.said_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms, r.verdict,
            r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
            r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
            r.released, r.record, r.refers_to, r.heard, r.actor, r.note, r.payload_hash, r.occurred_at,
            case when r.clock = 'synced' then r.clock_uncertainty_ms end, one_time_code_of(r)
        from unnest(p_records) r
        order by r.gate_id, r.epoch, r.seq
        returning scan_logs as scan
    ), tallied as (
        insert into scan_tallies as known (gate_id, record, verdict, count)
        select (scan).gate_id, (scan).record, (scan).verdict, count(*) from stored group by 1, 2, 3 order by 1, 2, 3
        on conflict (gate_id, record, verdict) do update set count = known.count + excluded.count
    )
    select array_agg(scan) into v_stored from stored;
    return coalesce(v_stored, '{}');
end
$$;

-- Where the boots of these scans stand in their numberings. Returns the numberings whose boots' clocks may contradict
-- each other: as they were before this, so `note_clocks` comes after it.
create or replace function note_boots(p_stored scan_logs[])
returns table (gate_id text, epoch text)
language plpgsql set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    return query with spans as (
        insert into boots as known (gate_id, epoch, boot_id, first_seq, last_seq, has_untrusted)
        select s.gate_id, s.epoch, s.boot_id, min(s.seq), max(s.seq), bool_or(s.clock <> 'synced')
        from unnest(p_stored) s group by s.gate_id, s.epoch, s.boot_id
        on conflict (gate_id, epoch, boot_id) do update set
            first_seq = least(known.first_seq, excluded.first_seq),
            last_seq = greatest(known.last_seq, excluded.last_seq),
            has_untrusted = known.has_untrusted or excluded.has_untrusted
        returning gate_id, epoch, boot_id, has_untrusted, is_torn
    )
    select b.gate_id, b.epoch from spans b where b.is_torn or b.has_untrusted and (
        not exists (
            select from boots o
            where (o.gate_id, o.epoch, o.boot_id) = (b.gate_id, b.epoch, b.boot_id) and o.has_untrusted
        ) or exists (
            select from boot_clocks c join unnest(p_stored) s on (s.gate_id, s.boot_id) = (c.gate_id, c.boot_id)
            where (c.gate_id, c.boot_id) = (b.gate_id, b.boot_id)
                and s.clock = 'synced' and is_countable(s.monotonic_ms)
                and is_apart(s.occurred_at - s.monotonic_ms * interval '1 millisecond', s.monotonic_ms,
                    c.base, c.monotonic_ms)
        )
    );
end
$$;

-- What these scans say of their boots' clocks. Returns the boots whose clock is better known now, null if none.
create or replace function note_clocks(p_stored scan_logs[]) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_learnt jsonb;
begin
    with clocks as (
        insert into boot_clocks as known (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
        select distinct on (gate_id, boot_id) gate_id, boot_id,
            occurred_at - monotonic_ms * interval '1 millisecond' as base, clock_uncertainty_ms, monotonic_ms
        from unnest(p_stored)
        where clock = 'synced' and clock_uncertainty_ms between 0 and 3600000 and is_countable(monotonic_ms)
        order by gate_id, boot_id, clock_uncertainty_ms, monotonic_ms, base
        on conflict (gate_id, boot_id) do update set base = excluded.base,
            uncertainty_ms = excluded.uncertainty_ms, monotonic_ms = excluded.monotonic_ms, updated_at = now()
        where (excluded.uncertainty_ms, excluded.monotonic_ms, excluded.base)
            < (known.uncertainty_ms, known.monotonic_ms, known.base)
        returning gate_id, boot_id
    )
    select jsonb_agg(clocks) into v_learnt from clocks;
    return v_learnt;
end
$$;

-- From where on the times of these scans have to be settled; null if they are in order as they came. p_newest: the
-- last scan of each numbering before these (`newest_scans`).
create or replace function places_to_settle(p_stored scan_logs[], p_newest jsonb) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_contested jsonb := (select jsonb_object_agg(gate_id || ' ' || epoch, true) from note_boots(p_stored));
    v_places jsonb;
    v_learnt jsonb := note_clocks(p_stored);
begin
    with numbering as (
        select gate_id, epoch, min(seq) as seq, min(occurred_at) as first_at,
            bool_and(clock = 'synced' and occurred_at >= coalesce(before, occurred_at)) as is_ordered
        from (
            select s.gate_id, s.epoch, s.seq, s.clock, s.occurred_at,
                lag(s.occurred_at) over (partition by s.gate_id, s.epoch order by s.seq) as before
            from unnest(p_stored) s
        ) s group by gate_id, epoch
    ), place as (
        select n.gate_id, n.epoch, n.seq, coalesce(v_contested ? (n.gate_id || ' ' || n.epoch), false) as whole
        from numbering n
        left join jsonb_to_recordset(p_newest) as newest (gate_id text, epoch text, seq bigint, corrected_at timestamptz)
            on newest.gate_id = n.gate_id and newest.epoch = n.epoch
        where v_contested ? (n.gate_id || ' ' || n.epoch) or not (
            n.is_ordered and (newest.seq is null or newest.seq < n.seq and newest.corrected_at <= n.first_at)
        )
    )
    select jsonb_agg(place) into v_places from place;
    if v_learnt is not null then
        v_learnt := places_of_boots(v_learnt);
    end if;
    return nullif(coalesce(v_places, '[]') || coalesce(v_learnt, '[]'), '[]');
end
$$;

-- The same scan under another number: remember the number, and count it as kept.
create or replace function keep_repeats(p_records jsonb) returns void
language sql set search_path = public, pg_temp as $$
    insert into scan_repeats (gate_id, epoch, seq, scan_id, payload_hash)
    select r.gate_id, r.epoch, r.seq, r.scan_id, r.payload_hash
    from jsonb_populate_recordset(null::scan_logs, p_records) r
    cross join lateral scans_of(array[r.scan_id]) s
    where (s.epoch, s.seq) <> (r.epoch, r.seq) and scan_content(s) = scan_content(r) and not exists (
        select from scan_places o where (o.gate_id, o.epoch, o.seq) = (r.gate_id, r.epoch, r.seq)
    )
    order by r.gate_id, r.epoch, r.seq
    on conflict do nothing
$$;

-- A record that differs from what its place holds, or reuses another's scan_id, is no duplicate.
create or replace function quarantine_misfits(p_records jsonb, p_topics jsonb) returns jsonb
language sql set search_path = public, pg_temp as $$
    with misfit as (
        select coalesce(p_topics ->> r.gate_id, '') as topic, r.gate_id, r.epoch, r.seq, r.raw, r.payload_hash,
            coalesce(o.scan_id, p.scan_id) is not null as is_taken,
            not exists (select from scan_places t where t.scan_id = r.scan_id) as is_surplus
        from (
            select e.value as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
                (e.value ->> 'seq')::bigint as seq, e.value ->> 'payload_hash' as payload_hash,
                (e.value ->> 'scan_id')::uuid as scan_id
            from jsonb_array_elements(p_records) e
        ) r
        left join scan_places o on o.gate_id = r.gate_id and o.epoch = r.epoch and o.seq = r.seq
        left join lateral scans_of(array[o.scan_id]) s on true
        left join scan_repeats p on p.gate_id = r.gate_id and p.epoch = r.epoch and p.seq = r.seq
        where coalesce(s.payload_hash, p.payload_hash) is distinct from r.payload_hash and not exists (
            select from scans_of(array[coalesce(o.scan_id, p.scan_id)]) k
            where scan_content(k) = scan_content(jsonb_populate_record(null::scan_logs, r.raw))
        )
        -- what is archived is known by its name alone
        and (o.scan_id is distinct from r.scan_id or s.scan_id is not null)
    ), kept as (
        insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
        select topic, gate_id, epoch, seq, substring(convert_to(raw::text, 'UTF8') for 65536), payload_hash,
            octet_length(raw::text),
            case when is_taken then 'another record is already kept for this gate, epoch and seq'
                when is_surplus then 'this gate has admitted this guest too often to be believed'
                else 'this scan_id belongs to another scan' end
        from misfit
        on conflict do nothing
    ), alerted as (
        insert into alerts (scan_id, venue, gate_id, reason, at)
        select distinct md5(gate_id || ' admits ' || date_trunc('hour', now()))::uuid, split_part(topic, '/', 3),
            gate_id, 'flooding', now()
        from misfit where is_surplus and not is_taken and split_part(topic, '/', 3) <> ''
        on conflict do nothing
    )
    select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from misfit where is_taken
$$;

-- Records that somebody has to be alerted to, each once. The venue is a level of the topic they came on.
create or replace function note_alerts(p_stored scan_logs[], p_topics jsonb) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select s.scan_id, split_part(p_topics ->> s.gate_id, '/', 3), s.gate_id, s.reason, s.occurred_at
    from unnest(p_stored) s
    where s.record = 'event' and p_topics ? s.gate_id
        and s.reason in ('guessing', 'tamper', 'free_passage', 'intrusion', 'sensor_silent')
    order by s.gate_id, s.epoch, s.seq
    on conflict do nothing;
end
$$;

-- Numberings in which one boot goes on after another has begun: no machine does that alone.
create or replace function numberings_of_two_machines(p_numberings jsonb) returns jsonb
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

-- Two machines under one identity, or a journal that was put back: one alert for a numbering.
create or replace function note_clones(p_places jsonb, p_venue text) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    if p_places is null or coalesce(p_venue, '') = '' then
        return;
    end if;
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select md5('cloned ' || gate_id || ' ' || epoch)::uuid, p_venue, gate_id, 'cloned', now()
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text)
    order by gate_id, epoch
    on conflict do nothing;
end
$$;

-- Of the gates of a batch, those that were revoked.
create or replace function revoked_of(p_topics jsonb) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        select gate_id from gates
        where gate_id = any (array(select jsonb_object_keys(p_topics)))
            and (status = 'revoked' or revoked_at is not null)
    );
end
$$;

-- Of a batch, what still counts. The records of gates that were revoked before it came are kept in the quarantine,
-- which also counts for how far a gate's journal is here: it has nothing to say again. What had been taken in
-- before is known, and is no evidence of anything. p_topics: as in `ingest_scans`, whose locks are held: so a gate
-- is revoked either before all of a batch or after it.
create or replace function without_revoked(p_records json, p_topics jsonb) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_revoked text[] := revoked_of(p_topics);
    v_rest json;
begin
    if cardinality(v_revoked) = 0 then
        return p_records;
    end if;
    insert into scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error)
    select p_topics ->> r.gate_id, r.gate_id, r.epoch, r.seq, substring(convert_to(r.raw, 'UTF8') for 65536),
        r.payload_hash, octet_length(r.raw), 'the gate was revoked before this came'
    from (
        select e.value::text as raw, e.value ->> 'gate_id' as gate_id, e.value ->> 'epoch' as epoch,
            (e.value ->> 'seq')::bigint as seq, (e.value ->> 'scan_id')::uuid as scan_id,
            e.value ->> 'payload_hash' as payload_hash
        from json_array_elements(p_records) e
    ) r
    where r.gate_id = any (v_revoked) and not exists (
        select from scan_places o left join lateral scans_of(array[o.scan_id]) s on true
        where (o.gate_id, o.epoch, o.seq, o.scan_id) = (r.gate_id, r.epoch, r.seq, r.scan_id)
            -- what is archived is known by its name alone
            and coalesce(s.payload_hash, r.payload_hash) = r.payload_hash
    ) and not exists (
        select from scan_repeats p
        where (p.gate_id, p.epoch, p.seq, p.payload_hash) = (r.gate_id, r.epoch, r.seq, r.payload_hash)
    )
    on conflict do nothing;
    select json_agg(e.value) into v_rest from json_array_elements(p_records) e
    where e.value ->> 'gate_id' <> all (v_revoked);
    return coalesce(v_rest, '[]');
end
$$;

-- Of these gates, those whose word counts.
create or replace function gates_that_count(p_gates text[]) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        select gate_id from gates where gate_id = any (p_gates) and status = 'active' and revoked_at is null
    );
end
$$;

-- Move a gate's watermark over everything now kept without a gap; returns it.
create or replace function advance_watermark(p_gate text, p_epoch text) returns bigint
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
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
                (select seq from scan_places where gate_id = p_gate and epoch = p_epoch and seq > v_seq
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

-- Take in a batch of scan records (each with its payload_hash); returns how many were new. Gates that were revoked are
-- left out. p_topics: the topic each gate's records came on, all of them: they are locked by it, and what has to be
-- quarantined or reported names it. The settings: plans are made once, for tables that are empty then and large before
-- anybody has counted them again.
create or replace function ingest_scans(p_records json, p_topics jsonb) returns integer
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_venue text := (select split_part(value, '/', 3) from jsonb_each_text(p_topics) order by key limit 1);
    v_records scan_logs[];
    v_newest jsonb;
    v_stored scan_logs[];
    v_numberings jsonb;
begin
    perform lock_gates(array(select jsonb_object_keys(p_topics)));
    v_records := array(select r from json_populate_recordset(null::scan_logs, p_records) r);
    if not are_names_new(v_records) or cardinality(revoked_of(p_topics)) > 0 then
        p_records := without_revoked(with_hub_scan_ids(p_records), p_topics);
        v_records := array(select r from json_populate_recordset(null::scan_logs, p_records) r);
    end if;
    v_newest := newest_scans(v_records);
    v_stored := store_records(each_once(new_records(v_records)));
    if cardinality(v_stored) < cardinality(v_records) then
        perform keep_repeats(p_records::jsonb);
        perform note_clones(quarantine_misfits(p_records::jsonb, p_topics), v_venue);
    end if;
    if cardinality(v_stored) > 0 then
        v_numberings := (
            select jsonb_agg(distinct jsonb_build_object('gate_id', s.gate_id, 'epoch', s.epoch)) from unnest(v_stored) s
        );
        perform renew_settlings(v_numberings);
        perform settle_scans(v_stored, places_to_settle(v_stored, v_newest), v_venue);
        perform note_clones(numberings_of_two_machines(v_numberings), v_venue);
        perform note_alerts(v_stored, p_topics);
    end if;
    return cardinality(v_stored);
end
$$;

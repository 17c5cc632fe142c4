-- Taking in scans and asking for one by its scan_id or its place, as before, but through scan_places: of all
-- the months only the one it is in is looked at (docs/adr/0021).

-- When the first of the scans from these places on, and of those just before them, came: months before that are
-- not opened.
create or replace function received_since(p_places jsonb) returns timestamptz
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return (
        select min(k.received_at) from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
        cross join lateral (
            select o.received_at from scan_places o
            where o.gate_id = p.gate_id and o.epoch = p.epoch and o.seq >= p.seq
            union all (
                select o.received_at from scan_places o
                where o.gate_id = p.gate_id and o.epoch = p.epoch and o.seq < p.seq order by o.seq desc limit 1
            )
        ) k
    );
end
$$;

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

-- Keep what is new, where its boot stands, and what it tells of its boot's clock. `fresh`: the scans that
-- were new; `told`: those of which they tell what became, `annulled`: that they were none; `numberings`: gates and epochs;
-- `places`: from where on times are to be settled, null if they are in order as they came; `learnt`: boots
-- whose clock is better known; `has_events`: something may have to be told.
-- `json`, here and in `ingest_scans`: to be read once, and never kept.
create or replace function store_records(
    p_records json, out fresh uuid[], out told uuid[], out annulled uuid[], out numberings jsonb,
    out places jsonb, out learnt jsonb, out has_events boolean
)
language plpgsql set search_path = public, pg_temp as $$
begin
    with new as (
        select r.*, case when is_one_time(r.verdict, r.record, r.reason, r.kind) then coalesce(
            r.code_hash, (select t.code_hash from tickets t where t.id = r.subject_id), r.subject_id::text
        ) end as code
        from json_populate_recordset(null::scan_logs, p_records) r
        where not exists (
            select from scan_repeats p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq)
        )
        -- one look into the index each, whatever was planned when the table was empty
        and (select true from scan_places p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq)) is null
        and (select true from scan_places p where p.scan_id = r.scan_id) is null
    ), counted as (
        select *, row_number() over (
            partition by gate_id, coalesce(code, subject_id::text), verdict, record order by epoch, seq
        ) as nth from new
    ), stored as (
        insert into scan_logs (scan_id, said_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,
            reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash,
            raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to, heard,
            actor, note, payload_hash, corrected_at, corrected_uncertainty_ms, one_time_code_hash)
        select r.scan_id, r.said_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms, r.verdict,
            r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
            r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
            r.released, r.record, r.refers_to, r.heard, r.actor, r.note, r.payload_hash, r.occurred_at,
            case when r.clock = 'synced' then r.clock_uncertainty_ms end, r.code
        from counted r
        where r.verdict <> 'admit' or r.record <> 'scan' or r.code is null and r.subject_id is null
            or r.nth <= most_of_one_guest() - admitted_already(r.gate_id, r.code, r.subject_id)
        order by r.gate_id, r.epoch, r.seq
        on conflict do nothing
        returning scan_id, gate_id, epoch, seq, boot_id, clock, occurred_at, monotonic_ms, clock_uncertainty_ms,
            record, refers_to
    ), spans as (
        insert into boots as known (gate_id, epoch, boot_id, first_seq, last_seq, has_untrusted)
        select gate_id, epoch, boot_id, min(seq), max(seq), bool_or(clock <> 'synced')
        from stored group by gate_id, epoch, boot_id
        on conflict (gate_id, epoch, boot_id) do update set
            first_seq = least(known.first_seq, excluded.first_seq),
            last_seq = greatest(known.last_seq, excluded.last_seq),
            has_untrusted = known.has_untrusted or excluded.has_untrusted
        returning gate_id, epoch, boot_id, has_untrusted, is_torn
    ), contested as (
        -- boots and clocks: as they were before this statement
        select gate_id, epoch from spans b where is_torn or has_untrusted and (
            not exists (
                select from boots o
                where (o.gate_id, o.epoch, o.boot_id) = (b.gate_id, b.epoch, b.boot_id) and o.has_untrusted
            ) or exists (
                select from boot_clocks c join stored s on (s.gate_id, s.boot_id) = (c.gate_id, c.boot_id)
                where (c.gate_id, c.boot_id) = (b.gate_id, b.boot_id)
                    and s.clock = 'synced' and is_countable(s.monotonic_ms)
                    and is_apart(s.occurred_at - s.monotonic_ms * interval '1 millisecond', s.monotonic_ms,
                        c.base, c.monotonic_ms)
            )
        )
    ), clocks as (
        insert into boot_clocks as known (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
        select distinct on (gate_id, boot_id) gate_id, boot_id,
            occurred_at - monotonic_ms * interval '1 millisecond' as base, clock_uncertainty_ms, monotonic_ms
        from stored
        where clock = 'synced' and clock_uncertainty_ms between 0 and 3600000 and is_countable(monotonic_ms)
        order by gate_id, boot_id, clock_uncertainty_ms, monotonic_ms, base
        on conflict (gate_id, boot_id) do update set base = excluded.base,
            uncertainty_ms = excluded.uncertainty_ms, monotonic_ms = excluded.monotonic_ms, updated_at = now()
        where (excluded.uncertainty_ms, excluded.monotonic_ms, excluded.base)
            < (known.uncertainty_ms, known.monotonic_ms, known.base)
        returning gate_id, boot_id
    ), numbering as (
        select gate_id, epoch, min(seq) as seq, min(occurred_at) as first_at,
            bool_and(clock = 'synced' and occurred_at >= coalesce(before, occurred_at)) as is_ordered
        from (
            select stored.*, lag(occurred_at) over (partition by gate_id, epoch order by seq) as before
            from stored
        ) s group by gate_id, epoch
    ), place as (
        select n.gate_id, n.epoch, n.seq, (n.gate_id, n.epoch) in (select gate_id, epoch from contested) as whole
        from numbering n
        -- as it was before this statement
        cross join lateral newest_scan(n.gate_id, n.epoch) newest
        where not (n.is_ordered and (newest.seq is null or newest.seq < n.seq and newest.corrected_at <= n.first_at))
            or (n.gate_id, n.epoch) in (select gate_id, epoch from contested)
    )
    select coalesce(array_agg(scan_id), '{}'),
        coalesce(array_agg(scan_key(gate_id, refers_to)) filter (where record in ('passed', 'annulled')), '{}'),
        coalesce(array_agg(scan_key(gate_id, refers_to)) filter (where record = 'annulled'), '{}'),
        (select jsonb_agg(jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from numbering),
        (select jsonb_agg(place) from place),
        (select jsonb_agg(clocks) from clocks),
        coalesce(bool_or(record = 'event'), false)
    into fresh, told, annulled, numberings, places, learnt, has_events
    from stored;
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
    ), told as (
        insert into alerts (scan_id, venue, gate_id, reason, at)
        select distinct md5(gate_id || ' admits ' || date_trunc('hour', now()))::uuid, split_part(topic, '/', 3),
            gate_id, 'flooding', now()
        from misfit where is_surplus and not is_taken and split_part(topic, '/', 3) <> ''
        on conflict do nothing
    )
    select jsonb_agg(distinct jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from misfit where is_taken
$$;

-- Records somebody has to be told of, each once. The venue is a level of the topic they came on.
create or replace function note_alerts(p_new uuid[], p_topics jsonb) returns void
language sql set search_path = public, pg_temp as $$
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select s.scan_id, split_part(p_topics ->> s.gate_id, '/', 3), s.gate_id, s.reason, s.occurred_at
    from scans_of(p_new) s
    where s.record = 'event' and p_topics ? s.gate_id
        and s.reason in ('guessing', 'tamper', 'free_passage', 'intrusion', 'sensor_silent')
    order by s.gate_id, s.epoch, s.seq
    on conflict do nothing
$$;

-- Whose entries these records may change. An annulment names them itself: its scan may be in another
-- transaction still, which the event's lock then waits for. `plain`: the scans of those of whom there is nothing
-- here but the first entry of a one-time ticket, once. `codes`: the one-time codes; `strangers`: those of them
-- that no ticket here has.
create or replace function concerned_by(
    p_scans uuid[], out subjects uuid[], out plain uuid[], out codes text[], out strangers text[]
)
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_since timestamptz;
    v_until timestamptz;
begin
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    with named as (
        select s.scan_id, s.one_time_code_hash as code, coalesce(s.subject_id, t.id, p.id) as subject,
            s.subject_id is not null and s.one_time_code_hash is not null as is_plain,
            s.subject_id is null and t.id is null as is_stranger
        from unnest(p_scans) as asked (scan_id)
        -- one look into the index each (offset 0), whatever was planned when the table was empty
        cross join lateral (
            select * from scan_logs l where l.scan_id = asked.scan_id
                and l.received_at between v_since and v_until
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

-- These places; from the beginning of the boot where a measured time goes back beyond doubt, or where the boot's
-- clocks may contradict each other (`whole`, or torn): who was wrong is seen from all of the boot only (`unsettled`).
create or replace function widened(p_places jsonb) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_since timestamptz := received_since(p_places);
begin
    return (select jsonb_agg(jsonb_build_object('gate_id', p.gate_id, 'epoch', p.epoch,
        'seq', case when torn.is_so or before.last_seq >= p.seq and (before.is_torn or p.whole)
            then before.first_seq else p.seq end))
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint, whole boolean)
    left join lateral (
        select l.boot_id, l.corrected_at, b.first_seq, b.last_seq, b.is_torn from scan_logs l
        join boots b on b.gate_id = l.gate_id and b.epoch = l.epoch and b.boot_id = l.boot_id
        where l.gate_id = p.gate_id and l.epoch = p.epoch and l.seq < p.seq
            and l.received_at >= v_since
        order by l.seq desc limit 1
    ) before on true
    left join lateral (
        select bool_or(t.at + give_or_take(t.uncertainty_ms) < greatest(t.latest, before.corrected_at)) as is_so
        from (
            select s.*, max(s.at) filter (where s.is_heard) over (order by s.seq) as latest from scan_times s
            where s.gate_id = p.gate_id and s.epoch = p.epoch and s.seq between p.seq and before.last_seq
                and s.boot_id = before.boot_id and s.received_at >= v_since
        ) t where t.is_heard
    ) torn on true);
end
$$;

-- The times that are not what they should be, from these places on (`widened`). Numbers are the order in which
-- things happened: no record is before the one before it, of the same boot, or, if nobody knows its time, of any.
-- Where measured times of one boot contradict that beyond doubt, the hub was wrong about its own time
-- for a while: those that most of the boot does not agree with, by more than half a minute, do not count, and
-- lie between their neighbours, as uncertain as they were wrong. Where the boot's clock is not what most of the
-- boot's measured times agree with, its unmeasured records are placed by the best of these.
create or replace function unsettled(p_places jsonb)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language plpgsql stable set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_since timestamptz := received_since(p_places);
begin
    return query with place as (
        select gate_id, epoch, min(seq) as seq
        from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint) group by gate_id, epoch
    ), link as (
        -- offset 0: place by place, never all of the table
        select s.*, false as is_anchor from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq >= p.seq
                and t.received_at >= v_since
            order by t.seq offset 0
        ) s
        union all
        select s.scan_id, s.gate_id, s.epoch, s.seq, s.boot_id, s.corrected_at, s.corrected_uncertainty_ms,
            s.is_heard, s.corrected_at, s.corrected_uncertainty_ms, null, s.monotonic_ms, null, null, null,
            s.received_at, true
        from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq < p.seq
                and t.received_at >= v_since
            order by t.seq desc limit 1
        ) s
    ), marked as (
        select link.*, is_heard
            and boot_id is distinct from lag(boot_id) over (partition by gate_id, epoch order by seq) as is_start,
            count(base) over (
                partition by gate_id, epoch, boot_id order by base
                range between '30 seconds' preceding and '30 seconds' following
            ) as company
        from link
    ), chained as (
        select marked.*,
            count(*) filter (where is_start) over (partition by gate_id, epoch order by seq) as chain,
            first_value(base) over best as common, first_value(monotonic_ms) over best as common_monotonic_ms,
            first_value(uncertainty_ms) over best as common_uncertainty_ms
        from marked
        window best as (partition by gate_id, epoch, boot_id order by company desc, uncertainty_ms, seq)
    ), placed as (
        select scan_id, gate_id, epoch, seq, boot_id, corrected_at, corrected_uncertainty_ms, is_heard, is_anchor,
            chain, base, monotonic_ms, common, common_monotonic_ms,
            case when by_common.is_so then after_boot(common, monotonic_ms) else at end as at,
            case when by_common.is_so
                then common_uncertainty_ms + ceil(abs(monotonic_ms - common_monotonic_ms) / 10000.0)::bigint
                else uncertainty_ms end as uncertainty_ms
        from chained cross join lateral (
            select coalesce(is_apart(clock_base, clock_monotonic_ms, common, common_monotonic_ms,
                give_or_take(clock_uncertainty_ms)), false) as is_so
        ) by_common
    ), compared as (
        select placed.*, give_or_take(uncertainty_ms) as give, coalesce(is_apart(
            base, monotonic_ms, common, common_monotonic_ms, give_or_take(uncertainty_ms)), false) as is_apart
        from placed
    ), judged as (
        select compared.*, is_apart and coalesce(
            max(at - give) filter (where is_heard and not is_apart) over earlier > at + give
            or min(at + give) filter (where is_heard and not is_apart) over later < at - give, false) as is_wrong
        from compared
        window earlier as (partition by gate_id, epoch, boot_id order by seq
                rows between unbounded preceding and 1 preceding),
            later as (partition by gate_id, epoch, boot_id order by seq desc
                rows between unbounded preceding and 1 preceding)
    ), settled as (
        select judged.*, coalesce(
            max(at) filter (where not is_wrong) over (partition by gate_id, epoch, chain order by seq),
            min(at) filter (where is_heard and not is_wrong) over (partition by gate_id, epoch, boot_id)
        ) as settled_at
        from judged
    )
    select s.scan_id, s.settled_at, u.ms
    from settled s
    cross join lateral (
        select s.uncertainty_ms + ceil(abs(extract(epoch from s.settled_at - s.at)) * 1000)::bigint as ms
    ) u
    where not s.is_anchor
        and (s.settled_at, u.ms) is distinct from (s.corrected_at, s.corrected_uncertainty_ms);
end
$$;

-- From these places on, boots whose clocks contradict each other and are not yet known for it. They do where a
-- measured time was moved by more than it may be off, or is apart from the clock that places the unmeasured; and where
-- one of these was moved.
create or replace function torn_boots(p_places jsonb)
returns table (gate_id text, epoch text, boot_id text)
language plpgsql stable set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_since timestamptz := received_since(p_places);
begin
    return query select b.gate_id, b.epoch, b.boot_id
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
    join boots b on b.gate_id = p.gate_id and b.epoch = p.epoch and b.last_seq >= p.seq and not b.is_torn
    where exists (
        select from scan_times t
        left join boot_clocks c on b.has_untrusted and c.gate_id = b.gate_id and c.boot_id = b.boot_id
        where t.gate_id = b.gate_id and t.epoch = b.epoch and t.boot_id = b.boot_id and t.is_heard
            and t.seq between greatest(b.first_seq, p.seq) and b.last_seq and t.received_at >= v_since
            and (is_apart(t.base, t.monotonic_ms, c.base, c.monotonic_ms)
                or abs(extract(epoch from t.corrected_at - t.at)) > extract(epoch from
                    case when t.base is null then interval '0' else give_or_take(t.uncertainty_ms) end))
    );
end
$$;

-- Keep of each boot from these places on whether its clocks contradict each other (`torn_boots`).
create or replace function note_torn(p_places jsonb) returns void
language sql set search_path = public, pg_temp as $$
    update boots b set is_torn = true from torn_boots(p_places) t
    where (b.gate_id, b.epoch, b.boot_id) = (t.gate_id, t.epoch, t.boot_id)
$$;

create or replace function admitted_by(p_scans uuid[])
returns table (scan_id uuid, subject_id uuid, at timestamptz, gate text)
language sql stable set search_path = public, pg_temp as $$
    select s.scan_id, coalesce(s.subject_id, t.id, p.id), s.corrected_at, s.gate_id
    from scans_of(p_scans) s
    left join tickets t on s.subject_id is null and t.code_hash = s.code_hash
    left join vip_guest_passes p on s.subject_id is null and p.code_hash = s.code_hash
    where s.verdict = 'admit' and s.record = 'scan' and s.annulled_at is null
$$;

-- The usual case: the first admission of a ticket nobody has used, one scan of each. Returns the tickets it did.
create or replace function check_in_fresh(p_scans uuid[], p_doubled text[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_tickets uuid[];
    v_since timestamptz;
    v_until timestamptz;
begin
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    with checked_in as (
        update tickets t set status = 'checked_in', is_used = true,
            checked_in_at = s.corrected_at, checked_in_by = s.gate_id, checked_in_scan = s.scan_id,
            last_entry_at = s.corrected_at, last_entry_gate = s.gate_id, last_entry_scan = s.scan_id,
            updated_at = now()
        from unnest(p_scans) as plain (scan_id)
        cross join lateral (
            select * from scan_logs l
            where l.scan_id = plain.scan_id and l.received_at between v_since and v_until offset 0
        ) s
        where s.one_time_code_hash is not null and s.annulled_at is null
            and s.one_time_code_hash <> all (p_doubled)
            and t.id = s.subject_id and t.status = 'issued' and t.checked_in_at is null
        returning t.id
    )
    select array_agg(id) into v_tickets from checked_in;
    return coalesce(v_tickets, '{}');
end
$$;

create or replace function note_outcomes(p_new uuid[], p_told uuid[]) returns uuid[]
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scans uuid[];
    v_telling uuid[];
    v_taken_back uuid[];
begin
    v_scans := array_remove(p_told, null) || array(
        select asked.scan_id from unnest(p_new) as asked (scan_id)
        -- one look into the index each (offset 0)
        cross join lateral (
            select p.gate_id, coalesce(p.said_id, p.scan_id) as said from scan_places p
            where p.scan_id = asked.scan_id offset 0
        ) k
        cross join lateral (
            select from scan_places l where l.refers_to = k.said and l.gate_id = k.gate_id offset 0
        ) told
    );
    if cardinality(v_scans) = 0 then
        return '{}';
    end if;
    perform 1 from (
        select scan_id, received_at from scan_places where scan_id = any (v_scans) order by scan_id offset 0
    ) p cross join lateral (
        select from scan_logs l where l.scan_id = p.scan_id and l.received_at = p.received_at
        for no key update offset 0
    ) locked;
    v_telling := array(
        select distinct l.scan_id from scan_places k
        join scan_places l on l.refers_to = coalesce(k.said_id, k.scan_id) and l.gate_id = k.gate_id
        where k.scan_id = any (v_scans)
    );
    with outcome as (
        select l.refers_to, l.gate_id, bool_or(l.reason <> 'not_opened') as actuated,
            min(l.occurred_at) filter (where l.record = 'annulled') as annulled_at
        from scans_of(v_telling) l where l.record in ('passed', 'annulled')
        group by l.refers_to, l.gate_id
    ), noted as (
        update scan_logs s set actuated = o.actuated, annulled_at = o.annulled_at
        from outcome o cross join lateral scans_of(array[scan_key(o.gate_id, o.refers_to)]) before
        where s.scan_id = before.scan_id and s.received_at = before.received_at and s.gate_id = o.gate_id
            and s.record = 'scan' and s.verdict = 'admit'
            and (s.actuated, s.annulled_at) is distinct from (o.actuated, o.annulled_at)
        returning s.scan_id, before.annulled_at is null and s.annulled_at is not null as is_taken_back
    )
    select array_agg(scan_id) into v_taken_back from noted where is_taken_back and scan_id <> all (p_new);
    return coalesce(v_taken_back, '{}');
end
$$;

-- The answer to a claim, as protocol 4.2 has it, without who may ask and what was answered before; or, with
-- 'lend', the home gate that has to be asked first. p_heard: the gates that are there to be asked.
create or replace function claim_answer(
    p_gate text, p_epoch text, p_code_hash text, p_event uuid, p_heard text[], p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_subject record;
    v_event events;
    v_entry jsonb;
    v_home text;
begin
    select * into v_subject from claim_subject(p_code_hash);
    perform pg_advisory_xact_lock_shared(homes_key(p_event));
    select * into v_event from events where id = p_event;
    if v_subject.event_id <> p_event or v_subject.is_unpaid or v_subject.status in ('cancelled', 'refunded') then
        return jsonb_build_object('answer', 'revoked', 'status', v_subject.status);
    elsif v_event.status = 'cancelled' then
        return jsonb_build_object('answer', 'revoked', 'status', 'cancelled');
    elsif v_subject.is_perk then
        return jsonb_build_object('answer', 'granted', 'perk', true);
    end if;
    v_entry := claim_holder(p_gate, p_epoch, p_code_hash, p_now);
    if v_subject.status is null and v_entry is null then
        select claim_entry_of(coalesce(s.corrected_at, s.occurred_at), s.gate_id, s.scan_id) into v_entry
        from scans_of(array(select scan_id from scan_places where one_time_code_hash = p_code_hash)) s
        where s.annulled_at is null
        order by s.corrected_at, s.gate_id limit 1;
    end if;
    if v_subject.status = 'checked_in' or v_entry is not null then
        return jsonb_build_object('answer', 'taken', 'entry', coalesce(v_subject.entry, v_entry));
    end if;
    if v_event.isolation_policy = 'home_gate' then
        v_home := home_of(p_code_hash, v_event.home_gates, v_event.retired_gates);
        if v_home <> p_gate and not exists (
            select from lends where code_hash = p_code_hash and gate_id = v_home and lent
        ) then
            return jsonb_build_object(case when v_home = any (p_heard) then 'lend' else 'home' end, v_home)
                || jsonb_build_object('answer', 'elsewhere');
        end if;
    end if;
    return jsonb_build_object('answer', 'granted');
end
$$;

-- Of these codes, those admitted more than once.
create or replace function doubled(p_codes text[]) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_codes text[];
begin
    v_codes := array(
        select code from unnest(p_codes) as asked (code) where (
            select count(*) from (select from scan_places where one_time_code_hash = code limit 2) admission
        ) > 1
    );
    if cardinality(v_codes) = 0 then
        return '{}';
    end if;
    return array(
        select s.one_time_code_hash
        from scans_of(array(select scan_id from scan_places where one_time_code_hash = any (v_codes))) s
        where s.annulled_at is null group by s.one_time_code_hash having count(*) > 1
    );
end
$$;

-- Those of these guests who may come again: the log of their entries, and how many are at their tables. A
-- table that is checked in stays so (forward only, domain 2.1). The annulled scan itself stays in scan_logs.
create or replace function settle_vip(
    p_guests uuid[], p_fresh uuid[], p_moved uuid[], p_taken_back uuid[]
) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from vip_guest_passes where id = any (p_guests) order by qr_code_token for no key update;
    delete from vip_scan_logs where scan_id = any (p_taken_back);
    update vip_scan_logs l set scanned_at = s.corrected_at from scans_of(p_moved) s
    where l.scan_id = s.scan_id and l.scanned_at <> s.corrected_at;
    perform refresh_passes(p_guests);
    perform log_linked_entries(p_fresh);
    perform check_in_passes(p_fresh);
    perform vip_relabel(p_guests);
    perform vip_recount(array(
        select vip_reservation_id from vip_linked_tickets where ticket_id = any (p_guests)
        union
        select reservation_id from vip_guest_passes where id = any (p_guests)
    ));
end
$$;

-- Make the rows of one code what its admissions now are. A row whose loser is none any more takes on a
-- loser that has no row, which is nothing new to anybody; what is left over is withdrawn, what is missing
-- is made, and told to the venue.
create or replace function pair_admissions(p_code text, p_venue text) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_winner uuid;
    v_rule text;
    v_losers uuid[];
    v_scans uuid[] := array(select scan_id from scan_places where one_time_code_hash = p_code);
begin
    select w.scan_id, w.rule into v_winner, v_rule from (
        select jsonb_agg(as_admission(s)) as admissions from scans_of(v_scans) s
        where s.annulled_at is null
    ) a cross join lateral winner_of(a.admissions) w;
    select coalesce(array_agg(s.scan_id), '{}') into v_losers from scans_of(v_scans) s
    where s.annulled_at is null and s.scan_id <> v_winner;

    with idle as (
        select c.id, row_number() over (order by c.created_at, c.id) as place from scan_conflicts c
        where c.code_hash = p_code and c.withdrawn_at is null and c.loser_scan <> all (v_losers)
    ), unpaired as (
        select l.scan_id, row_number() over (order by l.scan_id) as place from unnest(v_losers) as l (scan_id)
        where not exists (
            select from scan_conflicts c where c.loser_scan = l.scan_id and c.withdrawn_at is null
        )
    ), put_right as (
        update scan_conflicts c set
            winner_scan = case when paired.is_over then c.winner_scan else v_winner end,
            loser_scan = coalesce(paired.loser_scan, c.loser_scan),
            rule = case when paired.is_over then c.rule else v_rule end,
            withdrawn_at = case when paired.is_over then now() end,
            -- who looked at it did not see this one
            acknowledged_by = case when paired.loser_scan is null then c.acknowledged_by end,
            acknowledged_at = case when paired.loser_scan is null then c.acknowledged_at end
        from (
            select kept.id, u.scan_id as loser_scan, i.id is not null and u.scan_id is null as is_over
            from scan_conflicts kept
            left join idle i on i.id = kept.id
            left join unpaired u on u.place = i.place
            where kept.code_hash = p_code and kept.withdrawn_at is null
        ) paired
        where c.id = paired.id and (paired.is_over
            or (c.winner_scan, c.loser_scan, c.rule)
                is distinct from (v_winner, coalesce(paired.loser_scan, c.loser_scan), v_rule))
    ), made as (
        insert into scan_conflicts (code_hash, ticket_id, winner_scan, loser_scan, rule)
        select p_code, (select id from tickets where code_hash = p_code order by id limit 1), v_winner,
            u.scan_id, v_rule
        from unpaired u where u.place > (select count(*) from idle)
        returning id, winner_scan
    )
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select m.id, p_venue, w.gate_id, 'conflict', w.corrected_at
    from made m cross join lateral scans_of(array[m.winner_scan]) w
    where p_venue <> '';
    -- nobody need be told of what was over before anybody was
    delete from alerts a using scan_conflicts c
    where c.code_hash = p_code and c.withdrawn_at is not null and a.scan_id = c.id and a.sent_at is null;
end
$$;

-- Let these new scans, and what was learnt of older ones' times, take effect. p_told, p_annulled: the scans of
-- which the new ones say so. p_moved: scans that were at p_at, give or take p_ms. p_places: as for `note_torn`, or null.
-- p_venue: whom to tell of a conflict.
create or replace function take_effect(
    p_fresh uuid[], p_told uuid[], p_annulled uuid[], p_moved uuid[], p_at timestamptz[], p_ms bigint[],
    p_places jsonb, p_venue text
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scans uuid[] := p_fresh || p_annulled || p_moved;
    v_concerned record;
    v_taken_back uuid[];
    v_doubled text[];
    v_done uuid[];
    v_guests uuid[];
    v_code text;
begin
    select * into v_concerned from concerned_by(v_scans);
    perform lock_events_of(v_concerned.subjects);
    if cardinality(v_concerned.strangers) > 0 then
        perform lock_codes(v_concerned.strangers);
    end if;
    if cardinality(p_moved) > 0 then
        update scan_logs s set corrected_at = u.at, corrected_uncertainty_ms = u.ms
        from unnest(p_moved, p_at, p_ms) as u (scan_id, at, ms) join scan_places p on p.scan_id = u.scan_id
        where s.scan_id = p.scan_id and s.received_at = p.received_at;
    end if;
    if p_places is not null then
        perform note_torn(p_places);
    end if;
    v_taken_back := note_outcomes(p_fresh, p_told);
    v_doubled := doubled(v_concerned.codes);
    perform 1 from tickets where id = any (v_concerned.subjects) order by qr_code_data for no key update;
    if cardinality(v_scans) > cardinality(p_fresh) then
        v_concerned.plain := array(select unnest(v_concerned.plain) intersect select unnest(p_fresh));
    end if;
    v_done := check_in_fresh(v_concerned.plain, v_doubled);
    if cardinality(v_done) < cardinality(v_concerned.subjects) then
        perform refresh_tickets(array(select unnest(v_concerned.subjects) except select unnest(v_done)));
    end if;
    v_guests := array(
        select ticket_id from vip_linked_tickets where ticket_id = any (v_concerned.subjects)
        union
        select id from vip_guest_passes where id = any (v_concerned.subjects)
    );
    if cardinality(v_guests) > 0 then
        perform settle_vip(v_guests, p_fresh, p_moved, v_taken_back);
    end if;
    for v_code in
        select unnest(v_doubled)
        union
        select c.code_hash from scans_of(p_moved || v_taken_back) s
        join scan_conflicts c on c.code_hash = s.one_time_code_hash
        where c.withdrawn_at is null
        order by 1
    loop
        perform pair_admissions(v_code, p_venue);
    end loop;
end
$$;

-- The same for what a batch brought. p_places: from where on times are to be settled, or null: at once where that
-- looks at few scans, later where it looks at many (`put_off`).
create or replace function settle_scans(
    p_fresh uuid[], p_told uuid[], p_annulled uuid[], p_places jsonb, p_venue text
) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_near jsonb;
    v_far jsonb;
    v_moved uuid[] := '{}';
    v_at timestamptz[] := '{}';
    v_ms bigint[] := '{}';
begin
    if p_places is not null then
        select near, far into v_near, v_far from put_off(p_places);
        select coalesce(array_agg(u.scan_id), '{}'), coalesce(array_agg(u.at), '{}'),
            coalesce(array_agg(u.uncertainty_ms), '{}')
        into v_moved, v_at, v_ms from (
            select * from unsettled(v_near)
            union all
            select * from by_themselves(p_fresh, v_far)
        ) u;
    end if;
    perform take_effect(p_fresh, p_told, p_annulled, v_moved, v_at, v_ms, v_near, p_venue);
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

-- Only admissions that are written down as such can take the place of another: not a second check-in by hand,
-- not a scan that was annulled or is of another ticket. And only one that was annulled leaves the place empty.
create or replace function one_winning_admission() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    v_scan scan_logs;
begin
    -- not new.code_hash: generated columns are made after this
    select * into v_scan from scans_of(array[coalesce(new.checked_in_scan, old.checked_in_scan)])
    where verdict = 'admit' and record = 'scan'
        and (subject_id = old.id or subject_id is null and code_hash = old.code_hash);
    if found and new.checked_in_scan is not null and v_scan.annulled_at is null
            and (new.checked_in_at, new.checked_in_by) = (v_scan.corrected_at, v_scan.gate_id)
        or found and new.checked_in_scan is null and new.checked_in_at is null and v_scan.annulled_at is not null
    then
        return new;
    end if;
    raise exception 'ticket % is in since % by %: only one admission counts', old.ticket_id,
        old.checked_in_at, coalesce(old.checked_in_by, 'somebody')
        using errcode = 'check_violation', constraint = 'winning_admissions_pkey',
            hint = 'Record the second admission as a scan; it will be kept as a conflict.';
end
$$;

-- Whom a code is granted to, as the entry it is or will be taken with. A grant that came to nothing is released
-- here: its scan was annulled or refused, the same journal asks anew, which knows best, or its gate was revoked
-- and what it has not delivered never comes: one stolen gate must not keep everybody out.
create or replace function claim_holder(p_gate text, p_epoch text, p_code_hash text, p_now timestamptz)
returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_live claims;
    v_scan scan_logs;
    v_why text;
begin
    select * into v_live from claims
    where code_hash = p_code_hash and answer = 'granted' and released_at is null;
    if not found then
        return null;
    end if;
    select * into v_scan from scans_of(array[scan_key(v_live.gate_id, v_live.scan_id)]);
    if v_scan.scan_id is null then
        v_why := case when (v_live.gate_id, v_live.epoch) = (p_gate, p_epoch) then 'superseded'
            when is_revoked(v_live.gate_id) then 'revoked' end;
    elsif v_scan.annulled_at is not null then
        v_why := 'annulled';
    elsif v_scan.verdict <> 'admit' then
        v_why := 'unused';
    end if;
    if v_why is null then
        return claim_entry_of(coalesce(v_scan.corrected_at, v_scan.occurred_at, v_live.answered_at),
            v_live.gate_id, v_live.scan_id);
    end if;
    update claims set released_at = p_now, released_by = v_why
    where gate_id = v_live.gate_id and scan_id = v_live.scan_id;
    return null;
end
$$;

-- What a gate says of itself (GateStatus), for its grants: those whose record came are spent; those it cannot use
-- any more are released. That is so once it has said, by its own clock p_kept_ms after the first it said since the
-- grant, or in another boot, that its door is turning (p_door) and that nothing of its journal is missing here: the
-- door decides one scan after the other and has turned since. No time alone ever frees a grant.
-- Returns how many were released.
create or replace function sweep_claims(
    p_gate text, p_epoch text, p_last_seq bigint, p_acked bigint, p_door boolean, p_boot text, p_ms bigint,
    p_now timestamptz, p_kept_ms bigint default 30000
) returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    v_count integer := 0;
begin
    update claims c set spent_at = p_now
    where c.gate_id = p_gate and c.answer = 'granted' and c.released_at is null and c.spent_at is null
        and scan_key(c.gate_id, c.scan_id) is not null;
    if p_door and p_acked = p_last_seq and p_last_seq <= coalesce(
        (select seq from gate_watermarks where gate_id = p_gate and epoch = p_epoch), 0
    ) then
        update claims c set released_at = p_now, released_by = 'unused'
        where c.gate_id = p_gate and c.epoch = p_epoch and c.answer = 'granted'
            and c.released_at is null and c.spent_at is null
            and (c.seen_boot <> p_boot or p_ms - c.seen_ms >= p_kept_ms)
            -- of what could not be read nobody knows whose admission it is
            and not exists (
                select from scan_quarantine q
                where q.gate_id = p_gate and q.epoch = p_epoch and q.received_at >= c.asked_at
            );
        get diagnostics v_count = row_count;
    end if;
    update claims set seen_boot = p_boot, seen_ms = p_ms
    where gate_id = p_gate and answer = 'granted' and released_at is null and spent_at is null
        and seen_boot is null;
    return v_count;
end
$$;

-- A person frees a ticket whose grant came to nothing. Returns what came of it, {"outcome": 'freed', 'no ticket',
-- 'no grant', 'used', 'unread' or 'alive', "gate": who has or had the grant}; nothing is changed unless it is 'freed'.
create or replace function free_grant(
    p_event uuid, p_ticket text, p_is_off boolean, p_actor text, p_reason text, p_now timestamptz
) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
    v_ticket tickets;
    v_claim claims;
begin
    select * into v_ticket from tickets
    where event_id = p_event and (ticket_id = p_ticket or id::text = lower(p_ticket)) for no key update;
    if not found then
        return jsonb_build_object('outcome', 'no ticket');
    elsif v_ticket.status = 'checked_in' then
        return jsonb_build_object('outcome', 'used', 'gate', v_ticket.checked_in_by);
    end if;
    select * into v_claim from claims
    where code_hash = v_ticket.code_hash and answer = 'granted' and released_at is null for update;
    if not found then
        return jsonb_build_object('outcome', 'no grant');
    elsif exists (
        select from scans_of(array[scan_key(v_claim.gate_id, v_claim.scan_id)]) where annulled_at is null
    ) then
        return jsonb_build_object('outcome', 'used', 'gate', v_claim.gate_id);
    elsif may_still_use(v_claim, p_is_off, p_now) then
        return jsonb_build_object('gate', v_claim.gate_id,
            'outcome', case when may_be_unread(v_claim) then 'unread' else 'alive' end);
    end if;
    update claims set released_at = p_now, released_by = 'freed'
    where gate_id = v_claim.gate_id and scan_id = v_claim.scan_id;
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'free', v_ticket.id::text, p_reason, jsonb_build_object('event_id', p_event,
        'gate_id', v_claim.gate_id, 'epoch', v_claim.epoch, 'scan_id', v_claim.scan_id, 'is_off', p_is_off));
    return jsonb_build_object('outcome', 'freed', 'gate', v_claim.gate_id);
end
$$;

create or replace function is_archived(p_scan uuid) returns boolean
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return exists (select from scan_places where scan_id = p_scan)
        and not exists (select from scans_of(array[p_scan]));
end
$$;

-- Every other case: what a ticket's row says follows from all its admissions. Of those of a one-time ticket
-- only the winner can be its check-in; an entry made without a scan, or whose scan is archived, stays among them.
-- A ticket that was cancelled or refunded before anybody used it stays as it is; one whose last admission was
-- annulled is good again.
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
            select id, checked_in_at, checked_in_by, checked_in_scan from tickets
            where id = any (p_tickets) and checked_in_at is not null
                and (checked_in_scan is null or is_archived(checked_in_scan))
        ) candidate order by ticket_id, at, gate collate "C", scan_id
    ), last_entry as (
        select distinct on (ticket_id) * from (
            select ticket_id, at, gate, scan_id from entry
            union all
            select id, last_entry_at, last_entry_gate, last_entry_scan from tickets
            where id = any (p_tickets) and last_entry_at is not null
                and (last_entry_scan is null or is_archived(last_entry_scan))
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

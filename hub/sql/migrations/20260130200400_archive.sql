-- Every scan in the part of scan_logs of the month it was received in, so that old ones go as a whole table and
-- what is asked all night stays small (data model 3.1; docs/adr/0021).

-- Where every scan ever taken in stands, for a unique key of a partitioned table must hold its month; and by what
-- it is looked for whatever its month. Kept when the scan itself is archived: a place that was used stays used, and
-- a gate that was away for a year and sends it again makes no second admission.
create table if not exists scan_places (
    gate_id text not null,
    epoch text not null,
    seq bigint not null,
    scan_id uuid not null constraint scan_places_scan_key unique,
    received_at timestamptz not null,
    refers_to uuid,
    one_time_code_hash text,
    constraint scan_places_pkey primary key (gate_id, epoch, seq)
);
create index if not exists scan_places_refers_to on scan_places (refers_to) where refers_to is not null;
create index if not exists scan_places_one_time on scan_places (one_time_code_hash)
where one_time_code_hash is not null;

-- The part of one month (UTC), made where it is missing; whatever of that month was put into the default part
-- meanwhile moves into it. Its rights are those of scan_logs: nobody asks a part by itself. service_role only.
create or replace function make_scan_partition(p_month date) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_name text := 'scan_logs_' || to_char(p_month, 'YYYY_MM');
    v_from timestamptz := date_trunc('month', p_month::timestamp) at time zone 'UTC';
    v_to timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
    perform pg_advisory_xact_lock(hashtextextended('maguey scan partitions', 0));
    if to_regclass('public.' || v_name) is not null then
        return false;
    end if;
    execute format('create table public.%I (like public.scan_logs including defaults including constraints)', v_name);
    execute format('with moved as (delete from public.scan_logs_default where received_at >= %L and received_at < %L'
        ' returning *) insert into public.%I select * from moved', v_from, v_to, v_name);
    execute format('alter table public.scan_logs attach partition public.%I for values from (%L) to (%L)',
        v_name, v_from, v_to);
    execute format('alter table public.%I enable row level security', v_name);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', v_name);
    return true;
end
$$;

-- Every scan has its place, whoever writes: two of one place or one scan_id are refused, in whatever months.
create or replace function keep_scan_places() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into scan_places (gate_id, epoch, seq, scan_id, received_at, refers_to, one_time_code_hash)
    select gate_id, epoch, seq, scan_id, received_at, refers_to, one_time_code_hash from new_rows;
    return null;
end
$$;

-- The table as it was becomes the first parts. Views and functions that take or give a row of it are made anew
-- below; without `cascade`, so that anything else that uses the old table stops this.
do $$
declare
    v_rows bigint;
    v_kept bigint;
    v_month date;
begin
    if (select relkind from pg_class where oid = 'public.scan_logs'::regclass) = 'p' then
        return;
    end if;
    drop view scan_times;
    drop view command_outcomes;
    drop view gate_health;
    drop function as_admission(scan_logs);
    drop function scan_content(scan_logs);
    drop function ticket_entries(uuid[]);
    alter table scan_logs rename to scan_logs_before;
    alter table scan_logs_before drop constraint scan_logs_scan_id_key, drop constraint scan_logs_place_key;
    drop index scan_logs_subject, scan_logs_refers_to, scan_logs_unsynced, scan_logs_one_time;

    create table scan_logs (like scan_logs_before including defaults including constraints)
    partition by range (received_at);
    alter table scan_logs add constraint scan_logs_scan_id_key primary key (scan_id, received_at);
    alter table scan_logs add constraint scan_logs_place_key unique (gate_id, epoch, seq, received_at);
    create index scan_logs_subject on scan_logs (subject_id, occurred_at) where subject_id is not null;
    create index scan_logs_unsynced on scan_logs (code_hash)
    where subject_id is null and verdict = 'admit' and record = 'scan';
    -- nothing is ever lost for want of a month's part
    create table scan_logs_default partition of scan_logs default;
    alter table scan_logs_default enable row level security;
    revoke all on scan_logs_default from public, anon, authenticated;
    create trigger scan_logs_places after insert on scan_logs
    referencing new table as new_rows for each statement execute function keep_scan_places();

    for v_month in
        select distinct date_trunc('month', received_at at time zone 'UTC') from scan_logs_before order by 1
    loop
        perform make_scan_partition(v_month);
    end loop;
    insert into scan_logs select * from scan_logs_before;
    get diagnostics v_kept = row_count;
    select count(*) into v_rows from scan_logs_before;
    if v_kept <> v_rows or v_kept <> (select count(*) from scan_places) then
        raise exception '% scans became % in the new table', v_rows, v_kept;
    end if;
    drop table scan_logs_before;
end
$$;

-- Parts for this month and so many after it, and for every month of which the default part holds something.
-- service_role only.
create or replace function ensure_scan_partitions_at(p_months_ahead integer, p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_made text[] := '{}';
    v_month date;
begin
    for v_month in
        select date_trunc('month', p_now at time zone 'UTC') + make_interval(months => n)
        from generate_series(0, least(greatest(p_months_ahead, 0), 24)) n
        union
        select date_trunc('month', received_at at time zone 'UTC') from scan_logs_default
        order by 1
    loop
        if make_scan_partition(v_month) then
            v_made := v_made || to_char(v_month, 'YYYY-MM');
        end if;
    end loop;
    return jsonb_build_object('success', true, 'made', to_jsonb(v_made));
end
$$;

create or replace function ensure_scan_partitions(p_months_ahead integer default 3) returns jsonb
language sql security definer set search_path = public, pg_temp
as $$ select ensure_scan_partitions_at(p_months_ahead, now()) $$;

do $$ begin
    perform ensure_scan_partitions();
end $$;

-- These scans. First when they came, for with that the parts to look into are known before anything is opened: one
-- for a single scan, and for what came together. service_role only, as all that takes in scans.
create or replace function scans_of(p_scans uuid[]) returns setof scan_logs
language plpgsql stable rows 10 set search_path = public, pg_temp as $$
declare
    v_since timestamptz;
    v_until timestamptz;
begin
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    return query select l.* from unnest(p_scans) as asked (scan_id) cross join lateral (
        select * from scan_logs s
        where s.scan_id = asked.scan_id and s.received_at between v_since and v_until offset 0
    ) l;
end
$$;

-- The last scan of a numbering, and when that was; the time is null if it is archived.
create or replace function newest_scan(
    p_gate text, p_epoch text, out seq bigint, out corrected_at timestamptz
)
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_place scan_places;
begin
    select * into v_place from scan_places p
    where p.gate_id = p_gate and p.epoch = p_epoch order by p.seq desc limit 1;
    seq := v_place.seq;
    select l.corrected_at into corrected_at from scan_logs l
    where l.scan_id = v_place.scan_id and l.received_at = v_place.received_at;
end
$$;

create or replace function as_admission(p_scan scan_logs) returns jsonb
language sql stable
return jsonb_build_object('scan_id', p_scan.scan_id, 'gate_id', p_scan.gate_id, 'epoch', p_scan.epoch,
    'seq', p_scan.seq, 'at', p_scan.corrected_at, 'uncertainty_ms', p_scan.corrected_uncertainty_ms);

-- What a record says, whatever its place in the journal and whatever was learnt of it since.
create or replace function scan_content(p_scan scan_logs) returns jsonb
language sql stable
return to_jsonb(p_scan) - array['epoch', 'seq', 'payload_hash', 'received_at', 'actuated', 'annulled_at',
    'corrected_at', 'corrected_uncertainty_ms', 'one_time_code_hash'];

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

-- What a record's own clocks say of when it was. Heard: by a clock that was measured, then or, of the same
-- boot, before or after; two clocks run apart by 100 in a million. Otherwise nobody knows, but not after it came.
-- base: what a measured time makes of the beginning of its boot.
create or replace view scan_times as
select s.scan_id, s.gate_id, s.epoch, s.seq, s.boot_id, s.corrected_at, s.corrected_uncertainty_ms,
    s.clock = 'synced' or c.base is not null as is_heard,
    case when s.clock = 'synced' then s.occurred_at
        when c.base is not null then after_boot(c.base, s.monotonic_ms)
        else least(s.occurred_at, s.received_at) end as at,
    case when s.clock = 'synced' then s.clock_uncertainty_ms
        when c.base is not null
            then c.uncertainty_ms + ceil(abs(s.monotonic_ms - c.monotonic_ms) / 10000.0)::bigint
        end as uncertainty_ms,
    case when s.clock = 'synced' and is_countable(s.monotonic_ms)
        then s.occurred_at - s.monotonic_ms * interval '1 millisecond' end as base,
    s.monotonic_ms, c.base as clock_base, c.monotonic_ms as clock_monotonic_ms,
    c.uncertainty_ms as clock_uncertainty_ms, s.received_at
from scan_logs s
left join boot_clocks c on s.clock <> 'synced' and is_countable(s.monotonic_ms)
    and c.gate_id = s.gate_id and c.boot_id = s.boot_id;

-- One row a gate. link: 'online'; 'silent', which says it is online and was not heard for 45 s (a gate speaks
-- every 10 s); 'offline', by its goodbye or its last will; 'never'. lag: records its journal has and the hub
-- has not without a gap. gap: records that came and wait for one before them. oldest_unacked_s: age of the
-- first that is missing here.
create or replace view gate_health as
select g.gate_id, g.venue, g.name, g.status = 'revoked' or g.revoked_at is not null as revoked,
    case
        when s.gate_id is null then 'never'
        when not s.online then 'offline'
        when s.heard_at is null or s.heard_at < now() - interval '45 seconds' then 'silent'
        else 'online'
    end as link,
    s.heard_at, s.said_at, s.version, s.boot_id, s.epoch, s.last_seq, s.acked, s.unacked, s.isolated, s.door,
    s.way, s.parts, s.counters, s.clock, s.clock_offset_ms, s.clock_uncertainty_ms,
    w.seq as watermark, coalesce(kept.lag, 0) as lag, coalesce(above.gap, 0) as gap,
    case when kept.lag > 0 then s.oldest_unacked_s
        + greatest(extract(epoch from now() - s.heard_at), 0)::bigint end as oldest_unacked_s,
    coalesce(nights.nights, '[]') as nights
from gates g
left join gate_status s on s.gate_id = g.gate_id
left join gate_watermarks w on w.gate_id = s.gate_id and w.epoch = s.epoch
left join lateral (select greatest(s.last_seq - coalesce(w.seq, 0), 0) as lag) kept on s.epoch is not null
left join lateral (
    -- bounded: that there is a gap matters, not whether 10,000 or more wait behind it
    select count(*) as gap from (
        (select seq from scan_places l
            where l.gate_id = s.gate_id and l.epoch = s.epoch and l.seq > coalesce(w.seq, 0) limit 10000)
        union
        (select seq from scan_repeats r
            where r.gate_id = s.gate_id and r.epoch = s.epoch and r.seq > coalesce(w.seq, 0) limit 10000)
        union
        (select seq from scan_quarantine q
            where q.gate_id = s.gate_id and q.epoch = s.epoch and q.seq > coalesce(w.seq, 0) limit 10000)
    ) waiting
) above on s.epoch is not null
left join lateral (
    select jsonb_agg(to_jsonb(n) - 'gate_id' order by n.code) as nights from gate_nights n
    where n.gate_id = g.gate_id
) nights on true;

-- Orders with what became of them. recorded_at: when the gate's journal has it, which is the proof and comes
-- with the scans; state: 'recorded' by that proof, else by the gate's reply, else 'no answer' once it has expired.
create or replace view command_outcomes as
select c.*, s.occurred_at as recorded_at, s.reason as recorded_as, s.epoch as recorded_epoch,
    s.seq as recorded_seq,
    case
        when s.scan_id is not null then 'recorded'
        when c.outcome is not null then c.outcome
        when c.expires_at < now() then 'no answer'
        else 'waiting'
    end as state
from commands c
left join lateral scans_of(array[c.id]) s on s.record = 'event' and s.gate_id = c.gate_id;

-- Where each scan stands. `scan_places` knows every scan by its place and by its gate's name for it, so that of all the
-- months of scan_logs only the one that holds it is opened (docs/adr/0021), and nobody can take another gate's name for
-- a scan by bringing it first (protocol 4.5, Fairness; docs/adr/0023).

-- The scan_id here of what this gate calls so; null: nothing of this gate is.
create or replace function scan_key(p_gate text, p_said uuid) returns uuid
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return coalesce(
        (select scan_id from scan_places where gate_id = p_gate and said_id = p_said),
        (select scan_id from scan_places where scan_id = p_said and gate_id = p_gate and said_id is null)
    );
end
$$;

-- What its gate calls this scan.
create or replace function said_of(p_scan uuid) returns uuid
language plpgsql stable parallel safe set search_path = public, pg_temp as $$
begin
    return coalesce((select said_id from scan_places where scan_id = p_scan and said_id is not null), p_scan);
end
$$;

-- Whether none of these names is known here, and no two gates of this batch use one: then each record keeps its own.
create or replace function are_names_new(p_records scan_logs[]) returns boolean
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return not exists (
        select from unnest(p_records) r
        where (select true from scan_places p where p.scan_id = r.scan_id) is not null
            or (select true from scan_places p where p.gate_id = r.gate_id and p.said_id = r.scan_id) is not null
    ) and not exists (
        select from unnest(p_records) r group by r.scan_id having min(r.gate_id) <> max(r.gate_id)
    );
end
$$;

-- These records under their scan_id here. A name that is another gate's gives way to one that nobody can guess, and
-- stays it when the record comes again. p_records: of gates that are locked.
create or replace function with_hub_scan_ids(p_records json) returns json
language plpgsql set search_path = public, pg_temp as $$
declare
    v_apart jsonb;
begin
    with said as (
        select distinct r.gate_id, r.scan_id from json_to_recordset(p_records) as r (gate_id text, scan_id uuid)
    ), shared as (
        select said.*, min(gate_id) over (partition by scan_id) < gate_id as is_second from said
    ), judged as (
        select s.gate_id, s.scan_id, s.is_second, (
            select p.scan_id from scan_places p where p.gate_id = s.gate_id and p.said_id = s.scan_id
        ) as known, (
            select (p.gate_id, p.said_id is null) = (s.gate_id, true) from scan_places p where p.scan_id = s.scan_id
        ) as is_own
        from shared s
    )
    select jsonb_object_agg(gate_id || ' ' || scan_id, coalesce(known, gen_random_uuid())) into v_apart
    from judged where known is not null or not is_own or is_own is null and is_second;
    if v_apart is null then
        return p_records;
    end if;
    return (
        select json_agg(case when k.scan_id is null then e.value else
            (e.value::jsonb || jsonb_build_object('said_id', e.value ->> 'scan_id', 'scan_id', k.scan_id))::json
        end order by e.place)
        from json_array_elements(p_records) with ordinality as e (value, place)
        cross join lateral (
            select v_apart ->> ((e.value ->> 'gate_id') || ' ' || (e.value ->> 'scan_id')::uuid) as scan_id
        ) k
    );
end
$$;

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

-- Of the numberings of these records the last scan that is here, and when that was (`newest_scan`).
create or replace function newest_scans(p_records scan_logs[])
returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return (
        select jsonb_agg(jsonb_build_object('gate_id', k.gate_id, 'epoch', k.epoch, 'seq', newest.seq,
            'corrected_at', newest.corrected_at))
        from (select distinct r.gate_id, r.epoch from unnest(p_records) r) k
        cross join lateral newest_scan(k.gate_id, k.epoch) newest
    );
end
$$;

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

create or replace function is_archived(p_scan uuid) returns boolean
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return exists (select from scan_places where scan_id = p_scan)
        and not exists (select from scans_of(array[p_scan]));
end
$$;

-- What a record says, whatever its place in the journal and whatever was learnt of it since.
create or replace function scan_content(p_scan scan_logs) returns jsonb
language sql stable
return to_jsonb(p_scan) - array['epoch', 'seq', 'payload_hash', 'received_at', 'actuated', 'annulled_at',
    'corrected_at', 'corrected_uncertainty_ms', 'one_time_code_hash'];

-- Every scan has its place, whoever writes: two of one place or one scan_id are refused, in whatever months.
create or replace function keep_scan_places() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into scan_places (gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash)
    select gate_id, epoch, seq, scan_id, said_id, received_at, refers_to, one_time_code_hash from new_rows;
    return null;
end
$$;

create or replace trigger scan_logs_places after insert on scan_logs
referencing new table as new_rows for each statement execute function keep_scan_places();

-- The part of one month (UTC), made where it is missing; whatever of that month was put into the default part
-- meanwhile moves into it. Its rights are those of scan_logs: nobody asks a part by itself. service_role only.
create or replace function make_scan_partition(p_month date) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    v_name text := 'scan_logs_' || to_char(p_month, 'YYYY_MM');
    v_from timestamptz := date_trunc('month', p_month::timestamp) at time zone 'UTC';
    v_to timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
    perform take_locks(array['scan partitions']);
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

-- Parts for this month and so many after it, and for every month of which the default part holds something.
-- service_role only.
create or replace function ensure_scan_partitions(
    p_months_ahead integer default 3, p_now timestamptz default now()
) returns jsonb
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

do $$ begin
    perform ensure_scan_partitions();
end $$;

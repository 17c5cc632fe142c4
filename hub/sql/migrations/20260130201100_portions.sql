-- What a batch costs does not grow with what its boots already have: times that many scans depend on are settled
-- afterwards, in portions, and nobody else's scans wait for it (protocol 4.5, Fairness; docs/adr/0022).

-- Numberings of which more is to be settled than a batch may look at: from `seq` on, and from the beginning of its
-- boot if `whole`. asked: how often so far; whoever settles them is done when nobody asked meanwhile.
create table if not exists settlings (
    gate_id text not null,
    epoch text not null,
    seq bigint not null,
    whole boolean not null,
    asked bigint not null default 1,
    since timestamptz not null default now(),
    primary key (gate_id, epoch)
);
alter table settlings enable row level security;
revoke all on settlings from public, anon, authenticated, service_role;
drop policy if exists service_works on settlings;
create policy service_works on settlings to service_role using (true) with check (true);
grant select, insert, update, delete on settlings to service_role;

-- The few from where on all is within the bound of a batch, smallest first, so that a large one puts off itself; and
-- the others. The bound is of all together: twice what a batch brings.
create or replace function within_bound(p_places jsonb, out near jsonb, out far jsonb)
language plpgsql stable set search_path = public, pg_temp as $$
declare
    c_most constant integer := 1000;
begin
    with place as (
        select gate_id, epoch, min(seq) as seq, bool_or(coalesce(whole, false)) as whole
        from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint, whole boolean)
        group by gate_id, epoch
    ), sized as (
        select place.*, counted.rows from place cross join lateral (
            select count(*) as rows from (
                select from scan_places k
                where k.gate_id = place.gate_id and k.epoch = place.epoch and k.seq >= place.seq limit c_most + 1
            ) kept
        ) counted
    ), summed as (
        select gate_id, epoch, seq, whole, sum(rows) over (order by rows, gate_id, epoch) <= c_most as is_near
        from sized
    )
    select jsonb_agg(to_jsonb(s) - 'is_near') filter (where is_near),
        jsonb_agg(to_jsonb(s) - 'is_near') filter (where not is_near)
    into near, far from summed s;
end
$$;

-- Of these places, those that are settled at once (`widened`), and those that are left for afterwards, written down.
-- What is being settled meanwhile has to be looked at again.
create or replace function put_off(p_places jsonb, out near jsonb, out far jsonb)
language plpgsql set search_path = public, pg_temp as $$
declare
    v_first record;
    v_then record;
begin
    select * into v_first from within_bound(p_places);
    select * into v_then from within_bound(widened(v_first.near));
    near := v_then.near;
    far := nullif(coalesce(v_first.far, '[]') || coalesce(v_then.far, '[]'), '[]');
    insert into settlings as s (gate_id, epoch, seq, whole)
    select gate_id, epoch, seq, whole
    from jsonb_to_recordset(far) as p (gate_id text, epoch text, seq bigint, whole boolean)
    order by gate_id, epoch
    on conflict (gate_id, epoch) do update set seq = least(s.seq, excluded.seq),
        whole = s.whole or excluded.whole, asked = s.asked + 1;
    perform ask_again(near);
end
$$;

create or replace function ask_again(p_numberings jsonb) returns void
language sql set search_path = public, pg_temp as $$
    update settlings s set asked = s.asked + 1
    from jsonb_to_recordset(p_numberings) as p (gate_id text, epoch text)
    where s.gate_id = p.gate_id and s.epoch = p.epoch
$$;

-- Of these scans, those of these places: when they were by their own and their boot's clock alone, until their order
-- is settled with the rest.
create or replace function by_themselves(p_scans uuid[], p_places jsonb)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language plpgsql stable set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    v_since timestamptz;
    v_until timestamptz;
begin
    if p_places is null then
        return;
    end if;
    select min(received_at), max(received_at) into v_since, v_until from scan_places where scan_id = any (p_scans);
    return query select t.scan_id, t.at, t.uncertainty_ms from unnest(p_scans) as asked (scan_id)
    cross join lateral (
        select s.* from scan_times s
        where s.scan_id = asked.scan_id and s.received_at between v_since and v_until offset 0
    ) t
    where (t.gate_id, t.epoch) in (
        select p.gate_id, p.epoch from jsonb_to_recordset(p_places) as p (gate_id text, epoch text)
    ) and (t.at, t.uncertainty_ms) is distinct from (t.corrected_at, t.corrected_uncertainty_ms);
end
$$;

-- As before. A journal has one numbering, and another after each repair: of more than a few that a boot says it is in,
-- the newest are settled anew.
create or replace function places_of_boots(p_boots jsonb) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_agg(place) from (
        select b.gate_id, b.epoch, b.first_seq as seq
        from jsonb_to_recordset(p_boots) as learnt (gate_id text, boot_id text)
        cross join lateral (
            select k.gate_id, k.epoch, k.first_seq from boots k
            where k.gate_id = learnt.gate_id and k.boot_id = learnt.boot_id and k.has_untrusted
            order by k.last_seq desc, k.epoch limit 8
        ) b
    ) place
$$;

-- Of what was left for afterwards, the times that are not what they should be. Read without a lock, however much it
-- is; kept by `settle_portion`.
create or replace function times_to_settle(p_gate text, p_epoch text, p_seq bigint, p_whole boolean)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language plpgsql stable set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
    return query select * from unsettled(widened(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'epoch', p_epoch, 'seq', p_seq, 'whole', p_whole)
    )));
end
$$;

-- Keep a few of these times ([{"scan_id", "at", "uncertainty_ms"}]), with all that follows, in a transaction as short
-- as a batch's. Returns how many were new.
create or replace function settle_portion(p_gate text, p_times json, p_venue text) returns integer
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_moved uuid[];
    v_at timestamptz[];
    v_ms bigint[];
begin
    perform lock_gates(array[p_gate]);
    select array_agg(t.scan_id), array_agg(t.at), array_agg(t.uncertainty_ms) into v_moved, v_at, v_ms
    from json_to_recordset(p_times) as t (scan_id uuid, at timestamptz, uncertainty_ms bigint)
    cross join lateral scans_of(array[t.scan_id]) s
    where (s.corrected_at, s.corrected_uncertainty_ms) is distinct from (t.at, t.uncertainty_ms);
    if v_moved is not null then
        perform take_effect('{}', '{}', '{}', v_moved, v_at, v_ms, null, p_venue);
    end if;
    return coalesce(cardinality(v_moved), 0);
end
$$;

-- All portions are kept. Returns whether that was it: nobody asked since this began (p_asked).
create or replace function settling_done(
    p_gate text, p_epoch text, p_seq bigint, p_whole boolean, p_asked bigint
) returns boolean
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    -- before the lock: it looks at all there is
    v_torn text[] := array(
        select boot_id from torn_boots(widened(jsonb_build_array(
            jsonb_build_object('gate_id', p_gate, 'epoch', p_epoch, 'seq', p_seq, 'whole', p_whole)
        )))
    );
begin
    perform lock_gates(array[p_gate]);
    update boots set is_torn = true where gate_id = p_gate and epoch = p_epoch and boot_id = any (v_torn);
    delete from settlings where gate_id = p_gate and epoch = p_epoch and asked = p_asked;
    if not found then
        update settlings set since = clock_timestamp() where gate_id = p_gate and epoch = p_epoch;
    end if;
    return not exists (select from settlings where gate_id = p_gate and epoch = p_epoch);
end
$$;

-- Where somebody has other default privileges, what is made is everybody's at first.
do $$
declare
    v_name text;
begin
    for v_name in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname in ('take_effect', 'torn_boots', 'within_bound',
            'put_off', 'ask_again', 'by_themselves', 'times_to_settle', 'settle_portion', 'settling_done')
    loop
        execute format('revoke all on function %s from public, anon, authenticated, service_role', v_name);
        execute format('grant execute on function %s to service_role', v_name);
    end loop;
end
$$;

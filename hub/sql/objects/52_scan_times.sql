-- When a scan really was, by the hub's clock: measured where the gate's clock was right, placed by its boot's clock
-- elsewhere (protocol 4.3; docs/adr/0016). What a batch costs does not grow with what its boots already have: times
-- that many scans depend on are settled afterwards, in portions, and nobody else's scans wait for it (protocol 4.5,
-- Fairness; docs/adr/0022).

-- A monotonic clock of more than ten years, or of less than nothing, is none.
create or replace function is_countable(p_monotonic_ms bigint) returns boolean
language sql immutable parallel safe
return p_monotonic_ms between 0 and 315360000000;

-- When it was that long after a boot began; within what everybody can write down.
create or replace function after_boot(p_base timestamptz, p_monotonic_ms bigint) returns timestamptz
language sql immutable parallel safe
return least(greatest(p_base + p_monotonic_ms * interval '1 millisecond',
    '1970-01-01 00:00:00+00'::timestamptz), '2199-12-31 00:00:00+00'::timestamptz);

-- Whether two measures of when a boot began are more apart than half a minute, what its clock may have run off
-- from one to the other (100 in a million), and p_give.
create or replace function is_apart(
    p_base timestamptz, p_monotonic_ms bigint, p_other timestamptz, p_other_monotonic_ms bigint,
    p_give interval default interval '0'
) returns boolean
language sql immutable parallel safe
return greatest(p_base - p_other, p_other - p_base)
    > interval '30 seconds' + abs(p_monotonic_ms - p_other_monotonic_ms) / 10 * interval '1 microsecond' + p_give;

-- What a record's own clocks say of when it was. Heard: by a clock that was measured, then or, of the same
-- boot, before or after; two clocks run apart by 100 in a million. Otherwise nobody knows, but not after it came.
-- base: what a measured time makes of the beginning of its boot.
create or replace view scan_times as
select p.scan_id, p.gate_id, p.epoch, p.seq, s.boot_id, s.corrected_at, s.corrected_uncertainty_ms,
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
    c.uncertainty_ms as clock_uncertainty_ms, p.received_at
from scan_places p
join scan_logs s on s.scan_id = p.scan_id and s.received_at = p.received_at
left join boot_clocks c on s.clock <> 'synced' and is_countable(s.monotonic_ms)
    and c.gate_id = s.gate_id and c.boot_id = s.boot_id;

-- A gate said (in its status) that in this boot, when its monotonic clock stood at p_monotonic_ms, the hub's
-- time was p_wall, give or take p_uncertainty_ms. Its scans that nobody could place are placed from it.
create or replace function note_boot_clock(
    p_gate text, p_boot text, p_monotonic_ms bigint, p_wall timestamptz, p_uncertainty_ms bigint
) returns void
language plpgsql set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    v_base timestamptz;
begin
    if p_uncertainty_ms between 0 and 3600000 and is_countable(p_monotonic_ms)
            and p_wall >= '1970-01-01 00:00+00' and p_wall < '2200-01-01 00:00+00' then
        v_base := p_wall - p_monotonic_ms * interval '1 millisecond';
    end if;
    if v_base is null or exists (
        select from boot_clocks where gate_id = p_gate and boot_id = p_boot
            and (uncertainty_ms, monotonic_ms, base) <= (p_uncertainty_ms, p_monotonic_ms, v_base)
    ) then
        return;
    end if;
    perform lock_gates(array[p_gate]);
    insert into boot_clocks as known (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
    values (p_gate, p_boot, v_base, p_uncertainty_ms, p_monotonic_ms)
    on conflict (gate_id, boot_id) do update set base = excluded.base,
        uncertainty_ms = excluded.uncertainty_ms, monotonic_ms = excluded.monotonic_ms, updated_at = now()
    where (excluded.uncertainty_ms, excluded.monotonic_ms, excluded.base)
        < (known.uncertainty_ms, known.monotonic_ms, known.base);
    perform settle_scans('{}', places_of_boots(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'boot_id', p_boot)
    )), null);
end
$$;

-- From where on the times of these boots have to be settled; only where something depends on their clock. A journal has
-- one numbering, and another after each repair: of more than a few that a boot says it is in, the newest are settled.
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

-- These places; from the beginning of the boot where a measured time goes back beyond doubt, or where the boot's
-- clocks may contradict each other (`whole`, or torn): who was wrong is seen from all of the boot only (`times_to_correct`).
create or replace function from_start_of_boot(p_places jsonb) returns jsonb
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_since timestamptz := received_since(p_places);
begin
    return (select jsonb_agg(jsonb_build_object('gate_id', p.gate_id, 'epoch', p.epoch,
        'seq', case when torn.is_so or before.last_seq >= p.seq and (before.is_torn or p.whole)
            then before.first_seq else p.seq end))
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint, whole boolean)
    left join lateral (
        select l.boot_id, l.corrected_at, b.first_seq, b.last_seq, b.is_torn from scan_times l
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

-- The times that are not what they should be, from these places on (`from_start_of_boot`). Numbers are the order in which
-- things happened: no record is before the one before it, of the same boot, or, if nobody knows its time, of any.
-- Where measured times of one boot contradict that beyond doubt, the hub was wrong about its own time
-- for a while: those that most of the boot does not agree with, by more than half a minute, do not count, and
-- lie between their neighbours, as uncertain as they were wrong. Where the boot's clock is not what most of the
-- boot's measured times agree with, its unmeasured records are placed by the best of these.
create or replace function times_to_correct(p_places jsonb)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language plpgsql stable set search_path = public, pg_temp as $$
#variable_conflict use_column
begin
    return query with placed as (
        select b.scan_id, b.gate_id, b.epoch, b.seq, b.boot_id, b.corrected_at, b.corrected_uncertainty_ms,
            b.is_heard, b.is_anchor, b.chain,
            case when by_common.is_so then after_boot(b.common, b.monotonic_ms) else b.at end as at,
            case when by_common.is_so
                then b.common_uncertainty_ms + ceil(abs(b.monotonic_ms - b.common_monotonic_ms) / 10000.0)::bigint
                else b.uncertainty_ms end as uncertainty_ms,
            b.base, b.monotonic_ms, b.common, b.common_monotonic_ms
        from times_by_boot(p_places) b cross join lateral (
            select coalesce(is_apart(b.clock_base, b.clock_monotonic_ms, b.common, b.common_monotonic_ms,
                give_or_take(b.clock_uncertainty_ms)), false) as is_so
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
    select s.scan_id, s.settled_at, u.ms from settled s cross join lateral (
        select s.uncertainty_ms + ceil(abs(extract(epoch from s.settled_at - s.at)) * 1000)::bigint as ms
    ) u
    where not s.is_anchor
        and (s.settled_at, u.ms) is distinct from (s.corrected_at, s.corrected_uncertainty_ms);
end
$$;

-- The times from these places on, each place after the last scan before it (`is_anchor`), with what most of its boot's
-- measured times make of the boot's beginning: `common`, by the record that said so. chain: from one record whose time
-- is known at the beginning of a boot to the next.
create or replace function times_by_boot(p_places jsonb)
returns table (
    scan_id uuid, gate_id text, epoch text, seq bigint, boot_id text, corrected_at timestamptz,
    corrected_uncertainty_ms bigint, is_heard boolean, at timestamptz, uncertainty_ms bigint, base timestamptz,
    monotonic_ms bigint, clock_base timestamptz, clock_monotonic_ms bigint, clock_uncertainty_ms bigint,
    is_anchor boolean, chain bigint, common timestamptz, common_monotonic_ms bigint, common_uncertainty_ms bigint
)
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
    )
    select m.scan_id, m.gate_id, m.epoch, m.seq, m.boot_id, m.corrected_at, m.corrected_uncertainty_ms, m.is_heard,
        m.at, m.uncertainty_ms, m.base, m.monotonic_ms, m.clock_base, m.clock_monotonic_ms, m.clock_uncertainty_ms,
        m.is_anchor, count(*) filter (where is_start) over (partition by gate_id, epoch order by seq),
        first_value(base) over best, first_value(monotonic_ms) over best, first_value(uncertainty_ms) over best
    from marked m window best as (partition by gate_id, epoch, boot_id order by company desc, uncertainty_ms, seq);
end
$$;

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

-- Of these places, those that are settled at once (`from_start_of_boot`), and those that are left for afterwards, written down.
-- What is being settled meanwhile has to be looked at again.
create or replace function put_off(p_places jsonb, out near jsonb, out far jsonb)
language plpgsql set search_path = public, pg_temp as $$
declare
    v_first record;
    v_then record;
begin
    select * into v_first from within_bound(p_places);
    select * into v_then from within_bound(from_start_of_boot(v_first.near));
    near := v_then.near;
    far := nullif(coalesce(v_first.far, '[]') || coalesce(v_then.far, '[]'), '[]');
    insert into settlings as s (gate_id, epoch, seq, whole)
    select gate_id, epoch, seq, whole
    from jsonb_to_recordset(far) as p (gate_id text, epoch text, seq bigint, whole boolean)
    order by gate_id, epoch
    on conflict (gate_id, epoch) do update set seq = least(s.seq, excluded.seq),
        whole = s.whole or excluded.whole, asked = s.asked + 1;
    perform renew_settlings(near);
end
$$;

-- More of these numberings came while they are being settled: there is more to do.
create or replace function renew_settlings(p_numberings jsonb) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    update settlings s set asked = s.asked + 1
    from jsonb_to_recordset(p_numberings) as p (gate_id text, epoch text)
    where s.gate_id = p.gate_id and s.epoch = p.epoch;
end
$$;

-- Of these scans, those of these places: when they were by their own and their boot's clock alone, until their order
-- is settled with the rest.
create or replace function times_by_own_clock(p_scans uuid[], p_places jsonb)
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

-- Of what was left for afterwards, the times that are not what they should be. Read without a lock, however much it
-- is; kept by `settle_portion`.
create or replace function times_to_settle(p_gate text, p_epoch text, p_seq bigint, p_whole boolean)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language plpgsql stable set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
    return query select * from times_to_correct(from_start_of_boot(jsonb_build_array(
        jsonb_build_object('gate_id', p_gate, 'epoch', p_epoch, 'seq', p_seq, 'whole', p_whole)
    )));
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
        select boot_id from torn_boots(from_start_of_boot(jsonb_build_array(
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
        perform take_effect('{}', v_moved, v_at, v_ms, null, p_venue);
    end if;
    return coalesce(cardinality(v_moved), 0);
end
$$;

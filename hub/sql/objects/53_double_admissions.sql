-- Which of two admissions of a one-time ticket counts; every other one is paired with it in `scan_conflicts`
-- (domain 2.3, First scan wins; docs/adr/0016).

-- What a time may be off by, as far as anybody reckons with it: an hour where nobody knows.
create or replace function give_or_take(p_uncertainty_ms bigint) returns interval
language sql immutable parallel safe
return least(greatest(coalesce(p_uncertainty_ms, 3600000), 0), 3600000) * interval '1 millisecond';

create or replace function as_admission(p_scan scan_logs) returns jsonb
language sql stable
return jsonb_build_object('scan_id', p_scan.scan_id, 'gate_id', p_scan.gate_id, 'epoch', p_scan.epoch,
    'seq', p_scan.seq, 'at', p_scan.corrected_at, 'uncertainty_ms', p_scan.corrected_uncertainty_ms);

-- Which of several admissions of one ticket counts: a function of nothing but the set (docs/adr/0016). Each is
-- {scan_id, gate_id, epoch, seq, at, uncertainty_ms}; no uncertainty, or a larger one, is an hour.
create or replace function winner_of(p_admissions jsonb, out scan_id uuid, out rule text)
language sql immutable parallel safe set search_path = public, pg_temp as $$
    with admission as (
        select a.*, least(greatest(coalesce(a.uncertainty_ms, 3600000), 0), 3600000)
            * interval '1 millisecond' as give_or_take
        from jsonb_to_recordset(p_admissions) as a
            (scan_id uuid, gate_id text, epoch text, seq bigint, at timestamptz, uncertainty_ms bigint)
    )
    select a.scan_id, case when count(*) over () = 1 then 'earlier' else 'gate' end
    from admission a
    where a.at - a.give_or_take <= (select min(b.at + b.give_or_take) from admission b)
    order by a.gate_id collate "C", a.epoch collate "C", a.seq limit 1
$$;

-- Of these codes, those admitted more than once.
create or replace function codes_admitted_twice(p_codes text[]) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
declare
    v_codes text[];
begin
    v_codes := array(
        select code from unnest(p_codes) as asked (code) cross join lateral (
            select from scan_places where one_time_code_hash = code offset 1 limit 1
        ) second
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

-- The pairs of one code whose admissions but the winner are p_losers: id: the row that is there, null for one that is
-- missing. loser_scan: whom it pairs from now on, null if that stays. A row whose loser is no admission any more takes
-- on a loser that has no row, which is nothing new to anybody; what is left over `is_over`.
create or replace function pairs_of(p_code text, p_losers uuid[])
returns table (id uuid, loser_scan uuid, is_over boolean)
language sql stable set search_path = public, pg_temp as $$
    with idle as (
        select c.id, row_number() over (order by c.created_at, c.id) as place from scan_conflicts c
        where c.code_hash = p_code and c.withdrawn_at is null and c.loser_scan <> all (p_losers)
    ), unpaired as (
        select l.scan_id, row_number() over (order by l.scan_id) as place from unnest(p_losers) as l (scan_id)
        where not exists (
            select from scan_conflicts c where c.loser_scan = l.scan_id and c.withdrawn_at is null
        )
    )
    select kept.id, u.scan_id, i.id is not null and u.scan_id is null
    from scan_conflicts kept
    left join idle i on i.id = kept.id
    left join unpaired u on u.place = i.place
    where kept.code_hash = p_code and kept.withdrawn_at is null
    union all
    select null, u.scan_id, false from unpaired u where u.place > (select count(*) from idle)
$$;

-- Make the rows of one code what its admissions now are (`pairs_of`): what is left over is withdrawn, what is missing
-- is made, and the venue alerted to it.
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

    with pair as materialized (
        select * from pairs_of(p_code, v_losers)
    ), put_right as (
        update scan_conflicts c set
            winner_scan = case when pair.is_over then c.winner_scan else v_winner end,
            loser_scan = coalesce(pair.loser_scan, c.loser_scan),
            rule = case when pair.is_over then c.rule else v_rule end,
            withdrawn_at = case when pair.is_over then now() end,
            -- who looked at it did not see this one
            acknowledged_by = case when pair.loser_scan is null then c.acknowledged_by end,
            acknowledged_at = case when pair.loser_scan is null then c.acknowledged_at end
        from pair
        where c.id = pair.id and (pair.is_over
            or (c.winner_scan, c.loser_scan, c.rule)
                is distinct from (v_winner, coalesce(pair.loser_scan, c.loser_scan), v_rule))
    ), made as (
        insert into scan_conflicts (code_hash, ticket_id, winner_scan, loser_scan, rule)
        select p_code, (select id from tickets where code_hash = p_code order by id limit 1), v_winner,
            pair.loser_scan, v_rule
        from pair where pair.id is null
        returning id, winner_scan
    )
    insert into alerts (scan_id, venue, gate_id, reason, at)
    select m.id, p_venue, w.gate_id, 'conflict', w.corrected_at
    from made m cross join lateral scans_of(array[m.winner_scan]) w
    where p_venue <> '';
    -- nobody needs an alert to what was over before it was sent
    delete from alerts a using scan_conflicts c
    where c.code_hash = p_code and c.withdrawn_at is not null and a.scan_id = c.id and a.sent_at is null;
end
$$;

-- The rows of these codes, and of those that were paired by one of these scans, whose time has changed or which are
-- annulled.
create or replace function pair_codes(p_codes text[], p_scans uuid[], p_venue text) returns void
language plpgsql set search_path = public, pg_temp as $$
declare
    v_code text;
begin
    for v_code in
        select unnest(p_codes)
        union
        select c.code_hash from scans_of(p_scans) s join scan_conflicts c on c.code_hash = s.one_time_code_hash
        where c.withdrawn_at is null
        order by 1
    loop
        perform pair_admissions(v_code, p_venue);
    end loop;
end
$$;

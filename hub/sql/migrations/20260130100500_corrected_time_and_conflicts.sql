-- When a scan really was, by the hub's clock, and which of two admissions of one ticket counts
-- (domain 2.3, First scan wins; protocol 4.3; docs/adr/0016).

-- heard, actor, note: as the record says. corrected_at: when it was by the hub's clock, as far as known;
-- give or take corrected_uncertainty_ms, null where nobody knows. one_time_code_hash: what this admitted for
-- the first time on a ticket that is good once; null of everything else.
alter table scan_logs add column if not exists heard jsonb not null default '[]';
alter table scan_logs add column if not exists actor text not null default '';
alter table scan_logs add column if not exists note text not null default '';
alter table scan_logs add column if not exists corrected_at timestamptz;
alter table scan_logs add column if not exists corrected_uncertainty_ms bigint;
alter table scan_logs add column if not exists one_time_code_hash text;
create index if not exists scan_logs_one_time on scan_logs (one_time_code_hash)
where one_time_code_hash is not null;

-- Which scan an entry is. Null: made by staff or by the contract's call, without a scan.
alter table tickets add column if not exists checked_in_scan uuid;
alter table tickets add column if not exists last_entry_scan uuid;
alter table vip_guest_passes add column if not exists checked_in_scan uuid;
alter table vip_scan_logs add column if not exists scan_id uuid;
create unique index if not exists vip_scan_logs_scan on vip_scan_logs (scan_id) where scan_id is not null;

-- The hub's time when a gate's monotonic clock stood at 0 in this boot, as its best record or status with a
-- measured clock says; monotonic_ms: when that was.
create table if not exists boot_clocks (
    gate_id text not null,
    boot_id text not null,
    base timestamptz not null,
    uncertainty_ms bigint not null,
    monotonic_ms bigint not null,
    updated_at timestamptz not null default now(),
    primary key (gate_id, boot_id)
);

-- Where in a numbering a boot's records stand. One that begins before another has ended is two machines.
-- has_untrusted: some of them must be placed by the boot's clock. is_torn: its clocks contradict each other, so
-- that each record may change what becomes of all of them (`note_torn`).
create table if not exists boots (
    gate_id text not null,
    epoch text not null,
    boot_id text not null,
    first_seq bigint not null,
    last_seq bigint not null,
    has_untrusted boolean not null,
    is_torn boolean not null default false,
    primary key (gate_id, epoch, boot_id)
);
create index if not exists boots_of_gate on boots (gate_id, boot_id) where has_untrusted;

-- Double admissions: one row for each admission beyond the one that counts. withdrawn_at: it is none any
-- more, for an admission was annulled. Each is told once (`alerts`, under this id), and never again when
-- winner and loser change places.
create table if not exists scan_conflicts (
    id uuid primary key default gen_random_uuid(),
    code_hash text not null,
    ticket_id uuid constraint scan_conflicts_ticket_fkey references tickets (id) on delete set null,
    winner_scan uuid not null,
    loser_scan uuid not null,
    rule text not null constraint scan_conflicts_rule check (rule in ('earlier', 'gate')),
    withdrawn_at timestamptz,
    acknowledged_by text,
    acknowledged_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint scan_conflicts_two check (winner_scan <> loser_scan)
);
create unique index if not exists scan_conflicts_loser on scan_conflicts (loser_scan) where withdrawn_at is null;
create index if not exists scan_conflicts_code on scan_conflicts (code_hash);
create index if not exists scan_conflicts_ticket on scan_conflicts (ticket_id) where ticket_id is not null;

create or replace trigger scan_conflicts_touch before update on scan_conflicts
for each row execute function touch_updated_at();

-- The same as before; in words that a check constraint need not call for every row.
create or replace function is_plausible(p_at timestamptz) returns boolean
language sql immutable parallel safe
return p_at is null
    or (p_at >= '1970-01-01 00:00:00+00'::timestamptz and p_at < '2200-01-01 00:00:00+00'::timestamptz);

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

-- Whether a record is the first entry of a ticket that is good once.
create or replace function is_one_time(p_verdict text, p_record text, p_reason text, p_kind text) returns boolean
language sql immutable parallel safe
return p_verdict = 'admit' and p_record = 'scan' and p_reason = 'first_entry' and p_kind in ('ga', 'unknown');

-- A gate's clocks and times are changed by one writer at a time: who learns a clock must see every record
-- it places, and who stores a record every clock. Before any event; in the order of the keys.
create or replace function lock_gates(p_gates text[]) returns void
language plpgsql set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock(key) from (
        select distinct hashtextextended('maguey gate ' || gate_id, 0) as key from unnest(p_gates) as g (gate_id)
        order by key offset 0
    ) keys;
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
    with stored as (
        insert into scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,
            reason, rule, kind, clock, clock_offset_ms, clock_uncertainty_ms, event_id, subject_id, code_hash,
            raw_hash, flags, scan_method, cache_version, cache_age_s, released, record, refers_to, heard,
            actor, note, payload_hash, corrected_at, corrected_uncertainty_ms, one_time_code_hash)
        select r.scan_id, r.gate_id, r.epoch, r.seq, r.boot_id, r.occurred_at, r.monotonic_ms, r.verdict,
            r.reason, r.rule, r.kind, r.clock, r.clock_offset_ms, r.clock_uncertainty_ms, r.event_id,
            r.subject_id, r.code_hash, r.raw_hash, r.flags, r.scan_method, r.cache_version, r.cache_age_s,
            r.released, r.record, r.refers_to, r.heard, r.actor, r.note, r.payload_hash, r.occurred_at,
            case when r.clock = 'synced' then r.clock_uncertainty_ms end,
            case when is_one_time(r.verdict, r.record, r.reason, r.kind) then coalesce(
                r.code_hash, (select t.code_hash from tickets t where t.id = r.subject_id), r.subject_id::text
            ) end
        from json_populate_recordset(null::scan_logs, p_records) r
        where not exists (
            select from scan_repeats p where (p.gate_id, p.epoch, p.seq) = (r.gate_id, r.epoch, r.seq)
        )
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
        -- clocks: as they were before this statement
        select gate_id, epoch from spans b where is_torn or has_untrusted and exists (
            select from boot_clocks c join stored s on (s.gate_id, s.boot_id) = (c.gate_id, c.boot_id)
            where (c.gate_id, c.boot_id) = (b.gate_id, b.boot_id)
                and s.clock = 'synced' and is_countable(s.monotonic_ms)
                and is_apart(s.occurred_at - s.monotonic_ms * interval '1 millisecond', s.monotonic_ms,
                    c.base, c.monotonic_ms)
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
        select n.gate_id, n.epoch, n.seq from numbering n
        left join lateral (
            -- as it was before this statement
            select l.seq, l.corrected_at from scan_logs l
            where l.gate_id = n.gate_id and l.epoch = n.epoch order by l.seq desc limit 1
        ) newest on true
        where not (n.is_ordered and (newest.seq is null or newest.seq < n.seq and newest.corrected_at <= n.first_at))
            or (n.gate_id, n.epoch) in (select gate_id, epoch from contested)
    )
    select coalesce(array_agg(scan_id), '{}'),
        coalesce(array_agg(refers_to) filter (where record in ('passed', 'annulled')), '{}'),
        coalesce(array_agg(refers_to) filter (where record = 'annulled'), '{}'),
        (select jsonb_agg(jsonb_build_object('gate_id', gate_id, 'epoch', epoch)) from numbering),
        (select jsonb_agg(place) from place),
        (select jsonb_agg(clocks) from clocks),
        coalesce(bool_or(record = 'event'), false)
    into fresh, told, annulled, numberings, places, learnt, has_events
    from stored;
end
$$;

-- From where on the times of these boots have to be settled; only where something depends on their clock.
create or replace function places_of_boots(p_boots jsonb) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_agg(place) from (
        select b.gate_id, b.epoch, b.first_seq as seq
        from jsonb_to_recordset(p_boots) as learnt (gate_id text, boot_id text)
        join boots b on b.gate_id = learnt.gate_id and b.boot_id = learnt.boot_id and b.has_untrusted
    ) place
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
    c.uncertainty_ms as clock_uncertainty_ms
from scan_logs s
left join boot_clocks c on s.clock <> 'synced' and is_countable(s.monotonic_ms)
    and c.gate_id = s.gate_id and c.boot_id = s.boot_id;

-- What a time may be off by, as far as anybody reckons with it: an hour where nobody knows.
create or replace function give_or_take(p_uncertainty_ms bigint) returns interval
language sql immutable parallel safe
return least(greatest(coalesce(p_uncertainty_ms, 3600000), 0), 3600000) * interval '1 millisecond';

-- These places; from the beginning of the boot where a measured time goes back beyond doubt, or where the boot's
-- clocks may contradict each other: who was wrong is seen from all of the boot only (`unsettled`).
create or replace function widened(p_places jsonb) returns jsonb
language sql stable set search_path = public, pg_temp as $$
    select jsonb_agg(jsonb_build_object('gate_id', p.gate_id, 'epoch', p.epoch,
        'seq', case when torn.is_so or before.last_seq >= p.seq and (before.is_torn or before.has_untrusted)
            then before.first_seq else p.seq end))
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
    left join lateral (
        select l.boot_id, l.corrected_at, b.first_seq, b.last_seq, b.is_torn, b.has_untrusted from scan_logs l
        join boots b on b.gate_id = l.gate_id and b.epoch = l.epoch and b.boot_id = l.boot_id
        where l.gate_id = p.gate_id and l.epoch = p.epoch and l.seq < p.seq
        order by l.seq desc limit 1
    ) before on true
    left join lateral (
        select bool_or(t.at + give_or_take(t.uncertainty_ms) < greatest(t.latest, before.corrected_at)) as is_so
        from (
            select s.*, max(s.at) filter (where s.is_heard) over (order by s.seq) as latest from scan_times s
            where s.gate_id = p.gate_id and s.epoch = p.epoch and s.seq between p.seq and before.last_seq
                and s.boot_id = before.boot_id
        ) t where t.is_heard
    ) torn on true
$$;

-- The times that are not what they should be, from these places on (`widened`). Numbers are the order in which
-- things happened: no record is before the one before it, of the same boot, or, if nobody knows its time, of any.
-- Where measured times of one boot contradict that beyond doubt, the hub was wrong about its own time
-- for a while: those that most of the boot does not agree with, by more than half a minute, do not count, and
-- lie between their neighbours, as uncertain as they were wrong. Where the boot's clock is not what most of the
-- boot's measured times agree with, its unmeasured records are placed by the best of these.
create or replace function unsettled(p_places jsonb)
returns table (scan_id uuid, at timestamptz, uncertainty_ms bigint)
language sql stable set search_path = public, pg_temp as $$
    with place as (
        select gate_id, epoch, min(seq) as seq
        from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint) group by gate_id, epoch
    ), link as (
        -- offset 0: place by place, never all of the table
        select s.*, false as is_anchor from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq >= p.seq
            order by t.seq offset 0
        ) s
        union all
        select s.scan_id, s.gate_id, s.epoch, s.seq, s.boot_id, s.corrected_at, s.corrected_uncertainty_ms,
            s.is_heard, s.corrected_at, s.corrected_uncertainty_ms, null, s.monotonic_ms, null, null, null, true
        from place p cross join lateral (
            select t.* from scan_times t where t.gate_id = p.gate_id and t.epoch = p.epoch and t.seq < p.seq
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
            later as (partition by gate_id, epoch, boot_id order by seq
                rows between 1 following and unbounded following)
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
        and (s.settled_at, u.ms) is distinct from (s.corrected_at, s.corrected_uncertainty_ms)
$$;

-- From these places on: keep of each boot whether its clocks contradict each other. They do where a measured
-- time was moved by more than it may be off, or is apart from the clock that places the unmeasured; and where one
-- of these was moved.
create or replace function note_torn(p_places jsonb) returns void
language sql set search_path = public, pg_temp as $$
    update boots b set is_torn = true
    from jsonb_to_recordset(p_places) as p (gate_id text, epoch text, seq bigint)
    where b.gate_id = p.gate_id and b.epoch = p.epoch and b.last_seq >= p.seq and not b.is_torn and exists (
        select from scan_times t
        left join boot_clocks c on b.has_untrusted and c.gate_id = b.gate_id and c.boot_id = b.boot_id
        where t.gate_id = b.gate_id and t.epoch = b.epoch and t.boot_id = b.boot_id and t.is_heard
            and t.seq between greatest(b.first_seq, p.seq) and b.last_seq
            and (is_apart(t.base, t.monotonic_ms, c.base, c.monotonic_ms)
                or abs(extract(epoch from t.corrected_at - t.at)) > extract(epoch from
                    case when t.base is null then interval '0' else give_or_take(t.uncertainty_ms) end))
    )
$$;

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

create or replace function as_admission(p_scan scan_logs) returns jsonb
language sql stable
return jsonb_build_object('scan_id', p_scan.scan_id, 'gate_id', p_scan.gate_id, 'epoch', p_scan.epoch,
    'seq', p_scan.seq, 'at', p_scan.corrected_at, 'uncertainty_ms', p_scan.corrected_uncertainty_ms);

-- Of these codes, those admitted more than once.
create or replace function doubled(p_codes text[]) returns text[]
language plpgsql stable set search_path = public, pg_temp as $$
begin
    return array(
        select code from unnest(p_codes) as asked (code) where (
            select count(*) from (
                select from scan_logs where one_time_code_hash = code and annulled_at is null limit 2
            ) admission
        ) > 1
    );
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
begin
    select w.scan_id, w.rule into v_winner, v_rule from (
        select jsonb_agg(as_admission(s)) as admissions from scan_logs s
        where s.one_time_code_hash = p_code and s.annulled_at is null
    ) a cross join lateral winner_of(a.admissions) w;
    select coalesce(array_agg(s.scan_id), '{}') into v_losers from scan_logs s
    where s.one_time_code_hash = p_code and s.annulled_at is null and s.scan_id <> v_winner;

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
            withdrawn_at = case when paired.is_over then now() end
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
    from made m join scan_logs w on w.scan_id = m.winner_scan
    where p_venue <> '';
    -- nobody need be told of what was over before anybody was
    delete from alerts a using scan_conflicts c
    where c.code_hash = p_code and c.withdrawn_at is not null and a.scan_id = c.id and a.sent_at is null;
end
$$;

-- What was stored before there was any of this: when a scan was is what its gate said.
update scan_logs set corrected_at = occurred_at,
    corrected_uncertainty_ms = case when clock = 'synced' then clock_uncertainty_ms end
where corrected_at is null;

update scan_logs s set one_time_code_hash = coalesce(
    s.code_hash, (select t.code_hash from tickets t where t.id = s.subject_id), s.subject_id::text)
where s.one_time_code_hash is null and is_one_time(s.verdict, s.record, s.reason, s.kind);

insert into boots (gate_id, epoch, boot_id, first_seq, last_seq, has_untrusted)
select gate_id, epoch, boot_id, min(seq), max(seq), bool_or(clock <> 'synced')
from scan_logs group by gate_id, epoch, boot_id
on conflict do nothing;

insert into boot_clocks (gate_id, boot_id, base, uncertainty_ms, monotonic_ms)
select distinct on (gate_id, boot_id) gate_id, boot_id,
    occurred_at - monotonic_ms * interval '1 millisecond' as base, clock_uncertainty_ms, monotonic_ms
from scan_logs
where clock = 'synced' and clock_uncertainty_ms between 0 and 3600000 and is_countable(monotonic_ms)
order by gate_id, boot_id, clock_uncertainty_ms, monotonic_ms, base
on conflict do nothing;

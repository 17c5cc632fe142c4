-- The gates: which serve a night, which were revoked (nothing they send counts from that moment on, by the hub's clock;
-- protocol 4.5), and how they are.

create or replace function is_revoked(p_gate text) returns boolean
language sql stable set search_path = public, pg_temp
return exists (select from gates where gate_id = p_gate and (status = 'revoked' or revoked_at is not null));

-- Revoke a gate: nothing it sends counts from now on. Grants it has not used are released; its entries so far stay.
-- Returns 'revoked', 'already', or 'no gate' of this venue.
create or replace function revoke_gate(
    p_venue text, p_gate text, p_actor text, p_reason text, p_now timestamptz, p_stolen boolean default false
) returns text
language plpgsql set search_path = public, pg_temp as $$
declare
    v_free bigint;
begin
    -- after the batch that is being stored, and before the next
    perform lock_gates(array[p_gate]);
    if not exists (select from gates where gate_id = p_gate and venue = p_venue) then
        return 'no gate';
    end if;
    update gates set status = 'revoked', revoked_at = coalesce(revoked_at, p_now)
    where gate_id = p_gate and (status <> 'revoked' or revoked_at is null);
    if not found then
        update revocations set stolen = true where gate_id = p_gate and p_stolen and not stolen;
        return 'already';
    end if;
    update certificates set revoked_at = p_now where gate_id = p_gate and revoked_at is null;
    insert into revocations (gate_id, stolen) values (p_gate, p_stolen) on conflict (gate_id) do nothing;
    update claims set released_at = p_now, released_by = 'revoked'
    where gate_id = p_gate and answer = 'granted' and released_at is null
        and scan_key(p_gate, claims.scan_id) is null;
    get diagnostics v_free = row_count;
    insert into alerts (scan_id, venue, gate_id, reason, at)
    values (gen_random_uuid(), p_venue, p_gate, 'revoked', p_now);
    insert into audit_log (actor, action, target, reason, details)
    values (p_actor, 'revoke gate', p_gate, p_reason, jsonb_build_object('venue', p_venue, 'freed', v_free, 'stolen', p_stolen));
    return 'revoked';
end
$$;

-- Limits the gates of a night and of a venue, because each gate gets the list of all of them.
create or replace function enforce_gate_limit() returns trigger
language plpgsql set search_path = public, pg_temp as $$
declare
    c_most constant integer := 256;
    v_count bigint;
begin
    if tg_table_name = 'gates' then
        select count(*) into v_count from gates where venue = new.venue;
    else
        select count(*) into v_count from gate_events where event_id = new.event_id;
    end if;
    if v_count > c_most then
        raise exception 'one % has at most % gates',
            case tg_table_name when 'gates' then 'venue' else 'night' end, c_most
            using errcode = 'check_violation', constraint = tg_table_name || '_bound';
    end if;
    return null;
end
$$;

create or replace trigger gates_at_most after insert on gates for each row execute function enforce_gate_limit();

create or replace trigger gate_events_at_most after insert on gate_events
for each row execute function enforce_gate_limit();

-- Each night that a gate serves or holds, compared with the hub's. state: 'in sync' only if both have the same digest
-- at the same version; 'unknown' if the gate holds nothing yet, or nothing was compared yet. behind: changes that it
-- lacked when it was last heard; those of the last 5 s do not count, because they may be on their way. The last five
-- columns are the night's own, for what its gates do when they cannot ask.
create or replace view gate_nights as
select coalesce(served.gate_id, held.gate_id) as gate_id, e.id as event_id, e.code, e.name,
    held.version, held.generation, held.count,
    e.admission_version as hub_version, e.feed_generation as hub_generation,
    late.changes as behind,
    case
        when held.version is null then 'unknown'
        when (held.generation, held.version) > (e.feed_generation, e.admission_version) then 'differs'
        when held.digest <> d.digest then 'differs'
        when held.generation < e.feed_generation or late.changes > 0 then 'behind'
        when d.digest is null then 'unknown'
        else 'in sync'
    end as state,
    e.doors_open_at, e.ends_at, e.isolation_policy, e.home_gates, e.retired_gates
from gate_events served
full join (
    select s.gate_id, h.event_id, h.version, h.generation, h.count, h.digest,
        coalesce(s.heard_at, s.said_at, now()) as as_of
    from gate_status s
    cross join lateral jsonb_to_recordset(s.held)
        as h (event_id uuid, version bigint, generation bigint, count bigint, digest text)
) held on held.gate_id = served.gate_id and held.event_id = served.event_id
join events e on e.id = coalesce(served.event_id, held.event_id)
left join lateral (
    select count(*) as changes from (
        select from admission_changes c
        where c.event_id = e.id and c.version > held.version and c.created_at < held.as_of - interval '5 seconds'
        limit 10000
    ) missed
) late on true
left join feed_digests d on (d.event_id, d.generation, d.version) = (e.id, held.generation, held.version)
where e.ends_at > now() - interval '1 day';

-- One row for each gate. link: 'online'; 'silent': it said that it is online and was not heard for 45 s (a gate speaks
-- every 10 s); 'offline': by its goodbye or its last will; 'never'. lag: records of its journal above the hub's
-- watermark. gap: records above it that are here already, waiting for one before them. oldest_unacked_s: the age of the
-- first record that is missing here.
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
    -- bounded, because it hardly matters whether 10,000 records or more wait behind a gap
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

-- Orders to gates. A gate's record of an order has the order's id.
create or replace view command_outcomes with (security_invoker = true) as
select c.*, s.occurred_at as recorded_at, s.reason as recorded_as, s.epoch as recorded_epoch,
    s.seq as recorded_seq,
    case
        when s.scan_id is not null then 'recorded'
        when c.outcome is not null then c.outcome
        when c.expires_at < now() then 'no answer'
        else 'waiting'
    end as state
from commands c
left join lateral scans_of(array[scan_key(c.gate_id, c.id)]) s on s.record = 'event';

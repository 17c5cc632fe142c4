-- What of the gates somebody should look at, from what they say and what the hub itself has.

-- Each night a gate serves or holds, beside the hub's own. state: 'in sync' only where both computed the same
-- digest at the same version; 'unknown' where the gate holds nothing yet, or nothing was compared yet. behind:
-- changes it lacked when it was last heard, though they were more than 5 s old; a busy night's last ones are on
-- their way to everybody. The last five columns are the night's own: what its gates do that cannot ask.
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
        (select seq from scan_logs l
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
left join scan_logs s on s.scan_id = c.id and s.record = 'event' and s.gate_id = c.gate_id;

The journal: written by the door only, read by sync. Columns of `scans` are the fields of
gate.rules.model.ScanRecord (protocol 4.3), in their order; a test keeps the two equal.

-- schema --
create table meta (
    key text primary key,
    value text not null
) without rowid;

create table scans (
    scan_id text not null unique,
    gate_id text not null,
    epoch text not null,
    seq integer primary key,  -- gapless: the highest plus one, taken inside the transaction
    boot_id text not null,
    occurred_at text not null,
    monotonic_ms integer not null,
    verdict text not null,
    reason text not null,
    rule integer not null,
    kind text not null,
    clock text not null,
    clock_offset_ms integer,
    clock_uncertainty_ms integer,
    event_id text,
    subject_id text,
    code_hash text,
    raw_hash text,
    flags text not null,
    scan_method text not null,
    cache_version integer,
    cache_age_s integer,
    released integer not null,
    record text not null,
    refers_to text,
    heard text not null,  -- JSON, or empty
    actor text not null,
    note text not null
);
create index scans_of_a_code on scans (code_hash) where verdict = 'admit' and record = 'scan';
create index later_records_of_a_scan on scans (refers_to) where refers_to is not null;
-- so that numbers go on where they were when acknowledged rows are pruned
insert into meta values ('last_seq', '0');

-- openings --
create table openings (scan_id text primary key) without rowid;
insert into openings select scan_id from scans where released = 1 and record = 'scan';
create index released_admissions on scans (scan_id) where released = 1 and record = 'scan'

-- memory --
-- admissions whose rows are lost and that an index still told of (gate/recovery/rebuild_journal.py)
create table remembered (
    code_hash text not null,
    at text not null,
    primary key (code_hash, at)
) without rowid;
-- rows are pruned from the oldest on, up to this number: any other that is missing was lost
insert into meta select 'pruned', coalesce(
    (select min(seq) - 1 from scans), (select value from meta where key = 'last_seq')
)

-- mark_opening --
-- a row comes back unless the admission was annulled
insert into openings select ?1
where not exists (select 1 from scans a where a.refers_to = ?1 and a.record = 'annulled')
on conflict do update set scan_id = excluded.scan_id returning 1

-- settle --
-- any commit of this connection is synced, and the marks before it with it; SQLite leaves out
-- a write that changes nothing, so something has to change
insert into meta values ('settled', '1') on conflict (key) do update set value = value + 1

-- unopened --
-- admissions, and releases by staff's order
select {columns} from scans s
where released = 1 and (record = 'scan' and verdict = 'admit' or record = 'event' and reason = 'released')
  and scan_id not in (select scan_id from openings)
  and not exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled')
order by seq

-- knows --
select 1 from scans where scan_id = ?

-- last_ordered --
select {columns} from scans
where record = 'event' and reason in ('held_open', 'closed', 'resumed')
order by seq desc limit 1

-- meta_get --
select value from meta where key = ?

-- meta_set --
insert into meta values (?, ?) on conflict (key) do update set value = excluded.value

-- past_of_code --
-- own admissions of a code, what a salvaged journal remembers of it, and whether history is lost
select
    case
        when exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled') then 'annulled'
        else 'entry'
    end as what, occurred_at as at, gate_id, scan_id
from scans s
where code_hash = ?1 and verdict = 'admit' and record = 'scan'
union all
select 'entry', at, (select value from meta where key = 'gate_id'), null from remembered where code_hash = ?1
union all
select 'lost', null, null, null from meta where key = 'history_lost'

-- admitted --
-- how many of these codes have entries: as in past_of_code
select count(*) from json_each(?) code where exists (
    select 1 from scans s
    where s.code_hash = code.value and verdict = 'admit' and record = 'scan'
      and not exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled')
) or exists (select 1 from remembered where code_hash = code.value)

-- next_seq --
update meta set value = value + 1 where key = 'last_seq' returning cast(value as integer)

-- waiting_entries --
select count(distinct code_hash) from scans s
where seq > ? and event_id = ? and verdict = 'admit' and reason = 'first_entry' and record = 'scan'
  and not exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled')

-- is_prunable --
-- staff's last order stays while it holds (last_ordered): a gate that was closed is closed until it is opened
select 1 from (select * from scans order by seq limit 1) s
where seq <= :acked and occurred_at < :oldest and (boot_id <> :boot_id or monotonic_ms < :since_ms)
  and not (
      record = 'event' and reason in ('held_open', 'closed') and not exists (
          select 1 from scans later where later.seq > s.seq
          and later.record = 'event' and later.reason in ('held_open', 'closed', 'resumed')
      )
  )

-- prune --
-- from the oldest on, up to the first that is still needed: no gaps
delete from scans where seq in (select seq from scans order by seq limit 500) and seq < coalesce(
    (
        select seq from scans s
        where not (
            seq <= :acked and occurred_at < :oldest and (boot_id <> :boot_id or monotonic_ms < :since_ms)
            and not (
                record = 'event' and reason in ('held_open', 'closed') and not exists (
                    select 1 from scans later where later.seq > s.seq
                    and later.record = 'event' and later.reason in ('held_open', 'closed', 'resumed')
                )
            )
        )
        order by seq limit 1
    ),
    9223372036854775807
)

-- note_pruned --
update meta set value = coalesce(
    (select min(seq) - 1 from scans), (select value from meta where key = 'last_seq')
) where key = 'pruned'

-- prune_openings --
delete from openings where scan_id not in (select scan_id from scans)

-- prune_remembered --
delete from remembered where at < :oldest

-- end_history_lost --
delete from meta where key = 'history_lost'

-- checkpoint --
pragma wal_checkpoint(passive)

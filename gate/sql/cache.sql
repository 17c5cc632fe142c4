What the door reads of the cache. The tables are made and written by sync (sync/sql/cache.sql).

-- data_version --
pragma data_version

-- known --
-- what the hub says of a code, if anything, and what other gates told of it
select a.row, t.row, null as at, null as gate_id, null as scan_id from admissions a
left join tables t on t.reservation_id = a.reservation_id
where a.code_hash = ?1
union all
select null, null, at, gate_id, scan_id from peer_entries where code_hash = ?1

-- is_annulled --
select 1 from peer_annulments where scan_id = ? and gate_id = ?

-- events --
select row from events

-- feed --
select version, current_at from feed where event_id = ?

-- companions --
select code_hash, exists (select 1 from peer_entries p where p.code_hash = a.code_hash)
from admissions a where reservation_id = ? and entered = 0

-- entered --
select count(*) from admissions where event_id = ? and entered = 1

-- gate_names --
select gate_id, name from gate_names

-- link --
select row from link

-- is_lent --
select 1 from lent where code_hash = ?

-- alerts --
select number, row from alerts where number > ? order by number

-- newest_alert --
select coalesce(max(number), 0) from alerts

-- unread --
select event_id, unread from feed where unread <> ''

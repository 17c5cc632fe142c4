What the door reads of the cache. The tables are made and written by sync (sync/sql/cache.sql).

-- admission --
select a.row, t.row from admissions a
left join tables t on t.reservation_id = a.reservation_id
where a.code_hash = ?

-- events --
select row from events

-- peer_entries --
select at, gate_id from peer_entries where code_hash = ?

-- feed --
select version, current_at from feed where event_id = ?

-- members --
select code_hash from admissions where reservation_id = ? and entered = 0

-- entered --
select count(*) from admissions where event_id = ? and entered = 1

-- gate_names --
select gate_id, name from gate_names

-- link --
select connected, hub_heard, since_ms, beat_ms, boot_id, epoch, acked_seq from link

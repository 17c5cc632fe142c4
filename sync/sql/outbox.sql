What sync reads from the door's journal. It never writes to it.

-- meta --
select value from meta where key = ?

-- is_made --
select count(*) from sqlite_master where name = 'scans'

-- version --
pragma data_version

-- any_up_to --
select 1 from scans where seq <= ? limit 1

-- oldest_above --
select boot_id, monotonic_ms, occurred_at from scans where seq > ? order by seq limit 1

-- used --
-- whether somebody entered here with this code
select exists (
    select 1 from scans s
    where code_hash = ?1 and verdict = 'admit' and record = 'scan'
      and not exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled')
) or exists (select 1 from remembered where code_hash = ?1)

-- unused --
-- whether nobody entered here with this code; 0, too, when some of this journal is lost and it cannot say
select not exists (
    select 1 from scans s
    where code_hash = ?1 and verdict = 'admit' and record = 'scan'
      and not exists (select 1 from scans a where a.refers_to = s.scan_id and a.record = 'annulled')
) and not exists (select 1 from remembered where code_hash = ?1)
  and not exists (select 1 from meta where key = 'history_lost')

What `maguey-gate status` reads of the journal, without writing to it.

-- meta --
select key, value from meta

-- last_scan --
select occurred_at, verdict, reason from scans where record = 'scan' order by seq desc limit 1

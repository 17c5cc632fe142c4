What sync reads of the door's journal. It never writes there.

-- meta --
select value from meta where key = ?

-- is_made --
select count(*) from sqlite_master where name = 'scans'

-- version --
pragma data_version

-- any_up_to --
select 1 from scans where seq <= ? limit 1
